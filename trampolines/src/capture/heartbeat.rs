//! Whether the profiler lives: a number in shared memory rises as long as it does.

use core::sync::atomic::{AtomicU64, Ordering};

/// Who has not looked for so long was stopped, perhaps together with the profiler, or had nothing to do: in nanoseconds.
const NOT_LOOKED_NS: u64 = 1_000_000_000;

/// What was seen of the heartbeat. It can be looked at in signal handlers, by several threads at once.
#[derive(Debug)]
pub struct Heartbeat {
    /// The number that was seen last, and when it was seen first; the latter is 0 before that.
    last: AtomicU64,
    since_ns: AtomicU64,
    looked_ns: AtomicU64,
}

impl Heartbeat {
    /// Never seen.
    pub const fn new() -> Heartbeat {
        Heartbeat { last: AtomicU64::new(0), since_ns: AtomicU64::new(0), looked_ns: AtomicU64::new(0) }
    }

    /// Forgets what was seen: it is another profiler's from now on.
    pub fn forget(&self) {
        self.since_ns.store(0, Ordering::Relaxed);
    }

    /// For how long the number has stood still, while somebody looked, in nanoseconds. `now_ns` is CLOCK_MONOTONIC.
    pub fn silence_ns(&self, number: u64, now_ns: u64) -> u64 {
        let looked_ns = self.looked_ns.swap(now_ns, Ordering::Relaxed);
        let since_ns = self.since_ns.load(Ordering::Relaxed);
        let is_new = since_ns == 0 || self.last.load(Ordering::Relaxed) != number;
        if is_new || now_ns.saturating_sub(looked_ns) > NOT_LOOKED_NS {
            self.last.store(number, Ordering::Relaxed);
            self.since_ns.store(now_ns, Ordering::Relaxed);
            return 0;
        }
        now_ns.saturating_sub(since_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn silence_is_counted_from_the_last_beat_that_was_seen() {
        let heart = Heartbeat::new();
        let silence = |number, halves: u64| heart.silence_ns(number, (100 + halves) * SECOND / 2) / (SECOND / 2);
        assert_eq!([silence(7, 0), silence(7, 1), silence(7, 2), silence(8, 3), silence(8, 4)], [0, 1, 2, 0, 1]);
        heart.forget();
        assert_eq!(silence(8, 5), 0);
    }

    #[test]
    fn a_time_in_which_nobody_looked_does_not_count() {
        let heart = Heartbeat::new();
        heart.silence_ns(7, 100 * SECOND);
        // The process was stopped, and the profiler perhaps, too.
        assert_eq!(heart.silence_ns(7, 200 * SECOND), 0);
        assert_eq!(heart.silence_ns(7, 200 * SECOND + SECOND / 2), SECOND / 2);
    }
}
