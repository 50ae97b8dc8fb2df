//! What calls that were counted in windows say of the calls outside.
//!
//! Windows come at irregular moments, so what happened in them is a sample of what happened at all: calls for each nanosecond of the
//! program's own time, a ratio. They were counted in groups, by lot. How much the groups differ says how far the ratio of them all
//! can be from the truth: the residuals of a ratio estimator in random groups (W. G. Cochran, "Sampling Techniques", sections 6.3
//! and 6.4; K. M. Wolter, "Introduction to Variance Estimation", chapter 2). To that comes what is not known for certain of how much
//! slower stubs had the program run meanwhile, and that there was no window in the program's first moments, in which it does other
//! things than later as a rule. The first moments after stubs went on are in no window ([`SETTLING`]): the interpreter is slower then, by
//! nobody knows how much. What was called in them was counted all the same.

use pronk_trampolines::wire::{KINDS, LaneHead, SETTLING};

/// How often a function was called.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Called {
    /// How often that was counted.
    counted: u64,
    /// What that has cost, in picoseconds.
    cost_ps: u64,
    /// How often it was called beside, while nobody counted: an estimate.
    beside: f64,
    /// How far the estimate can be from the truth; `None` where all was counted.
    doubt: Option<Doubt>,
}

/// How far an estimate can be from the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Doubt {
    /// The square of how far by chance, which is another one in each interpreter.
    chance_squared: f64,
    /// How far by what is the same in all of them.
    common: f64,
}

/// The windows of one interpreter.
#[derive(Clone, Debug)]
pub struct Windows {
    /// How long those of each group were, without what stubs have cost in them, in nanoseconds.
    own_ns: Vec<f64>,
    /// How long all of them were.
    all_ns: f64,
    /// What stubs have cost in them.
    cost_ns: f64,
    /// How long stubs were off.
    off_ns: f64,
    /// How much of that was before the first window.
    before_ns: f64,
}

impl Windows {
    /// The windows that an interpreter's lanes were for.
    pub fn of(heads: &[LaneHead], costs_ps: &[u32; KINDS]) -> Windows {
        // What is estimated to have cost more than there was time did not.
        let own = |head: &LaneHead| {
            let on_ns = head.on_ns as f64;
            (on_ns - head.cost_ps(costs_ps) as f64 / 1e3).max(on_ns / 10.0)
        };
        let own_ns: Vec<f64> = windows(heads).map(own).collect();
        let before_ns: f64 = heads.iter().map(|head| head.before_ns as f64).sum();
        let off_ns = heads.iter().map(|head| head.off_ns as f64).sum::<f64>() + before_ns;
        let on_ns: f64 = windows(heads).map(|head| head.on_ns as f64).sum();
        let all_ns: f64 = own_ns.iter().sum();
        Windows { cost_ns: on_ns - all_ns, all_ns, own_ns, off_ns, before_ns }
    }

    /// How many calls there were beside those that were counted in each group, and how far from the truth that can be.
    fn beside(&self, by_group: &[u64]) -> (f64, Doubt) {
        let counted: f64 = windows(by_group).map(|calls| *calls as f64).sum();
        if self.all_ns <= 0.0 {
            let common = by_group.iter().map(|calls| *calls as f64).sum();
            return (0.0, Doubt { common, ..Doubt::default() });
        }
        let for_each_ns = self.off_ns / self.all_ns;
        let beside = counted * for_each_ns;
        let groups = self.own_ns.iter().zip(windows(by_group)).filter(|(own_ns, _)| **own_ns > 0.0);
        let residuals = groups.map(|(own_ns, calls)| *calls as f64 - counted * own_ns / self.all_ns);
        let (number, squares) = residuals.fold((0_usize, 0.0), |(n, sum), residual| (n + 1, sum + residual * residual));
        let by_chance = match number.checked_sub(2).and_then(|at| T_99.get(at)) {
            _ if counted == 0.0 => SEEN_NONE_99 * for_each_ns,
            Some(quantile) => quantile * (squares * number as f64 / (number - 1) as f64).sqrt() * for_each_ns,
            None => beside,
        };
        let by_cost = beside * COST_DOUBT * self.cost_ns / self.all_ns;
        let before = counted * self.before_ns / self.all_ns;
        (beside, Doubt { chance_squared: by_chance * by_chance, common: by_cost + before })
    }
}

/// What groups of windows have, of what all groups have.
pub fn windows<T>(groups: &[T]) -> impl Iterator<Item = &T> {
    const { assert!(SETTLING == 0) };
    groups.iter().skip(1)
}

/// How far from the truth what a call is said to cost can be, as a share of it.
const COST_DOUBT: f64 = 0.25;

/// Where no call was seen, there are fewer than so many with 99 %: the logarithm of 100, if they come at random.
const SEEN_NONE_99: f64 = 4.605;

/// What Student's t is between with 99 %, by degrees of freedom from 1 on.
const T_99: [f64; 15] =
    [63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947];

impl Called {
    /// Adds what an interpreter has counted, by group, where each call has cost so many picoseconds; in windows, if it had such.
    pub fn add(&mut self, by_group: &[u64], cost_ps: u32, windows: Option<&Windows>) {
        let counted = by_group.iter().fold(0_u64, |sum, calls| sum.saturating_add(*calls));
        self.counted = self.counted.saturating_add(counted);
        self.cost_ps = self.cost_ps.saturating_add(counted.saturating_mul(cost_ps.into()));
        if let Some(windows) = windows {
            let (beside, doubt) = windows.beside(by_group);
            self.beside += beside;
            let sum = self.doubt.get_or_insert_default();
            sum.chance_squared += doubt.chance_squared;
            sum.common += doubt.common;
        }
    }

