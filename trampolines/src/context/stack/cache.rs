//! What a thread has read lately: the second read of a label is a comparison, not a search.
//!
//! A value that was found is good until something is told: [`Cache::forget`] for one key, [`Cache::forget_all`] for all.
//! Nothing that is forgotten is dropped before it is overwritten, so labels may be changed and read while one of them is
//! being looked at.

use super::key::Key;
use super::trie::Label;
use core::cell::{BorrowError, Cell, OnceCell, RefCell};
use std::boxed::Box;
use std::sync::Arc;

/// A page has so many places, and there are so many pages: keys take places by their numbers, so 4096 keys that were first
/// used one after another are in nobody's way.
const PAGE: usize = 64;
const PAGES: usize = 64;

pub struct Cache {
    /// Which reads are good: those that were at this time.
    now: Cell<u64>,
    /// Each is there from the first read of one of its keys on.
    pages: [OnceCell<Box<[Place; PAGE]>>; PAGES],
    /// How often there was nothing for it but to search.
    #[cfg(test)]
    pub searches: Cell<u64>,
}

struct Place {
    /// The key's number, or 0.
    id: Cell<u64>,
    /// When it was read, or 0.
    read: Cell<u64>,
    /// What was found. It may be that there was nothing.
    label: RefCell<Option<Arc<Label>>>,
}

impl Place {
    const fn new() -> Place {
        Place { id: Cell::new(0), read: Cell::new(0), label: RefCell::new(None) }
    }
}

impl Cache {
    pub const fn new() -> Cache {
        Cache {
            now: Cell::new(1),
            pages: [const { OnceCell::new() }; PAGES],
            #[cfg(test)]
            searches: Cell::new(0),
        }
    }

    /// Calls `read` with the label of a key: what was found before if it is good, else what `search` finds.
    /// An error of it, when there is nothing to be searched, is no label and is not kept.
    #[inline]
    pub fn read<R>(
        &self,
        key: &Key,
        search: impl FnOnce() -> Result<Option<Arc<Label>>, BorrowError>,
        read: impl FnOnce(Option<&Label>) -> R,
    ) -> R {
        let id = key.id();
        if let Some(place) = self.place(id)
            && place.id.get() == id
            && place.read.get() == self.now.get()
            && let Ok(label) = place.label.try_borrow()
        {
            return read(label.as_deref());
        }
        read(self.find(id, search).as_deref())
    }

    #[cold]
    #[inline(never)]
    fn find(&self, id: u64, search: impl FnOnce() -> Result<Option<Arc<Label>>, BorrowError>) -> Option<Arc<Label>> {
        let label = search().ok()?;
        #[cfg(test)]
        self.searches.set(self.searches.get() + 1);
        // While somebody looks at what is there it stays, and what was found is not kept.
        if let Some(place) = self.place_made(id)
            && let Ok(mut kept) = place.label.try_borrow_mut()
        {
            *kept = label.clone();
            place.id.set(id);
            place.read.set(self.now.get());
        }
        label
    }

    /// What is known of one key is not good any more.
    pub fn forget(&self, key: &Key) {
        if let Some(place) = self.place(key.id()).filter(|place| place.id.get() == key.id()) {
            place.read.set(0);
        }
    }

    /// Nothing that is known is good any more.
    pub fn forget_all(&self) {
        self.now.set(self.now.get() + 1);
    }

    #[inline]
    fn place(&self, id: u64) -> Option<&Place> {
        let index = id as usize % (PAGE * PAGES);
        self.pages[index / PAGE].get().map(|page| &page[index % PAGE])
    }

    /// See [`Cache::place`]; makes its page if there is none.
    #[cold]
    fn place_made(&self, id: u64) -> Option<&Place> {
        let page = &self.pages[id as usize % (PAGE * PAGES) / PAGE];
        if page.get().is_none() {
            // Not in `get_or_init`, which must not be called again from within: an allocator may read labels.
            let _ = page.set(Box::new([const { Place::new() }; PAGE]));
        }
        self.place(id)
    }
}
