//! The stacks of all threads of a process, at one moment.
//!
//! All is read from outside, and nothing is left in the process: its threads are stopped for as long as it takes to read what is
//! needed of their memory, and what was read is put together when they run again. So it works for a process that hangs.

mod kernel;
mod look;
mod native;
mod order;
mod pause;
mod system_calls;

pub use crate::target::python::locals::Variable;
pub use kernel::Waiting;

use crate::error::Error;
use crate::recording::{
    ContextTable, Event, Losses, MonotonicNs, Process, ProcessId, Recording, Sample, StackTable, Thread, ThreadId, now,
};
use crate::target::Target;
use crate::target::python::find::Python;
use look::Found;
use native::Unwinder;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What to find out about a process.
#[derive(Clone, Copy, Debug)]
pub struct DumpRequest {
    /// The process.
    pub pid: u32,
    /// Whether to have native frames.
    pub native: bool,
    /// Whether to have the variables of Python's frames.
    pub locals: bool,
    /// Whether to stop the process meanwhile.
    pub pause: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Dump {
    /// A sample for each of the threads, and behind those one for each of the tasks: their stacks.
    pub recording: Recording,
    /// CPython's `PY_VERSION_HEX`.
    pub python: u32,
    /// How long the process was stopped, from its first thread on.
    pub paused: Option<Duration>,
    /// The threads, the process's first one at the front.
    pub threads: Vec<DumpedThread>,
    /// The tasks of asyncio that are not done.
    pub tasks: Vec<DumpedTask>,
    /// What is not as it was asked for, in words.
    pub notes: Vec<String>,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct DumpedThread {
    /// Its id in the profiler's pid namespace; `None` where the kernel knows no thread for what the interpreter has.
    pub tid: Option<u32>,
    /// The kernel's name of it.
    pub name: String,
    /// What the program calls it, in the module `threading`.
    pub python_name: Option<String>,
    /// The interpreters that know it, by their ids; those of native threads are none.
    pub interpreters: Vec<i64>,
    /// Whether it holds an interpreter's lock.
    pub holds_lock: bool,
    /// What it does.
    pub waiting: Waiting,
    /// Whether it was stopped, so that its frames are of one moment.
    pub stopped: bool,
    /// Whether its frames could not be read whole.
    pub torn: bool,
    /// The variables of its Python frames, the newest first, where they were asked for.
    pub variables: Vec<Vec<Variable>>,
}

/// A task of asyncio that is not done.
#[derive(Clone, Debug)]
pub struct DumpedTask {
    /// Its name.
    pub name: String,
    /// The position of the thread that runs it now.
    pub running_in: Option<usize>,
    /// The position of the thread whose loop it is of, if that is known.
    pub thread: Option<usize>,
    /// What it waits for.
    pub waits_for: Option<WaitsFor>,
    /// The position of the task that waits for it, if that is certain.
    pub awaited_by: Option<usize>,
    /// The variables of its frames, the newest first, where they were asked for.
    pub variables: Vec<Vec<Variable>>,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The task at this position.
    Task(usize),
    /// An object of this type.
    Object(String),
}

/// Finds out what the threads of a process do.
///
/// # Errors
/// When there is no such process, it may not be looked at, or it is not CPython of a version that is known.
pub fn dump(request: &DumpRequest) -> Result<Dump, Error> {
    let target = Target::open(request.pid)?;
    let python = Python::find(&target)?;
    // What stopped a thread lets it go on when it ends, however that comes.
    let found = std::thread::scope(|scope| scope.spawn(|| look::look(&target, &python, request)).join());
    let found = found.map_err(|_| Error::Thread("dump"))??;
    if !target.is_alive() {
        return Err(Error::NoProcess(request.pid));
    }
    Ok(put_together(&target, &python, request, found))
}

/// Unwinds the stacks, and makes a recording of them.
fn put_together(target: &Target, python: &Python, request: &DumpRequest, found: Found) -> Dump {
    let time = now();
    let mut unwinder =
        request.native.then(|| Unwinder::new(target, crate::recording::Address(python.walker.evaluator)));
    let mut stacks = StackTable::default();
    let mut samples = Vec::new();
    let mut threads = Vec::new();
    for (position, thread) in found.threads.iter().enumerate() {
        let stack = match (&mut unwinder, &thread.copied) {
            (Some(unwinder), Some(copied)) => unwinder.stack(copied, &thread.links, thread.is_cut, &mut stacks),
            _ => native::without_native(&thread.links, thread.is_cut, &mut stacks),
        };
        threads.push(Thread {
            process: ProcessId(0),
            tid: thread.thread.tid.unwrap_or(0),
            name: thread.thread.name.clone(),
            main: thread.thread.tid == Some(request.pid),
        });
        samples.push((position, stack));
    }
    for task in &found.tasks {
        let thread = task.task.running_in.or(task.task.thread).unwrap_or(0);
        samples.push((thread, native::without_native(&task.links, false, &mut stacks)));
    }
    // Samples are put in order by their time: it numbers them.
    let samples = (0..).zip(samples).map(|(number, (thread, stack))| Sample {
        thread: ThreadId(thread as u32),
        time: MonotonicNs(time.0.saturating_add(number)),
        stack,
        context: None,
        weight: 1,
        in_window: false,
    });
    let process = Process {
        pid: request.pid,
        parent: None,
        name: threads.first().map_or_else(String::new, |thread| thread.name.clone()),
        executable: None,
        started: time,
        ended: None,
        registries: Vec::new(),
        python: Some(python.hexversion),
    };
    let recording = Recording {
        started: time,
        ended: now(),
        started_at: SystemTime::now(),
        event: Event::Wall,
        frequency: 0,
        processes: vec![process],
        threads,
        mappings: unwinder.map(|unwinder| unwinder.published.mappings).unwrap_or_default(),
        codes: found.codes,
        stacks,
        contexts: ContextTable::default(),
        samples: samples.collect(),
        losses: Losses::default(),
        notes: Vec::new(),
        exit: None,
        session: PathBuf::new(),
        counts: PathBuf::new(),
    };
    Dump {
        recording,
        python: python.hexversion,
        paused: found.paused,
        threads: found.threads.into_iter().map(|thread| thread.thread).collect(),
        tasks: found.tasks.into_iter().map(|task| task.task).collect(),
        notes: found.notes,
    }
}
