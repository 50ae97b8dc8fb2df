//! How right a profile is: `known_answer.py` says which share of the CPU time each of its functions used, and the
//! profile's shares are compared with that.

use crate::interpreter::Interpreter;
use crate::pronk::{Pronk, Recording};
use anyhow::{Context, Result, bail};
use pronk_overhead::measure::display;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `known_answer.py` says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// The CPU time of its functions together, in nanoseconds.
    pub total_cpu_ns: u64,
    /// Its functions.
    pub functions: Vec<TrueShare>,
}

/// What one function used.
#[derive(Clone, Debug, Deserialize)]
pub struct TrueShare {
    /// The qualified name.
    pub qualname: String,
    /// Its CPU time, in nanoseconds.
    pub cpu_ns: u64,
}

/// One function's share in the profile, and in truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The qualified name.
    pub qualname: String,
    /// The share of the CPU time, in percent.
    pub true_percent: f64,
    /// The share of the samples, in percent.
    pub profile_percent: f64,
}

impl Share {
    /// What the profile says too much, in percentage points.
    pub fn error(&self) -> f64 {
        self.profile_percent - self.true_percent
    }
}

/// How right a profile was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// The Python that ran the program.
    pub python: String,
    /// The functions.
    pub shares: Vec<Share>,
    /// The largest error, without its sign, in percentage points.
    pub worst_error: f64,
    /// Samples in the functions.
    pub samples: u64,
    /// All samples of the profile, starting and ending the interpreter included.
    pub all_samples: u64,
    /// Of the samples in the functions, those that reach the program's `<module>`, in percent.
    pub complete_percent: f64,
    /// Samples in the functions, per second of the CPU time that they used.
    pub samples_per_second: f64,
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
    /// CPU time that the program is to use, in seconds.
    pub seconds: f64,
}

/// Profiles the program with an interpreter and compares.
///
/// # Errors
/// When the program or pronk fails, or the profile has no sample of the functions.
pub fn measure(program: &Path, interpreter: &Interpreter, settings: &Settings<'_>) -> Result<Accuracy> {
    let directory = tempfile::tempdir().context("no temporary directory for profiles")?;
    let stacks = directory.path().join("known_answer.folded");
    let recording = Recording { output: &stacks, frequency: settings.frequency, options: settings.options };
    let mut words = settings.pronk.record(&recording);
    words.extend([interpreter.path.clone().into(), program.into()]);
    words.extend(["--seconds".into(), settings.seconds.to_string().into()]);
    let output = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", Path::new(&words[0]).display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}:\n{}", display(&words), output.status, errors.trim_end());
    }
    let truth: Truth = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} does not say what its functions used", program.display()))?;
    let folded = fs::read_to_string(&stacks).context("pronk left no collapsed stacks")?;
    compare(&interpreter.python.version, &truth, &folded)
}

/// Compares collapsed stacks (root first, frames joined by `;`, a space and the count) with the truth.
///
/// # Errors
/// When a line is not a collapsed stack, or there is nothing to compare.
pub fn compare(python: &str, truth: &Truth, folded: &str) -> Result<Accuracy> {
    let mut counts = vec![0u64; truth.functions.len()];
    let (mut all_samples, mut complete) = (0u64, 0u64);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').with_context(|| format!("not a collapsed stack: {line}"))?;
        let count: u64 = count.parse().with_context(|| format!("not a collapsed stack: {line}"))?;
        all_samples += count;
        let frames: Vec<&str> = stack.split(';').collect();
        let known = truth
            .functions
            .iter()
            .position(|function| frames.iter().any(|frame| is_function(frame, &function.qualname)));
        if let Some(index) = known {
            counts[index] += count;
            if frames.iter().any(|frame| is_function(frame, "<module>")) {
                complete += count;
            }
        }
    }
    let samples: u64 = counts.iter().sum();
    let total_ns: u64 = truth.functions.iter().map(|function| function.cpu_ns).sum();
    if samples == 0 || total_ns == 0 {
        bail!("Python {python}: the profile has no sample of the functions whose shares are known");
    }
    let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
    let shares: Vec<Share> = truth
        .functions
        .iter()
        .zip(&counts)
        .map(|(function, &count)| Share {
            qualname: function.qualname.clone(),
            true_percent: percent(function.cpu_ns, total_ns),
            profile_percent: percent(count, samples),
        })
        .collect();
    Ok(Accuracy {
        python: python.to_owned(),
        worst_error: shares.iter().map(|share| share.error().abs()).fold(0.0, f64::max),
        shares,
        samples,
        all_samples,
        complete_percent: percent(complete, samples),
        samples_per_second: samples as f64 / (total_ns as f64 / 1e9),
    })
}

/// Whether a frame, `module.qualname (file:line)` or less of it, is a function by its qualified name.
fn is_function(frame: &str, qualname: &str) -> bool {
    let name = frame.split_once(" (").map_or(frame, |(name, _)| name);
    name.strip_suffix(qualname).is_some_and(|module| module.is_empty() || module.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Truth {
        let function = |qualname: &str, cpu_ns| TrueShare { qualname: qualname.into(), cpu_ns };
        let functions = vec![function("burn", 600_000_000), function("make.<locals>.burn_too", 400_000_000)];
        Truth { total_cpu_ns: 1_000_000_000, functions }
    }

    #[test]
    fn a_function_is_told_by_its_whole_qualified_name() {
        assert!(is_function("__main__.burn (a.py:3)", "burn"));
        assert!(is_function("burn", "burn"));
        assert!(is_function("__main__.make.<locals>.burn_too (a.py:3)", "make.<locals>.burn_too"));
        assert!(!is_function("__main__.heartburn (a.py:3)", "burn"));
        assert!(!is_function("__main__.main (burn:3)", "burn"));
    }

    #[test]
    fn shares_are_relative_to_the_known_functions() {
        let folded = "\
start;__main__.<module> (a.py:1);__main__.burn (a.py:3) 50
start;__main__.<module> (a.py:1);__main__.burn (a.py:3);clock_gettime 6
__main__.make.<locals>.burn_too (a.py:9) 4
__main__.<module> (a.py:1);__main__.make.<locals>.burn_too (a.py:9) 40
importlib.load (x.py:1) 900
";
        let accuracy = compare("3.13.0", &truth(), folded).expect("a comparison");
        assert_eq!((accuracy.samples, accuracy.all_samples), (100, 1000));
        assert!((accuracy.shares[0].error() - -4.0).abs() < 1e-9);
        assert!((accuracy.shares[1].error() - 4.0).abs() < 1e-9);
        assert!((accuracy.worst_error - 4.0).abs() < 1e-9);
        assert!((accuracy.complete_percent - 96.0).abs() < 1e-9);
        assert!((accuracy.samples_per_second - 100.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        assert!(compare("3.13.0", &truth(), "").is_err());
        assert!(compare("3.13.0", &truth(), "other 5\n").is_err());
        assert!(compare("3.13.0", &truth(), "__main__.burn many\n").is_err());
    }
}
