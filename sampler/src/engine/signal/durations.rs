//! How long the signal handler ran for each of the last samples.

use crate::recording::HandlerTimes;

/// How many are kept.
const MOST: usize = 1 << 20;

/// The last durations, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Durations {
    kept: Vec<u32>,
    /// The place of the next one, once there are so many.
    next: usize,
}

impl Durations {
    pub(super) fn add(&mut self, nanoseconds: u32) {
        if self.kept.len() < MOST {
            self.kept.push(nanoseconds);
        } else {
            self.kept[self.next] = nanoseconds;
            self.next = (self.next + 1) % MOST;
        }
    }

    pub(super) fn percentiles(&mut self) -> Option<HandlerTimes> {
        let last = self.kept.len().checked_sub(1)?;
        let mut percentile = |part: usize| u64::from(*self.kept.select_nth_unstable(last * part / 100).1);
        Some(HandlerTimes { p50_ns: percentile(50), p99_ns: percentile(99) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_count() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentiles(), None);
        (1..=101).for_each(|ns| durations.add(ns));
        assert_eq!(durations.percentiles(), Some(HandlerTimes { p50_ns: 51, p99_ns: 100 }));
        (0..MOST).for_each(|_| durations.add(7));
        assert_eq!(durations.percentiles(), Some(HandlerTimes { p50_ns: 7, p99_ns: 7 }));
        assert_eq!(durations.kept.len(), MOST);
    }
}
