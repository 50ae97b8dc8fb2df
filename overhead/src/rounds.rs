//! Runs that are to be compared, interleaved.
//!
//! Each round runs everything once, the plain program twice or once, in an order that is another one in each round: what changes
//! slowly on a machine (heat, other load) falls on all alike. What is compared is of one round. A first round warms up the
//! caches, shows what does not run at all and how long a round takes, and does not count.

use crate::measure::{Outcome, Run};
use anyhow::Result;

/// Something that can be run again and again, such as a program under a profiler.
pub trait Trial {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Runs it once.
    ///
    /// # Errors
    /// When something fails that has nothing to do with what is run.
    fn run(&self) -> Result<Outcome>;
}

/// How many runs there are.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds that count.
    pub rounds: usize,
    /// Plain runs in each: with two of them, what they differ by shows the noise.
    pub plain: usize,
}

/// One round: what ran of it.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// The plain runs, in the order of their names and not of the time.
    pub plain: Vec<Run>,
    /// The others, in the order of the trials.
    pub others: Vec<Option<Run>>,
    /// Whether the first plain run was before the first of the others.
    pub plain_first: bool,
}

/// All that was run.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// The rounds that count, to their ends.
    pub rounds: Vec<Round>,
    /// For each trial why it does not run, if it did not in the first round.
    pub not_run: Vec<Option<String>>,
    /// For each trial why runs of later rounds failed.
    pub failed: Vec<Vec<String>>,
    /// Whether somebody asked to stop.
    pub interrupted: bool,
}

/// A place in the order of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Plain(usize),
    Other(usize),
}

/// The order of a round: the plain runs stand apart from each other; each round begins at another place, and every second one
/// goes backwards.
fn order(round: usize, others: usize, plain: usize) -> Vec<Slot> {
    let every = others.div_ceil(plain).max(1);
    let mut slots = Vec::new();
    for number in 0..plain {
        slots.push(Slot::Plain(number));
        slots.extend((number * every..((number + 1) * every).min(others)).map(Slot::Other));
    }
    if plain > 1 {
        let length = slots.len();
        // A step that shares no factor with most lengths, so that all places are begun at before one is again.
        slots.rotate_left(round / 2 * 5 % length);
    }
    if round.is_multiple_of(2) {
        slots.reverse();
    }
    slots
}

