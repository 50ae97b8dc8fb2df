//! A process's memory, as it was when each page of it was first read.
//!
//! What is read again is as it was before, so that a process that is stopped for a moment need not stay so while what was found
//! is put together, and one that is not cannot change what was checked.

use crate::target::Target;
use pronk_trampolines::capture::memory::Memory;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

const PAGE: u64 = 4096;
/// How many pages are read at most: 128 MiB.
const MOST_PAGES: usize = 32 << 10;
/// How often something is read at most. Each step of what follows a process's structures reads something, so this is an end to
/// all of it, whatever the process has in its memory.
const MOST_READS: u64 = 20_000_000;

/// A page of memory.
pub(crate) type Page = [u8; PAGE as usize];

/// Reads pages, by their addresses.
pub(crate) trait Pages {
    /// Fills a page; whether it is there.
    fn read(&self, address: u64, page: &mut Page) -> bool;
}

impl Pages for Target {
    fn read(&self, address: u64, page: &mut Page) -> bool {
        Target::read(self, address, page).is_ok()
    }
}

/// The pages of a process that were read.
#[derive(Debug)]
pub(crate) struct Snapshot<'a, P = Target> {
    pages: &'a P,
    read: RefCell<HashMap<u64, Option<Box<Page>>>>,
    reads_left: Cell<u64>,
    is_full: Cell<bool>,
}

impl<'a, P: Pages> Snapshot<'a, P> {
    /// Nothing is read yet.
    pub(crate) fn new(pages: &'a P) -> Snapshot<'a, P> {
        Snapshot { pages, read: RefCell::default(), reads_left: Cell::new(MOST_READS), is_full: Cell::new(false) }
    }

    /// Whether so much was read that the rest is left out.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.get()
    }

    /// Fills a buffer from an address; whether all of it is there.
    pub(crate) fn copy(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(reads_left) = self.reads_left.get().checked_sub(1) else {
            self.is_full.set(true);
            return false;
        };
        self.reads_left.set(reads_left);
        let mut read = self.read.borrow_mut();
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(done as u64) else { return false };
            let (start, within) = (at - at % PAGE, (at % PAGE) as usize);
            if !read.contains_key(&start) {
                if read.len() >= MOST_PAGES {
                    self.is_full.set(true);
                    return false;
                }
                let mut page = Box::new([0; PAGE as usize]);
                let is_there = self.pages.read(start, &mut page);
                read.insert(start, is_there.then_some(page));
            }
            let Some(Some(page)) = read.get(&start) else { return false };
            let count = rest.len().min(page.len() - within);
            rest[..count].copy_from_slice(&page[within..within + count]);
            done += count;
        }
        true
    }

    /// The word at an address.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.copy(address, &mut word).then(|| u64::from_le_bytes(word))
    }

    /// The 32-bit number at an address.
    pub(crate) fn number(&self, address: u64) -> Option<i32> {
        let mut number = [0; 4];
        self.copy(address, &mut number).then(|| i32::from_le_bytes(number))
    }

    /// So many bytes at an address, unless they are more than `most`.
    pub(crate) fn bytes(&self, address: u64, count: u64, most: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(count).ok().filter(|count| *count <= most)?];
        self.copy(address, &mut bytes).then_some(bytes)
    }
}

impl<P: Pages> Memory for &Snapshot<'_, P> {
    unsafe fn fill(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.copy(address, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte is the number of times that pages were read.
    #[derive(Default)]
    struct Changing(Cell<u8>);

    impl Pages for Changing {
        fn read(&self, address: u64, page: &mut Page) -> bool {
            self.0.set(self.0.get() + 1);
            page.fill(self.0.get());
            (0x1000..0x4000).contains(&address)
        }
    }

    #[test]
    fn what_is_read_again_is_as_it_was() {
        let changing = Changing::default();
        let snapshot = Snapshot::new(&changing);
        assert_eq!(snapshot.word(0x1ffc), Some(0x0202_0202_0101_0101));
        assert_eq!(snapshot.word(0x1ffc), Some(0x0202_0202_0101_0101));
        assert_eq!(snapshot.number(0x2000), Some(0x0202_0202));
        assert_eq!(snapshot.bytes(0x3ffe, 2, 2), Some(vec![3, 3]));
        for (address, count) in [(0x3fff, 2), (0, 1), (u64::MAX, 2), (0x1000, 9), (0x1000, u64::MAX)] {
            assert_eq!(snapshot.bytes(address, count, 8), None, "{address:#x}");
        }
        assert!(!snapshot.is_full());
    }
}
