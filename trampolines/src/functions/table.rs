//! Which functions have stubs already.

use crate::stub::Stub;
use crate::sys::{self, Refused};
use crate::wire::Function;
use core::ptr::NonNull;

/// A number that tells functions apart: 64 bits, seeded with the process's random token.
pub fn key_of(function: &Function<'_>, seed: u64) -> u64 {
    // A multiplication and a fold of its 128 bits mix well; the length before each text keeps texts apart.
    fn mix(a: u64, b: u64) -> u64 {
        let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
        (product as u64) ^ ((product >> 64) as u64)
    }
    let mut key = mix(seed, u64::from(function.first_line) | (function.kind as u64) << 32);
    for text in [function.module, function.qualname, function.file, function.line_table] {
        key = mix(key, text.len() as u64);
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            key = mix(key, u64::from_ne_bytes(*word));
        }
        let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
        key = mix(key, last);
    }
    key
}

/// Which stub belongs to which key: open addressing with linear probing.
#[derive(Debug)]
pub struct StubTable {
    slots: NonNull<Slot>,
    /// A power of two.
    capacity: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Slot {
    key: u64,
    stub: Option<Stub>,
}

// SAFETY: the memory is the table's own.
unsafe impl Send for StubTable {}

impl StubTable {
    /// An empty table.
    pub fn new() -> Result<StubTable, Refused> {
        StubTable::with_capacity(4096)
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.len
    }

    fn with_capacity(capacity: usize) -> Result<StubTable, Refused> {
        // Zeroed memory is a table of empty slots: `None` of a stub is a null pointer.
        Ok(StubTable { slots: sys::map_anonymous(capacity * size_of::<Slot>())?.cast(), capacity, len: 0 })
    }

    fn slots(&mut self) -> &mut [Slot] {
        // SAFETY: the mapping holds `capacity` slots, and the table is borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.slots.as_ptr(), self.capacity) }
    }

    /// The slot that has the key, or the empty one where it belongs.
    fn slot(&mut self, key: u64) -> Option<&mut Slot> {
        let start = key as usize & (self.capacity - 1);
        let (before, from) = self.slots().split_at_mut_checked(start)?;
        from.iter_mut().chain(before).find(|slot| slot.stub.is_none() || slot.key == key)
    }

    /// The stub of a key.
    pub fn get(&mut self, key: u64) -> Option<Stub> {
        self.slot(key)?.stub
    }

    /// Keeps the stub of a key that is not there yet.
    pub fn insert(&mut self, key: u64, stub: Stub) -> Result<(), Refused> {
        if self.len * 4 >= self.capacity * 3 {
            let mut larger = StubTable::with_capacity(self.capacity * 2)?;
            for old in self.slots() {
                if let (Some(stub), Some(slot)) = (old.stub, larger.slot(old.key)) {
                    *slot = Slot { key: old.key, stub: Some(stub) };
                }
            }
            larger.len = self.len;
            let old = core::mem::replace(self, larger);
            // SAFETY: nobody refers to the old slots any more.
            unsafe { sys::unmap(old.slots.cast(), old.capacity * size_of::<Slot>()) };
        }
        if let Some(slot) = self.slot(key) {
            *slot = Slot { key, stub: Some(stub) };
            self.len += 1;
        }
        Ok(())
    }
}
