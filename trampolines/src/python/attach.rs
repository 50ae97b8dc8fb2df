//! Begins to sample an interpreter that runs already.

use super::labels;
use super::refusal::Refusal;
use super::{CPYTHON, CPython, Stubs, find_python, find_version, sampled_of};
use crate::capture;
use crate::sys::{self, PathText, Refused};
use crate::wire::Settings;
use core::ffi::c_int;
use core::fmt;

/// Why an interpreter that runs is not sampled, in words for the one who profiles it.
#[derive(Clone, Copy, Debug)]
pub enum NotAttached {
    /// There is none in the process.
    NotPython,
    /// It is not one that can be sampled.
    Refused(Refusal),
    /// It has not begun, or is about to end.
    NotRunning,
    /// The system refuses memory or the like.
    System(Refused),
}

impl fmt::Display for NotAttached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAttached::NotPython => write!(f, "there is no CPython in it"),
            NotAttached::Refused(refusal) => refusal.fmt(f),
            NotAttached::NotRunning => write!(f, "its interpreter has not begun to run, or is about to end"),
            NotAttached::System(refused) => refused.fmt(f),
        }
    }
}

/// The functions by which a thread that is not Python's gets the interpreter's lock (documentation of the C API, "Non-Python
/// created threads").
struct LockFunctions {
    ensure: unsafe extern "C" fn() -> c_int,
    release: unsafe extern "C" fn(c_int),
}

impl LockFunctions {
    fn load() -> Option<LockFunctions> {
        let (ensure, release) = (sys::symbol(c"PyGILState_Ensure")?, sys::symbol(c"PyGILState_Release")?);
        // SAFETY: the symbols are the functions of these types.
        unsafe {
            Some(LockFunctions {
                ensure: core::mem::transmute::<core::ptr::NonNull<_>, unsafe extern "C" fn() -> c_int>(ensure),
                release: core::mem::transmute::<core::ptr::NonNull<_>, unsafe extern "C" fn(c_int)>(release),
            })
        }
    }
}

/// Has there be a session in this process, of whose interpreter all is known then that samples need. No thread is part of it
/// yet.
///
/// # Errors
/// Why that cannot be; then all is as it was.
pub fn attach(session: &PathText, settings: &Settings) -> Result<(), NotAttached> {
    if CPYTHON.get().is_none() {
        let version = find_version().ok_or(NotAttached::NotPython)?;
        CPYTHON.set(find_python(version, *session, Stubs::Off).map_err(NotAttached::Refused)?);
    }
    let python = CPYTHON.get().ok_or(NotAttached::NotPython)?;
    let lock = LockFunctions::load().ok_or(NotAttached::NotPython)?;
    // SAFETY: the function reads one variable (Python/pylifecycle.c).
    if unsafe { (python.symbols.is_initialized)() } == 0 {
        return Err(NotAttached::NotRunning);
    }
    // SAFETY: the interpreter is initialized, and this thread, which C code has made, may wait.
    let held = unsafe { (lock.ensure)() };
    let begun = begin(python, settings);
    // SAFETY: as `ensure` has returned it.
    unsafe { (lock.release)(held) };
    begun
}

/// Called with the interpreter's lock held.
fn begin(python: &'static CPython, settings: &Settings) -> Result<(), NotAttached> {
    let sampled = sampled_of(python).map_err(NotAttached::System)?;
    sampled.forget();
    labels::prepare(&python.symbols, sampled.walker, python.version.minor);
    // SAFETY: the lock is held, and no error is set in a new state.
    unsafe {
        sampled.find_current(&python.symbols);
        sampled.tasks.interpreter_starts(&python.symbols);
        if settings.reads_variables() {
            labels::learn_context_variables();
        }
    }
    capture::begin(*settings, sampled).map_err(NotAttached::System)
}
