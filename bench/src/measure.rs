//! Runs a command and measures the time that it takes.
//!
//! A target under `pronk record` is a grandchild, and what the kernel says of pronk's resources includes pronk's own. So
//! the target is always started through this program's `measure` command, which waits for that one child and leaves what
//! it used in a file: the same way with and without pronk around it.

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a target used, its own children that it waited for included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// Time on the clock, in seconds.
    pub wall: f64,
    /// CPU time in user and kernel mode, in seconds.
    pub cpu: f64,
}

/// One run of a target.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the target used.
    pub target: Used,
    /// CPU time of the target and of all that was around it, in seconds.
    pub total_cpu: f64,
    /// What was written to stdout.
    pub stdout: Vec<u8>,
}

/// Runs `target` by way of `measure`, with the words of `around` before it (such as `pronk record --`).
///
/// Nothing else may start and wait for children in this process meanwhile: CPU time is told by what all children used
/// before and after.
///
/// # Errors
/// When the command cannot be started, fails, or leaves no measurement.
pub fn run(around: &[OsString], target: &[OsString]) -> Result<Run> {
    let directory = tempfile::tempdir().context("no temporary directory for the measurement")?;
    let file = directory.path().join("used.json");
    let own = std::env::current_exe().context("the path of pronk-bench is not known")?;
    let mut words: Vec<OsString> = around.to_vec();
    words.extend([own.into(), "measure".into(), "--to".into(), file.clone().into(), "--".into()]);
    words.extend_from_slice(target);

    let before = cpu_of_children()?;
    let output = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", Path::new(&words[0]).display()))?;
    let after = cpu_of_children()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}:\n{}", display(&words), output.status, errors.trim_end());
    }
    let text = fs::read(&file).with_context(|| format!("{} left no measurement", display(&words)))?;
    let target = serde_json::from_slice(&text).context("the measurement is damaged")?;
    Ok(Run { target, total_cpu: (after.saturating_sub(before)).as_secs_f64(), stdout: output.stdout })
}

/// The `measure` command: runs `command`, writes what it used to `file`, and returns its exit code.
///
/// # Errors
/// When the command cannot be started, or the file cannot be written.
pub fn measure(file: &Path, command: &[OsString]) -> Result<u8> {
    let (program, arguments) = command.split_first().context("there is no command to measure")?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("{} does not start", Path::new(program).display()))?;
    let used = Used { wall: started.elapsed().as_secs_f64(), cpu: cpu_of_children()?.as_secs_f64() };
    fs::write(file, serde_json::to_vec(&used)?).with_context(|| format!("{} cannot be written", file.display()))?;
    // A shell's convention for signals: 128 and the number.
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}

/// CPU time of all children so far that ended and were waited for, and of theirs (getrusage(2), RUSAGE_CHILDREN).
fn cpu_of_children() -> Result<Duration> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage(RUSAGE_CHILDREN)")?;
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// A command as a person would type it, near enough for a message.
pub fn display(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
