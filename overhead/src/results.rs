//! What runs say: for each profiler the ratios to the plain runs of the same round, as far as they can be told.

use crate::measure::Run;
use crate::rounds::{Round, Rounds};
use crate::statistics::{Estimate, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;

/// An estimate, and what its interval says of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The estimate.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Whether it is more or less than that of the plain runs.
    pub against_plain: Verdict,
}

/// What was measured of a program under one profiler. Ratios are to plain runs; `None` is what could not be measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Costs {
    /// Runs that were compared.
    pub runs: usize,
    /// The ratio of the target's time on the clock.
    pub wall: Option<Compared>,
    /// The ratio of the target's CPU time.
    pub cpu: Option<Compared>,
    /// The ratio of the CPU time of all processes, the profiler's included.
    pub total_cpu: Option<Compared>,
    /// The ratio of the target's peak memory.
    pub memory: Option<Compared>,
    /// How much longer the interpreter takes to start and end, in seconds, when it runs an empty script.
    pub startup_seconds: Option<Compared>,
    /// The target's exit statuses, where they are not those of the plain runs.
    pub other_statuses: BTreeSet<u8>,
    /// The last thing that was said in such a run, if anything was.
    pub said_then: Option<String>,
    /// Why runs failed that were to be compared.
    pub failed: Vec<String>,
    /// What was measured in each run that was compared.
    pub measured: Vec<Run>,
}

/// A quantity of a run, if it has it.
type Quantity = fn(&Run) -> Option<f64>;

const WALL: Quantity = |run| Some(run.target.wall);
const CPU: Quantity = |run| Some(run.target.cpu);
const TOTAL_CPU: Quantity = |run| Some(run.total_cpu);
const STARTUP: Quantity = |run| run.startup;
const MEMORY: Quantity = |run| run.target.memory_kib.map(|kib| kib as f64);

/// A run, and the plain runs of its round.
struct Compare<'r> {
    run: &'r Run,
    plain: Vec<&'r Run>,
}

impl Compare<'_> {
    /// The run's quantity and the plain ones' mean.
    fn values(&self, quantity: Quantity) -> Option<(f64, f64)> {
        let plain: Option<Vec<f64>> = self.plain.iter().map(|run| quantity(run)).collect();
        let plain = plain.filter(|plain| !plain.is_empty())?;
        Some((quantity(self.run)?, plain.iter().sum::<f64>() / plain.len() as f64))
    }
}

fn ratio(compares: &[Compare<'_>], quantity: Quantity) -> Option<Compared> {
    compared(compares, 1.0, |compare| compare.values(quantity).map(|(run, plain)| run / plain))
}

fn compared<'r>(compares: &[Compare<'r>], none: f64, of: impl Fn(&Compare<'r>) -> Option<f64>) -> Option<Compared> {
    let values: Option<Vec<f64>> = compares.iter().map(of).collect();
    let estimate = Estimate::of(&values?)?;
    Some(Compared { estimate, against_plain: estimate.compared_with(none) })
}

impl Costs {
    /// What the runs of a trial cost.
    pub fn of_trial(index: usize, rounds: &Rounds) -> Costs {
        let of = |round: &Round| round.others.get(index)?.clone();
        let failed = rounds.failed.get(index).cloned().unwrap_or_default();
        Costs { failed, ..Costs::of(rounds, of, |round| round.plain.iter().collect()) }
    }

    /// What one plain run costs against another: how much noise there is.
    pub fn of_plain(rounds: &Rounds) -> Costs {
        let of = |round: &Round| round.plain.get(1).cloned();
        Costs::of(rounds, of, |round| round.plain.iter().take(1).collect())
    }

    fn of(rounds: &Rounds, of: impl Fn(&Round) -> Option<Run>, plain: impl Fn(&Round) -> Vec<&Run>) -> Costs {
        let plain_statuses = statuses_of_plain(rounds);
        let runs: Vec<(Run, &Round)> = rounds.rounds.iter().filter_map(|round| Some((of(round)?, round))).collect();
        let (same, other): (Vec<_>, Vec<_>) = runs.iter().partition(|(run, _)| plain_statuses.contains(&run.status));
        let compares: Vec<_> = same.iter().map(|(run, round)| Compare { run, plain: plain(round) }).collect();
        Costs {
            runs: compares.len(),
            wall: ratio(&compares, WALL),
            cpu: ratio(&compares, CPU),
            total_cpu: ratio(&compares, TOTAL_CPU),
            memory: ratio(&compares, MEMORY),
            startup_seconds: compared(&compares, 0.0, |compare| {
                compare.values(STARTUP).map(|(run, plain)| run - plain)
            }),
            other_statuses: other.iter().map(|(run, _)| run.status).collect(),
            said_then: other.last().map(|(run, _)| run.said.clone()).filter(|said| !said.is_empty()),
            failed: Vec::new(),
            measured: same.iter().map(|(run, _)| run.clone()).collect(),
        }
    }
}

