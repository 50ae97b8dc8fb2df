//! `Task.set_name` of asyncio: the task that runs gets another name, which is said where somebody outside takes the samples.
//!
//! # Safety
//! CPython calls the method with the arguments of its own function, and the interpreter's lock held.

use super::coroutines;
use super::methods::{Before, ONE_ARGUMENT};
use super::symbols::Object;
use core::ptr;

static BEFORE: Before = Before::new();

/// Stands before the method of tasks that are written in C, whose type this is.
///
/// # Safety
/// The type is alive and stays.
pub unsafe fn follow(kind: u64) {
    if BEFORE.address() == 0 {
        // SAFETY: as promised by the caller.
        unsafe { BEFORE.put(set_name as *const () as usize, kind as *const Object, c"set_name", ONE_ARGUMENT) };
    }
}

unsafe extern "C" fn set_name(task: *mut Object, name: *mut Object) -> *mut Object {
    type SetName = unsafe extern "C" fn(*mut Object, *mut Object) -> *mut Object;
    let before = BEFORE.address();
    if before == 0 {
        return ptr::null_mut();
    }
    // SAFETY: it was the function of the method, and the arguments are CPython's.
    unsafe {
        let result = core::mem::transmute::<usize, SetName>(before)(task, name);
        coroutines::look_at_running();
        result
    }
}
