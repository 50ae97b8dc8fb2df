//! What pronk costs: a workload is run plain and under `pronk record`, in pairs.
//!
//! A pair is a round of [`pronk_overhead::rounds`] with one plain run and one other.

use crate::interpreter::Interpreter;
use crate::pronk::{Pronk, Recording};
use anyhow::{Context, Result, bail};
use pronk_overhead::interrupts::Interrupts;
use pronk_overhead::measure::{Outcome, Output, Run, Runner, Used, Words, display};
use pronk_overhead::rounds::{Plan, Round, Trial, interleave};
use pronk_overhead::statistics::{Estimate, Verdict};
use serde::Serialize;
use std::ffi::OsString;
use std::path::Path;

/// The examples, and the rounds that make each run for a few seconds.
pub const EXAMPLES: [(&str, u32); 4] =
    [("raytracer.py", 100), ("web_server.py", 1500), ("thread_pool.py", 400), ("log_pipeline.py", 50)];

/// A command to measure. It must do the same work each time.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is called in the results.
    pub name: String,
    /// The Python that runs it, where that is known.
    pub python: Option<String>,
    /// The command.
    pub command: Vec<OsString>,
}

impl Workload {
    /// The examples in a directory, with their rounds multiplied by `scale`.
    ///
    /// # Errors
    /// When an example is not there.
    pub fn examples(directory: &Path, interpreter: &Interpreter, scale: f64) -> Result<Vec<Workload>> {
        let example = |&(name, rounds): &(&str, u32)| {
            let script = directory.join(name);
            if !script.is_file() {
                bail!("there is no {}: name the directory of the examples with --examples PATH", script.display());
            }
            let rounds = (f64::from(rounds) * scale).ceil().max(1.0).to_string();
            let command = vec![interpreter.path.clone().into(), script.into(), "--rounds".into(), rounds.into()];
            Ok(Workload { name: name.to_owned(), python: Some(interpreter.python.version.clone()), command })
        };
        EXAMPLES.iter().map(example).collect()
    }
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
    /// Pairs that count.
    pub pairs: usize,
    /// A ratio of CPU time that is to be kept, such as 1.05.
    pub budget: Option<f64>,
}

/// Two runs, one plain and one under pronk.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pair {
    /// The run without pronk.
    pub plain: Used,
    /// The target's run under pronk, without what pronk itself used.
    pub profiled: Used,
    /// CPU time of the plain run, in seconds, with what starts it.
    pub plain_total_cpu: f64,
    /// CPU time of target and pronk together, in seconds.
    pub profiled_total_cpu: f64,
    /// Whether the plain run was the first.
    pub plain_first: bool,
}

/// What was measured of a workload. Ratios are profiled to plain.
#[derive(Clone, Debug, Serialize)]
pub struct Overhead {
    /// The workload.
    pub name: String,
    /// The Python that ran it.
    pub python: Option<String>,
    /// The pairs, in the order in which they ran.
    pub pairs: Vec<Pair>,
    /// The ratio of the target's time on the clock.
    pub wall: Estimate,
    /// The ratio of the target's CPU time.
    pub cpu: Estimate,
    /// The ratio of the CPU time of everything, pronk included.
    pub total_cpu: Estimate,
    /// Whether the target's CPU time is told from that without pronk.
    pub cpu_against_none: Verdict,
    /// Whether the target's CPU time keeps the budget, if there is one.
    pub cpu_against_budget: Option<Verdict>,
    /// Whether each pair wrote the same to stdout.
    pub same_output: bool,
}

/// A command, plain or under pronk.
struct Runs<'a> {
    name: &'a str,
    words: Words,
    runner: &'a Runner,
}

impl Trial for Runs<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn run(&self) -> Result<Outcome> {
        let outcome = self.runner.run(&self.words, None)?;
        match &outcome {
            Outcome::Ran(run) if run.status != 0 || run.status_around != 0 => {
                let status = run.status.max(run.status_around);
                bail!("{}: {} ended with exit status: {status}: {}", self.name, display(&self.words.inside), run.said)
            }
            Outcome::Ran(_) => Ok(outcome),
            Outcome::NotRun(reason) => bail!("{}: {} was not run: {reason}", self.name, display(&self.words.inside)),
            Outcome::Interrupted => bail!("somebody asked to stop"),
        }
    }
}

