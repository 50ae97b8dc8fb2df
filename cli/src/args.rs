//! What can be asked for on the command line, with the limits of each value.

mod selection;

pub use selection::{Grouping, Samples, Selection};

use clap::{Args, Parser, Subcommand, ValueEnum};
use pronk_sampler::{EngineChoice, LabelArgument, LabelVariable};
use pronk_symbolizer::profile::{self, NativeFrames};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// A sampling profiler for CPython in which every Python function runs through a native stub of its own.
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
    /// Print the functions of a profile, with their own samples and those of what they called
    Report(ReportArguments),
    /// Draw a profile as a flamegraph
    Flamegraph(FlamegraphArguments),
    /// Draw which task, thread, process or label ran when
    Timeline(TimelineArguments),
    /// Print what each thread and each task of a process that runs is doing now, also if it hangs
    Dump(DumpArguments),
    /// Say what this machine permits, and what to do about the rest
    Doctor,
}

const RECORD_HELP: &str = "\
The command keeps its stdin, stdout, stderr and signals, and pronk ends as the command ended:
with its exit status, or by the same signal. If the command could not be run, the status is 127
when there is no such command, 126 when it cannot be executed, and 2 for any other reason.";

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

    /// Samples per second of what --mode says, for each thread
    #[arg(short = 'F', long, value_name = "HZ", default_value = "999", value_parser = frequency)]
    pub frequency: u32,

    /// Which moments of a thread are sampled
    #[arg(long, value_enum, default_value_t = Mode::Cpu)]
    pub mode: Mode,

    /// Profile this process, which runs already, until Ctrl-C, or as long as --duration says
    #[arg(short, long, value_name = "PID", conflicts_with = "command", value_parser = pid)]
    pub pid: Option<u32>,

    /// Stop sampling after this time; the command goes on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,

    /// Native frames to show in flamegraphs and collapsed stacks
    #[arg(long, value_enum, default_value_t = Native::Extensions)]
    pub native: Native,

    /// Tell frames of one function apart by the line that was being executed, in what is drawn
    #[arg(long)]
    pub lines: bool,

    /// How to set samples apart, in what is drawn.
    #[command(flatten)]
    pub grouping: Grouping,

    /// How samples are taken
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,

    /// Have the kernel's part of each stack, where that is permitted (perf has it anyway)
    #[arg(long)]
    pub kernel: bool,

    /// Record what awaits each task of asyncio, and put tasks on top of it, in what is drawn (needs the signal engine)
    #[arg(long)]
    pub await_chains: bool,

    /// When functions run through their stubs
    #[arg(long, value_enum, default_value_t = Stubs::Auto)]
    pub stubs: Stubs,

    /// Have the value of this context variable as a label (KEY=MODULE.NAME names the label); may be repeated
    #[arg(long, value_name = "MODULE.NAME")]
    pub label_var: Vec<LabelVariable>,

    /// Have this argument of a function, or an attribute of it (FUNCTION:ARGUMENT.ATTRIBUTE), as a label of what the function
    /// does; may be repeated
    #[arg(long, value_name = "MODULE.FUNCTION:ARGUMENT")]
    pub label_arg: Vec<LabelArgument>,

    /// Have the name and the trace id of the current span of OpenTelemetry as labels: span and trace
    #[arg(long)]
    pub label_otel: bool,

    /// The command to run, and its arguments
    #[arg(
        required_unless_present = "pid",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// `pronk report`
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// The profile, as `pronk record` wrote it
    pub profile: PathBuf,

    /// Print a source file with the share of each line beside it, instead of functions
    #[arg(long, value_name = "FILE", conflicts_with_all = ["top", "by_self", "total", "by"])]
    pub lines: Option<PathBuf>,

    /// How many functions, or values with --by [default: 20 in the table, all with --json]
    #[arg(long, value_name = "N")]
    pub top: Option<NonZeroUsize>,

    /// Sort by the samples in the function itself (the default)
    #[arg(long = "self", conflicts_with_all = ["total", "by"])]
    pub by_self: bool,

    /// Sort by the samples in the function and in what it called
    #[arg(long, conflicts_with = "by")]
    pub total: bool,

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

/// Which native frames to show. Python frames are always shown.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Native {
    /// None
    Python,
    /// Those of extension modules, libraries and the kernel, without the interpreter's own machinery
    Extensions,
    /// All
    All,
}

impl From<Native> for NativeFrames {
    fn from(native: Native) -> Self {
        match native {
            Native::Python => NativeFrames::Python,
            Native::Extensions => NativeFrames::Extensions,
            Native::All => NativeFrames::All,
        }
    }
}

/// How samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The best that this machine permits: signal, driven by perf events or by timers
    Auto,
    /// By the kernel, from outside the program
    Perf,
    /// By a signal handler in the program
    Signal,
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Perf => EngineChoice::Perf,
            Engine::Signal => EngineChoice::Signal,
        }
    }
}

/// Which moments of a thread are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Those in which it is on a processor
    Cpu,
    /// All, waiting included (needs the signal engine)
    Wall,
    /// Those in which it holds the interpreter's lock (needs the signal engine)
    Gil,
}

impl From<Mode> for pronk_sampler::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Cpu => pronk_sampler::Mode::Cpu,
            Mode::Wall => pronk_sampler::Mode::Wall,
            Mode::Gil => pronk_sampler::Mode::Gil,
        }
    }
}

impl From<Mode> for profile::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Cpu => profile::Mode::Cpu,
            Mode::Wall => profile::Mode::Wall,
            Mode::Gil => profile::Mode::Gil,
        }
    }
}

/// When functions run through their stubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stubs {
    /// As the engine needs it: full with perf; with signal on CPython 3.9 and 3.10 only
    Auto,
    /// Always
    Full,
    /// In short windows, so that they cost less (not there yet)
    Windowed,
    /// Never (needs the signal engine)
    Off,
}

fn frequency(text: &str) -> Result<u32, String> {
    // The engines' limits are the sampler's to check: it names them and their values.
    text.parse().ok().filter(|hz| *hz > 0).ok_or_else(|| {
        "a frequency is a whole number of samples per second, from 1 to 20000, with --engine perf to \
         kernel.perf_event_max_sample_rate"
            .to_owned()
    })
}

/// The longest duration: ten years, which every clock here can count.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|pid| (1..=i32::MAX as u32).contains(pid));
    pid.ok_or_else(|| "a process is named by its number, as `ps` shows it".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
            Ok(Duration::from_secs_f64(seconds).max(Duration::from_nanos(1)))
        }
        _ => Err(format!("a duration is a number of seconds above 0 and up to {MAX_SECONDS}, such as 2.5")),
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
        assert_eq!(record(&["--", "python", "-c", "pass", "--", "-F", "0"]).unwrap().command, expected);
        assert_eq!(record(&["-F", "9", "python", "-c", "pass", "--", "-F", "0"]).unwrap().command, expected);
        assert!(record(&["--"]).is_err());
        assert!(record(&[]).is_err());
    }

    #[test]
    fn frequencies_have_limits() {
        for good in ["1", "999", "20000"] {
            assert_eq!(record(&["-F", good, "--", "true"]).unwrap().frequency, good.parse::<u32>().unwrap());
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
        for bad in ["0", "0.0", "nan", "inf", "1e300", "2 s", ""] {
            assert!(duration(bad).unwrap_err().to_string().contains("seconds above 0"), "{bad}");
        }
    }

    #[test]
    fn report_sorts_one_way() {
        assert!(Arguments::try_parse_from(["pronk", "report", "p", "--self", "--total"]).is_err());
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
