//! `pronk record`: run a command, sample it, write what was found, and end as the command did.

use super::summary;
use crate::agent;
use crate::args::{Engine, RecordArguments, Stubs};
use crate::ending::Ending;
use crate::export::Format;
use crate::messages::{describe, say};
use crate::output::{Existing, Output, Written};
use anyhow::{Context, Result, bail};
use pronk_sampler::recording::{Event, Recording};
use pronk_sampler::{EngineChoice, Request, Session, SessionDirectory};
use pronk_symbolizer::profile::{Meta, Profile};
use pronk_symbolizer::symbolize;
use pronk_symbolizer::view::{View, ViewOptions};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitStatus;
use std::time::UNIX_EPOCH;

/// Where the profile goes if nothing else is asked for.
const DEFAULT_OUTPUT: &str = "profile.pronk";

/// Runs the command and profiles it.
///
/// # Errors
/// When the command was not run. Once it runs, whatever goes wrong with the profile is said and pronk ends as the
/// command does.
pub fn run(arguments: RecordArguments) -> Result<Ending> {
    let outputs = outputs(arguments.output.as_deref())?;
    let directory = SessionDirectory::create(agent::LIBRARY)?;
    let request = Request {
        command: arguments.command.clone(),
        frequency: arguments.frequency,
        duration: arguments.duration,
        engine: match arguments.engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Perf => EngineChoice::Perf,
            Engine::Signal => EngineChoice::Signal,
        },
        mode: std::env::var("PM").map_or(pronk_sampler::Mode::Cpu, |m| {
            if m == "wall" { pronk_sampler::Mode::Wall } else { pronk_sampler::Mode::Gil }
        }),
        kernel: std::env::var("PK").is_ok(),
        stubs: match arguments.stubs {
            Stubs::Auto => None,
            Stubs::Full | Stubs::Windowed => Some(true),
            Stubs::Off => Some(false),
        },
    };
    let mut session = Session::start(request, directory)?;
    say!("{}", session.engine());
    match session.record() {
        Ok(recording) => {
            // A fault of pronk's own must not change how the command ends.
            let finished = catch_unwind(AssertUnwindSafe(|| finish(&arguments, &recording, &outputs)));
            if finished.is_err() {
                say!("making the profile failed: this is a fault of pronk's; please report it");
            }
        }
        Err(error) => say!("there is no profile: {error}"),
    }
    let status = session.wait().context("the command ran, and how it ended is not known")?;
    Ok(Ending::LikeProgram(status))
}

/// Makes the profile, writes it, and says what is in it.
fn finish(arguments: &RecordArguments, recording: &Recording, outputs: &[Output]) {
    say!("{:?} {:?}", recording.losses, recording.notes);
    let profile = symbolize(recording, meta(arguments, recording));
    let files = write(&profile, outputs);
    if recording.exit.is_none() {
        say!("sampling has stopped, as --duration asked for; the command goes on");
    }
    let view = View::new(&profile, &ViewOptions::default());
    say!("{}", summary::of(&profile, &view, &files));
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
fn write(profile: &Profile, outputs: &[Output]) -> Vec<(Format, Written)> {
    let view = View::new(profile, &ViewOptions::default());
    let mut files = Vec::new();
    for output in outputs {
        let exporter = output.format.exporter();
        match output.write(|file| exporter.write(profile, &view, file)) {
            Ok(written) => files.push((output.format, written)),
            Err(error) => say!("{}; nor would any other directory take it, so it is lost", describe(&error)),
        }
    }
    files
}

/// How the profile was made.
fn meta(arguments: &RecordArguments, recording: &Recording) -> Meta {
    Meta {
        pronk_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        started_at_unix: recording.started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        duration_ns: recording.ended.0.saturating_sub(recording.started.0),
        frequency: recording.frequency,
        event: match recording.event {
            Event::Cycles => "cycles",
            Event::CpuClock => "cpu-clock",
            Event::TaskClock => "task-clock",
            Event::Wall => "wall-clock",
            Event::Gil => "gil",
        }
        .to_owned(),
        engine: "perf".to_owned(),
        stubs: "full".to_owned(),
        native: arguments.native.into(),
        exit: recording.exit.map_or_else(|| "still running".to_owned(), in_words),
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_words() {
        assert_eq!(in_words(ExitStatus::from_raw(3 << 8)), "exit code 3");
        assert_eq!(in_words(ExitStatus::from_raw(9)), "killed by signal 9");
    }

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
