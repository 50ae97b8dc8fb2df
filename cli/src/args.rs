//! What can be asked for on the command line, with the limits of each value.

mod overhead;
mod sampling;
mod selection;

pub use overhead::{MeasureArguments, OverheadArguments, StubsArguments};
pub use sampling::{Engine, Native, Sampling, Stubs};
pub use selection::{Grouping, Samples, Selection};

use clap::{Args, Parser, Subcommand};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// A sampling profiler for CPython, with native stubs by which native profilers can name Python functions, too.
#[derive(Debug, Parser)]
#[command(name = "pronk", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Profile a command, with all the processes and threads that it starts, or a process that runs
    #[command(override_usage = "pronk record [OPTIONS] -- COMMAND [ARG]...\n       pronk record [OPTIONS] --pid PID", after_help = RECORD_HELP)]
    Record(RecordArguments),
    /// Show live, in the terminal, where a command, or a process that runs, spends its time
    #[command(override_usage = "pronk top [OPTIONS] -- COMMAND [ARG]...\n       pronk top [OPTIONS] --pid PID", after_help = TOP_HELP)]
    Top(TopArguments),
    /// Print the functions of a profile, with their own samples and those of what they called
    Report(ReportArguments),
    /// Draw a profile as a flamegraph
    Flamegraph(FlamegraphArguments),
    /// Draw which task, thread, process or label ran when
    Timeline(TimelineArguments),
    /// Print what each thread and each task of a process that runs is doing now, also if it hangs
    Dump(DumpArguments),
    /// Measure on your own program what profilers cost: run a command again and again, plain and under each of them
    #[command(override_usage = "pronk overhead [OPTIONS] -- COMMAND [ARG]...", after_help = overhead::help())]
    Overhead(OverheadArguments),
    /// Say what this machine permits, and what to do about the rest
    Doctor,
    /// Run a command whose functions run through stubs, and take no samples of it
    #[command(hide = true)]
    Stubs(StubsArguments),
    /// Run a command and write to a file what it used
    #[command(hide = true)]
    Measure(MeasureArguments),
}

const RECORD_HELP: &str = "\
The command keeps its stdin, stdout, stderr and signals, and pronk ends as the command ended:
with its exit status, or by the same signal. If the command could not be run, the status is 127
when there is no such command, 126 when it cannot be executed, and 2 for any other reason.";

const TOP_HELP: &str = "\
Press ? for the keys. The command's stdout and stderr would destroy the screen: they go nowhere, or
into the file of --output. Its stdin is empty, unless pronk's own stdin is not the terminal.

When the command has ended, the view stays until q, and pronk ends as the command ended: with its
exit status, or by the same signal. Before that, q and Ctrl-C ask: i interrupts the command, as
Ctrl-C in a terminal would, and w leaves the view; in both cases pronk samples no more, and waits
until the command has ended. A process of --pid is left as it was, and nothing is asked. Nothing is
written unless p saves a profile.";

const OUTPUT_HELP: &str = "\
Where to write; the name's end says what:
  .svg     a flamegraph
  .folded  collapsed stacks: root first, joined by `;`, then the number of samples
  .pronk   the profile, with a flamegraph beside it
A file that is named here is replaced. One that pronk names itself (profile.pronk, or the
flamegraph beside a profile) is kept once, as profile.old.pronk or profile.old.svg.

[default: profile.pronk]";

/// `pronk record`
#[derive(Args, Debug)]
pub struct RecordArguments {
    /// Where to write; the name's end says what [default: profile.pronk]
    #[arg(short, long, value_name = "FILE", long_help = OUTPUT_HELP)]
    pub output: Option<PathBuf>,

    /// What to run, and how to sample it.
    #[command(flatten)]
    pub sampling: Sampling,

    /// Stop sampling after this time; the command goes on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,

    /// Write a profile whenever so much time has passed, of that time, with a number in its name
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub every: Option<Duration>,

    /// With --every: how many profiles are kept, the newest ones
    #[arg(long, value_name = "N", default_value = "60", requires = "every")]
    pub keep: NonZeroUsize,

    /// Write a profile for each process, with its id in its name
    #[arg(long, conflicts_with = "every")]
    pub split: bool,

    /// Tell frames of one function apart by the line that was being executed, in what is drawn
    #[arg(long)]
    pub lines: bool,

    /// How to set samples apart, in what is drawn.
    #[command(flatten)]
    pub grouping: Grouping,

    /// Record what awaits each task of asyncio, and put tasks on top of it, in what is drawn (needs the signal engine)
    #[arg(long)]
    pub await_chains: bool,
}

/// `pronk top`
#[derive(Args, Debug)]
pub struct TopArguments {
    /// Where the command's stdout and stderr go, appended; without this they go nowhere
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What to run, and how to sample it.
    #[command(flatten)]
    pub sampling: Sampling,
}

/// `pronk report`
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// The profile, as `pronk record` wrote it
    pub profile: PathBuf,

    /// Print a source file with the share of each line beside it, instead of functions
    #[arg(long, value_name = "FILE", conflicts_with_all = ["top", "by_self", "total", "calls", "by"])]
    pub lines: Option<PathBuf>,

    /// How many functions, or values with --by [default: 20 in the table, all with --json]
    #[arg(long, value_name = "N")]
    pub top: Option<NonZeroUsize>,

    /// Sort by the samples in the function itself (the default)
    #[arg(long = "self", conflicts_with_all = ["total", "calls", "by"])]
    pub by_self: bool,

    /// Sort by the samples in the function and in what it called
    #[arg(long, conflicts_with_all = ["calls", "by"])]
    pub total: bool,

    /// Sort by the number of calls, and have functions that are in no sample (needs a profile with stubs: --budget 2,
    /// --stubs full, or --engine perf)
    #[arg(long, conflicts_with = "by")]
    pub calls: bool,

    /// Write JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// How to set samples apart, instead of by function.
    #[command(flatten)]
    pub grouping: Grouping,

    /// Which samples and frames to show.
    #[command(flatten)]
    pub selection: Selection,
}

