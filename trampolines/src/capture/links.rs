//! The frame links of a thread's sample before, to tell which of them are still the same.

use crate::python::{Chain, Link};
use core::ptr::NonNull;

/// The most links that a sample has.
pub const MOST_LINKS: usize = 1 << 16;

/// Two arrays of [`MOST_LINKS`]: one that a walk writes, and one with the links of the sample before, oldest first.
#[derive(Debug)]
pub struct KeptLinks {
    walked: NonNull<Link>,
    kept: NonNull<Link>,
    len: usize,
}

impl KeptLinks {
    /// Nothing is kept yet.
    ///
    /// # Safety
    /// Both are the start of memory for [`MOST_LINKS`] links that nobody else uses.
    pub const unsafe fn new(walked: NonNull<Link>, kept: NonNull<Link>) -> KeptLinks {
        KeptLinks { walked, kept, len: 0 }
    }

    /// Forgets what is kept.
    pub fn forget(&mut self) {
        self.len = 0;
    }

    /// Where a walk writes its links, newest first.
    pub fn walked(&mut self) -> &mut [Link] {
        // SAFETY: the memory holds so many links, and any bits are a valid one.
        unsafe { core::slice::from_raw_parts_mut(self.walked.as_ptr(), MOST_LINKS) }
    }

    /// How many of the `count` links that were walked are new; those before them, and the oldest `known`, which were not
    /// walked, are as they were.
    pub fn count_new(&self, count: usize, known: usize) -> usize {
        // SAFETY: both arrays hold MOST_LINKS links, and `len` is the number of those kept.
        let (walked, kept) = unsafe {
            let walked = core::slice::from_raw_parts(self.walked.as_ptr(), MOST_LINKS);
            (walked, core::slice::from_raw_parts(self.kept.as_ptr(), self.len.min(MOST_LINKS)))
        };
        let walked = walked.get(..count).unwrap_or_default();
        let kept = kept.iter().skip(known);
        let same = walked.iter().rev().zip(kept).take_while(|(now, before)| now.is_same(before)).count();
        walked.len().saturating_sub(same)
    }

    /// The links of a walk: of `count`, which lie on the oldest `known`.
    pub fn chain(&self, count: usize, known: usize) -> Chain<'_> {
        // SAFETY: as in `count_new`.
        let walked = unsafe { core::slice::from_raw_parts(self.walked.as_ptr(), count.min(MOST_LINKS)) };
        Chain { known: self.kept().get(..known).unwrap_or_default(), walked }
    }

    /// Keeps the links of a walk: of `count`, which lie on the oldest `known`, the first `new` are new.
    pub fn keep(&mut self, count: usize, known: usize, new: usize) {
        let len = known.saturating_add(count).min(MOST_LINKS);
        // SAFETY: as in `count_new`; the two arrays are different memory.
        let (walked, kept) = unsafe {
            let walked = core::slice::from_raw_parts(self.walked.as_ptr(), MOST_LINKS);
            (walked, core::slice::from_raw_parts_mut(self.kept.as_ptr(), MOST_LINKS))
        };
        let changed = walked.get(..new.min(count)).unwrap_or_default();
        let same = known.saturating_add(count.saturating_sub(new));
        for (to, from) in kept.iter_mut().skip(same).zip(changed.iter().rev()) {
            *to = *from;
        }
        self.len = len;
    }

    /// The links that are kept, oldest first.
    pub fn kept(&self) -> &[Link] {
        // SAFETY: as in `count_new`.
        unsafe { core::slice::from_raw_parts(self.kept.as_ptr(), self.len.min(MOST_LINKS)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn links(addresses: &[u64]) -> Vec<Link> {
        addresses.iter().map(|&address| Link { address, ..Link::default() }).collect()
    }

    #[test]
    fn links_are_compared_from_the_oldest_on() {
        let (mut walked, mut kept) = (vec![Link::default(); MOST_LINKS], vec![Link::default(); MOST_LINKS]);
        let start = |links: &mut Vec<Link>| NonNull::new(links.as_mut_ptr()).unwrap();
        // SAFETY: the vectors live as long as the test.
        let mut links_kept = unsafe { KeptLinks::new(start(&mut walked), start(&mut kept)) };
        let mut sample = |newest_first: &[u64]| -> Vec<u64> {
            let now = links(newest_first);
            links_kept.walked()[..now.len()].copy_from_slice(&now);
            let new = links_kept.count_new(now.len(), 0);
            links_kept.keep(now.len(), 0, new);
            newest_first[..new].to_vec()
        };
        assert_eq!(sample(&[3, 2, 1]), [3, 2, 1]);
        assert_eq!(sample(&[3, 2, 1]), []);
        assert_eq!(sample(&[5, 4, 2, 1]), [5, 4]);
        assert_eq!(sample(&[2, 1]), []);
        // What was above is forgotten.
        assert_eq!(sample(&[5, 4, 2, 1]), [5, 4]);
        assert_eq!(sample(&[5, 4, 2, 9]), [5, 4, 2, 9]);
        assert_eq!(sample(&[]), []);
        assert_eq!(sample(&[1]), [1]);
    }

    #[test]
    fn links_that_are_known_need_not_be_walked() {
        let (mut walked, mut kept) = (vec![Link::default(); MOST_LINKS], vec![Link::default(); MOST_LINKS]);
        let start = |links: &mut Vec<Link>| NonNull::new(links.as_mut_ptr()).unwrap();
        // SAFETY: the vectors live as long as the test.
        let mut links_kept = unsafe { KeptLinks::new(start(&mut walked), start(&mut kept)) };
        links_kept.walked()[..4].copy_from_slice(&links(&[4, 3, 2, 1]));
        links_kept.keep(4, 0, 4);
        links_kept.walked()[..3].copy_from_slice(&links(&[6, 5, 3]));
        assert_eq!(links_kept.count_new(3, 2), 2);
        links_kept.keep(3, 2, 2);
        let kept: Vec<u64> = links_kept.kept().iter().map(|link| link.address).collect();
        assert_eq!(kept, [1, 2, 3, 5, 6]);
    }
}
