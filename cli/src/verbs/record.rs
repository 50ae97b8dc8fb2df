//! `pronk record`: run a command, sample it, write what was found, and end as the command did.

use super::{sampling, summary};
use crate::args::{Engine, RecordArguments};
use crate::ending::Ending;
use crate::export::Format;
use crate::messages::{describe, say};
use crate::output::{Existing, Output, Written};
use anyhow::{Context, Result, bail};
use pronk_sampler::recording::Recording;
use pronk_sampler::{Request, Session};
use pronk_symbolizer::profile::{Meta, Profile};
use pronk_symbolizer::view::{By, View, ViewOptions};
use pronk_symbolizer::{along_awaits, symbolize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

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
    let mut session = sampling::begin(request, arguments.sampling.pid)?;
    if let Some(pid) = arguments.sampling.pid {
        say_attached(pid, &session, arguments.duration.is_some());
    }
    match session.record() {
        Ok(recording) => {
            // A fault of pronk's own must not change how the command ends.
            let finished = catch_unwind(AssertUnwindSafe(|| finish(&arguments, by, &recording, &session, &outputs)));
            if finished.is_err() {
                say!("making the profile failed: this is a fault of pronk's; please report it");
            }
        }
        Err(error) => say!("there is no profile: {error}"),
    }
    let status = session.wait().context("the command ran, and how it ended is not known")?;
    Ok(status.map_or(Ending::Status(0), Ending::LikeProgram))
}

/// Says that a process is being sampled: it may be long until there is more to say.
fn say_attached(pid: u32, session: &Session, has_duration: bool) {
    let until = if has_duration { "" } else { "; Ctrl-C ends that" };
    let pause = session.pause().unwrap_or_default().as_secs_f64() * 1e3;
    say!("process {pid} is being sampled{until}; one thread of it was stopped for {pause:.2} ms");
}

/// Makes the profile, writes it, and says what is in it.
fn finish(arguments: &RecordArguments, by: Option<By>, recording: &Recording, session: &Session, outputs: &[Output]) {
    let meta = sampling::meta(&arguments.sampling, recording, session);
    let profile = symbolize(recording, Meta { await_chains: arguments.await_chains, ..meta });
    let along = arguments.await_chains.then(|| along_awaits(&profile));
    let drawn = along.as_ref().unwrap_or(&profile);
    let view = View::new(drawn, &ViewOptions { lines: arguments.lines, by, ..ViewOptions::default() });
    let files = write(&profile, drawn, &view, outputs);
    if recording.exit.is_none() && arguments.sampling.pid.is_none() {
        say!("sampling has stopped, as --duration asked for; the command goes on");
    }
    say!("{}", summary::of(&profile, &view, &files));
}

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

/// Writes the files. What could not be written anywhere is said here and costs no other file.
fn write(profile: &Profile, drawn: &Profile, view: &View<'_>, outputs: &[Output]) -> Vec<(Format, Written)> {
    let mut files = Vec::new();
    for output in outputs {
        let exporter = output.format.exporter();
        // A profile has the stacks as they were.
        let profile = if output.format == Format::Pronk { profile } else { drawn };
        match output.write(|file| exporter.write(profile, view, file)) {
            Ok(written) => files.push((output.format, written)),
            Err(error) => say!("{}; nor would any other directory take it, so it is lost", describe(&error)),
        }
    }
    files
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
