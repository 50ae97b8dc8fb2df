//! What a tick costs: for how long a thread is kept from its work when it is signalled, with nothing done about it. In a virtual
//! machine that is most of what being sampled costs, since the processor leaves the machine and comes back several times.

use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use pronk_trampolines::perf_event::Event;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The signal that drives samples, too.
const SIGNAL: Signal = Signal::SIGURG;
/// Far more often than in a session, so that a short time has many of them.
const PERIOD: Duration = Duration::from_micros(100);
/// The work of a round takes some milliseconds.
const STEPS: u64 = 16_000_000;
const ROUNDS: usize = 25;

static TICKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: i32) {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

/// How long one tick takes a thread on this machine, of what drives samples here: a perf event, or a timer where none is permitted.
/// It is the median of rounds of the same work with ticks and without, and takes some tenths of a second. `None` where there is no
/// tick.
///
/// SIGURG is handled meanwhile, and as it was afterwards.
pub fn tick_cost() -> Option<Duration> {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler touches an atomic number only.
    let before = unsafe { sigaction(SIGNAL, &action) }.ok()?;
    // A thread of its own ends with all that is pending for it.
    let cost = thread::spawn(measure).join().ok().flatten();
    // SAFETY: it is the action that was there.
    unsafe { sigaction(SIGNAL, &before) }.ok()?;
    cost
}

fn measure() -> Option<Duration> {
    let mut costs: Vec<Duration> = (0..ROUNDS).filter_map(|_| round()).collect();
    costs.sort_unstable();
    costs.get(costs.len() / 2).copied()
}

/// What a tick has taken in one round.
fn round() -> Option<Duration> {
    let without = work();
    let ticks = TICKS.load(Ordering::Relaxed);
    let with = match Event::open(SIGNAL as i32, PERIOD.as_nanos() as u64, false) {
        Ok(event) => {
            let with = work();
            event.close();
            with
        }
        Err(_) => {
            let _timer = start_timer().ok()?;
            work()
        }
    };
    let ticks = TICKS.load(Ordering::Relaxed).wrapping_sub(ticks);
    with.saturating_sub(without).checked_div(u32::try_from(ticks).ok()?)
}

/// A timer of the calling thread, which goes on until it is dropped.
fn start_timer() -> nix::Result<Timer> {
    let notify = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id: gettid().as_raw(), si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
    timer.set(Expiration::Interval(TimeSpec::from(PERIOD)), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

fn work() -> Duration {
    let began = Instant::now();
    for step in 0..STEPS {
        black_box(step);
    }
    began.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_takes_some_time() {
        let cost = tick_cost().unwrap();
        assert!(cost < Duration::from_millis(10), "{cost:?}");
        let (ticks, _timer) = (TICKS.load(Ordering::Relaxed), start_timer().unwrap());
        // Nobody handles it any more: by default it is ignored.
        work();
        assert_eq!(TICKS.load(Ordering::Relaxed), ticks);
    }
}
