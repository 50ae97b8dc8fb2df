//! `pronk record`: run a command, sample it, write what was found, and end as the command did.

mod series;

use super::{sampling, summary};
use crate::args::{Engine, RecordArguments};
use crate::ending::Ending;
use crate::export::Format;
use crate::messages::{describe, say};
use crate::output::{Existing, Output, Written};
use anyhow::{Context, Result, bail};
use pronk_sampler::recording::Recording;
use pronk_sampler::{Request, Session};
use pronk_symbolizer::profile::{Profile, Sample};
use pronk_symbolizer::view::{By, View, ViewOptions};
use pronk_symbolizer::{along_awaits, symbolize};
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// Where the profile goes if nothing else is asked for.
const DEFAULT_OUTPUT: &str = "profile.pronk";

/// Runs the command and profiles it.
///
/// # Errors
/// When the command was not run. Once it runs, whatever goes wrong with the profile is said and pronk ends as the
/// command does.
pub fn run(arguments: RecordArguments) -> Result<Ending> {
    refuse_what_cannot_be(&arguments)?;
    let by = arguments.grouping.by(None)?;
    let outputs = outputs(arguments.output.as_deref())?;
    let request = Request {
        await_chains: arguments.await_chains,
        duration: arguments.duration,
        ..sampling::request(&arguments.sampling)?
    };
    let mut session = sampling::start(&arguments.sampling, request)?;
    if let Some(pause) = session.pause() {
        say_attached(&arguments, &session, pause);
    }
    // A fault of pronk's own must not change how the command ends.
    let recorded = catch_unwind(AssertUnwindSafe(|| match arguments.every {
        None => session.record().map(|recording| finish(&arguments, by, &recording, &session, &outputs)),
        Some(every) => series::record(&arguments, &mut session, every, &outputs[0], |profile, output| {
            let drawn = Drawn::new(&arguments, profile);
            let written =
                drawn.write_with(output, &drawn.view(by.clone()), |output, write| output.write_here(write))?;
            Ok(written.path)
        }),
    }));
    match recorded {
        Ok(Ok(())) => {}
        Ok(Err(error)) => say!("there is no profile: {error}"),
        Err(_) => say!("making the profile failed: this is a fault of pronk's; please report it"),
    }
    let status = session.wait().context("the command ran, and how it ended is not known")?;
    Ok(status.map_or(Ending::Status(0), Ending::LikeProgram))
}

/// Says that a process is attached to: it may be long until there is more to say.
fn say_attached(arguments: &RecordArguments, session: &Session, pause: Duration) {
    let until = if arguments.duration.is_some() { "" } else { "; Ctrl-C ends that" };
    let (pid, pause) = (session.pid(), pause.as_secs_f64() * 1e3);
    say!("process {pid} is being sampled{until}; one thread of it was stopped for {pause:.2} ms");
}

/// Makes the profile, writes it, and says what is in it.
fn finish(arguments: &RecordArguments, by: Option<By>, recording: &Recording, session: &Session, outputs: &[Output]) {
    let profile = symbolize(recording, sampling::meta(&arguments.sampling, recording, session));
    let drawn = Drawn::new(arguments, profile);
    let view = drawn.view(by.clone());
    let files = if arguments.split { Vec::new() } else { drawn.write(&view, outputs) };
    if recording.exit.is_none() && arguments.sampling.pid.is_none() {
        say!("sampling has stopped, as --duration asked for; the command goes on");
    }
    say!("{}", summary::of(&drawn.profile, &view, &files));
    if arguments.split {
        say!("{}", split(arguments, by, &drawn.profile, outputs));
    }
}

