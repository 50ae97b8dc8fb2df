//! What is counted of samples while they come.

use super::tally::{Seen, Tally};
use pronk_sampler::recording::{Losses, MonotonicNs};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the last seconds are.
pub const WINDOW: Duration = Duration::from_secs(5);

/// What is counted. Each of these has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Samples in which a function was on top.
    Own,
    /// Samples in which a function was anywhere.
    Total,
    /// Samples in which a function called another one.
    Call,
    /// Samples of a thread.
    Thread,
    /// Samples of a task.
    Task,
    /// Samples with a value of a label.
    Label,
}

/// A time in the last seconds, and since sampling began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In the last seconds.
    pub now: Duration,
    /// Since sampling began.
    pub so_far: Duration,
}

/// The sums at the end of a step.
#[derive(Clone, Copy, Debug)]
struct Sums {
    until: MonotonicNs,
    samples: u64,
    cpu_time: Duration,
}

/// What was counted. A copy of it stays as it is while counting goes on.
#[derive(Clone, Debug)]
pub struct Counts {
    tallies: [Tally; 6],
    started: MonotonicNs,
    samples: u64,
    /// The sums where the last seconds begin, and at the end of each step since.
    sums: VecDeque<Sums>,
    /// What went wrong so far.
    pub losses: Losses,
}

impl Counts {
    pub(super) fn new(started: MonotonicNs) -> Counts {
        Counts {
            tallies: Default::default(),
            started,
            samples: 0,
            sums: [Sums { until: started, samples: 0, cpu_time: Duration::ZERO }].into(),
            losses: Losses::default(),
        }
    }

    /// Something was seen so many times.
    pub(super) fn add(&mut self, of: Of, id: u32, times: u64) {
        self.tallies[of as usize].add(id, times);
    }

    /// So many samples were there.
    pub(super) fn add_samples(&mut self, samples: u64) {
        self.samples = self.samples.saturating_add(samples);
    }

    /// A step is over.
    pub(super) fn step(&mut self, until: MonotonicNs, cpu_time: Duration, losses: Losses) {
        self.sums.push_back(Sums { until, samples: self.samples, cpu_time });
        let begins = until.0.saturating_sub(WINDOW.as_nanos() as u64);
        // One that ended before is where the last seconds begin.
        let expired = self.sums.iter().skip(1).take_while(|sums| sums.until.0 <= begins).count();
        self.sums.drain(..expired);
        self.tallies.iter_mut().for_each(|tally| tally.step(expired));
        self.losses = losses;
    }

    /// How often something was seen.
    pub fn seen(&self, of: Of, id: u32) -> Seen {
        self.tallies[of as usize].seen(id)
    }

    /// How many samples there are.
    pub fn samples(&self) -> Seen {
        let (first, last) = self.ends();
        Seen { now: last.samples - first.samples, so_far: self.samples }
    }

    /// How long it is since sampling began, and how long the last seconds are.
    pub fn time(&self) -> Spent {
        let (first, last) = self.ends();
        let since = |begin: MonotonicNs| Duration::from_nanos(last.until.0.saturating_sub(begin.0));
        Spent { now: since(first.until), so_far: since(self.started) }
    }

    /// The CPU time of all processes.
    pub fn cpu_time(&self) -> Spent {
        let (first, last) = self.ends();
        Spent { now: last.cpu_time.saturating_sub(first.cpu_time), so_far: last.cpu_time }
    }

    fn ends(&self) -> (Sums, Sums) {
        let none = Sums { until: self.started, samples: 0, cpu_time: Duration::ZERO };
        let end = |sums: Option<&Sums>| sums.copied().unwrap_or(none);
        (end(self.sums.front()), end(self.sums.back()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seconds_are_those_of_the_clock() {
        let second = |seconds: u64| MonotonicNs(100 + seconds * 1_000_000_000);
        let mut counts = Counts::new(second(0));
        for at in 1..=20 {
            counts.add(Of::Own, 7, 10);
            counts.add_samples(10);
            counts.step(second(at), Duration::from_millis(500 * at), Losses::default());
        }
        assert_eq!(counts.seen(Of::Own, 7), Seen { now: 50, so_far: 200 });
        assert_eq!(counts.seen(Of::Total, 7), Seen::default());
        assert_eq!(counts.samples(), Seen { now: 50, so_far: 200 });
        assert_eq!(counts.time(), Spent { now: Duration::from_secs(5), so_far: Duration::from_secs(20) });
        let cpu = Spent { now: Duration::from_millis(2500), so_far: Duration::from_secs(10) };
        assert_eq!(counts.cpu_time(), cpu);
        // Nothing for a while, as when pronk itself was suspended: what comes then is all of the last seconds.
        counts.add(Of::Own, 7, 1);
        counts.add_samples(1);
        counts.step(second(60), Duration::from_secs(11), Losses::default());
        assert_eq!(counts.seen(Of::Own, 7), Seen { now: 1, so_far: 201 });
        assert_eq!(counts.time().now, Duration::from_secs(40));
    }
}
