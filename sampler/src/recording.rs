//! What a session leaves: stacks of addresses, and what is needed to give them names later.
//!
//! A recording knows no names. It is made of tables that refer to each other by index, so that a sample is a few words.

use nix::time::{ClockId, clock_gettime};
pub use pronk_trampolines::wire::LineTableFormat;
use pronk_trampolines::wire::{CodeKind, Token};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A point in time: CLOCK_MONOTONIC, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicNs(pub u64);

/// The time now.
pub(crate) fn now() -> MonotonicNs {
    // CLOCK_MONOTONIC is always there (clock_gettime(2)).
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    MonotonicNs(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// An address in a process, as the process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub u64);

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            /// The position in the table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// Position in [`Recording::processes`].
    ProcessId
    /// Position in [`Recording::threads`].
    ThreadId
    /// Position in [`Recording::mappings`].
    MappingId
    /// Position in [`StackTable`].
    StackId
    /// Position in [`Recording::codes`].
    CodeId
    /// Position in [`ContextTable`].
    ContextId
}

/// One finished session.
#[derive(Debug)]
pub struct Recording {
    /// When sampling began.
    pub started: MonotonicNs,
    /// When sampling ended.
    pub ended: MonotonicNs,
    /// When sampling began, by the calendar.
    pub started_at: SystemTime,
    /// What caused a sample.
    pub event: Event,
    /// Samples that were asked for per second of CPU time of each thread.
    pub frequency: u32,
    /// Every process image that ran: a process that calls exec is two.
    pub processes: Vec<Process>,
    /// Every thread that ran.
    pub threads: Vec<Thread>,
    /// Every executable mapping in which a sample has an address.
    pub mappings: Vec<Mapping>,
    /// Every code object that a [`Frame::Python`] refers to.
    pub codes: Vec<PythonCode>,
    /// The stacks of the samples.
    pub stacks: StackTable,
    /// For whom samples were taken.
    pub contexts: ContextTable,
    /// The samples, by time within each thread.
    pub samples: Vec<Sample>,
    /// What went wrong, in numbers.
    pub losses: Losses,
    /// What else was wrong, in words.
    pub notes: Vec<String>,
    /// How the command ended.
    pub exit: Option<std::process::ExitStatus>,
    /// The session's directory, which holds the registries. It is there as long as the session is.
    pub session: PathBuf,
    /// The directory in which processes have counted their calls; there as long as the session is.
    pub counts: PathBuf,
}

impl Recording {
    /// How many samples there are: the sum of their weights.
    pub fn sample_count(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.weight)).sum()
    }
}

/// What causes a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The processor's counter of cycles.
    Cycles,
    /// The kernel's clock of the time that a thread is on a processor.
    CpuClock,
    /// A thread's own clock of the time that it is on a processor.
    TaskClock,
    /// The clock on the wall.
    Wall,
    /// A thread's own clock of the time that it is on a processor, while it holds the interpreter's lock.
    Gil,
}

/// One process image: from fork or exec to exec or exit.
#[derive(Clone, Debug)]
pub struct Process {
    /// The process's id in the profiler's pid namespace.
    pub pid: u32,
    /// The image that this one was forked from or exec'd by.
    pub parent: Option<ProcessId>,
    /// The kernel's name of the process (at most 15 bytes).
    pub name: String,
    /// The executable, if it is known.
    pub executable: Option<PathBuf>,
    /// When the image began.
    pub started: MonotonicNs,
    /// When the image ended, if it has.
    pub ended: Option<MonotonicNs>,
    /// The registries whose stubs or hook are mapped in it, its parent's included.
    pub registries: Vec<Token>,
    /// CPython's `PY_VERSION_HEX`, if its frames were read.
    pub python: Option<u32>,
}

/// One thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The process image that it belongs to.
    pub process: ProcessId,
    /// The thread's id in the profiler's pid namespace.
    pub tid: u32,
    /// The kernel's name of the thread.
    pub name: String,
    /// Whether it is the process's first thread.
    pub main: bool,
}

/// An executable mapping of a process.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The first address.
    pub start: Address,
    /// The address behind the last one.
    pub end: Address,
    /// The offset in the file of the first byte.
    pub file_offset: u64,
    /// What is mapped.
    pub object: MappedObject,
}

/// What is behind a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MappedObject {
    /// A file.
    File(MappedFile),
    /// Code of ours: stubs or the hook, with the token of the registry that names them.
    Ours(CodeKind, Token),
    /// The kernel's `[vdso]`.
    Vdso,
    /// Memory without a file: code that a program generated. The kernel's name for it, such as `//anon`.
    Anonymous(String),
}

