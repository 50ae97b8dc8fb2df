//! Runs a command and measures what it uses.
//!
//! What runs under a profiler is its child, and what the kernel says of the profiler's resources includes the profiler's
//! own. So the target is always started through a helper, [`helper`] in a process of its own, which waits for that one child and
//! leaves what it used in a file: the same way with and without a profiler around it.

use crate::interrupts::Interrupts;
use crate::wait::{self, Ended};
use anyhow::{Context, Result};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGTERM;
use signal_hook::flag;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What a target used, its own children that it waited for included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// Time on the clock, in seconds.
    pub wall: f64,
    /// CPU time in user and kernel mode, in seconds.
    pub cpu: f64,
    /// The most memory that one of its processes had at once, in KiB, where that is told from the profiler's.
    pub memory_kib: Option<u64>,
}

/// One run of a target.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What the target used.
    pub target: Used,
    /// CPU time of the target and of all that was around it, in seconds.
    pub total_cpu: f64,
    /// The target's exit status, as a shell gives it.
    pub status: u8,
    /// The profiler's, where it is another process.
    #[serde(skip)]
    pub status_around: u8,
    /// Time on the clock of an empty script that was run in the same way, in seconds, where there was one.
    pub startup: Option<f64>,
    /// The last line of stderr, where that is kept.
    #[serde(skip)]
    pub said: String,
    /// What was written to stdout, where that is kept.
    #[serde(skip)]
    pub stdout: Vec<u8>,
}

impl Run {
    /// What went wrong with a profiler in another process: those that do well end with 0 or as the program does.
    pub fn fault_around(&self) -> Option<String> {
        let own = self.status_around;
        (own != 0 && own != self.status).then(|| why(&format!("exit status: {own}"), &self.said))
    }
}

/// What became of an attempt to run a target.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It ran to its end.
    Ran(Run),
    /// It did not, and why.
    NotRun(String),
    /// Somebody asked to stop.
    Interrupted,
}

/// Which process is the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The one that the helper starts.
    #[default]
    Itself,
    /// The only child of the one that the helper starts, which is a profiler. Such a target has the profiler's time on the clock.
    ItsChild,
}

/// What to run: the words around the helper, and those that the helper runs.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// A profiler that starts what follows, such as `pronk record --`.
    pub around: Vec<OsString>,
    /// The program, or a profiler that runs it itself.
    pub inside: Vec<OsString>,
    /// Which process is the target.
    pub target: Target,
}

/// Where the target's stdout and stderr go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Stdout goes nowhere; the end of stderr is for messages.
    Discarded,
    /// Both to this process's stderr.
    Shown,
    /// Stdout is in [`Run::stdout`].
    Kept,
}

/// Runs commands, one at a time.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The words of a command that calls [`helper`] with the path and the command that follow them.
    pub helper: Vec<OsString>,
    /// What targets write.
    pub output: Output,
    /// Who may ask to stop.
    pub interrupts: Interrupts,
}

/// What [`helper`] leaves in its file: when it begins who it is, then whom it has started, and in the end all.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    helper: i32,
    target: Option<i32>,
    measured: Option<Measured>,
}

/// What it has measured.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    status: u8,
    wall: f64,
    cpu: f64,
    own_cpu: f64,
    memory_kib: u64,
}