/// `pronk flamegraph`
#[derive(Args, Debug)]
pub struct FlamegraphArguments {
    /// The profile, as `pronk record` wrote it
    pub profile: PathBuf,

    /// The SVG file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Merge the stacks from their leaves, to see who calls the hot functions
    #[arg(long)]
    pub reverse: bool,

    /// Tell frames of one function apart by the line that was being executed
    #[arg(long)]
    pub lines: bool,

    /// The title [default: the command that was profiled]
    #[arg(long)]
    pub title: Option<String>,

    /// How to set samples apart: a tower for each value.
    #[command(flatten)]
    pub grouping: Grouping,

    /// Which samples and frames to show.
    #[command(flatten)]
    pub selection: Selection,
}

/// `pronk timeline`
#[derive(Args, Debug)]
pub struct TimelineArguments {
    /// The profile, as `pronk record` wrote it
    pub profile: PathBuf,

    /// The SVG file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// How many values have a row of their own; the others share one
    #[arg(long, value_name = "N", default_value = "50")]
    pub top: NonZeroUsize,

    /// The title [default: the command that was profiled]
    #[arg(long)]
    pub title: Option<String>,

    /// How to set samples apart: a row for each value, those of tasks if nothing else is asked for.
    #[command(flatten)]
    pub grouping: Grouping,

    /// Which samples to show.
    #[command(flatten)]
    pub samples: Samples,
}

/// `pronk dump`
#[derive(Args, Debug)]
pub struct DumpArguments {
    /// The process
    #[arg(short, long, value_name = "PID", value_parser = pid)]
    pub pid: u32,

    /// Have native frames, too: those of libraries and extension modules
    #[arg(long, conflicts_with = "no_pause")]
    pub native: bool,

    /// Have the arguments and local variables of each Python frame
    #[arg(long)]
    pub locals: bool,

    /// Write JSON instead of text
    #[arg(long)]
    pub json: bool,

    /// Do not stop the process while it is read: what it changes meanwhile may be torn
    #[arg(long)]
    pub no_pause: bool,

    /// Say on stderr how long the process was stopped
    #[arg(short, long)]
    pub verbose: bool,
}

/// The longest duration: ten years, which every clock here can count.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|pid| (1..=i32::MAX as u32).contains(pid));
    pid.ok_or_else(|| "a process is named by its number, as `ps` shows it".to_owned())
}

/// Seconds, or another unit if there is one behind the number.
fn seconds(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = unit.unwrap_or((text, 1.0));
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
            Ok(Duration::from_secs_f64(seconds).max(Duration::from_nanos(1)))
        }
        _ => Err(format!(
            "a duration is a number of seconds above 0 and up to {MAX_SECONDS}, such as 2.5, or 90s, 5m, 1h"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn record(arguments: &[&str]) -> Result<RecordArguments, clap::Error> {
        let all = ["pronk", "record"].iter().chain(arguments);
        match Arguments::try_parse_from(all)?.verb {
            Verb::Record(arguments) => Ok(arguments),
            other => panic!("not record: {other:?}"),
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_command_is_taken_as_it_is() {
        let expected = ["python", "-c", "pass", "--", "-F", "0"];
        assert_eq!(record(&["--", "python", "-c", "pass", "--", "-F", "0"]).unwrap().sampling.command, expected);
        assert_eq!(record(&["-F", "9", "python", "-c", "pass", "--", "-F", "0"]).unwrap().sampling.command, expected);
        assert!(record(&["--"]).is_err());
        assert!(record(&[]).is_err());
    }

    #[test]
    fn frequencies_have_limits() {
        for good in ["1", "999", "20000"] {
            assert_eq!(record(&["-F", good, "--", "true"]).unwrap().sampling.frequency, good.parse::<u32>().unwrap());
        }
        for bad in ["0", "1.5", "99999999999999999999", "fast", ""] {
            let error = record(&["-F", bad, "--", "true"]).unwrap_err().to_string();
            assert!(
                error.contains("from 1 to 20000, with --engine perf to kernel.perf_event_max_sample_rate"),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_are_seconds_above_zero() {
        let duration = |text| record(&["--duration", text, "--", "true"]).map(|arguments| arguments.duration.unwrap());
        assert_eq!(duration("2.5").unwrap(), Duration::from_millis(2500));
        assert_eq!(duration("0.000000000001").unwrap(), Duration::from_nanos(1));
        for (text, seconds) in [("60s", 60), ("1.5m", 90), ("2h", 7200), ("3000ms", 3)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for bad in ["0", "0.0", "nan", "inf", "1e300", "2 s", "s", "-1m", ""] {
            assert!(duration(bad).unwrap_err().to_string().contains("seconds above 0"), "{bad}");
        }
    }

    #[test]
    fn report_sorts_one_way() {
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--self", "--total"]).is_err());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--calls", "--total"]).is_err());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--calls", "--by", "thread"]).is_err());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--top", "0"]).is_err());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--total", "--top", "5"]).is_ok());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--lines", "a.py", "--top", "5"]).is_err());
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--lines", "a.py", "--json"]).is_ok());
        for other in [&["--self"][..], &["--total"], &["--lines", "a.py"]] {
            let by = [&["pronk", "report", "p", "--by", "thread"], other].concat();
            assert!(Arguments::try_parse_from(by).is_err(), "{other:?}");
        }
    }
}
