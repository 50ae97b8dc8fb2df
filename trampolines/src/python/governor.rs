//! When stubs are on, so that what they cost fits a budget.
//!
//! The program earns credit with its CPU time, a share of it that is the budget, and pays with it for each stub that it enters. A
//! *window* is a few milliseconds in which stubs are on. When it ends, and its calls cost no more than it earned, the next one
//! begins at once: where stubs fit the budget they are on all the time. Else they are off until there is credit for a window like
//! the last one, and at random a while longer, so that windows do not keep time with what the program does.
//!
//! Where stubs go on, CPython first has to learn that they are: it has specialized calls for a program without them. That passes until
//! the next signal, before the window begins, and is paid for like one.
//!
//! All of this is arithmetic: [`super::windows`] does what is decided here.

/// A window lasts at least so long, in nanoseconds of CPU time.
const SHORTEST_NS: u64 = 2_000_000;
/// It ends with the first signal after a length that is drawn from up to so much more.
const MORE_NS: u64 = 2_000_000;
/// The most credit, in picoseconds: a program that has long been cheap cannot pay for more than a few windows at once.
const MOST_CREDIT_PS: i64 = 20_000_000_000;
/// What the first window is thought to cost, in picoseconds.
const FIRST_PS: i64 = 1_000_000_000;
/// What opening and closing a window is allowed to cost beside its calls, in picoseconds: CPython specializes the calls anew that it
/// has met meanwhile.
const SWITCHING_PS: i64 = 20_000_000;

/// Keeps an interpreter's stubs within a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governor {
    /// Millionths of the CPU time.
    budget_ppm: u32,
    /// In picoseconds.
    credit_ps: i64,
    /// There has to be so much credit for the next window.
    opens_at_ps: i64,
    /// The window that is open.
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// How long it has been open, and is to be; `None` while the program settles down.
    age_ns: u64,
    length_ns: Option<u64>,
    /// What all calls had cost that were counted where this window's are, when it began, and what those in it have cost.
    before_ps: u64,
    spent_ps: i64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Stubs go on, and the program settles down.
    Open,
    /// A window begins where another one ends, or the program has settled down.
    Next,
    /// Stubs go off.
    Close,
}

impl Governor {
    /// With a budget in millionths of the CPU time. Stubs are off.
    pub const fn new(budget_ppm: u32) -> Governor {
        Governor { budget_ppm, credit_ps: 0, opens_at_ps: FIRST_PS, window: None }
    }

    /// The same budget, of a process that begins.
    pub const fn anew(&self) -> Governor {
        Governor::new(self.budget_ppm)
    }

    /// Whether stubs are on.
    #[cfg(test)]
    const fn is_open(&self) -> bool {
        self.window.is_some()
    }

    /// A thread has run for a while with the interpreter's lock. `cost_ps` is what all calls have cost that were counted where
    /// those of the open window are.
    pub fn run(&mut self, ran_ns: u64, cost_ps: u64, random: u64) -> Step {
        let earned_ps = self.earned_ps(ran_ns);
        self.credit_ps = self.credit_ps.saturating_add(earned_ps).min(MOST_CREDIT_PS);
        let Some(window) = &mut self.window else {
            return if self.credit_ps >= self.opens_at_ps { Step::Open } else { Step::Stay };
        };
        let spent_ps = i64::try_from(cost_ps.saturating_sub(window.before_ps)).unwrap_or(i64::MAX);
        self.credit_ps = self.credit_ps.saturating_sub(spent_ps.saturating_sub(window.spent_ps));
        window.spent_ps = spent_ps;
        window.age_ns = window.age_ns.saturating_add(ran_ns);
        match window.length_ns {
            None => return Step::Next,
            Some(length_ns) if window.age_ns < length_ns => return Step::Stay,
            Some(_) => {}
        }
        let Window { age_ns, .. } = *window;
        // What a window like this one takes from the credit.
        let net_ps = spent_ps.saturating_add(SWITCHING_PS).saturating_sub(self.earned_ps(age_ns));
        if spent_ps <= self.earned_ps(age_ns) || self.credit_ps >= net_ps {
            return Step::Next;
        }
        self.credit_ps = self.credit_ps.saturating_sub(SWITCHING_PS);
        let net_ps = net_ps.max(1);
        self.opens_at_ps = net_ps.saturating_add((random % net_ps as u64) as i64);
        self.window = None;
        Step::Close
    }