/// A file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MappedFile {
    /// The path as the process sees it, in its own mount namespace.
    pub path: PathBuf,
    /// Where the profiler found the same file (same device and inode) while the process ran; `None` when it was
    /// deleted, replaced or out of reach.
    pub found: Option<PathBuf>,
    /// The device, as `stat` gives it in `st_dev`.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// The GNU build id, if it could be read while the process ran.
    pub build_id: Option<Vec<u8>>,
}

/// A code object of CPython's, as the agent found it. The texts are copies of the interpreter's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PythonCode {
    /// The module's name; empty where it is not known.
    pub module: String,
    /// The qualified name.
    pub qualname: String,
    /// `co_filename`.
    pub file: String,
    /// The line on which the function begins.
    pub first_line: u32,
    /// How to read `line_table`.
    pub line_table_format: LineTableFormat,
    /// Which instruction is on which line.
    pub line_table: Vec<u8>,
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// An address in the kernel.
    Kernel(Code),
    /// Native code in a mapping. The address is the process's own.
    Native(MappingId, Code),
    /// A stub, by the address of its first byte, in a mapping of stubs. The stub's name is the function's.
    Stub(MappingId, Address),
    /// A frame of the interpreter's, by its code object and by the offset in the bytecode, in bytes, of the instruction
    /// that was being executed; `None` before the first one.
    Python(CodeId, Option<u32>),
    /// An address in no mapping that is known.
    Unmapped(Code),
    /// Frames are missing here: the native code between the neighbours could not be unwound.
    Gap,
    /// Frames are missing here, towards the root: the copy of the stack ended.
    Truncated,
}

/// Where a frame stands in its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The instruction that was being executed.
    At(Address),
    /// A return address: the call is the instruction before.
    ReturnTo(Address),
}

impl Code {
    /// An address within the instruction that the frame is at, for looking up functions and lines.
    pub fn lookup(self) -> Address {
        match self {
            Code::At(address) => address,
            Code::ReturnTo(Address(address)) => Address(address.wrapping_sub(1)),
        }
    }
}

/// Stacks as a tree: each stack is a frame on top of another stack.
#[derive(Debug, Default)]
pub struct StackTable {
    nodes: Vec<(Option<StackId>, Frame)>,
    known: std::collections::HashMap<(Option<StackId>, Frame), StackId>,
}

impl StackTable {
    /// The stack that has `frame` on top of `below`.
    pub fn push(&mut self, below: Option<StackId>, frame: Frame) -> StackId {
        *self.known.entry((below, frame)).or_insert_with(|| {
            self.nodes.push((below, frame));
            StackId(self.nodes.len() as u32 - 1)
        })
    }

    /// The rows from a position on: each stack's topmost frame on top of the stack below.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub(crate) fn from(&self, position: usize) -> &[(Option<StackId>, Frame)] {
        &self.nodes[position..]
    }

    /// The number of distinct stacks.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A stack's topmost frame, and the stack below it. The stack below always has the smaller id.
    ///
    /// # Panics
    /// When the id is not of this table.
    pub fn get(&self, id: StackId) -> (Option<StackId>, Frame) {
        self.nodes[id.index()]
    }

    /// The frames of a stack, from the newest to the root.
    pub fn frames(&self, id: StackId) -> impl Iterator<Item = Frame> + '_ {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let (below, frame) = self.get(next?);
            next = below;
            Some(frame)
        })
    }
}

/// For whom a sample was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    /// The labels, sorted by key: each key once, with the value that holds for the newest frame.
    pub labels: Vec<(String, String)>,
    /// The task that ran.
    pub task: Option<Task>,
}

/// A task, of asyncio or of another library that runs many functions in one thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Its name, such as `Task-12`.
    pub name: String,
    /// The function that it runs.
    pub root: Option<TaskRoot>,
    /// How many Python frames are below the one of that function, in the stacks of its samples.
    pub below: u32,
    /// The frames of the tasks that await it, from the root of the outermost on; where they are known.
    pub awaiters: Option<StackId>,
}

/// The function that a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskRoot {
    /// By its code object.
    Code(CodeId),
    /// By its stub: the registry that names it, and its address.
    Stub(Token, Address),
}

