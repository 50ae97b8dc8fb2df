//! What the program itself wants done about the signals that we handle: the one that brings samples, and those of faults.
//!
//! The agent stands before the C library's `sigaction` and `signal`, so that a program that handles one of them itself is
//! told what it would have been told without the agent, and gets every signal that is not ours.
//!
//! # Safety
//! An action is kept in atomics, one for each of its parts that count: it is written by whoever calls `sigaction`, which
//! programs do one at a time for a signal, and read by handlers.

use super::SIGNAL;
use super::faults::FAULTS;
use crate::sys::{self, KeepErrno, Next};
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
type WithInfo = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
type Plain = unsafe extern "C" fn(c_int);

/// The signals that we may handle.
const SIGNALS: [c_int; 3] = [SIGNAL, FAULTS[0], FAULTS[1]];

/// What the program wants done about each of them.
static ACTIONS: [Action; SIGNALS.len()] = [const { Action::new() }; SIGNALS.len()];

/// What the program wants done about a signal.
#[derive(Debug)]
struct Action {
    /// Whether our handler is installed.
    installed: AtomicBool,
    handler: AtomicUsize,
    flags: AtomicI32,
    /// The first word of the mask: signals 1 to 64, all that there are.
    mask: AtomicU64,
}

impl Action {
    const fn new() -> Action {
        Action {
            installed: AtomicBool::new(false),
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
        }
    }

    /// That of a signal, if we may handle it.
    fn of(signal: c_int) -> Option<&'static Action> {
        SIGNALS.iter().zip(&ACTIONS).find(|(ours, _)| **ours == signal).map(|(_, action)| action)
    }

    fn keep(&self, action: &libc::sigaction) {
        self.flags.store(action.sa_flags, Ordering::Relaxed);
        // SAFETY: a set begins with the word that has all signals.
        self.mask.store(unsafe { (&raw const action.sa_mask).cast::<u64>().read() }, Ordering::Relaxed);
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }

    fn kept(&self) -> libc::sigaction {
        // SAFETY: zeros are a valid value, and a set begins with the word that has all signals.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = self.handler.load(Ordering::Acquire);
            action.sa_flags = self.flags.load(Ordering::Relaxed);
            (&raw mut action.sa_mask).cast::<u64>().write(self.mask.load(Ordering::Relaxed));
            action
        }
    }
}

/// The C library's `sigaction`.
// SAFETY: it is of that type (sigaction(2)).
static SIGACTION: Next<Sigaction> = unsafe { Next::new(c"sigaction") };

/// Installs our action for a signal, and keeps the one that was there; whether that was possible. One that is installed
/// already stays.
///
/// # Safety
/// The action's handler can be called at any moment.
pub unsafe fn install(signal: c_int, action: &libc::sigaction) -> bool {
    let (Some(real), Some(ours)) = (SIGACTION.get(), Action::of(signal)) else { return false };
    if ours.installed.load(Ordering::Relaxed) {
        return true;
    }
    // SAFETY: zeros are a valid value, which is overwritten.
    let mut before: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: both are valid actions; the rest is the caller's promise.
    if unsafe { real(signal, action, &mut before) } != 0 {
        return false;
    }
    ours.keep(&before);
    ours.installed.store(true, Ordering::Relaxed);
    true
}

/// Puts back what was there before our action for a signal, unless somebody has put another one in its place since, which
/// may call ours and then does nothing.
pub fn remove(signal: c_int, handler: usize) {
    let (Some(real), Some(ours)) = (SIGACTION.get(), Action::of(signal)) else { return };
    if !ours.installed.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: zeros are a valid value, which is overwritten; the actions are valid ones.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        if real(signal, ptr::null(), &mut now) == 0 && now.sa_sigaction == handler {
            real(signal, &ours.kept(), ptr::null_mut());
            ours.installed.store(false, Ordering::Relaxed);
        }
    }
}

/// Stands for `sigaction(2)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    if let Some(ours) = Action::of(signal).filter(|ours| ours.installed.load(Ordering::Relaxed)) {
        let before = ours.kept();
        // SAFETY: as promised by the caller.
        unsafe {
            if !new.is_null() {
                ours.keep(&*new);
            }
            if !old.is_null() {
                *old = before;
            }
        }
        return 0;
    }
    match SIGACTION.get() {
        // SAFETY: as promised by the caller.
        Some(real) => unsafe { real(signal, new, old) },
        None => -1,
    }
}

/// Stands for `signal(2)`, whose handlers stay, and whose system calls restart (BSD semantics, the C library's default).
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: zeros are a valid value.
    let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    new.sa_sigaction = handler;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: both are valid actions; the handler is the caller's promise.
    match unsafe { sigaction(signal, &new, &mut old) } {
        0 => old.sa_sigaction,
        _ => libc::SIG_ERR,
    }
}

/// Gives a signal of faults to the program, for good: it meets the fault again, when the handler returns. One that was sent
/// does not come again by itself: it is sent again, with what came with it.
///
/// # Safety
/// As for a handler of the signal.
pub unsafe fn give_back(signal: c_int, sent: Option<*mut libc::siginfo_t>) {
    let _errno = KeepErrno::new();
    let (Some(real), Some(ours)) = (SIGACTION.get(), Action::of(signal)) else { return };
    ours.installed.store(false, Ordering::Relaxed);
    // SAFETY: the action is the program's own; the kernel passes valid information.
    unsafe {
        real(signal, &ours.kept(), ptr::null_mut());
        if let Some(info) = sent {
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, sys::process_id(), sys::thread_id(), signal, info);
        }
    }
}

/// Hands a signal that is not ours to the program, as it wants it.
///
/// # Safety
/// The arguments are those of a handler of the signal.
pub unsafe fn forward(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(ours) = Action::of(signal) else { return };
    let handler = ours.handler.load(Ordering::Acquire);
    // By default this signal is ignored (signal(7)).
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    let flags = ours.flags.load(Ordering::Relaxed);
    if flags & libc::SA_RESETHAND != 0 {
        ours.handler.store(libc::SIG_DFL, Ordering::Release);
    }
    // SAFETY: the program has given the handler for this signal, with or without information.
    unsafe {
        match flags & libc::SA_SIGINFO {
            0 => core::mem::transmute::<usize, Plain>(handler)(signal),
            _ => core::mem::transmute::<usize, WithInfo>(handler)(signal, info, context),
        }
    }
}