    /// Stubs go on, and the program settles down until the next signal. `cost_ps` is what all calls have cost so far that were counted
    /// where those of meanwhile are.
    pub fn settle(&mut self, cost_ps: u64) {
        self.window = Some(Window { age_ns: 0, length_ns: None, before_ps: cost_ps, spent_ps: 0 });
    }

    /// A window begins. `cost_ps` is what all calls have cost so far that were counted where its calls are.
    pub fn begin(&mut self, cost_ps: u64, random: u64) {
        let length_ns = Some(SHORTEST_NS + random % MORE_NS);
        self.window = Some(Window { age_ns: 0, length_ns, before_ps: cost_ps, spent_ps: 0 });
    }

    fn earned_ps(&self, ran_ns: u64) -> i64 {
        i64::try_from(ran_ns.saturating_mul(self.budget_ppm.into()) / 1000).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of a program.
    struct Ran {
        /// What its calls have cost, and how long stubs were on, as shares of the time.
        cost: f64,
        on: f64,
        /// When windows began with stubs off, in milliseconds.
        opened: std::vec::Vec<u64>,
    }

    /// Runs a program for so many milliseconds with a signal in each. `rate` says how much its calls cost in a millisecond in which
    /// stubs are on, in picoseconds.
    fn run(budget_ppm: u32, milliseconds: u64, rate: impl Fn(u64) -> u64) -> Ran {
        let mut governor = Governor::new(budget_ppm);
        let (mut cost, mut on, mut opened) = (0, 0, std::vec::Vec::new());
        let mut random = 88_172_645_463_325_252_u64;
        for now in 0..milliseconds {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if governor.is_open() {
                cost += rate(now);
                on += 1;
            }
            match governor.run(1_000_000, cost, random) {
                Step::Stay | Step::Close => {}
                Step::Open => {
                    opened.push(now);
                    governor.settle(cost);
                }
                Step::Next => governor.begin(cost, random),
            }
        }
        let total = milliseconds as f64;
        Ran { cost: cost as f64 / (total * 1e9), on: on as f64 / total, opened }
    }

    #[test]
    fn what_windows_cost_stays_within_the_budget_and_comes_near_it() {
        for budget in [5_000, 20_000, 100_000] {
            for percent in [25, 50, 200] {
                let Ran { cost, on, opened } = run(budget, 60_000, |_| percent * 10_000_000);
                let budget = f64::from(budget) / 1e6;
                assert!(cost <= budget && cost > 0.8 * budget, "{budget} {percent}: {cost}");
                assert!((on - budget * 100.0 / percent as f64).abs() < 0.2 * on, "{budget} {percent}: {on}");
                assert!(opened.len() > 30, "{opened:?}");
            }
        }
    }

    #[test]
    fn stubs_that_fit_the_budget_are_on_all_the_time() {
        let Ran { cost, on, opened } = run(20_000, 10_000, |_| 15_000_000);
        assert!(cost < 0.015 && on > 0.98, "{cost} {on}");
        assert_eq!(opened.len(), 1);
    }

    #[test]
    fn a_program_that_becomes_expensive_is_noticed_in_a_window() {
        // A minute of nearly nothing, and then calls that double the time.
        let Ran { cost, .. } = run(20_000, 120_000, |now| if now < 60_000 { 1_000_000 } else { 1_000_000_000 });
        assert!(cost < 0.0125, "{cost}");
    }

    #[test]
    fn a_short_program_has_no_stubs() {
        assert!(run(20_000, 45, |_| 500_000_000).opened.is_empty());
    }

    #[test]
    fn windows_come_at_irregular_moments() {
        let Ran { opened, .. } = run(20_000, 100_000, |_| 300_000_000);
        let mut gaps: std::vec::Vec<u64> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        assert!(gaps[gaps.len() / 10] * 2 < gaps[gaps.len() * 9 / 10], "{gaps:?}");
    }
}
