//! How often things were seen: so far, and in the last seconds.

use std::collections::VecDeque;

/// How often something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// In the last seconds.
    pub now: u64,
    /// Since sampling began.
    pub so_far: u64,
}

/// How often each of many things was seen, which have numbers from 0 on. Time goes in steps, and the last seconds are the
/// last few of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    seen: Vec<Seen>,
    /// What was added in each step of the last seconds, the oldest first.
    steps: VecDeque<Vec<(u32, u64)>>,
    /// What was added in this step.
    step: Vec<(u32, u64)>,
}

impl Tally {
    /// It was seen so many times.
    pub(super) fn add(&mut self, id: u32, times: u64) {
        let needed = id as usize + 1;
        if self.seen.len() < needed {
            self.seen.resize(needed, Seen::default());
        }
        let seen = &mut self.seen[id as usize];
        seen.so_far = seen.so_far.saturating_add(times);
        self.step.push((id, times));
    }

    /// A step is over, and so many older ones count as the last seconds no more.
    pub(super) fn step(&mut self, expired: usize) {
        let mut step = std::mem::take(&mut self.step);
        step.sort_unstable_by_key(|(id, _)| *id);
        step.dedup_by(|(id, times), (kept, sum)| {
            let same = id == kept;
            *sum += if same { *times } else { 0 };
            same
        });
        step.shrink_to_fit();
        for &(id, times) in &step {
            self.seen[id as usize].now += times;
        }
        self.steps.push_back(step);
        for (id, times) in self.steps.drain(..expired.min(self.steps.len())).flatten() {
            self.seen[id as usize].now -= times;
        }
    }

    /// How often it was seen.
    pub(super) fn seen(&self, id: u32) -> Seen {
        self.seen.get(id as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_for_now_until_it_expires() {
        let mut tally = Tally::default();
        tally.add(3, 2);
        tally.add(1, 5);
        tally.add(3, 1);
        assert_eq!(tally.seen(3), Seen { now: 0, so_far: 3 });
        tally.step(0);
        tally.add(3, 10);
        tally.step(0);
        assert_eq!((tally.seen(1), tally.seen(3)), (Seen { now: 5, so_far: 5 }, Seen { now: 13, so_far: 13 }));
        tally.step(1);
        assert_eq!((tally.seen(1), tally.seen(3)), (Seen { now: 0, so_far: 5 }, Seen { now: 10, so_far: 13 }));
        tally.step(9);
        assert_eq!((tally.seen(3), tally.seen(77)), (Seen { now: 0, so_far: 13 }, Seen::default()));
    }
}
