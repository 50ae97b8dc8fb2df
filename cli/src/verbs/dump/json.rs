//! A dump as JSON.
//!
//! It is one object, with these fields; fields may be added in version 1.
//!
//! - `version`: 1.
//! - `pid`, `command`, `python`: the process, its command line, and CPython's version.
//! - `paused_ms`: how long the process was stopped; `null` if it was not.
//! - `notes`: what is not as it was asked for, in words.
//! - `threads`: for each thread, the process's first one at the front:
//!   - `tid`: `null` where the kernel knows no thread for what the interpreter has; `name`: the kernel's; `python_name`: the one of
//!     the module `threading`, or `null`; `interpreters`: the ids of those that know it;
//!   - `holds_gil`; `state`: `runs`, `waits` or `stopped`; `system_call`: the one that it waits in, or `null`;
//!   - `stopped`: whether it was stopped while it was read; `torn`: whether frames are missing as it was changing them;
//!   - `frames`: the newest first, each with `function`, `kind` (`python`, `native` or `missing`), `file`, `line` and `binary`, which
//!     are `null` where they are not known, and `locals`, a list of `name` and `value`, where those were asked for.
//! - `tasks`: for each task of asyncio that is not done, `name`, `running_in` (the position of the thread that runs it), `thread`
//!   (the position of the one whose loop it is of), `waits_for_task` (a position), `waits_for` (the name of a type), `awaited_by` (a
//!   position), which are `null` where there is none or it is not known, and `frames`, as of threads.

use super::{Named, NamedFrame};
use pronk_sampler::{DumpedTask, DumpedThread, Waiting, WaitsFor};
use pronk_symbolizer::profile::Category;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    pid: u32,
    command: &'a str,
    python: String,
    paused_ms: Option<f64>,
    notes: &'a [String],
    threads: Vec<Thread<'a>>,
    tasks: Vec<Task<'a>>,
}

#[derive(Serialize)]
struct Thread<'a> {
    tid: Option<u32>,
    name: &'a str,
    python_name: Option<&'a str>,
    interpreters: &'a [i64],
    holds_gil: bool,
    state: &'static str,
    system_call: Option<&'a str>,
    stopped: bool,
    torn: bool,
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Task<'a> {
    name: &'a str,
    running_in: Option<usize>,
    thread: Option<usize>,
    waits_for_task: Option<usize>,
    waits_for: Option<&'a str>,
    awaited_by: Option<usize>,
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    function: &'a str,
    kind: &'static str,
    file: Option<&'a str>,
    line: Option<u32>,
    binary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locals: Option<Vec<Local<'a>>>,
}

#[derive(Serialize)]
struct Local<'a> {
    name: &'a str,
    value: &'a str,
}

/// Writes a dump.
pub fn write(named: &Named<'_>, to: &mut dyn Write) -> io::Result<()> {
    let dump = named.dump;
    let document = Document {
        version: 1,
        pid: dump.recording.processes.first().map_or(0, |process| process.pid),
        command: &named.command,
        python: named.version(),
        paused_ms: dump.paused.map(|paused| paused.as_secs_f64() * 1e3),
        notes: &dump.notes,
        threads: (0..).zip(&dump.threads).map(|(at, one)| thread(one, &named.of_thread(at))).collect(),
        tasks: (0..).zip(&dump.tasks).map(|(at, one)| task(one, &named.of_task(at))).collect(),
    };
    serde_json::to_writer_pretty(&mut *to, &document)?;
    writeln!(to)
}

fn thread<'a>(thread: &'a DumpedThread, named: &[NamedFrame<'a>]) -> Thread<'a> {
    let (state, system_call) = match &thread.waiting {
        Waiting::Runs => ("runs", None),
        Waiting::In(call) => ("waits", call.as_deref()),
        Waiting::Stopped => ("stopped", None),
    };
    Thread {
        tid: thread.tid,
        name: &thread.name,
        python_name: thread.python_name.as_deref(),
        interpreters: &thread.interpreters,
        holds_gil: thread.holds_lock,
        state,
        system_call,
        stopped: thread.stopped,
        torn: thread.torn,
        frames: frames(named),
    }
}

fn task<'a>(task: &'a DumpedTask, named: &[NamedFrame<'a>]) -> Task<'a> {
    let (waits_for_task, waits_for) = match &task.waits_for {
        Some(WaitsFor::Task(other)) => (Some(*other), None),
        Some(WaitsFor::Object(kind)) => (None, Some(kind.as_str())),
        None => (None, None),
    };
    Task {
        name: &task.name,
        running_in: task.running_in,
        thread: task.thread,
        waits_for_task,
        waits_for,
        awaited_by: task.awaited_by,
        frames: frames(named),
    }
}

fn frames<'a>(named: &[NamedFrame<'a>]) -> Vec<Frame<'a>> {
    let frame = |frame: &NamedFrame<'a>| Frame {
        function: frame.function,
        kind: match frame.category {
            Category::Python => "python",
            Category::Missing => "missing",
            Category::Interpreter | Category::Native | Category::Kernel => "native",
        },
        file: frame.file,
        line: frame.line,
        binary: frame.binary,
        locals: frame.variables.map(|variables| {
            variables.iter().map(|variable| Local { name: &variable.name, value: &variable.value }).collect()
        }),
    };
    named.iter().map(frame).collect()
}
