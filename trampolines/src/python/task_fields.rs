//! The fields of tasks, and how far they are to be trusted.
//!
//! # Safety
//! What the methods say.

use crate::capture::memory::{Guarded, Memory, Straight};

/// How sure it is that fields are there, and that they have objects.
pub trait Fields {
    /// A field.
    ///
    /// # Safety
    /// As for [`super::tasks::Tasks::running`].
    unsafe fn field(&self, at: u64) -> Option<u64>;
    /// A word of what a field refers to.
    ///
    /// # Safety
    /// As for [`super::tasks::Tasks::running`].
    unsafe fn word_of(&self, at: u64) -> Option<u64>;
}

/// Those of which it is known what they have: they are null, or refer to objects.
#[derive(Clone, Copy, Debug)]
pub struct Known;
/// Those that an object has: they may have anything.
#[derive(Clone, Copy, Debug)]
pub struct Own;

impl Fields for Known {
    unsafe fn field(&self, at: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe { Straight.word(at) }
    }
    unsafe fn word_of(&self, at: u64) -> Option<u64> {
        // SAFETY: as above.
        unsafe { Straight.word(at) }
    }
}

impl Fields for Own {
    unsafe fn field(&self, at: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe { Straight.word(at) }
    }
    unsafe fn word_of(&self, at: u64) -> Option<u64> {
        // SAFETY: guarded reads take any address.
        unsafe { Guarded.word(at) }
    }
}
