//! The unwind information of files, loaded once per file.
//!
//! Framehop is given all files in one address space of our own, in which each file has a place of 8 GiB. So a file is
//! the same for every process that maps it, wherever and however often, the rules that framehop caches hold for all of
//! them, and what processes map and unmap never invalidates a rule.

use super::cfi::Sections;
use super::stack::Stack;
use super::{NativeUnwinder, Registers, Step, Trail};
use crate::files::MappedImage;
use crate::mappings::{Image, Mapping};
use crate::recording::Code;
use crate::sections::section_contents;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder};
use gimli::{BaseAddresses, Register, RegisterRule, UnwindContext, X86_64};
use object::elf::{EM_X86_64, PF_X, PT_LOAD};
use object::read::elf::{ElfFile64, ElfSymbol64, FileHeader, ProgramHeader, Sym};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef, SymbolKind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;

/// The size of a file's place, as a power of two. Framehop can use 4 GiB of it.
const PLACE_BITS: u32 = 33;
/// Framehop's caches hold 509 rules each; this many make room for all the code that a big program runs.
const CACHES: u64 = 64;

/// A file whose unwind information is loaded.
#[derive(Debug)]
pub(crate) struct Module {
    /// Where the file is in the address space of our own.
    place: u64,
    /// The lowest address that the file states.
    base: u64,
    /// Where a program begins, as the file states it.
    entry: u64,
    segments: Vec<Segment>,
    sections: Option<Sections>,
    build_id: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Segment {
    offsets: Range<u64>,
    address: u64,
    executable: bool,
}

impl Module {
    /// The GNU build id.
    pub(crate) fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The address that the file states for what lies at an offset in it.
    fn stated_address(&self, offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| segment.offsets.contains(&offset);
        let executable = self.segments.iter().filter(|segment| segment.executable).find(holds);
        let segment = executable.or_else(|| self.segments.iter().find(holds))?;
        segment.address.checked_add(offset - segment.offsets.start)
    }

    /// The parts of the function that begins at an offset in the file, each by how far from the beginning it lies.
    pub(super) fn parts_of_function(&self, offset: u64, file: &MappedImage) -> Vec<Range<i64>> {
        let Some(start) = self.stated_address(offset) else { return Vec::new() };
        let described = self.sections.as_ref().and_then(|sections| sections.described_with(start));
        let parts = described.into_iter().chain(cold_parts(start, file));
        let distance = |address: u64| address.wrapping_sub(start).cast_signed();
        parts.map(|part| distance(part.start)..distance(part.end)).collect()
    }

