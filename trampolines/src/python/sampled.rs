//! What the signal handler needs to know of CPython.

use super::codes::Codes;
use super::current::Current;
use super::links::Walker;
use super::switches::Switches;
use super::symbols::Symbols;
use crate::lock::Once;
use crate::sys::Refused;
use crate::wire::REGISTERS;
use core::ffi::c_int;

/// An interpreter whose threads are sampled.
#[derive(Debug)]
pub struct Sampled {
    /// `PY_VERSION_HEX`.
    pub hexversion: u32,
    /// Walks frame links.
    pub walker: Walker,
    /// The code objects that have numbers.
    pub codes: Codes,
    /// Where a thread's state is, once that was found.
    current: Once<Current>,
    /// Whether code that exchanges stacks is in the process.
    switches: Switches,
    newest_thread: unsafe extern "C" fn() -> *mut core::ffi::c_void,
    is_initialized: unsafe extern "C" fn() -> c_int,
}

impl Sampled {
    /// Of the interpreter in this process.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(symbols: &Symbols, layout: &'static super::layout::Layout, hexversion: u32) -> Result<Sampled, Refused> {
        Ok(Sampled {
            hexversion,
            walker: Walker {
                layout,
                code_type: symbols.code_type as u64,
                evaluator: symbols.default_eval_frame as *const () as u64,
            },
            codes: Codes::new()?,
            current: Once::new(),
            switches: Switches::new(),
            newest_thread: symbols.newest_thread,
            is_initialized: symbols.is_initialized,
        })
    }

    /// Finds out where a thread's state is; until then no thread has one.
    ///
    /// # Safety
    /// The interpreter's lock is held.
    pub unsafe fn find_current(&self, symbols: &Symbols) {
        if self.current.get().is_none() {
            // SAFETY: as promised by the caller.
            self.current.set(unsafe { Current::find(symbols) });
        }
    }

    /// The address of the calling thread's state, if it is a Python thread whose frames can be read. `is_main` says whether
    /// it is the process's first thread.
    pub fn thread_state(&self, is_main: bool) -> Option<u64> {
        let current = self.current.get()?;
        // While an interpreter ends, it frees the states of threads that it has left behind, and those still have them. The
        // first thread's is there before the interpreter is initialized, too.
        // SAFETY: the function reads one variable (Python/pylifecycle.c).
        if !is_main && unsafe { (self.is_initialized)() } == 0 {
            return None;
        }
        let state = current.state() as u64;
        (state != 0).then_some(state)
    }

    /// Whether the calling thread holds the interpreter's lock.
    pub fn holds_lock(&self) -> bool {
        let Some(current) = self.current.get() else { return false };
        current.is_attached().unwrap_or_else(|| {
            let state = current.state();
            // SAFETY: up to 3.11, where there is no thread-local variable, the function reads one variable: the state of
            // the thread that holds the lock (Python/pystate.c).
            !state.is_null() && state == unsafe { (self.newest_thread)() }
        })
    }

    /// Whether the interrupted code may be exchanging the thread's stack for another one, so that not all that the
    /// interpreter's chain leads to is there.
    pub fn stack_may_be_switched(&self, registers: &[u64; REGISTERS]) -> bool {
        self.switches.may_be_switching(registers)
    }
}
