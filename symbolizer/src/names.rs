//! Names of frames: which functions an address, a stub or a code object stands for.

use crate::lines;
use crate::machinery::Binary;
use crate::native::{KERNEL, Kernel, Module, Place};
use crate::profile::{Category, FrameId, StackId};
use crate::registry::{Registries, full_name};
use crate::tables::{FunctionText, Tables};
use pronk_sampler::recording::{self, Address, CodeId, Frame, MappedObject, Mapping, MappingId, PythonCode, Recording};
use pronk_trampolines::wire::CodeKind;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The mark for native frames that could not be unwound.
pub const FRAMES_MISSING: &str = "[frames missing]";
/// The mark for a stack that was longer than what was copied.
pub const STACK_TRUNCATED: &str = "[stack truncated]";
/// The name of code at an address in no mapping that is known.
pub const UNMAPPED: &str = "[unmapped]";

/// A binary, and what it is.
#[derive(Debug)]
struct Known {
    module: Module,
    binary: Binary,
}

/// Where names are looked for.
struct Source<'r> {
    mappings: &'r [Mapping],
    codes: &'r [PythonCode],
    registries: &'r Registries,
}

/// What a frame of the recording becomes.
#[derive(Clone, Debug)]
struct Named {
    /// The frames of the profile, the one nearest to the root first.
    frames: Rc<[FrameId]>,
    /// Whether it starts a program or a thread, so that what follows still is where the stack begins.
    starts: bool,
}

/// Names every frame of a recording, each distinct one once. The recording may grow meanwhile.
#[derive(Debug)]
pub struct Names {
    debug_root: PathBuf,
    kallsyms: PathBuf,
    /// The names so far.
    pub tables: Tables,
    stacks: Vec<StackId>,
    /// For each stack of the recording, whether nothing but what starts a program or a thread is in it.
    starting: Vec<bool>,
    modules: Vec<Known>,
    by_object: HashMap<MappedObject, usize>,
    kernel: Option<Kernel>,
    named: HashMap<(Frame, bool), Named>,
    unresolved: HashSet<(usize, u64)>,
    unnamed_stubs: HashSet<(MappingId, Address)>,
    unnamed_codes: HashSet<CodeId>,
}

impl Names {
    /// No names yet. They will be looked for in a directory of debug files and a list of the kernel's symbols, too.
    pub fn new(debug_root: &Path, kallsyms: &Path) -> Names {
        Names {
            debug_root: debug_root.to_owned(),
            kallsyms: kallsyms.to_owned(),
            tables: Tables::new(),
            stacks: Vec::new(),
            starting: Vec::new(),
            modules: Vec::new(),
            by_object: HashMap::new(),
            kernel: None,
            named: HashMap::new(),
            unresolved: HashSet::new(),
            unnamed_stubs: HashSet::new(),
            unnamed_codes: HashSet::new(),
        }
    }

    /// The profile's stack for each of the recording's that has names by now.
    pub fn stacks(&self) -> &[StackId] {
        &self.stacks
    }

    /// Distinct places in native code for which no function was found.
    pub fn unresolved(&self) -> u64 {
        self.unresolved.len() as u64
    }

    /// Stubs and code objects of which nothing could be read.
    pub fn unnamed(&self) -> u64 {
        (self.unnamed_stubs.len() + self.unnamed_codes.len()) as u64
    }

    /// Names the stacks of the recording that are new since this was called before.
    pub fn go_on(&mut self, recording: &Recording, registries: &Registries) {
        let source = Source { mappings: &recording.mappings, codes: &recording.codes, registries };
        let table = &recording.stacks;
        for id in self.stacks.len() as u32..table.len() as u32 {
            let (below, frame) = table.get(recording::StackId(id));
            let at_root = below.is_none_or(|below| self.starting.get(below.index()).copied().unwrap_or(false));
            let named = self.name(&source, frame, at_root);
            let mut stack = below.and_then(|below| self.stacks.get(below.index()).copied());
            for &frame in named.frames.iter() {
                stack = Some(self.tables.stack(stack, frame));
            }
            let Some(stack) = stack else { unreachable!("every frame has a name") };
            self.stacks.push(stack);
            self.starting.push(named.starts);
        }
    }

    /// Names a frame. `at_root` says whether nothing but what starts a program or a thread is below it.
    fn name(&mut self, source: &Source<'_>, frame: Frame, at_root: bool) -> Named {
        if let Some(named) = self.named.get(&(frame, at_root)) {
            return named.clone();
        }
        let named = match frame {
            Frame::Kernel(code) => self.kernel(code.lookup()),
            Frame::Native(mapping, code) => self.native(source, mapping, code.lookup(), at_root),
            Frame::Stub(mapping, address) => self.stub(source, mapping, address),
            Frame::Python(code, instruction) => self.python(source, code, instruction),
            Frame::Unmapped(code) => {
                self.unresolved.insert((usize::MAX, code.lookup().0));
                self.single(UNMAPPED, None, Category::Native)
            }
            Frame::Gap => self.single(FRAMES_MISSING, None, Category::Missing),
            Frame::Truncated => self.single(STACK_TRUNCATED, None, Category::Missing),
        };
        self.named.insert((frame, at_root), named.clone());
        named
    }

