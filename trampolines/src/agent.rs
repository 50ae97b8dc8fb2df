//! The library that is loaded into a target: what the loader runs, what it exports, and what becomes of a panic.

use crate::attach;
use crate::capture::{self, Main, interpose, program_action, writes};
use crate::python;
use core::ffi::{CStr, c_char, c_int, c_void};

/// Runs when the loader has mapped the library, before the program's `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn on_load() {
    writes::prepare();
    python::start();
}

/// Runs when the program ends by `exit`, or by returning from `main`.
#[used]
#[unsafe(link_section = ".fini_array")]
static ON_EXIT: extern "C" fn() = on_exit;

extern "C" fn on_exit() {
    capture::end();
}

/// [`interpose::pthread_create`], in front of the C library's.
///
/// # Safety
/// As for pthread_create(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    main: Main,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { interpose::pthread_create(thread, attributes, main, argument) }
}

/// [`program_action::sigaction`], in front of the C library's.
///
/// # Safety
/// As for sigaction(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { program_action::sigaction(signal, new, old) }
}

/// [`program_action::signal`], in front of the C library's.
///
/// # Safety
/// As for signal(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: as promised by the caller.
    unsafe { program_action::signal(signal, handler) }
}

/// [`writes::write`], in front of the C library's.
///
/// # Safety
/// As for write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, size: usize) -> isize {
    // SAFETY: as promised by the caller.
    unsafe { writes::write(file, bytes, size) }
}

/// [`attach::begin`]: what a profiler has a thread of a running process call.
///
/// # Safety
/// The text is zero-terminated; the rest as for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_attach(directory: *const c_char) {
    if !directory.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { attach::begin(CStr::from_ptr(directory)) };
    }
}

/// [`python::install`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_install() -> bool {
    // SAFETY: as promised by the caller.
    unsafe { python::install() }
}

/// [`python::remove`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_remove() {
    // SAFETY: as promised by the caller.
    unsafe { python::remove() }
}

unsafe extern "C" {
    /// Is nowhere defined: a library that needs it does not link.
    fn pronk_agent_contains_a_path_to_a_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked.
    unsafe { pronk_agent_contains_a_path_to_a_panic() }
}
