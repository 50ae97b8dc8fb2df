//! What the program itself wants done about the signal that brings samples.
//!
//! The agent stands before the C library's `sigaction` and `signal`, so that a program that handles the signal itself is
//! told what it would have been told without the agent, and gets every signal that is not ours.
//!
//! # Safety
//! The action is kept in atomics, one for each of its parts that count: it is written by whoever calls `sigaction`, which
//! programs do one at a time for a signal, and read by handlers.

use super::SIGNAL;
use crate::lock::Once;
use crate::sys;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
type WithInfo = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
type Plain = unsafe extern "C" fn(c_int);

/// Whether our handler is installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);
static HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static FLAGS: AtomicI32 = AtomicI32::new(0);
/// The first word of the mask: signals 1 to 64, all that there are.
static MASK: AtomicU64 = AtomicU64::new(0);

/// The C library's `sigaction`.
fn real() -> Option<Sigaction> {
    static REAL: Once<Option<Sigaction>> = Once::new();
    // SAFETY: the symbol is the function of that type.
    *REAL.get_or(|| sys::next_symbol(c"sigaction").map(|symbol| unsafe { core::mem::transmute(symbol) }))
}

/// Installs our action, and keeps the one that was there; whether that was possible.
///
/// # Safety
/// The action's handler can be called at any moment.
pub unsafe fn install(action: &libc::sigaction) -> bool {
    let Some(real) = real() else { return false };
    // SAFETY: zeros are a valid value, which is overwritten.
    let mut before: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: both are valid actions; the rest is the caller's promise.
    if unsafe { real(SIGNAL, action, &mut before) } != 0 {
        return false;
    }
    keep(&before);
    INSTALLED.store(true, Ordering::Relaxed);
    true
}

fn keep(action: &libc::sigaction) {
    FLAGS.store(action.sa_flags, Ordering::Relaxed);
    // SAFETY: a set begins with the word that has all signals.
    MASK.store(unsafe { (&raw const action.sa_mask).cast::<u64>().read() }, Ordering::Relaxed);
    HANDLER.store(action.sa_sigaction, Ordering::Release);
}

fn kept() -> libc::sigaction {
    // SAFETY: zeros are a valid value, and a set begins with the word that has all signals.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = HANDLER.load(Ordering::Acquire);
        action.sa_flags = FLAGS.load(Ordering::Relaxed);
        (&raw mut action.sa_mask).cast::<u64>().write(MASK.load(Ordering::Relaxed));
        action
    }
}

/// Stands for `sigaction(2)`.
///
/// # Safety
/// As for that.
pub unsafe fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    if signal == SIGNAL && INSTALLED.load(Ordering::Relaxed) {
        let before = kept();
        // SAFETY: as promised by the caller.
        unsafe {
            if !new.is_null() {
                keep(&*new);
            }
            if !old.is_null() {
                *old = before;
            }
        }
        return 0;
    }
    match real() {
        // SAFETY: as promised by the caller.
        Some(real) => unsafe { real(signal, new, old) },
        None => -1,
    }
}

/// Stands for `signal(2)`, whose handlers stay, and whose system calls restart (BSD semantics, the C library's default).
///
/// # Safety
/// As for that.
pub unsafe fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
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

/// Hands a signal that is not ours to the program, as it wants it.
///
/// # Safety
/// The arguments are those of a handler of the signal.
pub unsafe fn forward(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let handler = HANDLER.load(Ordering::Acquire);
    // By default this signal is ignored (signal(7)).
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    let flags = FLAGS.load(Ordering::Relaxed);
    if flags & libc::SA_RESETHAND != 0 {
        HANDLER.store(libc::SIG_DFL, Ordering::Release);
    }
    // SAFETY: the program has given the handler for this signal, with or without information.
    unsafe {
        match flags & libc::SA_SIGINFO {
            0 => core::mem::transmute::<usize, Plain>(handler)(signal),
            _ => core::mem::transmute::<usize, WithInfo>(handler)(signal, info, context),
        }
    }
}
