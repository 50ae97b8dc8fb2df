//! When to look in the program's modules for a variable that was not found yet.

use super::dict;
use super::sampled::Sampled;
use crate::capture::memory::Straight;
use core::sync::atomic::{AtomicU64, Ordering};

/// How often a variable is looked for that was not found although no module was added: once in so many samples.
const LOOK_AGAIN: u64 = 64;

/// A search that goes on.
#[derive(Debug, Default)]
pub struct Search {
    /// How many modules there were when it was last looked, and how often there was a reason to.
    looked_at: AtomicU64,
    looked: AtomicU64,
}

impl Search {
    /// Looks as if it never had.
    pub fn begin_again(&self) {
        [&self.looked_at, &self.looked].iter().for_each(|number| number.store(0, Ordering::Relaxed));
    }

    /// `sys.modules` of the interpreter of a state, if it is time to look there: a module was added, or a while is over.
    ///
    /// # Safety
    /// The state is the calling thread's own, which is in a signal handler, and a fault is caught.
    pub unsafe fn modules(&self, sampled: &Sampled, state: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe {
            let modules = sampled.tasks.modules(state)?;
            let count = dict::len(&Straight, modules).unwrap_or(0);
            let is_time = self.looked.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_AGAIN);
            let is_as_it_was = self.looked_at.swap(count, Ordering::Relaxed) == count;
            (is_time || !is_as_it_was).then_some(modules)
        }
    }
}
