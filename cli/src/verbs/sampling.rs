//! What verbs that sample have in common: what they ask the sampler for, and what they say of it.

use crate::agent;
use crate::args::{Engine, Sampling, Stubs};
use anyhow::{Result, bail};
use pronk_sampler::recording::{Event, Recording};
use pronk_sampler::{Request, Session, SessionDirectory};
use pronk_symbolizer::profile::Meta;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::UNIX_EPOCH;

/// What to ask the sampler for.
///
/// # Errors
/// When it cannot be.
pub fn request(sampling: &Sampling) -> Result<Request> {
    if sampling.engine == Engine::Perf && sampling.stubs == Stubs::Off {
        bail!("--stubs off leaves --engine perf without Python names: use --engine signal, or --stubs full");
    }
    Ok(Request {
        command: sampling.command.clone(),
        frequency: sampling.frequency,
        engine: sampling.engine.into(),
        mode: sampling.mode.into(),
        kernel: sampling.kernel,
        label_variables: sampling.label_var.clone(),
        label_arguments: sampling.label_arg.clone(),
        label_spans: sampling.label_otel,
        children: !sampling.no_follow,
        await_chains: false,
        duration: None,
        stubs: sampling.stubs().map_err(anyhow::Error::msg)?,
        streams: Default::default(),
    })
}

/// Starts what a request asks for, or attaches to the process.
///
/// # Errors
/// When the command was not run, or the process cannot be attached to.
pub fn start(sampling: &Sampling, request: Request) -> Result<Session> {
    Ok(match sampling.pid {
        Some(pid) => Session::attach(request, pid, SessionDirectory::create_for(pid, agent::LIBRARY)?)?,
        None => Session::start(request, SessionDirectory::create(agent::LIBRARY)?)?,
    })
}

/// How the profile was made.
pub fn meta(sampling: &Sampling, recording: &Recording, session: &Session) -> Meta {
    let (event, engine) = match recording.event {
        Event::Cycles => ("cycles", "perf"),
        Event::CpuClock => ("cpu-clock", "perf"),
        Event::TaskClock => ("task-clock", "signal"),
        Event::Wall => ("wall-clock", "signal"),
        Event::Gil => ("gil-clock", "signal"),
    };
    Meta {
        pronk_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: session.command().iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        started_at_unix: recording.started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        duration_ns: recording.ended.0.saturating_sub(recording.started.0),
        frequency: recording.frequency,
        mode: sampling.mode.into(),
        event: event.to_owned(),
        engine: engine.to_owned(),
        driver: session.engine(),
        stubs: match session.request().stubs {
            pronk_sampler::Stubs::Off => "off",
            pronk_sampler::Stubs::Auto if engine == "signal" => "auto",
            pronk_sampler::Stubs::Auto | pronk_sampler::Stubs::Full => "full",
            pronk_sampler::Stubs::Windowed { .. } => "windowed",
        }
        .to_owned(),
        // Who asks for them says so.
        await_chains: false,
        native: sampling.native.into(),
        exit: recording.exit.map_or_else(|| "still running".to_owned(), in_words),
    }
}

/// How a command ended, in words.
pub fn in_words(status: ExitStatus) -> String {
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
}
