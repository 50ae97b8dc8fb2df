//! Gets control while an interpreter starts, with its lock held, and in each subinterpreter again.
//!
//! `PyImport_Inittab` is CPython's table of built-in modules; it is public and meant to be extended before
//! initialization (documentation of the C API, `PyImport_ExtendInittab`). A copy of it, in which the initializer of one
//! module is ours, takes its place. `_weakref` is that module: `importlib._bootstrap` imports it in every interpreter,
//! before any module that is written in Python is found.

use super::symbols::Object;
use crate::lock::Once;
use crate::sys;
use core::ffi::{CStr, c_char};

/// `struct _inittab` (Include/cpython/import.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    name: *const c_char,
    initialize: Option<unsafe extern "C" fn() -> *mut Object>,
}

/// The module whose initializer is wrapped.
const MODULE: &CStr = c"_weakref";

struct Wrapped {
    original: unsafe extern "C" fn() -> *mut Object,
    on_start: fn(),
}

static WRAPPED: Once<Wrapped> = Once::new();

/// Arranges for `on_start` to be called by every interpreter that starts from now on.
///
/// # Errors
/// Why that cannot be done.
pub fn wrap(on_start: fn()) -> Result<(), &'static str> {
    let Some(table) = sys::symbol(c"PyImport_Inittab") else {
        return Err("it does not export PyImport_Inittab");
    };
    let table = table.cast::<*mut Entry>();
    // SAFETY: the variable holds a table that ends with an entry without a name; this runs before `main`, when nobody
    // else uses it.
    unsafe {
        let first = table.read();
        if first.is_null() {
            return Err("PyImport_Inittab is empty");
        }
        let entries = (0..).take_while(|&at| !(*first.add(at)).name.is_null()).count();
        let module = (0..entries).find(|&at| CStr::from_ptr((*first.add(at)).name) == MODULE);
        let original = module.and_then(|at| (*first.add(at)).initialize);
        let (Some(module), Some(original)) = (module, original) else {
            return Err("_weakref is not among its built-in modules");
        };
        let Ok(copy) = sys::map_anonymous((entries + 1) * size_of::<Entry>()) else {
            return Err("no memory for a copy of PyImport_Inittab");
        };
        let copy = copy.cast::<Entry>().as_ptr();
        copy.copy_from_nonoverlapping(first, entries + 1);
        WRAPPED.set(Wrapped { original, on_start });
        (*copy.add(module)).initialize = Some(initialize);
        table.write(copy);
    }
    Ok(())
}

unsafe extern "C" fn initialize() -> *mut Object {
    match WRAPPED.get() {
        Some(wrapped) => {
            (wrapped.on_start)();
            // SAFETY: the module's own initializer, called as CPython would have.
            unsafe { (wrapped.original)() }
        }
        None => core::ptr::null_mut(),
    }
}