    fn single(&mut self, name: &str, binary: Option<&str>, category: Category) -> Named {
        let text = FunctionText { name, file: None, first_line: None, binary, category };
        let function = self.tables.function(text);
        Named { frames: [self.tables.frame(function, None, false)].into(), starts: false }
    }

    fn kernel(&mut self, address: Address) -> Named {
        let kernel = self.kernel.get_or_insert_with(|| Kernel::load(&self.kallsyms));
        let found = kernel.find(address).map(|(name, binary)| (name.to_owned(), binary));
        let (name, binary) = found.unwrap_or((KERNEL.to_owned(), KERNEL.to_owned()));
        self.single(&name, Some(&binary), Category::Kernel)
    }

    fn stub(&mut self, source: &Source<'_>, mapping: MappingId, address: Address) -> Named {
        let object = source.mappings.get(mapping.index()).map(|mapping| &mapping.object);
        let function = match object {
            Some(MappedObject::Ours(_, token)) => source.registries.function(*token, address),
            _ => None,
        };
        let Some(function) = function else {
            self.unnamed_stubs.insert((mapping, address));
            return self.single(&format!("[stub {:#x}]", address.0), None, Category::Python);
        };
        self.python_function(&function.name, function.file.as_deref(), function.first_line, None)
    }

    fn python(&mut self, source: &Source<'_>, id: CodeId, instruction: Option<u32>) -> Named {
        let Some(code) = source.codes.get(id.index()) else {
            self.unnamed_codes.insert(id);
            return self.single(&format!("[code {}]", id.0), None, Category::Python);
        };
        let name = full_name(&code.module, &code.qualname);
        let file = (!code.file.is_empty()).then_some(code.file.as_str());
        let first_line = (code.first_line != 0).then_some(code.first_line);
        // Where a module begins, there is an instruction on line 0.
        let line = lines::line(code, instruction).filter(|&line| line != 0);
        self.python_function(&name, file, first_line, line)
    }

    /// A frame of a Python function: named alike, whether by its stub or by its code object.
    fn python_function(&mut self, name: &str, file: Option<&str>, first_line: Option<u32>, line: Option<u32>) -> Named {
        let text = FunctionText { name, file, first_line, binary: None, category: Category::Python };
        let function = self.tables.function(text);
        Named { frames: [self.tables.frame(function, line, false)].into(), starts: false }
    }

    fn native(&mut self, source: &Source<'_>, id: MappingId, address: Address, at_root: bool) -> Named {
        let Some(mapping) = source.mappings.get(id.index()) else {
            return self.single(UNMAPPED, None, Category::Native);
        };
        if let MappedObject::Ours(kind, _) = mapping.object {
            let name = match kind {
                CodeKind::Hook => "[hook]",
                CodeKind::Stubs => "[stub]",
            };
            return self.single(name, None, Category::Interpreter);
        }
        let index = self.module(mapping);
        let Some(Known { module, binary }) = self.modules.get_mut(index) else {
            return self.single(UNMAPPED, None, Category::Native);
        };
        let offset = address.0.wrapping_sub(mapping.start.0).wrapping_add(mapping.file_offset);
        let places = module.places(offset);
        let name = module.name.clone();
        let outermost = places.last();
        let named = outermost.is_some_and(|place| place.named);
        if !named {
            self.unresolved.insert((index, offset));
        }
        // Distributions strip the names of what starts programs and threads from the C library. At the root of a
        // stack, that is what its nameless functions are.
        let category = match outermost {
            Some(_) if at_root && !named && *binary == Binary::CLibrary => Category::Interpreter,
            Some(place) => binary.category(&place.name),
            None => Category::Native,
        };
        // What starts the program may lie in the interpreter's own binary, of which the rest starts nothing.
        let is_starter = !matches!(binary, Binary::Interpreter | Binary::Agent)
            || outermost.is_some_and(|place| place.name == "_start");
        let starts = at_root && category == Category::Interpreter && is_starter;
        Named { frames: self.frames(&places, &name, category), starts }
    }

    fn frames(&mut self, places: &[Place], binary: &str, category: Category) -> Rc<[FrameId]> {
        let outermost = places.len().saturating_sub(1);
        let frames = places.iter().enumerate().rev().map(|(at, place)| {
            let function = self.tables.function(FunctionText {
                name: &place.name,
                file: place.file.as_deref(),
                first_line: place.first_line,
                binary: Some(binary),
                category,
            });
            self.tables.frame(function, place.line, at != outermost)
        });
        frames.collect()
    }

    /// The binary behind a mapping, opened when it is first seen.
    fn module(&mut self, mapping: &Mapping) -> usize {
        if let Some(&index) = self.by_object.get(&mapping.object) {
            return index;
        }
        let module = match &mapping.object {
            MappedObject::File(file) => Module::open(file, &self.debug_root),
            MappedObject::Vdso => Module::vdso(),
            MappedObject::Anonymous(name) => Module::without_names(name),
            MappedObject::Ours(..) => Module::without_names(""),
        };
        let binary = Binary::of(&module);
        self.modules.push(Known { module, binary });
        self.by_object.insert(mapping.object.clone(), self.modules.len() - 1);
        self.modules.len() - 1
    }
}
