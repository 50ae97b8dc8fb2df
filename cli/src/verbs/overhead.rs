//! `pronk overhead`: what profilers cost a command, and pronk among them.

use crate::agent;
use crate::args::{MeasureArguments, OverheadArguments, StubsArguments};
use crate::ending::Ending;
use crate::export::{Format, OverheadSvg, OverheadTable};
use crate::messages::say;
use crate::output::{Existing, Output};
use anyhow::{Context, Result, bail};
use pronk_overhead::campaign::{Campaign, Overheads, Progress};
use pronk_overhead::choice::Choice;
use pronk_overhead::interrupts::Interrupts;
use pronk_overhead::measure::{self, Runner};
use pronk_overhead::program::Program;
use pronk_sampler::{SessionDirectory, with_stubs_only};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// The name by which all profilers are asked for.
const ALL: &str = "all";

/// The exit status after Ctrl-C, as a shell gives it.
const INTERRUPTED: u8 = 130;

/// Measures, and prints and writes what that says.
///
/// # Errors
/// When the command does not run without a profiler, a profiler that is named is not there, or a file cannot be written.
pub fn run(arguments: OverheadArguments) -> Result<Ending> {
    let files = Files::of(&arguments)?;
    let program = Program::of(&arguments.command);
    let names = arguments.profilers.as_slice();
    let names = (!names.is_empty() && names.iter().all(|name| name != ALL)).then_some(names);
    let choice = Choice::of(&program, names)?;
    let pronk = std::env::current_exe().context("the path of pronk itself is not known")?;
    let runner = Runner {
        helper: vec![pronk.clone().into(), "measure".into()],
        output: if arguments.show_output { measure::Output::Shown } else { measure::Output::Discarded },
        interrupts: Interrupts::heed()?,
    };
    let runs = usize::from(arguments.runs);
    let campaign = Campaign { program: &program, choice, runs, frequency: arguments.frequency, pronk: &pronk, runner };
    say!("first a round that does not count, to see what runs and how long it takes");
    let mut round_said = 0;
    let overheads = campaign.measure(|progress| match progress {
        Progress::Run { round } if round > round_said => {
            round_said = round;
            say!("round {round} of {runs}");
        }
        Progress::Run { .. } => {}
        Progress::Estimated(rest) => say!("the rest will take about {}; Ctrl-C ends it", in_words(rest)),
    })?;
    if overheads.rounds == 0 {
        say!("no round has run to its end, so there is nothing to say");
        return Ok(Ending::Status(INTERRUPTED));
    }
    files.write(&overheads)?;
    let mut stdout = io::stdout().lock();
    OverheadTable.write(&overheads, &mut stdout)?;
    stdout.flush()?;
    Ok(Ending::Status(if overheads.interrupted { INTERRUPTED } else { 0 }))
}

/// Runs a command with stubs and no samples.
///
/// # Errors
/// When the command was not run.
pub fn with_stubs(arguments: &StubsArguments) -> Result<Ending> {
    let directory = SessionDirectory::create(agent::LIBRARY)?;
    let status = with_stubs_only(&arguments.command, &directory).status();
    Ok(Ending::LikeProgram(status.with_context(|| format!("cannot run {}", measure::display(&arguments.command)))?))
}

/// Runs a command, and writes what it used.
///
/// # Errors
/// When the command was not run, or the file cannot be written.
pub fn measure(arguments: &MeasureArguments) -> Result<Ending> {
    measure::helper(&arguments.to, &arguments.command).map(Ending::Status)
}

/// The files to write.
#[derive(Debug)]
struct Files {
    svg: Option<Output<()>>,
    json: Option<Output<()>>,
}

impl Files {
    fn of(arguments: &OverheadArguments) -> Result<Files> {
        let output = |path: &Path| Output::new(path, (), Existing::Replace);
        if let Some(path) = &arguments.output
            && Format::of(path) != Some(Format::Svg)
        {
            bail!("a chart is an SVG file, so -o takes a name that ends in .svg, not {}", path.display());
        }
        Ok(Files {
            svg: arguments.output.as_deref().map(output).transpose()?,
            json: arguments.json.as_deref().map(output).transpose()?,
        })
    }

    fn write(&self, overheads: &Overheads) -> Result<()> {
        if let Some(svg) = &self.svg {
            let written = svg.write(|file| OverheadSvg.write(overheads, file))?;
            say!("chart  {}", written.path.display());
        }
        if let Some(json) = &self.json {
            let written = json.write(|file| {
                serde_json::to_writer_pretty(&mut *file, overheads)?;
                writeln!(file)
            })?;
            say!("data   {}", written.path.display());
        }
        Ok(())
    }
}

/// A time, as somebody who waits wants to know it.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..100 => format!("{} s", seconds + 1),
        seconds @ 100..6_000 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_units_that_fit() {
        let words = [3, 99, 100, 5_999, 6_000].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(words, ["4 s", "100 s", "2 min", "100 min", "1.7 h"]);
    }
}
