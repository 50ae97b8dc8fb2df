//! Turns a recording into a profile: names for every frame, native and Python frames in one stack.

use crate::lines;
use crate::machinery::Binary;
use crate::native::{DEBUG_ROOT, KERNEL, Kernel, Module, Place};
use crate::profile::{self, Category, FrameId, Meta, Profile, Quality, StackId};
use crate::registry::{Registries, full_name};
use crate::tables::{FunctionText, Tables};
use pronk_sampler::recording::{
    self, Address, CodeId, Event, Frame, MappedObject, Mapping, MappingId, Recording, TaskRoot,
};
use pronk_trampolines::wire::CodeKind;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// The mark for native frames that could not be unwound.
pub const FRAMES_MISSING: &str = "[frames missing]";
/// The mark for a stack that was longer than what was copied.
pub const STACK_TRUNCATED: &str = "[stack truncated]";
/// The name of code at an address in no mapping that is known.
pub const UNMAPPED: &str = "[unmapped]";

/// Gives names to a recording.
///
/// Reads the registries in the recording's session directory, and the files that are mapped, so it must run while the
/// session's directory is there. What cannot be read costs names; [`Quality`] says how many.
pub fn symbolize(recording: &Recording, meta: Meta) -> Profile {
    symbolize_with(recording, meta, Path::new(DEBUG_ROOT), Path::new("/proc/kallsyms"))
}

/// [`symbolize`] with another directory of debug files and another list of the kernel's symbols.
pub(crate) fn symbolize_with(recording: &Recording, meta: Meta, debug_root: &Path, kallsyms: &Path) -> Profile {
    let registries = Registries::load(&recording.session);
    let mut names = Names::new(recording, &registries, debug_root, kallsyms);
    let stacks = names.stacks();
    let (unresolved, unnamed) = (names.unresolved.len(), names.unnamed_stubs.len() + names.unnamed_codes.len());
    let mut tables = names.tables;
    let processes = processes(recording, &registries, &mut tables);
    let threads = recording.threads.iter().map(|thread| profile::Thread {
        process: profile::ProcessId(thread.process.0),
        tid: thread.tid,
        name: tables.string(&thread.name),
        main: thread.main,
    });
    let threads = threads.collect();
    let contexts: Vec<profile::Context> = recording
        .contexts
        .all()
        .iter()
        .map(|context| self::context(context, &recording.codes, &registries, &stacks, &mut tables))
        .collect();
    let known_context =
        |id: recording::ContextId| Some(profile::ContextId(id.0)).filter(|id| id.index() < contexts.len());
    let mut samples: Vec<profile::Sample> = recording
        .samples
        .iter()
        .map(|sample| profile::Sample {
            thread: profile::ThreadId(sample.thread.0),
            time_ns: sample.time.0.saturating_sub(recording.started.0),
            stack: sample.stack.and_then(|stack| stacks.get(stack.index()).copied()),
            context: sample.context.and_then(known_context),
            weight: sample.weight,
        })
        .collect();
    samples.sort_by_key(|sample| sample.time_ns);
    let quality = quality(recording, &registries, unresolved as u64, unnamed as u64);
    let (strings, functions, frames, stacks) = tables.finish();
    Profile { meta, quality, strings, processes, threads, functions, frames, stacks, contexts, samples }
}

fn context(
    context: &recording::Context,
    codes: &[recording::PythonCode],
    registries: &Registries,
    stacks: &[StackId],
    tables: &mut Tables,
) -> profile::Context {
    let labels = context.labels.iter().map(|(key, value)| (tables.string(key), tables.string(value))).collect();
    let root = |task: &recording::Task| {
        let name = task.root.and_then(|root| match root {
            TaskRoot::Code(id) => codes.get(id.index()).map(|code| full_name(&code.module, &code.qualname)),
            TaskRoot::Stub(token, stub) => registries.function(token, stub).map(|function| function.name.clone()),
        });
        name.unwrap_or_default()
    };
    let task = context.task.as_ref().map(|task| profile::Task {
        name: tables.string(&task.name),
        root: tables.string(&root(task)),
        below: task.below,
        awaiters: task.awaiters.and_then(|awaiters| stacks.get(awaiters.index()).copied()),
    });
    profile::Context { labels, task }
}

fn processes(recording: &Recording, registries: &Registries, tables: &mut Tables) -> Vec<profile::Process> {
    let mut processes: Vec<profile::Process> = Vec::new();
    for process in &recording.processes {
        let parent = process.parent.filter(|parent| parent.index() < processes.len());
        let mut python = registries.support(process);
        if let (profile::PythonSupport::NotPython, Some(parent)) = (&python, parent) {
            // A fork is what its parent is. An image of another program has the same process id as its parent.
            let forked = processes.get(parent.index()).filter(|parent| parent.pid != process.pid);
            if let Some(refused @ profile::PythonSupport::Refused(_)) = forked.map(|parent| &parent.python) {
                python = refused.clone();
            }
        }
        processes.push(profile::Process {
            pid: process.pid,
            parent: parent.map(|parent| profile::ProcessId(parent.0)),
            name: tables.string(&process.name),
            python,
        });
    }
    for (pid, python) in registries.refused_elsewhere(&recording.processes) {
        processes.push(profile::Process { pid, parent: None, name: tables.string("python"), python });
    }
    processes
}

