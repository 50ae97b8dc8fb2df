//! Stubs: their code, the memory they live in, and how to unwind through them.

mod code_memory;
mod eh_frame;
pub mod record;
pub mod thread;
mod unwind;

// Tests check the code of both architectures on either.
#[cfg(any(test, target_arch = "aarch64"))]
mod aarch64;
#[cfg(test)]
pub(crate) mod disassembly;
#[cfg(test)]
mod tests;
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as native;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

pub(crate) use code_memory::map_code;
pub use eh_frame::DwarfNumbers;
pub use native::{RETURN_OFFSET, STUB_SIZE, UNWIND_TABLE};
pub use unwind::{Cfa, Saved, UnwindEntry, UnwindRow, row_at};

use crate::counts::Counts;
use crate::sys::Refused;
use crate::wire::{FunctionKind, LaneHead, NO_COUNTER, STUBS_NAME, Token};
use core::ptr::NonNull;

/// A stub: the address of its first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub(NonNull<u8>);

// SAFETY: a stub is an address of code that is never written and never unmapped.
unsafe impl Send for Stub {}
// SAFETY: as above.
unsafe impl Sync for Stub {}

/// See [`Stub::asked_slot`].
const ASKED: usize = 1 << (usize::BITS - 1);

/// Where stubs count how often they were entered: a lane of the process's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Counters(NonNull<u64>);

// SAFETY: an address of memory that is never unmapped. Who calls a stub promises that nobody else counts there.
unsafe impl Send for Counters {}
// SAFETY: as above.
unsafe impl Sync for Counters {}

impl Counters {
    pub(crate) const fn new(first: NonNull<u64>) -> Counters {
        Counters(first)
    }

    /// The address of the first counter.
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// How many counters can be the sum of several stubs': a stub on x86-64 has a byte for how far away the sum is.
const MOST_SUMS: u8 = 16;
const _: () = assert!(LaneHead::entered(FunctionKind::Coroutine) < MOST_SUMS);

/// What a stub calls: a function of three words that returns a word.
pub type Evaluator = unsafe extern "C" fn(usize, usize, usize) -> usize;

impl Stub {
    /// The address of the stub.
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The word of a slot that has a hook ask each time: the address with the highest bit, which no address in user space
    /// has.
    pub(crate) fn asked_slot(self) -> *mut core::ffi::c_void {
        self.0.as_ptr().map_addr(|address| address | ASKED).cast()
    }

    /// The stub whose address [`Stub::address`] gave, with or without that bit.
    ///
    /// # Safety
    /// The address is one that `address` gave, in this process or one that it was forked from.
    pub(crate) unsafe fn from_slot(address: *mut core::ffi::c_void) -> Option<Stub> {
        NonNull::new(address.map_addr(|address| address & !ASKED).cast()).map(Stub)
    }

    /// Calls `evaluator` with three words through the stub, so that the stub is on the stack while it runs, and counts it.
    ///
    /// The first word is kept in the stub record as the interpreter's thread, the second as its frame.
    ///
    /// # Safety
    /// The counters are of this process, and not of one that it was forked from, and no other thread counts there at the same
    /// time. The evaluator can be called with these words. It returns to its caller: it does not leave by `longjmp` over the
    /// stub, unless nothing that runs later on this thread reads the stub records.
    pub unsafe fn call(self, counters: Counters, words: [usize; 3], evaluator: Evaluator) -> usize {
        type Code = unsafe extern "C" fn(usize, usize, usize, Evaluator, Counters) -> usize;
        let [thread, frame, third] = words;
        // SAFETY: a stub is code of that signature, which passes the first three words on; the rest is the caller's.
        unsafe {
            let code: Code = core::mem::transmute(self.0);
            code(thread, frame, third, evaluator, counters)
        }
    }
}

/// How many stubs the first block of memory holds; each further one doubles it up to [`LARGEST_BLOCK`].
const fn first_block(kind: FunctionKind) -> usize {
    match kind {
        FunctionKind::Plain => 1024,
        FunctionKind::Generator | FunctionKind::Coroutine => 128,
    }
}
const LARGEST_BLOCK: usize = 16_384;

/// The counter of a block's stub.
fn counter_of(first: u32, index: usize) -> u32 {
    if first == NO_COUNTER { NO_COUNTER } else { first.wrapping_add(index as u32) }
}

/// Hands out stubs of functions of one kind, each of them once.
#[derive(Debug)]
pub(crate) struct StubMemory {
    kind: FunctionKind,
    next: Option<NonNull<u8>>,
    left: usize,
    block: usize,
    /// The first counter of the block's stubs, which have them in their order; [`NO_COUNTER`] if there were none.
    first_counter: u32,
    /// How many stubs the block has that `next` is in.
    stubs: usize,
}

// SAFETY: the memory that `next` points into is never written and never unmapped.
unsafe impl Send for StubMemory {}

impl StubMemory {
    /// No memory yet.
    pub const fn new(kind: FunctionKind) -> StubMemory {
        StubMemory { kind, next: None, left: 0, block: first_block(kind), first_counter: NO_COUNTER, stubs: 0 }
    }

    /// A stub that nobody has had before, in memory that carries the token's name, and its counter.
    ///
    /// # Errors
    /// When the kernel refuses the memory.
    pub fn take(&mut self, token: Token, counts: &mut Counts) -> Result<(Stub, u32), Refused> {
        let stub = match self.next {
            Some(next) if self.left > 0 => next,
            _ => {
                let head = thread::offset() + thread::HEAD;
                let first = counts.give(self.block as u32).unwrap_or(NO_COUNTER);
                let sum = LaneHead::entered(self.kind);
                let code = |index| native::stub_code(head, sum, counter_of(first, index));
                let start = map_code(STUBS_NAME, token, self.block, code)?;
                // A table that finds no memory costs backtraces within the process, nothing else.
                let _ = eh_frame::register(start, self.block);
                self.left = self.block;
                self.stubs = self.block;
                self.first_counter = first;
                self.block = (self.block * 2).min(LARGEST_BLOCK);
                start
            }
        };
        let counter = counter_of(self.first_counter, self.stubs.wrapping_sub(self.left));
        self.left -= 1;
        // SAFETY: the result is within the block or right behind it.
        self.next = Some(unsafe { stub.add(STUB_SIZE) });
        Ok((Stub(stub), counter))
    }

    /// Takes the stub back that was taken last, if nobody has seen it.
    pub fn put_back(&mut self, stub: Stub) {
        // SAFETY: as in `take`.
        if self.next == Some(unsafe { stub.0.add(STUB_SIZE) }) {
            self.next = Some(stub.0);
            self.left += 1;
        }
    }

    /// Leaves what is left of the memory unused: its name is another process's.
    pub fn abandon(&mut self) {
        *self = StubMemory::new(self.kind);
    }
}
