//! The frames that await the task of a sample, and whether they are those of the sample before.

use crate::python::Link;
use crate::wire::MOST_AWAITERS;
use core::ptr::NonNull;

/// Two arrays of [`MOST_AWAITERS`]: one that a search writes, and one with what was written to the ring last.
#[derive(Debug)]
pub struct KeptAwaiters {
    found: NonNull<Link>,
    kept: NonNull<Link>,
    len: usize,
}

impl KeptAwaiters {
    /// Nothing is kept yet.
    ///
    /// # Safety
    /// Both are the start of memory for [`MOST_AWAITERS`] links that nobody else uses.
    pub const unsafe fn new(found: NonNull<Link>, kept: NonNull<Link>) -> KeptAwaiters {
        KeptAwaiters { found, kept, len: 0 }
    }

    /// Forgets what is kept.
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Where a search writes its links.
    pub fn found(&mut self) -> &mut [Link] {
        // SAFETY: the memory holds so many links, and any bits are a valid one.
        unsafe { core::slice::from_raw_parts_mut(self.found.as_ptr(), MOST_AWAITERS) }
    }

    /// Whether the first `count` links that were found are those that are kept: the same places in the same code, whoever's
    /// frames they are.
    pub fn are_same(&mut self, count: usize) -> bool {
        // SAFETY: as in `found`; the two arrays are different memory.
        let kept = unsafe { core::slice::from_raw_parts(self.kept.as_ptr(), self.len.min(MOST_AWAITERS)) };
        let place = |link: &Link| (link.code, link.check, link.instruction);
        self.found().get(..count).unwrap_or_default().iter().map(place).eq(kept.iter().map(place))
    }

    /// Keeps the first `count` links that were found.
    pub fn keep(&mut self, count: usize) {
        core::mem::swap(&mut self.found, &mut self.kept);
        self.len = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn the_same_places_are_told_from_others() {
        let (mut found, mut kept) = (vec![Link::default(); MOST_AWAITERS], vec![Link::default(); MOST_AWAITERS]);
        let [found, kept] = [&mut found, &mut kept].map(|links| NonNull::new(links.as_mut_ptr()).unwrap());
        // SAFETY: the vectors live as long as the test.
        let mut awaiters = unsafe { KeptAwaiters::new(found, kept) };
        let mut same = |codes: &[u64], address: u64| {
            for (place, &code) in awaiters.found().iter_mut().zip(codes) {
                *place = Link { code, address, ..Link::default() };
            }
            let same = awaiters.are_same(codes.len());
            if !same {
                awaiters.keep(codes.len());
            }
            same
        };
        assert!(!same(&[1, 2], 7) && same(&[1, 2], 8));
        assert!(!same(&[1], 7) && same(&[1], 7));
        assert!(!same(&[1, 2], 7) && !same(&[2, 1], 7) && !same(&[2, 1, 1], 7));
        awaiters.forget();
        assert!(!awaiters.are_same(3) && awaiters.are_same(0));
    }
}
