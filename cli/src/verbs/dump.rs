//! `pronk dump`: the stacks of all threads of a process, now, on stdout.

mod json;
mod text;

use crate::args::DumpArguments;
use crate::ending::Ending;
use crate::messages::say;
use anyhow::{Context, Result};
use pronk_sampler::{Dump, DumpRequest, Variable, dump};
use pronk_symbolizer::profile::{Category, Meta, Profile, StringId};
use pronk_symbolizer::symbolize;
use std::io::{self, BufWriter, Write};

/// Looks at the process and writes what it does.
///
/// # Errors
/// When the process cannot be looked at, or stdout cannot be written.
pub fn run(arguments: DumpArguments) -> Result<Ending> {
    let DumpArguments { pid, native, locals, json, no_pause, verbose } = arguments;
    let dump = dump(&DumpRequest { pid, native, locals, pause: !no_pause })?;
    for note in &dump.notes {
        say!("{note}");
    }
    if let Some(paused) = dump.paused.filter(|_| verbose) {
        say!("process {pid} was stopped for {:.1} ms", paused.as_secs_f64() * 1e3);
    }
    let profile = symbolize(&dump.recording, Meta::default());
    let named = Named { dump: &dump, profile: &profile, command: command_of(pid) };
    let mut stdout = BufWriter::new(io::stdout().lock());
    let written = if json { json::write(&named, &mut stdout) } else { text::write(&named, &mut stdout) };
    written.and_then(|()| stdout.flush()).context("cannot write the stacks")?;
    Ok(Ending::Status(0))
}

/// The command line of a process, for people.
fn command_of(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}

/// What was found, with names.
struct Named<'a> {
    dump: &'a Dump,
    profile: &'a Profile,
    command: String,
}

/// A frame, with names.
struct NamedFrame<'a> {
    function: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    binary: Option<&'a str>,
    category: Category,
    /// Of Python's frames, where they were asked for.
    variables: Option<&'a [Variable]>,
}

impl Named<'_> {
    /// CPython's version.
    fn version(&self) -> String {
        let [major, minor, micro, _] = self.dump.python.to_be_bytes();
        format!("{major}.{minor}.{micro}")
    }

    /// The frames of a thread, the newest first.
    fn of_thread(&self, position: usize) -> Vec<NamedFrame<'_>> {
        let variables = self.dump.threads.get(position).map(|thread| &thread.variables[..]);
        self.frames(position, variables.unwrap_or_default())
    }

    /// The frames of a task's coroutines, the newest first.
    fn of_task(&self, position: usize) -> Vec<NamedFrame<'_>> {
        let variables = self.dump.tasks.get(position).map(|task| &task.variables[..]);
        self.frames(self.dump.threads.len() + position, variables.unwrap_or_default())
    }

    /// The frames of a sample. The interpreter's own machinery is left out, but for what the newest of Python's frames has called:
    /// that says what a thread waits for.
    fn frames<'n>(&'n self, sample: usize, variables: &'n [Vec<Variable>]) -> Vec<NamedFrame<'n>> {
        let profile = self.profile;
        let text = |id: StringId| profile.strings[id.index()].as_str();
        let newest = profile.samples.get(sample).and_then(|sample| sample.stack);
        let stacks = std::iter::successors(newest, |stack| profile.stacks[stack.index()].below);
        let mut variables = variables.iter();
        let mut frames = Vec::new();
        let mut below_python = false;
        for stack in stacks {
            let frame = profile.frames[profile.stacks[stack.index()].frame.index()];
            let function = &profile.functions[frame.function.index()];
            let is_python = function.category == Category::Python;
            below_python |= is_python;
            if below_python && function.category == Category::Interpreter {
                continue;
            }
            frames.push(NamedFrame {
                function: text(function.name),
                file: function.file.map(text),
                line: frame.line,
                binary: function.binary.map(text),
                category: function.category,
                variables: if is_python { variables.next().map(Vec::as_slice) } else { None },
            });
        }
        frames
    }
}
