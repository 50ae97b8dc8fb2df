//! How sampling itself goes: the samples that are lost, and what each takes of the program's time.

use crate::interpreter::Interpreter;
use crate::overhead::EXAMPLES;
use crate::pronk::{Pronk, Recording};
use anyhow::{Context, Result, bail};
use pronk_overhead::measure::display;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// The depths of the recursion that is sampled beside the examples.
pub const LEVELS: [u32; 2] = [20, 20_000];

/// What a profile says of how it was made. Counts are of samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// All that were taken.
    pub samples: u64,
    /// Per second of the CPU time that was used, if that is known.
    pub achieved_hz: Option<f64>,
    /// Those that found no room.
    pub lost: u64,
    /// How often one was taken again.
    pub retaken: u64,
    /// Those without their Python frames.
    pub torn: u64,
    /// Half of them took less of the program's time, in nanoseconds.
    pub handler_p50_ns: Option<u64>,
    /// 99 of 100 took less, in nanoseconds.
    pub handler_p99_ns: Option<u64>,
}

/// How the sampling of a program went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sampling {
    /// The program and its arguments.
    pub program: String,
    /// The Python that ran it.
    pub python: String,
    /// What the profile says.
    #[serde(flatten)]
    pub quality: Quality,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The pronk to measure.
    pub pronk: &'a Pronk,
    /// Samples per second.
    pub frequency: u32,
    /// Further options of `pronk record`.
    pub options: &'a [OsString],
    /// How long each program is to run, in seconds.
    pub seconds: f64,
}

/// The programs, and their arguments beside how long they run.
pub fn programs() -> Vec<(&'static str, Vec<String>)> {
    let examples = EXAMPLES.iter().map(|(name, _)| (*name, Vec::new()));
    let recursions = LEVELS.iter().map(|levels| ("recursion.py", vec!["--levels".to_owned(), levels.to_string()]));
    examples.chain(recursions).collect()
}

/// Profiles a program of a directory.
///
/// # Errors
/// When the program or pronk fails, or pronk's report is not one.
pub fn measure(
    directory: &Path,
    (name, arguments): &(&str, Vec<String>),
    interpreter: &Interpreter,
    settings: &Settings<'_>,
) -> Result<Sampling> {
    let place = tempfile::tempdir().context("no temporary directory for profiles")?;
    let profile = place.path().join("sampling.pronk");
    let recording = Recording { output: &profile, frequency: settings.frequency, options: settings.options };
    let mut words = settings.pronk.record(&recording);
    words.extend([interpreter.path.clone().into(), directory.join(name).into()]);
    words.extend(arguments.iter().map(OsString::from));
    words.extend(["--seconds".into(), settings.seconds.to_string().into()]);
    run(&words)?;
    let report = run(&settings.pronk.report(&profile))?;
    Ok(Sampling {
        program: [&[(*name).to_owned()], arguments.as_slice()].concat().join(" "),
        python: interpreter.python.version.clone(),
        quality: quality_of(&report)?,
    })
}

/// What a report of pronk's says of its profile's quality.
fn quality_of(report: &[u8]) -> Result<Quality> {
    #[derive(Deserialize)]
    struct Report {
        quality: Quality,
    }
    let Report { quality } = serde_json::from_slice(report).context("pronk report --json wrote something else")?;
    Ok(quality)
}

fn run(words: &[OsString]) -> Result<Vec<u8>> {
    let [program, arguments @ ..] = words else { bail!("there is no command") };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", Path::new(program).display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}:\n{}", display(words), output.status, errors.trim_end());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quality_is_read_from_a_report() {
        let report = br#"{"version": 1, "quality": {"samples": 5, "achieved_hz": null, "lost": 1, "retaken": 2,
            "torn": 3, "handler_p50_ns": 1200, "handler_p99_ns": 5000, "gaps": 9}}"#;
        let quality = quality_of(report).expect("a report");
        assert_eq!((quality.samples, quality.lost, quality.handler_p99_ns), (5, 1, Some(5000)));
        assert!(quality_of(b"{}").is_err() && quality_of(b"").is_err());
    }
}
