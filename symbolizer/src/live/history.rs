//! The samples so far, in bounded memory: when there are too many, those that are alike and near to each other in time are
//! made one. So a profile that is saved after a day has every stack with its count, and times as exact as there is room.

use pronk_sampler::recording::Sample;

/// The most samples that are kept.
const MOST: usize = 1 << 20;
/// How near samples are that are made one at first, in nanoseconds.
const FIRST_GRAIN: u64 = 10_000_000;
/// How near they are at last.
const LAST_GRAIN: u64 = 3_600_000_000_000;

/// Samples, some of them made one.
#[derive(Debug)]
pub(super) struct History {
    samples: Vec<Sample>,
    most: usize,
    grain: u64,
}

impl Default for History {
    fn default() -> History {
        History { samples: Vec::new(), most: MOST, grain: FIRST_GRAIN }
    }
}

impl History {
    /// Adds samples.
    pub(super) fn add(&mut self, samples: &[Sample]) {
        self.samples.extend_from_slice(samples);
        // Down to half, so that it is not done again at once.
        let is_full = self.samples.len() > self.most;
        while is_full && self.samples.len() > self.most / 2 {
            self.thin();
            if self.grain >= LAST_GRAIN {
                // They are different from each other, and so are their stacks, which take up more.
                self.most = self.most.max(2 * self.samples.len());
                break;
            }
            self.grain *= 2;
        }
    }

    /// The samples, by time.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let mut samples = self.samples.clone();
        samples.sort_by_key(|sample| sample.time);
        samples
    }

    fn thin(&mut self) {
        let grain = self.grain;
        let alike = |sample: &Sample| (sample.time.0 / grain, sample.thread, sample.stack, sample.context);
        self.samples.sort_by_key(alike);
        self.samples.dedup_by(|later, kept| {
            let sum = kept.weight.checked_add(later.weight).filter(|_| alike(later) == alike(kept));
            if let Some(sum) = sum {
                // A sample stands for the periods up to its time.
                (kept.weight, kept.time) = (sum, kept.time.max(later.time));
            }
            sum.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pronk_sampler::recording::{MonotonicNs, StackId, ThreadId};

    #[test]
    fn samples_that_are_alike_become_one_when_there_are_too_many() {
        let mut history = History { most: 100, ..History::default() };
        let sample = |ms: u64| Sample {
            thread: ThreadId(0),
            time: MonotonicNs(ms * 1_000_000),
            stack: Some(StackId((ms % 2) as u32)),
            context: None,
            weight: 1,
            in_window: false,
        };
        for ms in 0..10_000 {
            history.add(&[sample(ms)]);
            assert!(history.samples.len() <= 100);
        }
        let samples = history.samples();
        assert!(samples.is_sorted_by_key(|sample| sample.time) && samples.len() > 20);
        for stack in 0..2 {
            let of_stack = samples.iter().filter(|sample| sample.stack == Some(StackId(stack)));
            assert_eq!(of_stack.map(|sample| sample.weight).sum::<u32>(), 5000);
        }
        assert_eq!(samples.last().unwrap().time.0, 9_999_000_000);
    }

    #[test]
    fn samples_that_are_all_different_are_kept() {
        let mut history = History { most: 4, ..History::default() };
        let sample = |thread| Sample {
            thread: ThreadId(thread),
            time: MonotonicNs(0),
            stack: None,
            context: None,
            weight: 1,
            in_window: false,
        };
        history.add(&[0, 1, 2, 3, 4, 5].map(sample));
        assert_eq!(history.samples().len(), 6);
    }
}
