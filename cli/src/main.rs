//! The `pronk` command: parse, resolve options, run, export.

mod agent;
mod args;
mod ending;
mod export;
mod messages;
mod output;
mod verbs;

use args::{Arguments, Verb};
use clap::Parser;
use messages::say;
use std::process::ExitCode;

/// The exit status when nothing was run because pronk was asked for what it cannot do, as clap has it too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Arguments { verb } = Arguments::parse();
    let (result, status) = match verb {
        Verb::Record(arguments) => (verbs::record::run(arguments), USAGE),
        Verb::Top(arguments) => (verbs::top::run(arguments), USAGE),
        Verb::Report(arguments) => (verbs::report::run(arguments), 1),
        Verb::Flamegraph(arguments) => (verbs::flamegraph::run(arguments), 1),
        Verb::Timeline(arguments) => (verbs::timeline::run(arguments), 1),
        Verb::Dump(arguments) => (verbs::dump::run(arguments), 1),
        Verb::Overhead(arguments) => (verbs::overhead::run(arguments), USAGE),
        Verb::Doctor => (verbs::doctor::run(), 1),
        Verb::Stubs(arguments) => (verbs::overhead::with_stubs(&arguments), USAGE),
        Verb::Measure(arguments) => (verbs::overhead::measure(&arguments), USAGE),
    };
    match result {
        Ok(ending) => ending.take(),
        Err(error) if messages::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say!("{}", messages::describe(&error));
            ExitCode::from(messages::status_of(&error).unwrap_or(status))
        }
    }
}