/// Measures a workload, and says on stderr how far it is.
///
/// # Errors
/// When a run fails, or takes no time that can be measured.
pub fn measure(workload: &Workload, settings: &Settings<'_>) -> Result<Overhead> {
    let directory = tempfile::tempdir().context("no temporary directory for profiles")?;
    let profile = directory.path().join("overhead.pronk");
    let recording = Recording { output: &profile, frequency: settings.frequency, options: settings.options };
    let own = std::env::current_exe().context("the path of pronk-bench is not known")?;
    let runner =
        Runner { helper: vec![own.into(), "measure".into()], output: Output::Kept, interrupts: Interrupts::heed()? };
    let runs = |name, around| {
        let words = Words { around, inside: workload.command.clone(), ..Words::default() };
        Runs { name, words, runner: &runner }
    };
    let (plain, under) = (runs("plain", Vec::new()), runs("under pronk", settings.pronk.record(&recording)));
    let plan = Plan { rounds: settings.pairs, plain: 1 };
    let mut round_said = None;
    let rounds = interleave(&plain, &[&under], plan, |round, _| {
        if round_said.replace(round) != Some(round) {
            eprintln!("{}: pair {round} of {}", workload.name, settings.pairs);
        }
    })?;
    let pairs: Vec<(&Run, &Run, bool)> = rounds.rounds.iter().filter_map(runs_of).collect();
    let same_output = pairs.iter().all(|(plain, profiled, _)| plain.stdout == profiled.stdout);
    evaluate(workload, pairs.into_iter().map(pair).collect(), same_output, settings.budget)
}

fn runs_of(round: &Round) -> Option<(&Run, &Run, bool)> {
    Some((round.plain.first()?, round.others.first()?.as_ref()?, round.plain_first))
}

fn pair((plain, profiled, plain_first): (&Run, &Run, bool)) -> Pair {
    Pair {
        plain: plain.target,
        profiled: profiled.target,
        plain_total_cpu: plain.total_cpu,
        profiled_total_cpu: profiled.total_cpu,
        plain_first,
    }
}

fn evaluate(workload: &Workload, pairs: Vec<Pair>, same_output: bool, budget: Option<f64>) -> Result<Overhead> {
    let estimate = |what: &str, ratio: fn(&Pair) -> f64| {
        let ratios: Vec<f64> = pairs.iter().map(ratio).collect();
        Estimate::of(&ratios).with_context(|| format!("{}: {what} is too short to be measured", workload.name))
    };
    let wall = estimate("the time on the clock", |pair| pair.profiled.wall / pair.plain.wall)?;
    let cpu = estimate("the CPU time", |pair| pair.profiled.cpu / pair.plain.cpu)?;
    let total_cpu = estimate("the CPU time", |pair| pair.profiled_total_cpu / pair.plain_total_cpu)?;
    Ok(Overhead {
        name: workload.name.clone(),
        python: workload.python.clone(),
        wall,
        cpu,
        total_cpu,
        cpu_against_none: cpu.compared_with(1.0),
        cpu_against_budget: budget.map(|budget| cpu.compared_with(budget)),
        pairs,
        same_output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload { name: "w".into(), python: None, command: vec!["true".into()] }
    }

    fn pair(plain: f64, profiled: f64) -> Pair {
        Pair {
            plain: Used { wall: plain * 2.0, cpu: plain, memory_kib: None },
            profiled: Used { wall: profiled * 3.0, cpu: profiled, memory_kib: None },
            plain_total_cpu: plain,
            profiled_total_cpu: profiled + 0.5 * plain,
            plain_first: true,
        }
    }

    #[test]
    fn each_ratio_is_the_median_of_the_pairs_ratios() {
        // The ratios are 1.1, 1.2, 1.3; the medians of the times themselves would give 2.4 / 1.
        let pairs = vec![pair(1.0, 1.1), pair(2.0, 2.4), pair(10.0, 13.0)];
        let overhead = evaluate(&workload(), pairs, true, None).expect("an evaluation");
        assert!((overhead.cpu.median - 1.2).abs() < 1e-12);
        assert!((overhead.wall.median - 1.8).abs() < 1e-12);
        assert!((overhead.total_cpu.median - 1.7).abs() < 1e-12);
        assert_eq!(overhead.cpu_against_none, Verdict::Undecided, "three pairs decide nothing");
    }

    #[test]
    fn the_budget_is_compared_with_the_whole_interval() {
        let pairs = || (0..6).map(|i| pair(1.0, 1.02 + f64::from(i) * 0.01)).collect::<Vec<_>>();
        let against = |budget| evaluate(&workload(), pairs(), true, Some(budget)).expect("works").cpu_against_budget;
        assert_eq!(against(1.10), Some(Verdict::Below));
        assert_eq!(against(1.05), Some(Verdict::Undecided));
        assert_eq!(against(1.01), Some(Verdict::Above));
    }

    #[test]
    fn no_time_is_no_result() {
        let error = evaluate(&workload(), vec![pair(0.0, 0.0)], true, None).expect_err("0 / 0").to_string();
        assert!(error.contains("too short"), "{error}");
    }
}
