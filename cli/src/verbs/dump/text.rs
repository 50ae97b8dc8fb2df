//! A dump for people.

use super::{Named, NamedFrame};
use crate::messages::printable;
use pronk_sampler::{DumpedTask, DumpedThread, Waiting, WaitsFor};
use pronk_symbolizer::profile::Category;
use std::io::{self, Write};

/// Writes a dump: each thread with its frames, the newest first, and then each task.
pub fn write(named: &Named<'_>, to: &mut dyn Write) -> io::Result<()> {
    let pid = named.dump.recording.processes.first().map_or(0, |process| process.pid);
    writeln!(to, "Process {pid}, CPython {}: {}", named.version(), printable(&named.command))?;
    for (position, thread) in named.dump.threads.iter().enumerate() {
        writeln!(to, "\n{}", heading_of_thread(named, thread))?;
        let frames = named.of_thread(position);
        if frames.is_empty() {
            let why = if thread.interpreters.is_empty() { "not a thread of Python's" } else { "no Python frames" };
            writeln!(to, "    ({why})")?;
        }
        write_frames(&frames, to)?;
    }
    for (position, task) in named.dump.tasks.iter().enumerate() {
        writeln!(to, "\n{}", heading_of_task(named, task))?;
        write_frames(&named.of_task(position), to)?;
    }
    Ok(())
}

fn heading_of_thread(named: &Named<'_>, thread: &DumpedThread) -> String {
    let mut said = vec![match thread.tid {
        Some(tid) => format!("Thread {tid}"),
        None => "Threads that are gone".to_owned(),
    }];
    match (&thread.python_name, thread.name.as_str()) {
        (Some(name), kernel) if name == kernel || kernel.is_empty() => said.push(format!("\"{name}\"")),
        (Some(name), kernel) => said.push(format!("\"{name}\" ({kernel})")),
        (None, kernel) => said.push(format!("({kernel})")),
    }
    let mut said = vec![said.join(" ")];
    if thread.interpreters.iter().any(|interpreter| *interpreter != 0) {
        let ids: Vec<String> = thread.interpreters.iter().map(ToString::to_string).collect();
        said.push(format!("interpreter {}", ids.join(" and ")));
    }
    if thread.holds_lock {
        said.push("holds the GIL".to_owned());
    }
    said.push(match &thread.waiting {
        Waiting::Runs => "runs".to_owned(),
        Waiting::In(Some(call)) => format!("waits in {call}"),
        Waiting::In(None) => "waits".to_owned(),
        Waiting::Stopped => "is stopped".to_owned(),
    });
    if !thread.stopped && named.dump.paused.is_some() && thread.tid.is_some() {
        said.push("could not be stopped".to_owned());
    }
    if thread.torn {
        said.push("was changing its frames: some are missing".to_owned());
    }
    printable(&said.join(", "))
}

fn heading_of_task(named: &Named<'_>, task: &DumpedTask) -> String {
    let name = |position: usize| named.dump.tasks.get(position).map_or("", |task| task.name.as_str());
    let tid = |position: usize| named.dump.threads.get(position).and_then(|thread| thread.tid).unwrap_or(0);
    let mut said = vec![format!("Task \"{}\"", task.name)];
    match (task.running_in, &task.waits_for) {
        (Some(thread), _) => said.push(format!("runs in thread {}", tid(thread))),
        (None, Some(WaitsFor::Task(other))) => said.push(format!("waits for task \"{}\"", name(*other))),
        (None, Some(WaitsFor::Object(kind))) => said.push(format!("waits for {kind}")),
        (None, None) => said.push("is ready".to_owned()),
    }
    if let Some(awaiter) = task.awaited_by {
        said.push(format!("awaited by task \"{}\"", name(awaiter)));
    }
    if let Some(thread) = task.thread.filter(|_| task.running_in.is_none()) {
        said.push(format!("in thread {}", tid(thread)));
    }
    printable(&said.join(", "))
}

fn write_frames(frames: &[NamedFrame<'_>], to: &mut dyn Write) -> io::Result<()> {
    for frame in frames {
        let line = frame.line.map_or_else(String::new, |line| format!(":{line}"));
        let place = match (frame.category, frame.file, frame.binary) {
            (Category::Python, Some(file), _) => format!(" ({file}{line})"),
            (_, Some(file), Some(binary)) => format!(" ({binary}, {file}{line})"),
            (_, _, Some(binary)) => format!(" ({binary})"),
            _ => String::new(),
        };
        writeln!(to, "    {}", printable(&format!("{}{place}", frame.function)))?;
        for variable in frame.variables.unwrap_or_default() {
            writeln!(to, "        {}", printable(&format!("{} = {}", variable.name, variable.value)))?;
        }
    }
    Ok(())
}