/// The exit statuses of the plain runs: one, if the program does the same each time.
pub fn statuses_of_plain(rounds: &Rounds) -> BTreeSet<u8> {
    rounds.rounds.iter().flat_map(|round| &round.plain).map(|run| run.status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Used;

    fn run(cpu: f64, status: u8) -> Run {
        let target = Used { wall: 2.0 * cpu, cpu, memory_kib: Some(1000) };
        Run {
            target,
            total_cpu: cpu + 1.0,
            status,
            status_around: status,
            startup: Some(2.0 * cpu),
            said: if status == 0 { String::new() } else { format!("error: {status}") },
            stdout: Vec::new(),
        }
    }

    fn rounds(rounds: &[(f64, f64, f64, u8)]) -> Rounds {
        let round = |&(a, b, other, status): &(f64, f64, f64, u8)| Round {
            plain: vec![run(a, 0), run(b, 0)],
            others: vec![Some(run(other, status))],
            plain_first: true,
        };
        Rounds { rounds: rounds.iter().map(round).collect(), ..Rounds::default() }
    }

    #[test]
    fn each_ratio_is_to_the_plain_runs_of_its_round() {
        // The ratios are 1.1, 1.2, 1.3; the medians of the times themselves would give 2.4 / 1.
        let all = rounds(&[(0.9, 1.1, 1.1, 0), (2.0, 2.0, 2.4, 0), (8.0, 12.0, 13.0, 0)]);
        let costs = Costs::of_trial(0, &all);
        let median = |compared: Option<Compared>| compared.expect("it is measured").estimate.median;
        assert!((median(costs.cpu) - 1.2).abs() < 1e-12 && (median(costs.wall) - 1.2).abs() < 1e-12);
        assert!((median(costs.total_cpu) - 3.4 / 3.0).abs() < 1e-12);
        assert_eq!(median(costs.memory), 1.0);
        assert_eq!(costs.cpu.expect("it is measured").against_plain, Verdict::Undecided, "three rounds decide nothing");
        assert_eq!(costs.runs, 3);
        let noise = Costs::of_plain(&all);
        assert!((median(noise.cpu) - 1.1 / 0.9).abs() < 1e-12);
    }

    #[test]
    fn an_interval_that_is_all_above_the_plain_runs_is_a_verdict() {
        let all = rounds(&[(1.0, 1.0, 1.1, 0); 6]);
        let costs = Costs::of_trial(0, &all);
        assert_eq!(costs.cpu.expect("it is measured").against_plain, Verdict::Above);
        assert_eq!(costs.memory.expect("it is measured").against_plain, Verdict::Undecided);
        let startup = costs.startup_seconds.expect("it is measured");
        assert!((startup.estimate.median - 0.2).abs() < 1e-12 && startup.against_plain == Verdict::Above);
    }

    #[test]
    fn a_run_with_another_status_is_not_compared() {
        let costs = Costs::of_trial(0, &rounds(&[(1.0, 1.0, 1.1, 0), (1.0, 1.0, 99.0, 3)]));
        assert_eq!((costs.runs, costs.other_statuses), (1, BTreeSet::from([3])));
        assert_eq!(costs.said_then.as_deref(), Some("error: 3"));
        assert!(costs.cpu.expect("it is measured").estimate.median < 1.2);
        let never = Costs::of_trial(0, &rounds(&[(1.0, 1.0, 99.0, 3)]));
        assert_eq!((never.runs, never.cpu), (0, None));
    }

    #[test]
    fn no_time_is_no_result() {
        let all = rounds(&[(0.0, 0.0, 0.0, 0); 6]);
        assert_eq!(Costs::of_trial(0, &all).cpu, None);
    }
}