/// Contexts, each once.
#[derive(Debug, Default)]
pub struct ContextTable {
    contexts: Vec<Context>,
    known: std::collections::HashMap<Context, ContextId>,
}

impl ContextTable {
    /// The place of a context, which is new if need be.
    pub fn id(&mut self, context: Context) -> ContextId {
        if let Some(&id) = self.known.get(&context) {
            return id;
        }
        let id = ContextId(self.contexts.len() as u32);
        self.contexts.push(context.clone());
        self.known.insert(context, id);
        id
    }

    /// The same, unless it would be new, and there are so many already.
    pub(crate) fn find_or_add(&mut self, context: Context, most: usize) -> Option<ContextId> {
        let is_room = self.contexts.len() < most;
        self.known.get(&context).copied().or_else(|| is_room.then(|| self.id(context)))
    }

    /// The contexts, by their ids.
    pub fn all(&self) -> &[Context] {
        &self.contexts
    }
}

/// One sample, or several that are alike.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The thread that was running.
    pub thread: ThreadId,
    /// When.
    pub time: MonotonicNs,
    /// What it was running; `None` when nothing is known of it.
    pub stack: Option<StackId>,
    /// For whom; `None` where there was neither a task nor a label.
    pub context: Option<ContextId>,
    /// How many samples it counts as: the periods up to its time that it stands for. With one of the same thread and time,
    /// the earlier one stands for the earlier periods.
    pub weight: u32,
    /// Whether stubs were on, in a window, until it was taken.
    pub in_window: bool,
}

/// How long the signal handler ran for a sample, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerTimes {
    /// Half of the samples took less.
    pub p50_ns: u64,
    /// 99 in 100 samples took less.
    pub p99_ns: u64,
}

/// What went wrong, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Samples that were dropped because a ring buffer was full.
    pub lost: u64,
    /// How often the kernel throttled the event.
    pub throttled: u64,
    /// Samples whose stack was longer than the copy that the kernel makes.
    pub truncated: u64,
    /// Samples with a [`Frame::Gap`].
    pub gaps: u64,
    /// Samples without any user frame: those of exiting threads, and of `execve` once the old memory is gone. They can
    /// have frames of the kernel.
    pub without_stack: u64,
    /// Records that could not be read.
    pub malformed: u64,
    /// How often a thread's frames were being changed when a sample was due, so that it was taken a moment later.
    pub retaken: u64,
    /// Samples whose Python frames could not be read whole even then.
    pub torn: u64,
    /// Samples that were not taken because the program held the signal back.
    pub held_back: u64,
    /// Threads that could not be sampled.
    pub unsampled_threads: u64,
    /// Values of labels that were told apart no more, as their key had too many: how often one was counted as "other".
    pub folded_values: u64,
    /// Blocks with labels that are not in the samples, as there were too many: open at once, or in a moment.
    pub unrecorded_scopes: u64,
    /// How long samples took in the program.
    pub handler: Option<HandlerTimes>,
    /// Time in the kernel that could not be sampled because of permissions: whether it was left out.
    pub kernel_excluded: bool,
    /// The time that sampling was on.
    pub sampled_for: Duration,
    /// The CPU time that the sampled threads used meanwhile, if it is known.
    pub cpu_time: Option<Duration>,
}

impl Losses {
    /// What was lost since an earlier moment of the same session. How long samples took is of the whole of it.
    pub fn since(&self, earlier: &Losses) -> Losses {
        let less = |now: u64, before: u64| now.saturating_sub(before);
        Losses {
            lost: less(self.lost, earlier.lost),
            throttled: less(self.throttled, earlier.throttled),
            truncated: less(self.truncated, earlier.truncated),
            gaps: less(self.gaps, earlier.gaps),
            without_stack: less(self.without_stack, earlier.without_stack),
            malformed: less(self.malformed, earlier.malformed),
            retaken: less(self.retaken, earlier.retaken),
            torn: less(self.torn, earlier.torn),
            held_back: less(self.held_back, earlier.held_back),
            unsampled_threads: less(self.unsampled_threads, earlier.unsampled_threads),
            folded_values: less(self.folded_values, earlier.folded_values),
            unrecorded_scopes: less(self.unrecorded_scopes, earlier.unrecorded_scopes),
            handler: self.handler,
            kernel_excluded: self.kernel_excluded,
            sampled_for: self.sampled_for.saturating_sub(earlier.sampled_for),
            cpu_time: self.cpu_time.zip(earlier.cpu_time).map(|(now, before)| now.saturating_sub(before)),
        }
    }
}
