//! Coroutines come by the hook's slow path each time, where somebody outside takes the samples: whoever runs a task enters or
//! resumes the frame of its coroutine, and that is the moment in which it can be asked which task it is.
//!
//! Their slots in `co_extra` have a bit that sends the hook there. All other functions keep the fast path.
//!
//! # Safety
//! CPython calls everything in this file with the interpreter's lock held.

use super::CPython;
use super::code_object::{self, field};
use super::hook::stub_address;
use super::labels::inherited_serial;
use super::layout::Layout;
use super::symbols::Object;
use crate::capture::outside;
use crate::stub::Stub;
use crate::wire::FunctionKind;
use core::ffi::c_int;

/// `CO_GENERATOR` (Include/cpython/code.h).
const CO_GENERATOR: c_int = 0x20;
/// `CO_COROUTINE` (ibid.).
const CO_COROUTINE: c_int = 0x80;
/// `CO_ASYNC_GENERATOR` (ibid.).
const CO_ASYNC_GENERATOR: c_int = 0x200;

/// What the slot of a code object is to have.
///
/// # Safety
/// The code object is alive.
pub unsafe fn slot_of(layout: &Layout, code: *const Object, stub: Stub) -> *mut Object {
    // SAFETY: as promised by the caller.
    let is_asked = outside::capture().is_some() && unsafe { is_coroutine(layout, code) };
    if is_asked { stub.asked_slot() } else { stub.address() as *mut Object }
}

/// Says what there is to say of a frame that is about to run through its stub.
///
/// # Safety
/// The frame is alive, and the state is the calling thread's.
pub unsafe fn look_at(python: &CPython, state: *mut Object, frame: *mut Object, stub: Stub) {
    let layout = python.layout;
    let Some(capture) = outside::capture() else { return };
    // SAFETY: as promised by the caller.
    unsafe {
        let code = code_object::of_frame(&python.symbols, &layout.frame, frame);
        if let Some(code) = code.filter(|code| is_coroutine(layout, *code)) {
            capture
                .sampled
                .tasks
                .keep_current(layout, state as u64, |tasks| (python.symbols.keep)(tasks as *mut Object));
            say(layout, state as u64, (frame as u64, code as u64), stub.address() as u64);
        }
    }
}

/// Says what there is to say of the coroutines that run in the calling thread: something about its task has changed.
///
/// # Safety
/// The interpreter's lock is held.
pub unsafe fn look_at_running() {
    let (Some(python), Some(capture)) = (super::CPYTHON.get(), outside::capture()) else { return };
    let layout = python.layout;
    // SAFETY: as promised by the caller: what is on the chain is alive.
    unsafe {
        let state = (python.symbols.this_thread)() as u64;
        for (frame, code) in capture.sampled.walker.frames(state) {
            let object = code as *const Object;
            if is_coroutine(layout, object) {
                say(layout, state, (frame, code), stub_address(layout, object));
            }
        }
    }
}

/// # Safety
/// The frame and its code object are alive, and the state is the calling thread's.
unsafe fn say(layout: &Layout, state: u64, (frame, code): (u64, u64), stub: u64) {
    // SAFETY: as promised by the caller.
    unsafe { outside::coroutine_runs(state, frame, code, stub, || inherited_serial(layout, state)) }
}

/// What kind of function a code object is.
///
/// # Safety
/// The code object is alive.
pub unsafe fn kind(layout: &Layout, code: *const Object) -> FunctionKind {
    // SAFETY: as promised by the caller.
    match unsafe { flags(layout, code) } {
        flags if flags & (CO_COROUTINE | CO_ASYNC_GENERATOR) != 0 => FunctionKind::Coroutine,
        flags if flags & CO_GENERATOR != 0 => FunctionKind::Generator,
        _ => FunctionKind::Plain,
    }
}

/// # Safety
/// The code object is alive.
unsafe fn is_coroutine(layout: &Layout, code: *const Object) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { flags(layout, code) & CO_COROUTINE != 0 }
}

/// # Safety
/// The code object is alive.
unsafe fn flags(layout: &Layout, code: *const Object) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { field(code, layout.code.flags) }
}
