//! What brings a thread's signals: a perf event, or timers.
//!
//! Everything here can be called in a signal handler: it makes system calls and nothing else.

use crate::sys::{self, Refused, perf_event};
use core::ptr;

/// What a signal says that it came from, in the value that comes with it.
pub const TICK: usize = 0x7072_6f6e_6b01;
/// The timer of the thread's CPU time: the thread has run again.
pub const WOKEN: usize = 0x7072_6f6e_6b02;

/// A POSIX timer that signals one thread.
#[derive(Debug)]
pub struct Timer(i32);

/// `SIGEV_THREAD_ID` of linux/signal.h.
const SIGEV_THREAD_ID: i32 = 4;

/// `struct sigevent` as the kernel has it (include/uapi/asm-generic/siginfo.h): 64 bytes.
#[repr(C)]
struct SignalEvent {
    value: usize,
    signal: i32,
    notify: i32,
    thread: i32,
    padding: [i32; 11],
}

const _: () = assert!(size_of::<SignalEvent>() == 64);

impl Timer {
    /// A timer of a clock (CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID) that signals the calling thread, with a value. It is
    /// not set.
    ///
    /// # Errors
    /// When the kernel gives none (timer_create(2)).
    pub fn create(clock: libc::clockid_t, signal: i32, value: usize) -> Result<Timer, Refused> {
        let thread = sys::thread_id();
        let event = SignalEvent { value, signal, notify: SIGEV_THREAD_ID, thread, padding: [0; 11] };
        let mut id = 0_i32;
        // SAFETY: the event is as the kernel has it, and there is room for the id.
        match unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw const event, &raw mut id) } {
            0 => Ok(Timer(id)),
            _ => Err(sys::refused("timer_create")),
        }
    }

    /// Sets the timer: first after `first_ns`, then every `interval_ns`, or never again if that is 0. 0 and 0 disarm it.
    pub fn set(&self, first_ns: u64, interval_ns: u64) {
        let time = |ns: u64| libc::timespec {
            tv_sec: (ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        };
        let value = libc::itimerspec { it_value: time(first_ns), it_interval: time(interval_ns) };
        // SAFETY: the timer is ours. Of a thread's own timer nothing can be wrong with the value.
        unsafe {
            libc::syscall(libc::SYS_timer_settime, self.0, 0, &raw const value, ptr::null_mut::<libc::itimerspec>())
        };
    }

    /// Deletes the timer.
    pub fn delete(self) {
        // SAFETY: the timer is ours, and not used any more.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.0) };
    }
}

/// What drives a thread.
///
/// At first that is the clock's timer alone: threads that end soon are many, and a perf event takes as long to be made and ended as
/// the whole thread. What goes on is made with the first signal.
#[derive(Debug)]
pub struct ThreadDriver {
    /// Whether the first signal has come.
    pub goes_on: bool,
    /// The perf event, if that drives the thread.
    pub event: Option<perf_event::Event>,
    /// The clock's timer: the driver where there is no event, and what takes a sample again.
    pub timer: Timer,
    /// Says that the thread runs again, while the clock's timer rests.
    pub woken: Option<Timer>,
}

impl ThreadDriver {
    /// Makes what drives the calling thread at first; nothing is set yet.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn create(signal: i32) -> Result<ThreadDriver, Refused> {
        let timer = Timer::create(libc::CLOCK_MONOTONIC, signal, TICK)?;
        Ok(ThreadDriver { goes_on: false, event: None, timer, woken: None })
    }

    /// Makes what drives the calling thread from now on. `event` asks for a perf event with a period, and with or without the
    /// kernel's part of stacks; without one the timer has yet to be set.
    pub fn go_on(&mut self, signal: i32, event: Option<(u64, bool)>) {
        self.goes_on = true;
        self.event = event.and_then(|(period_ns, kernel)| perf_event::Event::open(signal, period_ns, kernel).ok());
        if self.event.is_none() {
            self.woken = Timer::create(libc::CLOCK_THREAD_CPUTIME_ID, signal, WOKEN).ok();
        }
    }

    /// Ends it.
    pub fn delete(self) {
        self.timer.delete();
        if let Some(woken) = self.woken {
            woken.delete();
        }
        if let Some(event) = self.event {
            event.close();
        }
    }
}
