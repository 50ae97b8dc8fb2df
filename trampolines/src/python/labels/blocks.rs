//! Which frame a `with` block is in, for who is called by the block.

use super::super::code_object::field;
use super::{Object, Python};
use crate::lock::Lock;
use core::ffi::c_int;

/// Flags of code objects (Include/cpython/code.h): generators and asynchronous ones. Coroutines have another one.
const CO_GENERATOR: c_int = 0x20;
const CO_ASYNC_GENERATOR: c_int = 0x200;

/// A frame that has a block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub frame: u64,
    pub code: u64,
    /// Whether the frame may be left by `yield`: what runs then is not within the block.
    pub yields: bool,
}

/// Modules whose functions enter blocks for others: their global variables.
static PASSED_OVER: Lock<[u64; 8]> = Lock::new([0; 8], |_| ());

/// Has the functions of a module be none that have blocks, by the module's dictionary, which must stay.
pub fn pass_over(globals: u64) {
    PASSED_OVER.with(|all| {
        if let Some(free) = all.iter_mut().find(|one| **one == 0 || **one == globals) {
            *free = globals;
        }
    });
}

/// The frame of the function that has called us, with what stands between passed over.
///
/// # Safety
/// The interpreter's lock is held, by code that a Python function has called.
pub unsafe fn caller(python: &Python) -> Option<Block> {
    let layout = python.walker.layout;
    let passed_over = PASSED_OVER.with(|all| *all);
    // SAFETY: as promised by the caller: frames and their code objects are alive, and larger than every offset.
    unsafe {
        let state = (python.symbols.this_thread)() as u64;
        let is_passed_over = |frame: u64| {
            let globals: u64 = field(frame as *const Object, layout.frame.globals);
            passed_over.iter().any(|one| *one != 0 && *one == globals)
        };
        let (frame, code) = python.walker.frames(state).find(|(frame, _)| !is_passed_over(*frame))?;
        let flags: c_int = field(code as *const Object, layout.code.flags);
        Some(Block { frame, code, yields: flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) != 0 })
    }
}
