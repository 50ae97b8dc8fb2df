//! What can be asked for on the command line.

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Measures what pronk costs and how right it is.
#[derive(Debug, Parser)]
#[command(name = "pronk-bench", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command, or the examples, plain and under pronk, in pairs, and estimate what pronk costs
    Overhead(OverheadArguments),
    /// Profile the program whose answer is known, with each interpreter, and compare
    Accuracy(AccuracyArguments),
    /// Profile the examples, and recursions of 20 and 20,000 levels: which samples are lost, and what each takes
    Sampling(SamplingArguments),
    /// Run a command and write the time that it used to a file
    #[command(hide = true)]
    Measure(MeasureArguments),
}

/// What all measurements need.
#[derive(Args, Debug)]
pub struct Common {
    /// The pronk to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub pronk: Option<PathBuf>,

    /// Samples per second of CPU time
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 999)]
    pub frequency: u32,

    /// A further option for `pronk record`, such as --option=--native=all; may be repeated
    #[arg(long = "option", value_name = "OPTION", allow_hyphen_values = true)]
    pub options: Vec<OsString>,

    /// Where the examples are
    #[arg(long, value_name = "DIRECTORY", default_value = "examples")]
    pub examples: PathBuf,

    /// Where to write: a directory is made in it for each measurement
    #[arg(short, long, value_name = "DIRECTORY", default_value = "bench/runs")]
    pub output: PathBuf,
}

/// `pronk-bench overhead`
#[derive(Args, Debug)]
pub struct OverheadArguments {
    /// What all measurements need.
    #[command(flatten)]
    pub common: Common,

    /// Pairs of runs for each workload; fewer than 6 give no interval
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    pub pairs: u16,

    /// The CPU time that the target may use more, in percent: says whether that is kept
    #[arg(long, value_name = "PERCENT")]
    pub budget: Option<f64>,

    /// The Python that runs the examples [default: the newest that is found]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,

    /// Multiplies the work of the examples
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,

    /// A command to measure instead of the examples; it must do the same work each time
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `pronk-bench accuracy`
#[derive(Args, Debug)]
pub struct AccuracyArguments {
    /// What all measurements need.
    #[command(flatten)]
    pub common: Common,

    /// CPU time of each run
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
}

/// `pronk-bench sampling`
#[derive(Args, Debug)]
pub struct SamplingArguments {
    /// What all measurements need.
    #[command(flatten)]
    pub common: Common,

    /// How long each program runs
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,

    /// The Python that runs them [default: the newest that is found]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
}

/// `pronk-bench measure`
#[derive(Args, Debug)]
pub struct MeasureArguments {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub to: PathBuf,

    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