impl Runner {
    /// Runs a target to its end. `left` names files, by the target's process id, that the profiler leaves elsewhere and that are
    /// to be removed.
    ///
    /// # Errors
    /// When the system refuses what has nothing to do with the command.
    pub fn run(&self, words: &Words, left: Option<fn(i32) -> PathBuf>) -> Result<Outcome> {
        let directory = tempfile::tempdir().context("no temporary directory for the measurement")?;
        let file = directory.path().join("used.json");
        let all = [&words.around, &self.helper, &vec![file.clone().into(), "--".into()], &words.inside]
            .map(Vec::as_slice)
            .concat();
        let (program, arguments) = all.split_first().context("there is no command")?;
        let mut kept = [tempfile::tempfile()?, tempfile::tempfile()?];
        let [stdout, stderr] = self.streams(&kept)?;
        // Some profilers (py-spy 0.4) end without waiting for the program. It is then this process that does.
        prctl::set_child_subreaper(true).context("prctl(PR_SET_CHILD_SUBREAPER)")?;
        let mut command = Command::new(program);
        // A process group of its own: who asks to stop ends all of it, and Ctrl-C of a terminal does not reach it first.
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let started = self.interrupts.begin(|| {
            let child = command.spawn().with_context(|| format!("{} does not start", Path::new(program).display()))?;
            let pid = Pid::from_raw(child.id().cast_signed());
            Ok((pid, pid))
        });
        let child = match started {
            Ok(Some(child)) => child,
            Ok(None) => return Ok(Outcome::Interrupted),
            Err(error) => return Ok(Outcome::NotRun(format!("{error:#}"))),
        };
        wait::until_ended(child)?;
        let orphan = Report::read(&file).and_then(|report| orphan(report.helper, child));
        let report = Report::read(&file);
        let left = left.zip(report.as_ref().and_then(|report| report.target)).map(|(left, target)| left(target));
        let measured = report.and_then(|report| report.measured);
        if measured.is_none() {
            // What may be left of it would disturb the runs to come. As long as the child is not waited for, the group is its own.
            let _ = killpg(child, Signal::SIGKILL);
        }
        self.interrupts.ended();
        let around = wait::wait(child)?;
        if let Some(left) = left {
            remove(&left)?;
        }
        if self.interrupts.asked() {
            return Ok(Outcome::Interrupted);
        }
        let Some(measured) = measured else {
            let without = if around.status.success() { ", and the program had not ended" } else { "" };
            return Ok(Outcome::NotRun(why(&format!("{}{without}", around.status), &last_line(&mut kept[1]))));
        };
        let mut run = run_of(&measured, &around, words.target);
        run.total_cpu += orphan.map_or(0.0, |ended| ended.cpu.as_secs_f64());
        run.said = last_line(&mut kept[1]);
        if self.output == Output::Kept {
            kept[0].rewind()?;
            kept[0].read_to_end(&mut run.stdout)?;
        }
        Ok(Outcome::Ran(run))
    }

    fn streams(&self, [stdout, stderr]: &[File; 2]) -> Result<[Stdio; 2]> {
        let own = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        Ok(match self.output {
            Output::Discarded => [Stdio::null(), stderr.try_clone()?.into()],
            Output::Shown => [own()?, own()?],
            Output::Kept => [stdout.try_clone()?.into(), stderr.try_clone()?.into()],
        })
    }
}

fn run_of(measured: &Measured, around: &Ended, target: Target) -> Run {
    let used = match target {
        Target::Itself => Used { wall: measured.wall, cpu: measured.cpu, memory_kib: Some(measured.memory_kib) },
        Target::ItsChild => Used { wall: measured.wall, cpu: measured.cpu - measured.own_cpu, memory_kib: None },
    };
    Run {
        target: used,
        total_cpu: around.cpu.as_secs_f64(),
        status: measured.status,
        status_around: shell_status(around.status),
        startup: None,
        said: String::new(),
        stdout: Vec::new(),
    }
}

impl Report {
    fn read(file: &Path) -> Option<Report> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Writes it whole, or not at all.
    fn write(&self, file: &Path) -> Result<()> {
        let new = file.with_extension("new");
        let written = fs::write(&new, serde_json::to_vec(self)?).and_then(|()| fs::rename(&new, file));
        written.with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// The end of a helper, where that is not what was started and nobody has waited for it: of one that may still run, as its parent
/// has ended.
fn orphan(helper: i32, child: Pid) -> Option<Ended> {
    let helper = Pid::from_raw(helper);
    if helper == child { None } else { wait::wait(helper).ok() }
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}, which a profiler has left, cannot be removed", file.display()))
        }
        _ => Ok(()),
    }
}

/// Why there is no measurement of the program.
fn why(status: &str, said: &str) -> String {
    if said.is_empty() { format!("it ended with {status}") } else { format!("it ended with {status}: {said}") }
}

/// The last thing that was said in a file.
fn last_line(file: &mut File) -> String {
    let mut said = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut said));
    telling_line(&String::from_utf8_lossy(&said)).to_owned()
}

/// The last line that names an error, such as `ValueError: no`, which may have a backtrace behind it; else the last one.
fn telling_line(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back();
    lines.rfind(|line| line.contains("rror: ")).or(last).unwrap_or_default()
}

