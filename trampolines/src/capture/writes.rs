//! Writes that our signal has cut short go on.
//!
//! A signal that arrives while write(2) waits for room in a pipe has it return how much it has written so far, SA_RESTART or
//! not (signal(7), "Interruption of system calls"). Programs should go on with the rest, and not all do: with
//! `PYTHONUNBUFFERED`, CPython's text files pass over it (Modules/_io/textio.c). So the agent stands before the C library's
//! `write`, and goes on where our handler ran meanwhile.

use crate::stub::thread;
use crate::sys::Next;
use core::ffi::{c_int, c_void};

type Write = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;

/// The C library's `write`.
// SAFETY: it is of that type (write(2)).
static WRITE: Next<Write> = unsafe { Next::new(c"write") };

/// Finds the C library's function, before a signal handler of the program's may want to write.
pub fn prepare() {
    WRITE.get();
}

/// How often our handler ran in the calling thread.
fn signals() -> usize {
    // SAFETY: a thread's words are its own; the handler changes this one between two reads at most.
    unsafe { (&raw const (*thread::words()).signals).read_volatile() }
}

/// Stands for `write(2)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, size: usize) -> isize {
    let Some(real) = WRITE.get() else { return -1 };
    let mut before = signals();
    // SAFETY: as promised by the caller.
    let mut result = unsafe { real(file, bytes, size) };
    let mut written = 0_usize;
    while let Ok(now) = usize::try_from(result) {
        written = written.saturating_add(now);
        let after = signals();
        if now == 0 || written >= size || after == before {
            break;
        }
        before = after;
        // SAFETY: the rest of the caller's bytes.
        result = unsafe { real(file, bytes.byte_add(written), size.wrapping_sub(written)) };
    }
    // What was written counts, whatever became of the rest: the next write will tell.
    if written > 0 { written as isize } else { result }
}
