//! What is needed of an ELF file: segments, symbols, function ranges, debug sections, and where its debug file is.
//!
//! Files are read through [`object::ReadCache`], never mapped. All that is kept is owned.

use super::symbols::{Symbol, SymbolTable};
use gimli::{BaseAddresses, CieOrFde, EhFrame, UnwindSection};
use object::elf::{PF_X, PT_LOAD, SHF_EXECINSTR, SHT_DYNSYM, SHT_SYMTAB};
use object::elf::{STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE};
use object::read::elf::{ElfFile64, ProgramHeader, SectionHeader, Sym};
use object::{LittleEndian, Object, ObjectSection, ReadRef};
use pronk_sampler::section_contents;
use std::ops::Range;
use std::path::PathBuf;

/// The ELF files of the machines that pronk runs on are all of this kind.
type Elf<'data, R> = ElfFile64<'data, LittleEndian, R>;

/// A virtual address as the file states it (in `st_value`, `p_vaddr`, DWARF), before it is loaded anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Svma(pub u64);

/// A file to which another file's debug information was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLink {
    /// The file's name, without a directory.
    pub name: PathBuf,
    /// The CRC-32 of its contents.
    pub crc: u32,
}

/// A file that holds debug information that several files share (DWARF 5 section 7.3.6; written by `dwz`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AltLink {
    /// The file, absolute or relative to the directory of the file that names it.
    pub path: PathBuf,
    /// Its build id.
    pub build_id: Vec<u8>,
}

/// A part of the file that is loaded.
#[derive(Clone, Debug)]
struct Segment {
    file: Range<u64>,
    address: u64,
    executable: bool,
}

/// What is kept of an ELF file.
#[derive(Debug, Default)]
pub struct Image {
    /// The GNU build id.
    pub build_id: Option<Vec<u8>>,
    /// Where the debug information is, if not here.
    pub debug_link: Option<DebugLink>,
    /// Where shared debug information is.
    pub alt_link: Option<AltLink>,
    /// Whether it has DWARF of its own.
    pub has_dwarf: bool,
    /// The symbols of functions.
    pub symbols: SymbolTable,
    /// Where each function begins and ends by its unwind information, which stripped files keep. Sorted.
    functions: Vec<Range<u64>>,
    segments: Vec<Segment>,
}

impl Image {
    /// The address, as the file states it, of what is at an offset in the file.
    pub fn svma_of(&self, file_offset: u64) -> Option<Svma> {
        let holding = |segment: &&Segment| segment.file.contains(&file_offset);
        let mut segments = self.segments.iter().filter(holding);
        let segment = segments.clone().find(|segment| segment.executable).or_else(|| segments.next())?;
        Some(Svma(segment.address.wrapping_add(file_offset - segment.file.start)))
    }

    /// Where the function around an address begins, by its unwind information.
    pub fn function_start(&self, Svma(address): Svma) -> Option<Svma> {
        let behind = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(behind.checked_sub(1)?)?;
        function.contains(&address).then_some(Svma(function.start))
    }
}

/// Reads what is kept of an ELF file. What is damaged is left out; `None` when it is no ELF file of this machine's kind.
pub fn read<'data, R: ReadRef<'data>>(data: R) -> Option<Image> {
    let elf = Elf::parse(data).ok()?;
    let text = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
    let link = elf.gnu_debuglink().ok().flatten();
    let alt_link = elf.gnu_debugaltlink().ok().flatten();
    let mut image = Image {
        build_id: elf.build_id().ok().flatten().map(<[u8]>::to_vec),
        debug_link: link.map(|(name, crc)| DebugLink { name: text(name), crc }),
        alt_link: alt_link.map(|(path, id)| AltLink { path: text(path), build_id: id.to_vec() }),
        has_dwarf: elf.section_by_name(".debug_info").is_some(),
        symbols: SymbolTable::default(),
        functions: read_functions(&elf).unwrap_or_default(),
        segments: elf.elf_program_headers().iter().filter_map(read_segment).collect(),
    };
    for kind in [SHT_SYMTAB, SHT_DYNSYM] {
        // A damaged table costs the names that are in it.
        let _ = read_symbols(&elf, kind, &mut image.symbols);
    }
    image.symbols.finish();
    Some(image)
}

/// Opens an ELF file for its sections.
pub fn parse<'data, R: ReadRef<'data>>(data: R) -> Option<Elf<'data, R>> {
    Elf::parse(data).ok()
}

fn read_segment(header: &object::elf::ProgramHeader64<LittleEndian>) -> Option<Segment> {
    if header.p_type(LittleEndian) != PT_LOAD {
        return None;
    }
    let start = header.p_offset(LittleEndian);
    Some(Segment {
        file: start..start.checked_add(header.p_filesz(LittleEndian))?,
        address: header.p_vaddr(LittleEndian),
        executable: header.p_flags(LittleEndian) & PF_X != 0,
    })
}

fn read_symbols<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    kind: u32,
    into: &mut SymbolTable,
) -> object::Result<()> {
    let sections = elf.elf_section_table();
    let table = sections.symbols(LittleEndian, elf.data(), kind)?;
    if table.is_empty() {
        return Ok(());
    }
    // All names at once: one by one they would cost a system call each.
    let names = sections.section(table.string_section())?.data(LittleEndian, elf.data())?;
    let base = into.add_names(names);
    for symbol in table.iter() {
        let section = sections.section(object::SectionIndex(symbol.st_shndx(LittleEndian).into()));
        let code_end = section.ok().and_then(code_end);
        let name = base + symbol.st_name(LittleEndian) as usize;
        if symbol.is_undefined(LittleEndian) {
            into.add_import(name);
            continue;
        }
        let Some(code_end) = code_end else { continue };
        // Assembly code has functions without a type, such as `_start` in some C libraries.
        if !matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE) {
            continue;
        }
        into.add(Symbol {
            start: Svma(symbol.st_value(LittleEndian)),
            size: symbol.st_size(LittleEndian),
            limit: Svma(code_end),
            name,
            global: matches!(symbol.st_bind(), STB_GLOBAL | STB_WEAK),
            typed: symbol.st_type() != STT_NOTYPE,
        });
    }
    Ok(())
}

/// Where a section ends, if it holds code.
fn code_end(section: &object::elf::SectionHeader64<LittleEndian>) -> Option<u64> {
    let code = section.sh_flags(LittleEndian) & u64::from(SHF_EXECINSTR) != 0;
    let end = section.sh_addr(LittleEndian).checked_add(section.sh_size(LittleEndian))?;
    code.then_some(end)
}

fn read_functions<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<Vec<Range<u64>>> {
    let section = elf.section_by_name(".eh_frame")?;
    let data = section_contents(&section)?;
    let address_of = |name| elf.section_by_name(name).map_or(0, |section| section.address());
    let bases = BaseAddresses::default().set_eh_frame(section.address()).set_text(address_of(".text"));
    let mut frame = EhFrame::new(&data, gimli::LittleEndian);
    frame.set_address_size(8);
    let mut functions = Vec::new();
    let mut entries = frame.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
        let start = fde.initial_address();
        if let Some(end) = start.checked_add(fde.len()).filter(|&end| end > start) {
            functions.push(start..end);
        }
    }
    functions.sort_unstable_by_key(|function| (function.start, function.end));
    Some(functions)
}