/// What a helper does: runs `command`, writes what it used to `file`, and returns its exit status.
///
/// # Errors
/// When the command cannot be started, or the file cannot be written.
pub fn helper(file: &Path, command: &[OsString]) -> Result<u8> {
    let (program, arguments) = command.split_first().context("there is no command to measure")?;
    let helper = std::process::id().cast_signed();
    let report = Report { helper, target: None, measured: None };
    report.write(file)?;
    // Who is asked to stop is the command, and this process waits for it. It is not ignored, as the command would do the same then.
    flag::register(SIGTERM, Arc::new(AtomicBool::new(false))).context("SIGTERM cannot be caught")?;
    let started = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("{} does not start", Path::new(program).display()))?;
    let target = child.id().cast_signed();
    let report = Report { target: Some(target), ..report };
    report.write(file)?;
    let ended = wait::wait(Pid::from_raw(target)).context("the command cannot be waited for")?;
    let wall = started.elapsed();
    let [wall, cpu, own_cpu] = [wall, ended.cpu, ended.own_cpu].map(|time: Duration| time.as_secs_f64());
    let status = shell_status(ended.status);
    let measured = Measured { status, wall, cpu, own_cpu, memory_kib: ended.memory_kib };
    Report { measured: Some(measured), ..report }.write(file)?;
    Ok(status)
}

/// An exit status as a shell gives it: 128 and the number for a signal.
fn shell_status(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// A command as a person would type it, near enough for a message.
pub fn display(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(helper: &str) -> Runner {
        let helper = ["/bin/sh", "-c", helper].map(OsString::from).to_vec();
        Runner { helper, output: Output::Kept, interrupts: Interrupts::default() }
    }

    /// What a shell does as the helper: its `$0` is the file.
    const MEASURED: &str = r#"{"status":0,"wall":2.0,"cpu":1.5,"own_cpu":0.5,"memory_kib":64}"#;

    fn words(around: &[&str], target: Target) -> Words {
        Words { around: around.iter().map(OsString::from).collect(), inside: vec!["program".into()], target }
    }

    fn ran(outcome: Outcome) -> Run {
        match outcome {
            Outcome::Ran(run) => run,
            other => panic!("it did not run: {other:?}"),
        }
    }

    #[test]
    fn a_helper_that_outlives_its_profiler_is_waited_for() {
        // The profiler ends as soon as the helper has begun; the helper ends when it sees that.
        let helper = format!(
            r#"echo '{{"helper":'$$',"target":null,"measured":null}}' >"$0"
               while [ "$(cut -d' ' -f4 /proc/$$/stat)" = $PPID ]; do :; done
               echo '{{"helper":'$$',"target":1,"measured":{MEASURED}}}' >"$0.new" && mv "$0.new" "$0""#
        );
        // `$4` is the file: before it are `/bin/sh -c SCRIPT`.
        let around = ["/bin/sh", "-c", r#""$@" & while ! [ -s "$4" ]; do :; done"#, "profiler"];
        let run = ran(runner(&helper).run(&words(&around, Target::Itself), None).expect("no fault"));
        assert_eq!((run.status, run.target.wall, run.target.memory_kib), (0, 2.0, Some(64)));
        assert!(run.total_cpu > 0.0);
    }

    #[test]
    fn a_target_that_is_a_profilers_child_has_what_is_not_the_profilers() {
        let helper = format!(r#"echo '{{"helper":'$$',"target":1,"measured":{MEASURED}}}' >"$0""#);
        let run = ran(runner(&helper).run(&words(&[], Target::ItsChild), None).expect("no fault"));
        assert_eq!((run.target.cpu, run.target.memory_kib), (1.0, None));
    }

    #[test]
    fn without_a_measurement_there_is_what_was_said() {
        let outcome = runner("echo working; echo 'KeyError: 1' >&2; echo '  at 7: main' >&2; exit 3");
        match outcome.run(&words(&[], Target::Itself), None).expect("no fault") {
            Outcome::NotRun(reason) => assert_eq!(reason, "it ended with exit status: 3: KeyError: 1"),
            other => panic!("{other:?}"),
        }
        assert_eq!(telling_line("a\n\n b \n"), "b");
        assert_eq!(telling_line(""), "");
    }
}
