//! `pronk overhead`, and what it runs itself by.

use super::sampling::frequency;
use clap::Args;
use pronk_overhead::profilers::ALL;
use std::ffi::OsString;
use std::path::PathBuf;

/// What else there is to say.
pub fn help() -> String {
    let names: Vec<&str> = ALL.iter().map(|profiler| profiler.name).collect();
    let lines: Vec<String> = names.chunks(8).map(|line| line.join(", ")).collect();
    format!("{HELP}\n\nProfilers (stubs are pronk's, with nothing sampled):\n  {}", lines.join(",\n  "))
}

const HELP: &str = "\
The command is run many times: it must do the same work each time, and end. Its stdin is empty, and what
it writes goes nowhere unless --show-output is given. A table goes to stdout. Ctrl-C ends the run that goes
on, and prints what was measured so far; pressed again, it kills a program that does not want to end.";

/// `pronk overhead`
#[derive(Args, Debug)]
pub struct OverheadArguments {
    /// The profilers, by name [default: all that are there]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub profilers: Vec<String>,

    /// Runs under each profiler; with fewer than 6 there is no interval
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,

    /// Samples per second that each sampler is asked for
    #[arg(short = 'F', long, value_name = "HZ", default_value = "999", value_parser = frequency)]
    pub frequency: u32,

    /// Draw a bar chart, with the intervals
    #[arg(short, long, value_name = "FILE.svg")]
    pub output: Option<PathBuf>,

    /// Write all that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show on stderr what the command writes
    #[arg(long)]
    pub show_output: bool,

    /// The command to run, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `pronk stubs`
#[derive(Args, Debug)]
pub struct StubsArguments {
    /// The command to run, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `pronk measure`
#[derive(Args, Debug)]
pub struct MeasureArguments {
    /// The file to write
    #[arg(value_name = "FILE")]
    pub to: PathBuf,

    /// The command to run, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
