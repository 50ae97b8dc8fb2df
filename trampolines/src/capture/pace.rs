//! When a thread is sampled, and for how many periods a sample stands.
//!
//! A clock's timer goes on while the thread sleeps, so each signal is weighed by the clock of the mode: a sample stands for
//! the whole periods that have passed on it since the sample before, and where none has passed there is no sample. So the
//! samples of a thread add up to its time, whatever brings the signals.
//!
//! - An idle thread is not woken for nothing: in the modes of CPU time its timer rests, and the timer of its CPU time, which
//!   ticks with the kernel, says when it runs again. On the clock, the interval doubles up to [`MOST_STRETCHED`] periods,
//!   and is one again when the thread runs.
//! - Against aliasing, the timer is set to another interval now and then, at random.

use super::thread::{Pace, SampledThread};
use super::{Capture, SIGNAL};
use crate::sys;
use crate::wire::Mode;
use core::sync::atomic::Ordering;

/// After so many signals in which it hardly ran a thread is idle.
const IDLE_TICKS: u32 = 2;
/// The longest interval for an idle thread, in periods.
const MOST_STRETCHED: u32 = 64;
/// After so many signals the timer gets another interval.
const TICKS_OF_ONE_INTERVAL: u32 = 16;
/// How soon a sample that was torn is taken again, in nanoseconds: more each time, and at random. Setting the timer and
/// returning from the handler can take several microseconds (measured in virtual machines), in which the thread does not
/// go on.
const RETAKE_NS: u64 = 10_000;
/// A longer time without a signal, in which the thread ran and was in no system call, is one in which the signal was held
/// back.
const HELD_BACK_NS: u64 = 10_000_000;

/// What is to be done about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A sample.
    Sample(Periods),
}

/// What a signal tells.
#[derive(Clone, Copy, Debug)]
pub struct Weighed {
    /// What is to be done.
    pub due: Due,
    /// Periods that will have no sample, as the signal was held back.
    pub held_back: u64,
    /// The CPU time of the thread since its signal before, in nanoseconds.
    pub ran_ns: u64,
}

/// What a sample stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// So many periods.
    pub weight: u32,
    /// How many of them the thread waited, before it came to where it is.
    pub waited: u32,
}

impl SampledThread {
    /// Starts the thread's clocks.
    pub(super) fn start_pace(&mut self, capture: &Capture) {
        let cpu_ns = sys::thread_cpu_ns();
        let now = sys::monotonic_ns();
        let random = now ^ (self.tid as u64).rotate_left(32) | 1;
        self.pace = Pace { last_cpu_ns: cpu_ns, sampled_cpu_ns: cpu_ns, stretched: 1, random, ..Pace::default() };
        // The first period began at random before, so that threads that live for less than one are not left out.
        let before = self.pace.random() % capture.settings.period_ns.max(1);
        let clock = if capture.mode == Mode::Wall { now } else { cpu_ns };
        self.pace.started_ns = clock.wrapping_sub(before);
    }

    /// Has the first signal come within a period, at random; and if the program takes it for itself (sigwait(3)), another one after
    /// a while.
    pub(super) fn start_driver(&mut self, capture: &Capture) {
        let Some(driver) = &self.driver else { return };
        let period_ns = capture.settings.period_ns.max(1);
        driver.timer.set(1 + self.pace.random() % period_ns, period_ns.saturating_mul(MOST_STRETCHED.into()));
    }

    /// With the first signal, has more of them come.
    fn go_on(&mut self, capture: &Capture) {
        let Some(driver) = self.driver.as_mut().filter(|driver| !driver.goes_on) else { return };
        let wanted = capture.event();
        driver.go_on(SIGNAL, wanted);
        let interval = match driver.event {
            Some(_) => 0,
            None => irregular(&mut self.pace, capture.settings.period_ns),
        };
        driver.timer.set(interval, interval);
        let refused = wanted.is_some() && driver.event.is_none();
        if let Some(ring) = super::ring().filter(|_| refused) {
            ring.header().other_driver.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the driver: no more signals come.
    pub(super) fn stop_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.delete();
        }
    }