/// Runs what is plain and the others. `progress` is told before each run, with the number of the round, which is 0 for the first
/// one, and the name; and when the first round has ended, with nothing.
///
/// # Errors
/// When something fails that has nothing to do with what is run, or the plain program does not run.
pub fn interleave(
    plain: &dyn Trial,
    others: &[&dyn Trial],
    plan: Plan,
    mut progress: impl FnMut(usize, Option<&str>),
) -> Result<Rounds> {
    let mut all =
        Rounds { not_run: vec![None; others.len()], failed: vec![Vec::new(); others.len()], ..Rounds::default() };
    for number in 0..=plan.rounds {
        let mut round = Round { others: vec![None; others.len()], ..Round::default() };
        let mut plain_runs = vec![None; plan.plain];
        let order = order(number, others.len(), plan.plain);
        round.plain_first = order.first() == Some(&Slot::Plain(0));
        for slot in order {
            let (trial, place) = match slot {
                Slot::Plain(index) => (plain, &mut plain_runs[index]),
                Slot::Other(index) if all.not_run[index].is_some() => continue,
                Slot::Other(index) => (others[index], &mut round.others[index]),
            };
            progress(number, Some(&trial.name()));
            match (trial.run()?, slot) {
                (Outcome::Ran(run), _) => *place = Some(run),
                (Outcome::Interrupted, _) => {
                    all.interrupted = true;
                    return Ok(all);
                }
                (Outcome::NotRun(reason), Slot::Plain(_)) => anyhow::bail!("{}: {reason}", trial.name()),
                (Outcome::NotRun(reason), Slot::Other(index)) if number == 0 => all.not_run[index] = Some(reason),
                (Outcome::NotRun(reason), Slot::Other(index)) => all.failed[index].push(reason),
            }
        }
        round.plain = plain_runs.into_iter().flatten().collect();
        if number == 0 {
            progress(0, None);
        } else {
            all.rounds.push(round);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Used;
    use std::cell::RefCell;

    struct Named<'a>(&'a str, &'a RefCell<Vec<String>>, fn(usize) -> Outcome);

    impl Trial for Named<'_> {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn run(&self) -> Result<Outcome> {
            let mut log = self.1.borrow_mut();
            log.push(self.0.to_owned());
            Ok((self.2)(log.len()))
        }
    }

    fn ran(_: usize) -> Outcome {
        let target = Used { wall: 1.0, cpu: 1.0, memory_kib: None };
        let (said, stdout) = (String::new(), Vec::new());
        Outcome::Ran(Run { target, total_cpu: 1.0, status: 0, status_around: 0, startup: None, said, stdout })
    }

    #[test]
    fn pairs_alternate() {
        let slots = [Slot::Plain(0), Slot::Other(0)];
        for round in 1..9 {
            let order = order(round, 1, 1);
            assert_eq!(order[usize::from(round % 2 == 0)], slots[0], "{round}");
            assert_eq!(order.len(), 2);
        }
    }

    #[test]
    fn every_round_has_everything_once_and_plain_runs_stand_apart() {
        for others in 2..16 {
            let mut firsts = Vec::new();
            for round in 0..20 {
                let order = order(round, others, 2);
                assert_eq!(order.len(), others + 2);
                assert!((0..others).all(|index| order.contains(&Slot::Other(index))), "{order:?}");
                let place = |wanted| order.iter().position(|slot| *slot == wanted).expect("it is there");
                assert!(place(Slot::Plain(0)).abs_diff(place(Slot::Plain(1))) > 1, "{order:?}");
                firsts.push(order[0]);
            }
            firsts.dedup();
            assert!(firsts.len() > 4, "{firsts:?}");
        }
    }

    #[test]
    fn what_does_not_run_at_first_is_not_tried_again() {
        let log = RefCell::default();
        let (plain, good) = (Named("plain", &log, ran), Named("good", &log, ran));
        let broken = Named("broken", &log, |_| Outcome::NotRun("no such thing".into()));
        let plan = Plan { rounds: 3, plain: 2 };
        let mut told = Vec::new();
        let all =
            interleave(&plain, &[&good, &broken], plan, |round, name| told.push((round, name.map(str::to_owned))))
                .expect("no fault");
        assert_eq!(all.rounds.len(), 3);
        assert_eq!(all.not_run, [None, Some("no such thing".to_owned())]);
        assert!(all.rounds.iter().all(|round| round.plain.len() == 2 && round.others[0].is_some()));
        let runs = |name: &str| log.borrow().iter().filter(|other| *other == name).count();
        assert_eq!((runs("plain"), runs("good"), runs("broken")), (8, 4, 1));
        assert_eq!(told.iter().filter(|(round, name)| *round == 0 && name.is_none()).count(), 1);
    }

    #[test]
    fn a_run_that_fails_later_is_a_run_less_and_not_forgotten() {
        let log = RefCell::default();
        let plain = Named("plain", &log, ran);
        let other = Named("other", &log, |run| if run == 5 { Outcome::NotRun("once".into()) } else { ran(0) });
        let all = interleave(&plain, &[&other], Plan { rounds: 3, plain: 1 }, |_, _| {}).expect("no fault");
        // The fifth run is the first of the second round that counts, which begins with what is not plain.
        assert_eq!(all.failed, [["once"]]);
        assert_eq!(all.rounds.iter().map(|round| round.others[0].is_some()).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn an_interrupt_leaves_the_rounds_that_have_ended() {
        let log = RefCell::default();
        let plain = Named("plain", &log, ran);
        // Rounds are of three runs; the eighth is of the third round, the second that counts.
        let other = Named("other", &log, |run| if run > 6 { Outcome::Interrupted } else { ran(0) });
        let all = interleave(&plain, &[&other], Plan { rounds: 9, plain: 2 }, |_, _| {}).expect("no fault");
        assert!(all.interrupted);
        assert_eq!(all.rounds.len(), 1);
    }
}
