//! The words that each interpreter's hook reads before it leads a frame to its stub.
//!
//! They are in memory that is zeros in the child of a fork. Zeros close the fast path, so the child comes by the slow one
//! before it counts anywhere, however it was forked, and gets counters of its own.

use crate::lock::Once;
use crate::stub::Counters;
use crate::sys;
use crate::wire::MOST_LANES;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// What a hook reads.
#[derive(Debug)]
#[repr(C)]
pub struct HookWords {
    /// The number to which the size of a code object's `co_extra` is added: there is a carry if our slot is in it. Zero
    /// sends every call to the slow path.
    gate: AtomicU64,
    /// The address of the first counter of the interpreter's lane, or null.
    counters: AtomicPtr<u64>,
}

/// The offset of the counters' address.
pub const COUNTERS: u8 = 8;

const _: () = assert!(core::mem::offset_of!(HookWords, counters) == COUNTERS as usize);

impl HookWords {
    /// Those of the interpreter with that lane. They stay for good.
    pub fn of(lane: usize) -> Option<&'static HookWords> {
        static ALL: Once<Option<All>> = Once::new();
        let all = ALL.get_or(All::new).as_ref()?;
        // SAFETY: the memory is so large and stays, and zeros are a valid value.
        (lane < MOST_LANES).then(|| unsafe { all.0.add(lane).as_ref() })
    }

    /// Opens the fast path for code objects that have a slot at `index`.
    pub fn open(&self, index: u16, counters: Counters) {
        self.count_in(counters);
        self.gate.store(gate(index), Ordering::Release);
    }

    /// Has stubs count elsewhere.
    pub fn count_in(&self, counters: Counters) {
        self.counters.store(counters.address() as *mut u64, Ordering::Relaxed);
    }

    /// Closes the fast path.
    pub fn close(&self) {
        self.gate.store(0, Ordering::Relaxed);
    }

    /// Where stubs count, if that is known.
    pub fn counters(&self) -> Option<Counters> {
        NonNull::new(self.counters.load(Ordering::Relaxed)).map(Counters::new)
    }
}

/// What [`HookWords::gate`] is for a slot: a size that is more than the index makes it carry.
pub const fn gate(index: u16) -> u64 {
    (index as u64 + 1).wrapping_neg()
}

#[derive(Debug)]
struct All(NonNull<HookWords>);

// SAFETY: the words are atomic.
unsafe impl Send for All {}
// SAFETY: as above.
unsafe impl Sync for All {}

impl All {
    /// Where the kernel has no such memory, there is nothing to be counted in a file, either.
    fn new() -> Option<All> {
        let size = MOST_LANES * size_of::<HookWords>();
        let memory = sys::map_wiped_on_fork(size).or_else(|_| sys::map_anonymous(size));
        Some(All(memory.ok()?.cast()))
    }
}