    /// Weighs a signal. `now_ns` is the time on the clock; `in_system_call` says whether the thread was in one.
    pub(super) fn weigh(&mut self, capture: &Capture, now_ns: u64, in_system_call: bool) -> Weighed {
        let period_ns = capture.settings.period_ns.max(1);
        let cpu_ns = sys::thread_cpu_ns();
        let ran_ns = cpu_ns.saturating_sub(self.pace.last_cpu_ns);
        self.pace.last_cpu_ns = cpu_ns;
        self.go_on(capture);
        let by_event = self.driver.as_ref().is_some_and(|driver| driver.event.is_some());
        if !by_event {
            self.set_timer(capture, ran_ns);
        }
        let clock = if capture.mode == Mode::Wall { now_ns } else { cpu_ns };
        // The beginning may lie before the clock's own.
        let passed = clock.wrapping_sub(self.pace.started_ns) / period_ns;
        let mut weight = passed.saturating_sub(self.pace.accounted);
        if weight == 0 || now_ns < self.pace.not_before_ns {
            return Weighed { due: Due::Nothing, held_back: 0, ran_ns };
        }
        let mut held_back = 0;
        if capture.mode != Mode::Wall && !in_system_call && ran_ns > HELD_BACK_NS && weight > 2 {
            held_back = weight - 1;
            weight = 1;
        }
        let waited = match capture.mode {
            // The time that it ran since is spent where it is now; that it waited for is not.
            Mode::Wall => {
                let ran = cpu_ns.saturating_sub(self.pace.sampled_cpu_ns).div_ceil(period_ns);
                weight.saturating_sub(ran.max(1))
            }
            Mode::Cpu | Mode::Gil => 0,
        };
        let number = |periods| u32::try_from(periods).unwrap_or(u32::MAX);
        let due = Due::Sample(Periods { weight: number(weight), waited: number(waited) });
        Weighed { due, held_back, ran_ns }
    }

    /// After a sample that took long, leaves the thread time of its own: never more than a quarter of it goes to samples,
    /// however short the period is.
    pub(super) fn leave_time(&mut self, capture: &Capture, took_ns: u64) {
        let quarter = capture.settings.period_ns / 4;
        if took_ns <= quarter {
            return;
        }
        // On the clock it also took the time in which other threads ran.
        let used_ns = sys::thread_cpu_ns().saturating_sub(self.pace.last_cpu_ns);
        if used_ns > quarter {
            self.pace.not_before_ns = sys::monotonic_ns().saturating_add(used_ns.saturating_mul(3));
        }
    }

    /// Accounts for periods: they are sampled, or never will be.
    pub(super) fn account(&mut self, periods: u64) {
        self.pace.accounted = self.pace.accounted.wrapping_add(periods);
        self.pace.sampled_cpu_ns = self.pace.last_cpu_ns;
    }

    /// Has the timer rest, go faster or slower, as the thread has run.
    fn set_timer(&mut self, capture: &Capture, ran_ns: u64) {
        let period_ns = capture.settings.period_ns;
        let Some(driver) = &self.driver else { return };
        let pace = &mut self.pace;
        let idle = ran_ns < (period_ns.saturating_mul(pace.stretched.max(1).into()) / 8).min(1_000_000);
        pace.idle_ticks = if idle { pace.idle_ticks.saturating_add(1) } else { 0 };
        pace.ticks = pace.ticks.wrapping_add(1);
        let stretched = match idle {
            false => 1,
            true if pace.idle_ticks < IDLE_TICKS => pace.stretched.max(1),
            true if capture.mode != Mode::Wall && driver.woken.is_some() => 0,
            true => pace.stretched.max(1).saturating_mul(2).min(MOST_STRETCHED),
        };
        if stretched != pace.stretched || pace.ticks.is_multiple_of(TICKS_OF_ONE_INTERVAL) {
            let interval = irregular(pace, period_ns).saturating_mul(stretched.into());
            driver.timer.set(interval, interval);
        }
        if stretched != 1
            && let Some(woken) = &driver.woken
        {
            woken.set(period_ns / 2, 0);
        }
        pace.stretched = stretched;
    }

    /// Has the sample that is due taken again in a moment.
    pub(super) fn retake(&mut self, capture: &Capture) {
        self.retakes = self.retakes.saturating_add(1);
        let Some(driver) = &self.driver else { return };
        let soon = RETAKE_NS.saturating_mul(self.retakes.into()).saturating_add(self.pace.random() % RETAKE_NS);
        let interval = match driver.event {
            Some(_) => 0,
            None => irregular(&mut self.pace, capture.settings.period_ns),
        };
        driver.timer.set(soon, interval);
    }
}

/// An interval at random from seven to nine eighths of a period.
fn irregular(pace: &mut Pace, period_ns: u64) -> u64 {
    let eighth = (period_ns / 8).max(1);
    period_ns.saturating_sub(eighth).saturating_add(pace.random() % eighth.saturating_mul(2)).max(1)
}
