//! Keeps recursion as deep as it is without stubs.
//!
//! From 3.11 on CPython runs a Python call within the evaluator of its caller, without C stack, and a hook ends that.
//! So a recursion that fits without stubs may not fit with them: on 3.11 it overflows the C stack, on 3.12 and 3.13 it
//! uses up the thread's count of C recursion (`Py_EnterRecursiveCall`), from 3.14 on it raises "Stack overflow".
//! Therefore stubs use no more than a quarter of a thread's stack and of its count. The frame that goes beyond runs with
//! the hook taken out, so that what it calls is run within its evaluator again, and with the count full, as it would be
//! had stubs used none. When it returns, both are put back.

use super::CPython;
use super::FUNCTIONS;
use super::code_object::field;
use super::hook::{INSTALLED, counters_of, resume, stub_of, suspend};
use super::interpreters::with_interpreter;
use super::symbols::{EvalFrame, Object};
use crate::stub::thread;
use crate::sys;
use core::ffi::c_int;

/// Taking the hook out and in again costs about a microsecond. A thread that does so more often than this many times in
/// [`SHORT_NS`] goes up and down around the depth where stubs stop: for it they stop nearer to its base from then on,
/// so that it comes by less often.
const MANY_STOPS: usize = 1000;
/// 100 milliseconds.
const SHORT_NS: u64 = 100_000_000;

/// The largest stack of which stubs use a quarter, in bytes.
const LARGEST_STACK: usize = 64 << 20;
/// What stubs use where the size of the stack cannot be found out, in bytes.
const UNKNOWN_STACK: usize = 1 << 20;

/// The stack pointer below which stubs stop, from the stack's lowest and highest address.
pub fn stack_limit(stack: Option<(usize, usize)>) -> usize {
    match stack {
        Some((low, high)) => high.saturating_sub(high.saturating_sub(low).min(LARGEST_STACK) / 4),
        None => here().saturating_sub(UNKNOWN_STACK / 4),
    }
}

/// The C recursion below which stubs stop.
pub const fn lowest_for_stubs(limit: c_int) -> c_int {
    limit - limit / 4
}

/// The C recursion that a thread has left; 0 in versions that do not count it.
///
/// # Safety
/// The thread is alive and the interpreter's lock is held.
pub unsafe fn remaining(python: &CPython, thread_state: *mut Object) -> c_int {
    match python.layout.c_recursion {
        // SAFETY: the layout was checked.
        Some(fields) => unsafe { field(thread_state, fields.remaining) },
        None => 0,
    }
}

/// An address near the top of the stack.
fn here() -> usize {
    let local = 0_u8;
    (&raw const local).addr()
}

/// Whether the thread is so deep that its next frame runs without the hook.
///
/// # Safety
/// The thread is the calling one, and the interpreter's lock is held.
pub unsafe fn is_deep(python: &CPython, thread_state: *mut Object) -> bool {
    // A stack that the program made itself, of a size that is not known, counts as deep where it is lower in memory.
    let low_stack = here() < own_stack_limit();
    let limit = INSTALLED.get().map_or(0, |installed| installed.c_recursion_limit);
    // SAFETY: as promised by the caller.
    low_stack || unsafe { remaining(python, thread_state) } < lowest_for_stubs(limit)
}

/// Runs a frame with the hook taken out.
///
/// A thread that ends in here (a daemon thread, when the interpreter of 3.12 and earlier ends) is unwound past it by
/// pthread_exit: there is nothing to drop, and nobody is left whom the missing hook would concern.
///
/// # Safety
/// Jumped to by the hook's code, in place of a stub.
pub unsafe extern "C" fn run_deep(
    thread_state: *mut Object,
    frame: *mut Object,
    throwflag: c_int,
    next: EvalFrame,
) -> *mut Object {
    let Some(python) = super::CPYTHON.get() else {
        // SAFETY: the arguments are those that the evaluator expects.
        return unsafe { next(thread_state, frame, throwflag) };
    };
    FUNCTIONS.count_deep_stop();
    stop_earlier_if_often();
    // SAFETY: the arguments are CPython's, the lock is held here and again when the evaluator has returned, and a stub
    // passes its arguments on to the evaluator and its result back.
    unsafe {
        let interpreter = (python.symbols.interpreter_of_thread)(thread_state);
        let stub = stub_of(python, frame);
        let lane = with_interpreter(interpreter, |known| known.lane);
        let counters = lane.and_then(counters_of);
        suspend(python, interpreter);
        let given = give_back(python, thread_state);
        let result = match stub.zip(counters) {
            Some((stub, counters)) => {
                let next = core::mem::transmute::<EvalFrame, crate::stub::Evaluator>(next);
                let words = [thread_state as usize, frame as usize, throwflag as usize];
                stub.call(counters, words, next) as *mut Object
            }
            None => next(thread_state, frame, throwflag),
        };
        take_back(python, thread_state, given);
        resume(python, interpreter);
        result
    }
}

/// Where stubs stop on this thread; found out on the thread's first call.
fn own_stack_limit() -> usize {
    // SAFETY: a thread's words are its own.
    let words = unsafe { &mut *thread::words() };
    if words.stack_limit == usize::MAX {
        let stack = sys::thread_stack();
        words.stack_limit = stack_limit(stack);
        words.stack_high = stack.map_or(here(), |(_, high)| high);
        words.looked_at_ns = sys::monotonic_ns();
    }
    words.stack_limit
}

/// Counts a stop, and moves the place where stubs stop half way to the thread's base if there were many in a short time.
fn stop_earlier_if_often() {
    // SAFETY: a thread's words are its own.
    let words = unsafe { &mut *thread::words() };
    words.stops = words.stops.wrapping_add(1);
    if !words.stops.is_multiple_of(MANY_STOPS) {
        return;
    }
    let now = sys::monotonic_ns();
    if now.saturating_sub(words.looked_at_ns) < SHORT_NS {
        words.stack_limit += words.stack_high.saturating_sub(words.stack_limit) / 2;
    }
    words.looked_at_ns = now;
}

/// Fills the thread's count of C recursion up, and returns by how much.
///
/// # Safety
/// The thread is the calling one, and the interpreter's lock is held.
unsafe fn give_back(python: &CPython, thread_state: *mut Object) -> c_int {
    let (Some(fields), Some(installed)) = (python.layout.c_recursion, INSTALLED.get()) else { return 0 };
    // SAFETY: the layout was checked, and the count is the calling thread's.
    unsafe {
        let count = thread_state.byte_add(fields.remaining.into()).cast::<c_int>();
        let given = (installed.c_recursion_limit - *count).max(0);
        *count += given;
        given
    }
}

/// Takes back what [`give_back`] gave.
///
/// # Safety
/// As for [`give_back`].
unsafe fn take_back(python: &CPython, thread_state: *mut Object, given: c_int) {
    let Some(fields) = python.layout.c_recursion else { return };
    // SAFETY: as in `give_back`.
    unsafe {
        let count = thread_state.byte_add(fields.remaining.into()).cast::<c_int>();
        *count -= given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_use_a_quarter_of_the_stack() {
        let mib = 1 << 20;
        assert_eq!(stack_limit(Some((100 * mib, 108 * mib))), 106 * mib);
        assert_eq!(stack_limit(Some((0, 1000 * mib))), (1000 - 16) * mib);
        let unknown = stack_limit(None);
        assert!(unknown < here() && here() - unknown < UNKNOWN_STACK);
    }
}