fn quality(recording: &Recording, registries: &Registries, unresolved: u64, unnamed: u64) -> Quality {
    let losses = &recording.losses;
    let samples = recording.sample_count();
    // The CPU time says nothing of the samples that are taken while a thread waits, or only while it holds a lock.
    let is_of_cpu_time = !matches!(recording.event, Event::Wall | Event::Gil);
    let cpu_time = losses.cpu_time.filter(|_| is_of_cpu_time);
    let cpu_seconds = cpu_time.map(|time| time.as_secs_f64()).filter(|&seconds| seconds > 0.0);
    let mut notes = [registries.notes.as_slice(), &recording.notes].concat();
    if losses.malformed > 0 {
        notes.push(format!("{} records could not be read", losses.malformed));
    }
    Quality {
        samples,
        achieved_hz: cpu_seconds.map(|seconds| samples as f64 / seconds),
        lost: losses.lost,
        throttled: losses.throttled,
        truncated: losses.truncated,
        gaps: losses.gaps,
        without_stack: losses.without_stack,
        retaken: losses.retaken,
        torn: losses.torn,
        held_back: losses.held_back,
        unsampled_threads: losses.unsampled_threads,
        folded_values: losses.folded_values,
        unrecorded_scopes: losses.unrecorded_scopes,
        handler_p50_ns: losses.handler.map(|times| times.p50_ns),
        handler_p99_ns: losses.handler.map(|times| times.p99_ns),
        unresolved_frames: unresolved,
        unnamed_stubs: unnamed,
        unregistered_functions: registries.unregistered,
        deep_stops: registries.deep_stops,
        kernel_excluded: losses.kernel_excluded,
        notes,
    }
}

/// A binary, and what it is.
#[derive(Debug)]
struct Known {
    module: Module,
    binary: Binary,
}

/// What a frame of the recording becomes.
#[derive(Clone, Debug)]
struct Named {
    /// The frames of the profile, the one nearest to the root first.
    frames: Rc<[FrameId]>,
    /// Whether it starts a program or a thread, so that what follows still is where the stack begins.
    starts: bool,
}

/// Names every frame of a recording, each distinct one once.
struct Names<'a> {
    recording: &'a Recording,
    registries: &'a Registries,
    debug_root: &'a Path,
    kallsyms: &'a Path,
    tables: Tables,
    modules: Vec<Known>,
    by_object: HashMap<MappedObject, usize>,
    kernel: Option<Kernel>,
    named: HashMap<(Frame, bool), Named>,
    unresolved: HashSet<(usize, u64)>,
    unnamed_stubs: HashSet<(MappingId, Address)>,
    unnamed_codes: HashSet<CodeId>,
}

impl<'a> Names<'a> {
    fn new(
        recording: &'a Recording,
        registries: &'a Registries,
        debug_root: &'a Path,
        kallsyms: &'a Path,
    ) -> Names<'a> {
        Names {
            recording,
            registries,
            debug_root,
            kallsyms,
            tables: Tables::new(),
            modules: Vec::new(),
            by_object: HashMap::new(),
            kernel: None,
            named: HashMap::new(),
            unresolved: HashSet::new(),
            unnamed_stubs: HashSet::new(),
            unnamed_codes: HashSet::new(),
        }
    }

    /// The profile's stack for each of the recording's.
    fn stacks(&mut self) -> Vec<StackId> {
        let table = &self.recording.stacks;
        let mut stacks: Vec<StackId> = Vec::with_capacity(table.len());
        // Whether nothing but what starts a program or a thread was seen so far, from the root on.
        let mut starting: Vec<bool> = Vec::with_capacity(table.len());
        for id in 0..table.len() as u32 {
            let (below, frame) = table.get(recording::StackId(id));
            let at_root = below.is_none_or(|below| starting.get(below.index()).copied().unwrap_or(false));
            let named = self.name(frame, at_root);
            let mut stack = below.and_then(|below| stacks.get(below.index()).copied());
            for &frame in named.frames.iter() {
                stack = Some(self.tables.stack(stack, frame));
            }
            let Some(stack) = stack else { unreachable!("every frame has a name") };
            stacks.push(stack);
            starting.push(named.starts);
        }
        stacks
    }

    /// Names a frame. `at_root` says whether nothing but what starts a program or a thread is below it.
    fn name(&mut self, frame: Frame, at_root: bool) -> Named {
        if let Some(named) = self.named.get(&(frame, at_root)) {
            return named.clone();
        }
        let named = match frame {
            Frame::Kernel(code) => self.kernel(code.lookup()),
            Frame::Native(mapping, code) => self.native(mapping, code.lookup(), at_root),
            Frame::Stub(mapping, address) => self.stub(mapping, address),
            Frame::Python(code, instruction) => self.python(code, instruction),
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
        let kernel = self.kernel.get_or_insert_with(|| Kernel::load(self.kallsyms));
        let found = kernel.find(address).map(|(name, binary)| (name.to_owned(), binary));
        let (name, binary) = found.unwrap_or((KERNEL.to_owned(), KERNEL.to_owned()));
        self.single(&name, Some(&binary), Category::Kernel)
    }

    fn stub(&mut self, mapping: MappingId, address: Address) -> Named {
        let object = self.recording.mappings.get(mapping.index()).map(|mapping| &mapping.object);
        let function = match object {
            Some(MappedObject::Ours(_, token)) => self.registries.function(*token, address),
            _ => None,
        };
        let Some(function) = function else {
            self.unnamed_stubs.insert((mapping, address));
            return self.single(&format!("[stub {:#x}]", address.0), None, Category::Python);
        };
        self.python_function(&function.name, function.file.as_deref(), function.first_line, None)
    }

    fn python(&mut self, id: CodeId, instruction: Option<u32>) -> Named {
        let Some(code) = self.recording.codes.get(id.index()) else {
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

    fn native(&mut self, id: MappingId, address: Address, at_root: bool) -> Named {
        let Some(mapping) = self.recording.mappings.get(id.index()) else {
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
            MappedObject::File(file) => Module::open(file, self.debug_root),
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

#[cfg(test)]
mod tests;
