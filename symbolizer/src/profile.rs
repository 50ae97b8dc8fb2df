//! The profile: what a session found, with names. In memory, and in a `.pronk` file.
//!
//! Tables that refer to each other by index; every index of a [`Profile`] that came out of [`Profile::validate`] is in
//! range and every stack's parent has a smaller index than the stack, so that walks end.

use serde::{Deserialize, Serialize};

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Position in [`Profile::strings`].
    StringId
    /// Position in [`Profile::processes`].
    ProcessId
    /// Position in [`Profile::threads`].
    ThreadId
    /// Position in [`Profile::functions`].
    FunctionId
    /// Position in [`Profile::frames`].
    FrameId
    /// Position in [`Profile::stacks`].
    StackId
    /// Position in [`Profile::contexts`].
    ContextId
}

/// What one session found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How it was made.
    pub meta: Meta,
    /// How far it can be trusted.
    pub quality: Quality,
    /// Every text, once.
    pub strings: Vec<String>,
    /// Every process image: a process that calls exec is two.
    pub processes: Vec<Process>,
    /// Every thread.
    pub threads: Vec<Thread>,
    /// Every function that is in a sample or was counted.
    pub functions: Vec<Function>,
    /// Every place in a function that is in a sample.
    pub frames: Vec<Frame>,
    /// Every stack, as a tree.
    pub stacks: Vec<Stack>,
    /// For whom samples were taken, each once.
    pub contexts: Vec<Context>,
    /// The samples, by time.
    pub samples: Vec<Sample>,
    /// How often functions were called, of those that were counted; each function once.
    pub calls: Vec<Calls>,
}

/// How a profile was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The version of pronk.
    pub pronk_version: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// When sampling began: seconds since 1970.
    pub started_at_unix: u64,
    /// How long sampling was on, in nanoseconds.
    pub duration_ns: u64,
    /// Samples asked for per second: of CPU time of each thread, or of time on the clock in [`Mode::Wall`].
    pub frequency: u32,
    /// Which moments of a thread were sampled.
    pub mode: Mode,
    /// What caused a sample, such as `cpu-clock`.
    pub event: String,
    /// How samples were taken: `perf` or `signal`.
    pub engine: String,
    /// What drove the engine, and why, in words.
    pub driver: String,
    /// Whether it was recorded what awaits each task.
    pub await_chains: bool,
    /// Whether stubs were on: `full`, `windowed`, `off`, or `auto` (on CPython 3.9 and 3.10).
    pub stubs: String,
    /// Which native frames are shown if nothing else is asked for.
    pub native: NativeFrames,
    /// How the command ended, in words, such as `exit code 3`.
    pub exit: String,
}

/// Which moments of a thread were sampled, and so what a sample stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Those in which it was on a processor: its CPU time.
    #[default]
    Cpu,
    /// All: time on the clock, waiting included.
    Wall,
    /// Those in which it held the interpreter's lock: its CPU time meanwhile.
    Gil,
}

/// Which native frames a view shows. Python frames are always shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NativeFrames {
    /// None.
    Python,
    /// Those of extension modules, libraries and the kernel, and not the interpreter's own machinery.
    #[default]
    Extensions,
    /// Every one.
    All,
}

/// How far a profile can be trusted: nothing that is missing is missing in silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Samples in the profile.
    pub samples: u64,
    /// Samples per second of the threads' CPU time, if that time is known.
    pub achieved_hz: Option<f64>,
    /// Samples that were dropped because a buffer was full.
    pub lost: u64,
    /// How often the kernel throttled the event.
    pub throttled: u64,
    /// Samples whose stack was longer than what could be copied.
    pub truncated: u64,
    /// Samples with native frames that could not be unwound.
    pub gaps: u64,
    /// Samples without a stack.
    pub without_stack: u64,
    /// How often a sample met the interpreter between two states, and was taken again a moment later. Nothing is lost.
    pub retaken: u64,
    /// Samples whose Python frames could not be read whole, even when they were taken again.
    pub torn: u64,
    /// Periods for which there is no sample, because the program held the signal back.
    pub held_back: u64,
    /// Threads that could not be sampled.
    pub unsampled_threads: u64,
    /// Values of labels that were told apart no more, as their key had too many: how often one was counted as "other".
    pub folded_values: u64,
    /// Blocks with labels that are not in the samples, as there were too many: open at once, or in a moment.
    pub unrecorded_scopes: u64,
    /// How long the signal handler ran for a sample, in nanoseconds: the median.
    pub handler_p50_ns: Option<u64>,
    /// What it kept to for 99 of 100 samples, in nanoseconds.
    pub handler_p99_ns: Option<u64>,
    /// Native frames (distinct places) for which no function was found.
    pub unresolved_frames: u64,
    /// Stubs and code objects that were seen in samples, and of which nothing could be read.
    pub unnamed_stubs: u64,
    /// Functions that got no stub of their own.
    pub unregistered_functions: u64,
    /// How often stubs were stopped for a while because the stack was nearly used up.
    pub deep_stops: u64,
    /// How far [`Profile::calls`] can be trusted.
    pub counting: Counting,
    /// What stubs have done.
    pub stubs: StubUse,
    /// Whether time in the kernel was left out for want of permission.
    pub kernel_excluded: bool,
    /// Remarks in words, for people.
    pub notes: Vec<String>,
}

