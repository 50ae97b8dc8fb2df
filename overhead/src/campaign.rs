//! All measurements of one command: it and an empty script, plain and under each profiler.

use crate::choice::{Choice, Chosen, LeftOut};
use crate::interpreter::Python;
use crate::machine::Machine;
use crate::measure::{Outcome, Run, Runner, Words};
use crate::profilers::{Kind, Setting};
use crate::program::Program;
use crate::results::{Costs, statuses_of_plain};
use crate::rounds::{Plan, Trial, interleave};
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The version of [`Overheads`] as JSON.
const VERSION: u32 = 1;

/// Plain runs in each round: what they differ by is the noise.
const PLAIN: usize = 2;

/// What to measure.
#[derive(Debug)]
pub struct Campaign<'a> {
    /// The program.
    pub program: &'a Program,
    /// The profilers.
    pub choice: Choice,
    /// Runs under each of them that count.
    pub runs: usize,
    /// Samples per second.
    pub frequency: u32,
    /// pronk itself.
    pub pronk: &'a Path,
    /// What runs the program.
    pub runner: Runner,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// A run begins, in a round; the round 0 does not count.
    Run {
        /// The round.
        round: usize,
    },
    /// The first round has ended, and the rest will take so long.
    Estimated(Duration),
}

/// What all of it says.
#[derive(Debug, Serialize)]
pub struct Overheads {
    /// The version of this format.
    pub version: u32,
    /// The command.
    pub command: String,
    /// The Python that ran it, where there is one.
    pub python: Option<Python>,
    /// What it ran on.
    pub machine: Machine,
    /// Samples per second.
    pub frequency: u32,
    /// Runs under each profiler that were asked for.
    pub runs: usize,
    /// Rounds that ran to their ends.
    pub rounds: usize,
    /// Whether somebody asked to stop before all had run.
    pub interrupted: bool,
    /// The exit statuses of the plain runs.
    pub statuses: BTreeSet<u8>,
    /// One plain run of each round against the other: how much noise there is.
    pub plain: Costs,
    /// The plain runs of each round. What is compared is compared with the mean of its round's.
    pub plain_runs: Vec<Vec<Run>>,
    /// What ran.
    pub profilers: Vec<Measured>,
    /// What did not.
    pub left_out: Vec<LeftOut>,
}

/// A profiler, and what it cost.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// What it is called.
    pub name: &'static str,
    /// How it works.
    pub kind: Kind,
    /// Its version, where that is known.
    pub profiler_version: Option<String>,
    /// What it cost.
    #[serde(flatten)]
    pub costs: Costs,
}

/// A program, plain or under a profiler, and after each of its runs an empty script in the same way.
struct Runs<'a> {
    name: &'a str,
    program: Words,
    empty: Option<Words>,
    left: Option<fn(i32) -> PathBuf>,
    runner: &'a Runner,
}

impl Trial for Runs<'_> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn run(&self) -> Result<Outcome> {
        let mut outcome = self.runner.run(&self.program, self.left)?;
        let Outcome::Ran(run) = &mut outcome else { return Ok(outcome) };
        // What a profiler costs that has failed is not known, also if the program went well.
        if let Some(reason) = run.fault_around() {
            return Ok(Outcome::NotRun(reason));
        }
        let Some(empty) = &self.empty else { return Ok(outcome) };
        match self.runner.run(empty, self.left)? {
            Outcome::Ran(start) => run.startup = Some(start.target.wall),
            Outcome::NotRun(_) => {}
            Outcome::Interrupted => return Ok(Outcome::Interrupted),
        }
        Ok(outcome)
    }
}

impl Campaign<'_> {
    /// Measures, and tells how far it is.
    ///
    /// # Errors
    /// When the program does not run without a profiler, or the system refuses.
    pub fn measure(self, mut progress: impl FnMut(Progress)) -> Result<Overheads> {
        let machine = Machine::this();
        let place = tempfile::tempdir().context("no temporary directory for profiles")?;
        let empty = place.path().join("empty.py");
        std::fs::write(&empty, "")?;
        let empty = self.program.like_this(&empty);
        let mut left_out = self.choice.left_out.clone();

        let as_it_is = |program: &Program| Words { inside: program.words().to_vec(), ..Words::default() };
        let plain = Runs {
            name: "plain",
            program: as_it_is(self.program),
            empty: empty.as_ref().map(as_it_is),
            left: None,
            runner: &self.runner,
        };
        let mut others = Vec::new();
        for chosen in &self.choice.chosen {
            match self.under(chosen, empty.as_ref(), place.path()) {
                Ok(runs) => others.push((chosen, runs)),
                Err(reason) => left_out.push(LeftOut { name: chosen.profiler.name.to_owned(), reason }),
            }
        }
        let trials: Vec<&dyn Trial> = others.iter().map(|(_, runs)| runs as &dyn Trial).collect();
        let plan = Plan { rounds: self.runs, plain: PLAIN };
        let began = Instant::now();
        let rounds = interleave(&plain, &trials, plan, |round, name| match name {
            Some(_) => progress(Progress::Run { round }),
            None => {
                progress(Progress::Estimated(began.elapsed().saturating_mul(u32::try_from(plan.rounds).unwrap_or(0))))
            }
        })?;

        let mut profilers = Vec::new();
        for (index, (Chosen { profiler, version, .. }, _)) in others.iter().enumerate() {
            match &rounds.not_run[index] {
                Some(reason) => left_out.push(LeftOut { name: profiler.name.to_owned(), reason: reason.clone() }),
                None => profilers.push(Measured {
                    name: profiler.name,
                    kind: profiler.kind,
                    profiler_version: version.clone(),
                    costs: Costs::of_trial(index, &rounds),
                }),
            }
        }
        Ok(Overheads {
            version: VERSION,
            command: self.program.display(),
            python: self.program.python.as_ref().ok().map(|python| python.interpreter.python.clone()),
            machine,
            frequency: self.frequency,
            runs: self.runs,
            rounds: rounds.rounds.len(),
            interrupted: rounds.interrupted,
            statuses: statuses_of_plain(&rounds),
            plain: Costs::of_plain(&rounds),
            plain_runs: rounds.rounds.into_iter().map(|round| round.plain).collect(),
            profilers,
            left_out,
        })
    }

    /// The program under a profiler; or why that cannot be.
    fn under<'a>(&'a self, chosen: &Chosen, empty: Option<&Program>, place: &Path) -> Result<Runs<'a>, String> {
        let Chosen { profiler, executable, .. } = chosen;
        let setting = Setting { pronk: self.pronk, frequency: self.frequency, place, executable };
        Ok(Runs {
            name: profiler.name,
            program: (profiler.run)(self.program, &setting)?,
            empty: empty.map(|empty| (profiler.run)(empty, &setting)).transpose()?,
            left: profiler.left,
            runner: &self.runner,
        })
    }
}
