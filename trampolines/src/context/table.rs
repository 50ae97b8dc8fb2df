//! A table from addresses to numbers that is read without a lock, in signal handlers too.
//!
//! Each address has two places of a few entries each, of which it takes the emptier (Y. Azar and others, "Balanced
//! allocations", 1994): no entry ever moves, so a reader that looks through both finds what is there.

use crate::sys::{self, Refused};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The entries of a place: those of one cache line.
const WIDTH: usize = 8;
/// The places, as a power of two.
const PLACES_LOG2: u32 = 15;
/// All entries.
const ENTRIES: usize = WIDTH << PLACES_LOG2;

/// The table. Its memory is there from the first entry on.
#[derive(Debug)]
pub struct AddressTable {
    memory: AtomicPtr<Memory>,
}

/// Zeros are an empty table.
#[repr(C)]
struct Memory {
    /// 0 is a free entry.
    addresses: [AtomicU64; ENTRIES],
    numbers: [AtomicU32; ENTRIES],
}

impl AddressTable {
    /// An empty table.
    pub const fn new() -> AddressTable {
        AddressTable { memory: AtomicPtr::new(ptr::null_mut()) }
    }

    fn memory(&self) -> Option<&Memory> {
        // SAFETY: the memory is mapped for good before its address is there.
        NonNull::new(self.memory.load(Ordering::Acquire)).map(|memory| unsafe { memory.as_ref() })
    }

    /// The number of an address, which is not 0.
    pub fn get(&self, address: u64) -> Option<u32> {
        let memory = self.memory()?;
        let entry = places(address).into_iter().find_map(|place| memory.entry_in(place, address))?;
        memory.numbers.get(entry).map(|number| number.load(Ordering::Acquire))
    }

    /// Gives an address, which is not 0, a number. Whether there was room. One writer at a time.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn set(&self, address: u64, number: u32) -> Result<bool, Refused> {
        let memory = match self.memory() {
            Some(memory) => memory,
            None => {
                let fresh = sys::map_anonymous(size_of::<Memory>())?.cast::<Memory>();
                self.memory.store(fresh.as_ptr(), Ordering::Release);
                // SAFETY: the mapping has that size, is aligned to a page, and stays.
                unsafe { fresh.as_ref() }
            }
        };
        let [first, second] = places(address);
        let there = memory.entry_in(first, address).or_else(|| memory.entry_in(second, address));
        let free = || {
            let place = if memory.used(first) <= memory.used(second) { first } else { second };
            memory.entry_in(place, 0)
        };
        let Some(entry) = there.or_else(free) else { return Ok(false) };
        if let (Some(of), Some(at)) = (memory.numbers.get(entry), memory.addresses.get(entry)) {
            of.store(number, Ordering::Release);
            at.store(address, Ordering::Release);
        }
        Ok(true)
    }

    /// Removes an address. One writer at a time.
    pub fn remove(&self, address: u64) {
        let Some(memory) = self.memory() else { return };
        for place in places(address) {
            if let Some(at) = memory.entry_in(place, address).and_then(|entry| memory.addresses.get(entry)) {
                at.store(0, Ordering::Release);
            }
        }
    }
}

impl Memory {
    /// The entry of a place that has an address; 0 finds a free one.
    fn entry_in(&self, place: usize, address: u64) -> Option<usize> {
        let entries = self.addresses.iter().enumerate().skip(place).take(WIDTH);
        entries.into_iter().find(|(_, at)| at.load(Ordering::Acquire) == address).map(|(entry, _)| entry)
    }

    fn used(&self, place: usize) -> usize {
        let entries = self.addresses.iter().skip(place).take(WIDTH);
        entries.filter(|at| at.load(Ordering::Relaxed) != 0).count()
    }
}

/// The first entries of an address's two places (multiplicative hashing: D. Knuth, "The Art of Computer Programming",
/// volume 3, section 6.4).
fn places(address: u64) -> [usize; 2] {
    let place = |multiplier: u64| {
        let hash = address.wrapping_mul(multiplier) >> (u64::BITS - PLACES_LOG2);
        (hash as usize).wrapping_mul(WIDTH)
    };
    [place(0x9e37_79b9_7f4a_7c15), place(0xc2b2_ae3d_27d4_eb4f)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_numbers_until_they_are_removed() {
        let table = AddressTable::new();
        assert_eq!(table.get(64), None);
        // Half of the entries, as frames lie in memory.
        let addresses = || (1..ENTRIES as u64 / 2).map(|index| 0x7f00_0000_0000 + 80 * index);
        for (number, address) in addresses().enumerate() {
            assert_eq!(table.set(address, number as u32), Ok(true));
        }
        for (number, address) in addresses().enumerate() {
            assert_eq!(table.get(address), Some(number as u32));
        }
        let one = addresses().next().unwrap();
        assert_eq!(table.set(one, 7), Ok(true));
        assert_eq!(table.get(one), Some(7));
        addresses().step_by(2).for_each(|address| table.remove(address));
        for (number, address) in addresses().enumerate() {
            assert_eq!(table.get(address).is_some(), number % 2 == 1);
        }
    }
}