    /// Whether an address is that of the first instructions of a program, which nothing has called. Behind them either
    /// the unwind information or the frame pointer says so.
    fn is_start(&self, stated: u64) -> bool {
        // glibc's dynamic linker has two instructions of 8 bytes before it calls anything (RTLD_START of
        // sysdeps/x86_64/dl-machine.h, 2.36).
        self.entry != 0 && stated.wrapping_sub(self.entry) < 8
    }
}

/// Unwinds native code by the unwind information of the files that it is in.
pub(crate) struct Modules {
    unwinder: UnwinderX86_64<Rc<[u8]>>,
    caches: Vec<CacheX86_64>,
    places: u64,
    vdso: Option<Option<Rc<Module>>>,
    context: UnwindContext<usize>,
    /// For addresses where framehop may have gone by rules that it does not evaluate: whether it did.
    special: HashMap<u64, bool>,
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Modules {
    /// Knows no file yet.
    pub(crate) fn new() -> Modules {
        Modules {
            unwinder: UnwinderX86_64::new(),
            caches: (0..CACHES).map(|_| CacheX86_64::new()).collect(),
            places: 0,
            vdso: None,
            context: UnwindContext::new(),
            special: HashMap::new(),
        }
    }

    /// Loads a file. `None` when it is not an ELF file for this machine.
    pub(crate) fn load(&mut self, file: File) -> Option<Rc<Module>> {
        // The file is read, never mapped: somebody may truncate it at any moment.
        let data = ReadCache::new(file);
        self.add(&data)
    }

    /// The module of a mapping, loaded if it was not.
    pub(crate) fn of(&mut self, image: &Image) -> Option<Rc<Module>> {
        match image {
            Image::File(file) => file.module(self),
            Image::Vdso => {
                if self.vdso.is_none() {
                    let module = read_vdso().and_then(|bytes| self.add(&*bytes));
                    self.vdso = Some(module);
                }
                self.vdso.clone()?
            }
            Image::Ours(..) | Image::Anonymous(_) => None,
        }
    }

    fn add<'data, R: ReadRef<'data>>(&mut self, data: R) -> Option<Rc<Module>> {
        let elf = ElfFile64::<LittleEndian, R>::parse(data).ok()?;
        let endian = elf.endian();
        if elf.elf_header().e_machine(endian) != EM_X86_64 {
            return None;
        }
        let load = elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let segments: Vec<Segment> = load
            .filter_map(|header| {
                let start = header.p_offset(endian);
                let end = start.checked_add(header.p_filesz(endian))?;
                let executable = header.p_flags(endian) & PF_X != 0;
                Some(Segment { offsets: start..end, address: header.p_vaddr(endian), executable })
            })
            .collect();
        let base = segments.iter().map(|segment| segment.address).min()?;
        self.places += 1;
        let place = self.places << PLACE_BITS;

        let section = |name: &str| {
            let section = elf.section_by_name(name)?;
            Some((section.address(), Rc::<[u8]>::from(&*section_contents(&section)?)))
        };
        let range = |address: u64, size: usize| address..address.saturating_add(size as u64);
        let text = elf.section_by_name(".text").map(|text| text.address());
        let mut info = ExplicitModuleSectionInfo {
            base_svma: base,
            text_svma: text.map(|address| range(address, 1)),
            got_svma: elf.section_by_name(".got").map(|got| range(got.address(), 1)),
            ..ExplicitModuleSectionInfo::default()
        };
        let mut sections = None;
        if let Some((address, eh_frame)) = section(".eh_frame").filter(|(_, data)| !data.is_empty()) {
            info.eh_frame_svma = Some(range(address, eh_frame.len()));
            info.eh_frame = Some(eh_frame.clone());
            if let Some((hdr_address, eh_frame_hdr)) = section(".eh_frame_hdr") {
                let bases = BaseAddresses::default().set_eh_frame(address).set_eh_frame_hdr(hdr_address);
                let bases = bases.set_text(text.unwrap_or(0));
                let known = Sections { eh_frame, eh_frame_hdr, bases };
                // Without a table that can be searched framehop makes its own, if it is not given this one.
                if known.has_index() {
                    info.eh_frame_hdr_svma = Some(range(hdr_address, known.eh_frame_hdr.len()));
                    info.eh_frame_hdr = Some(known.eh_frame_hdr.clone());
                    sections = Some(known);
                }
            }
        } else {
            info.debug_frame = section(".debug_frame").map(|(_, data)| data);
        }
        let whole = place..place + (1 << PLACE_BITS);
        self.unwinder.add_module(framehop::Module::new(String::new(), whole, place, info));
        let build_id = elf.build_id().ok().flatten().map(<[u8]>::to_vec);
        let entry = elf.elf_header().e_entry(endian);
        Some(Rc::new(Module { place, base, entry, segments, sections, build_id }))
    }

    fn step_in(
        &mut self,
        module: &Module,
        offset: u64,
        code: Code,
        registers: Registers,
        stack: &Stack,
        trail: &Trail,
    ) -> Option<Step> {
        let stated = module.stated_address(offset)?;
        let ours = module.place.checked_add(stated.checked_sub(module.base)?)?;
        let address = match code {
            Code::At(_) if module.is_start(stated) => return Some(Step::Root),
            Code::At(_) => FrameAddress::from_instruction_pointer(ours),
            Code::ReturnTo(_) => FrameAddress::from_return_address(ours.checked_add(1)?)?,
        };
        let mut regs = UnwindRegsX86_64::new(registers.pc, registers.sp, registers.fp);
        let cache = self.caches.get_mut(((ours >> 4) % CACHES) as usize)?;
        let mut read = |address| stack.word(address).ok_or(());
        let by_frame_pointer = registers.fp.wrapping_add(16);
        let step = match self.unwinder.unwind_frame(address, &mut regs, cache, &mut read) {
            Ok(Some(pc)) => Step::Caller(Registers { pc, sp: regs.sp(), fp: regs.bp() }),
            Ok(None) => Step::Root,
            // Where no function is described: zero ends the chain there, too, as in the dynamic linker's start.
            Err(framehop::Error::FramepointerUnwindingMovedBackwards) if registers.fp == 0 => Step::Root,
            Err(_) => Step::Failed,
        };
        // Only where a function has yet to call anything, the return address may be elsewhere than below the frame.
        let by_known_rule = matches!(step, Step::Caller(caller) if caller.sp != by_frame_pointer);
        if by_known_rule && matches!(code, Code::ReturnTo(_)) {
            return Some(step);
        }
        Some(self.step_by_special_rules(module, stated, ours, registers, stack, trail).unwrap_or(step))
    }

    fn step_by_special_rules(
        &mut self,
        module: &Module,
        stated: u64,
        ours: u64,
        registers: Registers,
        stack: &Stack,
        trail: &Trail,
    ) -> Option<Step> {
        if self.special.get(&ours) == Some(&false) {
            return None;
        }
        let sections = module.sections.as_ref();
        let rules = sections.and_then(|found| found.special_rules(stated, &mut self.context));
        self.special.insert(ours, rules.is_some());
        let (sections, rules) = (sections?, rules?);
        let modules = RefCell::new(self);
        let other = |register| modules.borrow_mut().register(register, stack, trail);
        Some(rules.caller(sections, registers, stack, &other).map_or(Step::Failed, Step::Caller))
    }

    /// The value of a register at the end of a trail: where the nearest frame that changed it has saved it, else as it
    /// was at the sample.
    fn register(&mut self, register: Register, stack: &Stack, trail: &Trail) -> Option<u64> {
        trail.used.set(true);
        for callee in trail.callees.iter().rev() {
            if !PRESERVED.contains(&register) {
                return None;
            }
            let module = self.of(&callee.mapping.image)?;
            let stated = module.stated_address(callee.mapping.offset_of(callee.code.lookup().0))?;
            let rules = module.sections.as_ref()?.rules(stated, &mut self.context)?;
            match rules.register(register) {
                None | Some(RegisterRule::SameValue) => {}
                Some(RegisterRule::Offset(offset)) => return stack.word_at(callee.frame, offset),
                Some(_) => return None,
            }
        }
        trail.sampled?.get(usize::from(register.0)).copied()
    }
}

/// The registers that a function leaves as they were (x86-64 psABI 1.0, figure 3.4), but for the stack and frame
/// pointers, whose values are always known.
const PRESERVED: [Register; 5] = [X86_64::RBX, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

impl NativeUnwinder for Modules {
    fn step(&mut self, mapping: &Mapping, code: Code, registers: Registers, stack: &Stack, trail: &Trail) -> Step {
        let offset = mapping.offset_of(code.lookup().0);
        let module = self.of(&mapping.image);
        let step = module.and_then(|module| self.step_in(&module, offset, code, registers, stack, trail));
        step.unwrap_or_else(|| super::step_by_frame_pointer(registers, stack))
    }
}

/// Where gcc has put those parts of a function that it takes for unlikely to run, as far as the file has symbols: they
/// are called as the function is, with `.cold` behind it (`-freorder-functions` of gcc(1); gcc/cgraphclones.cc, gcc 12).
fn cold_parts(start: u64, file: &MappedImage) -> Vec<Range<u64>> {
    let Some(data) = file.open().map(ReadCache::new) else { return Vec::new() };
    let Ok(elf) = ElfFile64::<LittleEndian, _>::parse(&data) else { return Vec::new() };
    // All names at once: one by one they would cost a system call each.
    let names = elf.section_by_index(elf.elf_symbol_table().string_section()).ok();
    let names = names.and_then(|section| section_contents(&section)).unwrap_or_default();
    let name_of = |symbol: &ElfSymbol64<LittleEndian, _>| {
        let rest = names.get(symbol.elf_symbol().st_name(LittleEndian) as usize..)?;
        rest.iter().position(|&byte| byte == 0).and_then(|end| rest.get(..end))
    };
    let functions = || elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let whole: Vec<&[u8]> =
        functions().filter(|symbol| symbol.address() == start).filter_map(|symbol| name_of(&symbol)).collect();
    let is_part = |name: &[u8]| {
        whole.iter().any(|function| name.strip_prefix(*function).is_some_and(|rest| rest.starts_with(b".cold")))
    };
    functions()
        .filter(|symbol| name_of(symbol).is_some_and(is_part))
        .filter_map(|symbol| Some(symbol.address()..symbol.address().checked_add(symbol.size())?))
        .collect()
}

/// The vdso is the same in every process: the kernel maps one image (vdso(7)).
fn read_vdso() -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
    let mut memory = File::open("/proc/self/mem").ok()?;
    memory.seek(SeekFrom::Start(start)).ok()?;
    memory.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Loads a file's module when it is first asked for.
pub(crate) type LazyModule = std::cell::OnceCell<Option<Rc<Module>>>;

impl MappedImage {
    /// The file's module. `None` when it cannot be read any more, or is not an ELF file for this machine.
    pub(crate) fn module(&self, modules: &mut Modules) -> Option<Rc<Module>> {
        self.module.get_or_init(|| self.open().and_then(|file| modules.load(file))).clone()
    }
}