    /// How often it was called.
    pub fn count(&self) -> u64 {
        self.counted.saturating_add(self.beside.round() as u64)
    }

    /// What those calls have cost that went through a stub, in picoseconds.
    pub fn cost_ps(&self) -> u64 {
        self.cost_ps
    }

    /// How far from the truth that can be, with 99 %; `None` where it is certain.
    pub fn error(&self) -> Option<u64> {
        self.doubt.map(|doubt| (doubt.chance_squared.sqrt() + doubt.common).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number from 0 to 1.
    fn random(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn what_was_counted_all_the_time_is_certain() {
        let mut called = Called::default();
        called.add(&[7], 20_000, None);
        called.add(&[5], 10_000, None);
        assert_eq!((called.count(), called.error(), called.cost_ps()), (12, None, 190_000));
    }

    #[test]
    fn even_calls_are_scaled_without_doubt() {
        let head = LaneHead { on_ns: 1_000, off_ns: 9_000, windows: 1, ..LaneHead::default() };
        let windows = Windows::of(&[head; 16], &[0; KINDS]);
        let mut called = Called::default();
        called.add(&[10; 16], 0, Some(&windows));
        assert_eq!((called.count(), called.error()), (1600, Some(0)));
    }

    #[test]
    fn what_stubs_cost_is_not_the_programs_own_time() {
        let head = LaneHead { entered: [10, 0, 0], on_ns: 2_000, off_ns: 8_000, ..LaneHead::default() };
        let windows = Windows::of(&[head; 2], &[100_000, 0, 0]);
        let mut called = Called::default();
        called.add(&[10; 2], 100_000, Some(&windows));
        // In each group 10 calls in 1,000 ns of the program's own, beside 8,000 ns without stubs.
        assert_eq!(called.count(), 20 + 160);
    }

    #[test]
    fn what_is_called_while_the_program_settles_down_is_counted_and_says_nothing_of_the_rest() {
        let mut heads = [LaneHead { on_ns: 1_000, off_ns: 9_000, ..LaneHead::default() }; 16];
        heads[SETTLING] = LaneHead { on_ns: 5_000, ..LaneHead::default() };
        let mut by_group = [10; 16];
        by_group[SETTLING] = 7;
        let mut called = Called::default();
        called.add(&by_group, 0, Some(&Windows::of(&heads, &[0; KINDS])));
        assert_eq!((called.count(), called.error()), (7 + 150 + 1350, Some(0)));
        let settled = Windows::of(&[LaneHead { on_ns: 5_000, off_ns: 9_000, ..LaneHead::default() }; 1], &[0; KINDS]);
        let mut called = Called::default();
        called.add(&[7], 0, Some(&settled));
        assert_eq!((called.count(), called.error()), (7, Some(7)));
    }

    #[test]
    fn who_was_called_in_no_window_may_have_been_called_outside() {
        let heads = [LaneHead { on_ns: 1_000, off_ns: 9_000, ..LaneHead::default() }; 16];
        let mut by_group = [0; 16];
        by_group[SETTLING] = 1;
        let mut called = Called::default();
        called.add(&by_group, 0, Some(&Windows::of(&heads, &[0; KINDS])));
        // 16 times 9,000 ns without stubs, and 15 times 1,000 ns of windows, in which 4.6 calls may have been missed by chance.
        assert_eq!((called.count(), called.error()), (1, Some(45)));
    }

    #[test]
    fn what_is_wrong_in_every_interpreter_does_not_even_out() {
        let mut heads = [LaneHead { on_ns: 1_000, off_ns: 9_000, ..LaneHead::default() }; 16];
        heads[1].before_ns = 1_500;
        let windows = Windows::of(&heads, &[0; KINDS]);
        let mut called = Called::default();
        (0..4).for_each(|_| called.add(&[10; 16], 0, Some(&windows)));
        // 10 calls in 1,000 ns, and so perhaps 15 in the first moments of each interpreter.
        assert_eq!(called.error(), Some(4 * 15));
    }

    #[test]
    fn one_window_says_nothing_of_its_error() {
        let mut heads = [LaneHead::default(); 16];
        heads[3] = LaneHead { on_ns: 1_000, off_ns: 9_000, ..LaneHead::default() };
        let mut by_group = [0; 16];
        by_group[3] = 10;
        let mut called = Called::default();
        called.add(&by_group, 0, Some(&Windows::of(&heads, &[0; KINDS])));
        assert_eq!((called.count(), called.error()), (100, Some(90)));
    }

    #[test]
    fn the_truth_is_within_the_error_in_nearly_all_programs() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut right = 0;
        for _ in 0..1000 {
            // A program that calls a function in bursts, seen in a tenth of its time.
            let (mut heads, mut by_group, mut truth) = ([LaneHead::default(); 16], [0; 16], 0_u64);
            let mut rate = 100.0;
            for _ in 0..10_000 {
                if random(&mut state) < 0.01 {
                    rate = 200.0 * random(&mut state);
                }
                let calls = (rate * random(&mut state)) as u64;
                truth += calls;
                let group = (16.0 * random(&mut state)) as usize;
                if random(&mut state) < 0.1 {
                    heads[group].on_ns += 1_000_000;
                    by_group[group] += calls;
                } else {
                    heads[group].off_ns += 1_000_000;
                }
            }
            let mut called = Called::default();
            called.add(&by_group, 0, Some(&Windows::of(&heads, &[0; KINDS])));
            right += u32::from(called.count().abs_diff(truth) <= called.error().unwrap());
        }
        assert!(right > 970, "{right} of 1000");
    }
}
