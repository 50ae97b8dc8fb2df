//! Scopes open and close: where somebody outside takes the samples, the ring says when.
//!
//! # Safety
//! All functions are called with the interpreter's lock held.

use super::super::symbols::Object;
use super::super::{coroutines, hook};
use super::{Python, SCOPES};
use crate::capture::outside;
use crate::context::{Opened, ScopeNumber};

impl Python {
    /// Opens a scope.
    ///
    /// # Safety
    /// The code object that it is for is alive, or there is none.
    pub unsafe fn open_scope(&self, opened: &Opened<'_>) -> Option<ScopeNumber> {
        let number = SCOPES.open(opened)?;
        if outside::capture().is_some() {
            let stub = match opened.code {
                0 => 0,
                // SAFETY: as promised by the caller.
                code => unsafe { hook::stub_address(self.walker.layout, code as *const Object) },
            };
            SCOPES.say(number, |said| outside::opened(&said, opened.frame, stub));
        }
        Some(number)
    }

    /// Says that the calling thread has closed a scope; `around` is the one that its context inherits again, or 0, if that
    /// was the one that is closed.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn say_closed(&self, number: ScopeNumber, around: Option<u32>) {
        if outside::capture().is_some() {
            let restored = around.map(serial_of);
            // SAFETY: the lock is held.
            let state = unsafe { (self.symbols.this_thread)() } as u64;
            outside::closed(state, SCOPES.serial(number), restored);
        }
    }

    /// Says that the calling thread's context inherits a scope in place of the one that it was flattened from, which may end.
    ///
    /// # Safety
    /// See the module.
    pub unsafe fn say_flattened(&self, before: u64, flat: u64) {
        // SAFETY: the lock is held.
        let state = unsafe { (self.symbols.this_thread)() } as u64;
        if outside::inherited(state).is_some_and(|inherited| inherited == before && inherited != 0) {
            outside::goes_over(state, flat);
        }
        // What a task is said to inherit itself may be that scope, too.
        // SAFETY: the lock is held.
        unsafe { coroutines::look_at_running() };
    }
}

/// The serial number of a scope by its number, as [`ScopeNumber::raw`] has it; 0 for none.
pub fn serial_of(number: u32) -> u64 {
    ScopeNumber::from_raw(number).map_or(0, |number| SCOPES.serial(number))
}

/// Ends a scope.
pub fn end_scope(number: ScopeNumber) {
    let serial = SCOPES.serial(number);
    SCOPES.end(number);
    if serial != 0 {
        outside::ended(serial);
    }
}