/// Writes files for each process. Returns what there is of them, in words.
fn split(arguments: &RecordArguments, by: Option<By>, profile: &Profile, outputs: &[Output]) -> String {
    let pid_of = |sample: &Sample| profile.processes[profile.threads[sample.thread.index()].process.index()].pid;
    let pids: BTreeSet<u32> = profile.samples.iter().map(pid_of).collect();
    for &pid in &pids {
        let drawn = Drawn::new(arguments, profile.part(|sample| pid_of(sample) == pid));
        let outputs: Vec<Output> = outputs.iter().map(|output| output.tagged(&pid.to_string())).collect();
        drawn.write(&drawn.view(by.clone()), &outputs);
    }
    let names: Vec<String> = outputs.iter().map(|output| output.tagged("PID").path().display().to_string()).collect();
    format!("{} for each of {} processes", names.join(" and "), pids.len())
}

/// A profile, and how it is drawn.
struct Drawn {
    profile: Profile,
    /// Where that has other stacks: with tasks on top of what awaits them.
    along: Option<Profile>,
    lines: bool,
}

impl Drawn {
    fn new(arguments: &RecordArguments, mut profile: Profile) -> Drawn {
        profile.meta.await_chains = arguments.await_chains;
        let along = arguments.await_chains.then(|| along_awaits(&profile));
        Drawn { profile, along, lines: arguments.lines }
    }

    fn drawn(&self) -> &Profile {
        self.along.as_ref().unwrap_or(&self.profile)
    }

    fn view(&self, by: Option<By>) -> View<'_> {
        View::new(self.drawn(), &ViewOptions { lines: self.lines, by, ..ViewOptions::default() })
    }

    /// Writes the files. What could not be written anywhere is said here and costs no other file.
    fn write(&self, view: &View<'_>, outputs: &[Output]) -> Vec<(Format, Written)> {
        let mut files = Vec::new();
        for output in outputs {
            match self.write_with(output, view, |output, write| output.write(write)) {
                Ok(written) => files.push((output.format, written)),
                Err(error) => say!("{}; nor would any other directory take it, so it is lost", describe(&error)),
            }
        }
        files
    }

    /// Writes a file in a way.
    fn write_with(&self, output: &Output, view: &View<'_>, way: WayToWrite) -> Result<Written> {
        let exporter = output.format.exporter();
        // A profile has the stacks as they were.
        let profile = if output.format == Format::Pronk { &self.profile } else { self.drawn() };
        way(output, &|file| exporter.write(profile, view, file))
    }
}

/// [`Output::write`] or [`Output::write_here`].
type WayToWrite = fn(&Output, &dyn Fn(&mut dyn io::Write) -> io::Result<()>) -> Result<Written>;

fn refuse_what_cannot_be(arguments: &RecordArguments) -> Result<()> {
    if arguments.lines && arguments.sampling.engine == Engine::Perf {
        bail!("--lines needs --engine signal: with perf, Python functions have no lines");
    }
    if arguments.await_chains && arguments.sampling.engine == Engine::Perf {
        bail!("--await-chains needs --engine signal: what awaits a task is only found from inside the program");
    }
    Ok(())
}

/// The files to write. A profile has a flamegraph beside it.
fn outputs(asked: Option<&Path>) -> Result<Vec<Output>> {
    let (path, existing) = match asked {
        Some(path) => (path, Existing::Replace),
        None => (Path::new(DEFAULT_OUTPUT), Existing::KeepAsOld),
    };
    let Some(format) = Format::of(path) else {
        bail!(
            "-o {} does not say what to write: its name must end in .svg (a flamegraph), .folded (collapsed stacks) or \
             .pronk (the profile)",
            path.display()
        );
    };
    let mut outputs = vec![Output::new(path, format, existing)?];
    if format == Format::Pronk {
        let beside = path.with_extension(Format::Svg.extension());
        outputs.push(Output::new(&beside, Format::Svg, Existing::KeepAsOld)?);
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_flamegraph_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let formats = |name: &str| -> Vec<Format> {
            outputs(Some(&directory.path().join(name))).unwrap().iter().map(|output| output.format).collect()
        };
        assert_eq!(formats("a.pronk"), [Format::Pronk, Format::Svg]);
        assert_eq!(formats("a.svg"), [Format::Svg]);
        assert_eq!(formats("a.folded"), [Format::Folded]);
    }
}
