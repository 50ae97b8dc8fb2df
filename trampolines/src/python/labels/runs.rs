//! A thread goes over to another context: a callback, a step of a task, or a function in another thread comes to run in one
//! that was copied elsewhere. Where somebody outside takes the samples, the ring says so, in processes that have imported
//! `_pronk`.
//!
//! From 3.14 on CPython tells of it (`PyContext_AddWatcher`). Before, a function of ours stands before
//! `contextvars.Context.run`; contexts that C code enters by itself are not seen then.
//!
//! # Safety
//! CPython calls everything here with the interpreter's lock held, and `run` with the arguments of its own function.

use super::super::methods::{Before, FAST_WITH_KEYWORDS};
use super::super::symbols::{LabelSymbols, Object, Symbols};
use super::{PYTHON, SCOPES, inherited_in, inherited_serial};
use crate::capture::memory::Straight;
use crate::capture::outside;
use crate::sys;
use core::ffi::c_int;
use core::ptr;

static BEFORE: Before = Before::new();

/// Follows the contexts of the current interpreter, where samples are taken outside. Where that cannot be, what is called
/// back has no labels from where it was made.
///
/// # Safety
/// See the module; no error is set.
pub unsafe fn follow(symbols: &Symbols, labels: &LabelSymbols) {
    if outside::capture().is_none() {
        return;
    }
    // SAFETY: the symbol is the function of that type (Include/cpython/context.h of 3.14), and the type is CPython's own.
    unsafe {
        if let Some(add_watcher) = sys::symbol(c"PyContext_AddWatcher") {
            type Watcher = unsafe extern "C" fn(c_int, *mut Object) -> c_int;
            let add_watcher: unsafe extern "C" fn(Watcher) -> c_int = core::mem::transmute(add_watcher);
            if add_watcher(switched) >= 0 {
                return;
            }
            (symbols.error_clear)();
        }
        BEFORE.put(run as *const () as usize, labels.context_type, c"run", FAST_WITH_KEYWORDS);
    }
}

/// The calling thread has gone over to a context, or to none.
unsafe extern "C" fn switched(event: c_int, context: *mut Object) -> c_int {
    /// `Py_CONTEXT_SWITCHED`.
    const SWITCHED: c_int = 1;
    if let Some(python) = PYTHON.get().filter(|_| event == SWITCHED) {
        let context = if context == python.labels.none { 0 } else { context as u64 };
        // SAFETY: the context is alive.
        unsafe { outside::goes_over((python.symbols.this_thread)() as u64, inherited_by(context)) };
    }
    0
}

/// The serial number of the scope that a context inherits, or 0; the context's address may be 0.
///
/// # Safety
/// The context is alive.
unsafe fn inherited_by(context: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { inherited_in(&Straight, context) }.map_or(0, |number| SCOPES.serial(number))
}

unsafe extern "C" fn run(
    context: *mut Object,
    arguments: *const *mut Object,
    count: isize,
    keywords: *mut Object,
) -> *mut Object {
    type Run = unsafe extern "C" fn(*mut Object, *const *mut Object, isize, *mut Object) -> *mut Object;
    let (before, Some(python)) = (BEFORE.address(), PYTHON.get()) else { return ptr::null_mut() };
    if before == 0 {
        return ptr::null_mut();
    }
    // SAFETY: it was the function of the method, and the arguments are CPython's: the context is alive.
    unsafe {
        let state = (python.symbols.this_thread)() as u64;
        let around = outside::inherited(state).unwrap_or_else(|| inherited_serial(python.walker.layout, state));
        outside::goes_over(state, inherited_by(context as u64));
        let result = core::mem::transmute::<usize, Run>(before)(context, arguments, count, keywords);
        outside::goes_over(state, around);
        result
    }
}