/// How far numbers of calls can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counting {
    /// Nothing was counted.
    #[default]
    Not,
    /// Each call that went through a stub is in them.
    Exact,
    /// Some calls are not in them: [`Quality`] says why.
    Incomplete,
    /// They are estimates, from windows in which calls were counted.
    Estimated,
}

/// What stubs have done. Times are CPU time of threads that held the interpreter's lock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StubUse {
    /// In how many windows they were on; 0 where they were always on.
    pub windows: u64,
    /// How long they were on, in windows.
    pub on_ns: u64,
    /// How long they were off, between windows.
    pub off_ns: u64,
    /// What they have cost: an estimate.
    pub cost_ns: u64,
}

/// How often a function was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// The function.
    pub function: FunctionId,
    /// How often its stub was entered; with [`Counting::Estimated`], how often it would have been, had stubs always been on.
    pub count: u64,
    /// Of an estimate: it is not further from the truth than so, with 99 %.
    pub error: Option<u64>,
    /// What those have cost that went through a stub, in nanoseconds: an estimate.
    pub cost_ns: u64,
    /// Whether it is a generator or a coroutine: `count` has each time that it went on.
    pub resumes: bool,
    /// Whether there may have been more: CPython runs some of its calls without asking for a hook.
    pub at_least: bool,
}

/// One process image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The process's id.
    pub pid: u32,
    /// The image that it was forked from or exec'd by.
    pub parent: Option<ProcessId>,
    /// The kernel's name of it.
    pub name: StringId,
    /// What pronk did in it.
    pub python: PythonSupport,
}

/// What pronk did in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PythonSupport {
    /// It is not Python, or ended before its interpreter started.
    NotPython,
    /// Its functions have names, from stubs or from the interpreter's frames. The version, such as `3.12.1`.
    Stubs(String),
    /// The interpreter was refused, or stubs were stopped: why.
    Refused(String),
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The process that it belongs to.
    pub process: ProcessId,
    /// The thread's id.
    pub tid: u32,
    /// The kernel's name of it.
    pub name: StringId,
    /// Whether it is the process's first thread.
    pub main: bool,
}

/// What kind of code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Category {
    /// Python, or a function of another interpreter that uses stubs.
    Python,
    /// The Python interpreter's own machinery, pronk's hook, what starts programs and threads, and what binds calls to
    /// shared libraries.
    Interpreter,
    /// Other native code: extension modules, libraries, generated code.
    Native,
    /// The kernel.
    Kernel,
    /// Not code: a mark where frames are missing.
    Missing,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// The name: `module.qualname` for Python, demangled for C++ and Rust, `module+0x1234` where nothing is known.
    pub name: StringId,
    /// The source file, or for Python the code object's file.
    pub file: Option<StringId>,
    /// The line on which the function begins.
    pub first_line: Option<u32>,
    /// The binary it is in, for native code.
    pub binary: Option<StringId>,
    /// What kind of code it is.
    pub category: Category,
}

/// A place in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The line that was being executed, if it is known.
    pub line: Option<u32>,
    /// Whether the function was inlined into the frame below.
    pub inlined: bool,
}

/// A frame on top of another stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stack {
    /// The stack below.
    pub below: Option<StackId>,
    /// The topmost frame.
    pub frame: FrameId,
}

/// For whom a sample was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Context {
    /// The labels, sorted by the text of the key: each key once, with the value that holds for the newest frame.
    pub labels: Vec<(StringId, StringId)>,
    /// The task that ran.
    pub task: Option<Task>,
}

/// A task, of asyncio or of another library that runs many functions in one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// Its name, such as `Task-12`.
    pub name: StringId,
    /// The function that it runs, as `module.qualname`; empty where that is not known.
    pub root: StringId,
    /// How many Python frames are below the one of that function, in the stacks of its samples.
    pub below: u32,
    /// The frames of the tasks that await it, from the root of the outermost on; where they were recorded and are known.
    pub awaiters: Option<StackId>,
}

/// One sample, or several that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The thread that was running.
    pub thread: ThreadId,
    /// When, in nanoseconds since sampling began.
    pub time_ns: u64,
    /// What it was running; `None` when nothing is known of it.
    pub stack: Option<StackId>,
    /// For whom; `None` where there was neither a task nor a label.
    pub context: Option<ContextId>,
    /// How many samples it counts as: the periods up to its time that it stands for. With one of the same thread and time,
    /// the earlier one stands for the earlier periods.
    pub weight: u32,
    /// Whether stubs were on, in a window, until it was taken: they had the program run slower.
    pub in_window: bool,
}
