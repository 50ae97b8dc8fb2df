//! The copy of a thread's stack: what is not as it was at the thread's sample before.

use super::memory;
use core::ptr::NonNull;

/// The most of a stack that is copied, in bytes.
pub const LONGEST: u64 = 64 << 10;
/// Where a copy ends that would be too long, it ends at a multiple of this, so that the end stays where it is from one
/// sample to the next.
const END_STEP: u64 = 16 << 10;
/// The bytes that are kept: the byte of an address is at the address modulo this.
pub const KEPT_SIZE: usize = 128 << 10;
/// How much is copied of a stack of which it is not known where it is.
const UNKNOWN: usize = 8 << 10;

/// What was copied of a thread's stack.
#[derive(Debug)]
pub struct KeptStack {
    bytes: NonNull<u8>,
    from: u64,
    to: u64,
}

/// The part of a stack that a sample is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first address, a multiple of 8.
    pub from: u64,
    /// The first address of what is kept; all from here on is as it was.
    pub kept_from: u64,
    /// The address behind the last.
    pub to: u64,
    /// Whether the stack goes on there.
    pub cut: bool,
}

impl Extent {
    /// The bytes that are new.
    pub fn new_bytes(&self) -> u64 {
        self.kept_from.saturating_sub(self.from)
    }
}

impl KeptStack {
    /// Nothing is kept yet.
    ///
    /// # Safety
    /// `bytes` is the start of [`KEPT_SIZE`] bytes that nobody else uses.
    pub const unsafe fn new(bytes: NonNull<u8>) -> KeptStack {
        KeptStack { bytes, from: 0, to: 0 }
    }

    /// Forgets what is kept.
    pub fn forget(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    /// What a sample is to have of the stack from a stack pointer on. `high` is the address behind the stack.
    ///
    /// # Safety
    /// The memory from `pointer` to `high` is the calling thread's stack.
    pub unsafe fn extent(&self, pointer: u64, high: u64) -> Extent {
        let from = pointer & !7;
        let whole = high.saturating_sub(from) <= LONGEST;
        let to = if whole { high & !7 } else { from.wrapping_add(LONGEST) / END_STEP * END_STEP };
        let mut kept_from = to;
        // What lies above what is kept is new, and so must be all below it.
        if to <= self.to && to > self.from {
            let end = from.max(self.from);
            // SAFETY: all addresses are within the stack, and those of the copy within what is kept.
            unsafe {
                while kept_from > end && self.kept(kept_from.wrapping_sub(8)) == Some(word(kept_from.wrapping_sub(8))) {
                    kept_from = kept_from.wrapping_sub(8);
                }
            }
        }
        Extent { from, kept_from, to, cut: !whole }
    }

    /// Keeps the new part of an extent of this thread's stack, and hands it over, in pieces.
    ///
    /// # Safety
    /// As for [`KeptStack::extent`], which has made the extent.
    pub unsafe fn keep(&mut self, extent: &Extent, mut hand_over: impl FnMut(&[u8])) {
        let mut at = extent.from;
        while at < extent.kept_from {
            let place = at as usize % KEPT_SIZE;
            let size = (KEPT_SIZE - place).min(extent.kept_from.wrapping_sub(at) as usize);
            // SAFETY: the source is within the stack, the target within the bytes that are kept.
            let piece = unsafe {
                let to = self.bytes.add(place).as_ptr();
                core::ptr::copy(at as *const u8, to, size);
                core::slice::from_raw_parts(to, size)
            };
            hand_over(piece);
            at = at.wrapping_add(size as u64);
        }
        (self.from, self.to) = (extent.from, extent.to);
    }

    /// The word that is kept of an address.
    fn kept(&self, address: u64) -> Option<u64> {
        let place = address as usize % KEPT_SIZE;
        // SAFETY: addresses are multiples of 8, and so is the size: the word lies within the bytes.
        Some(unsafe { self.bytes.add(place).cast::<u64>().read() })
    }
}

/// # Safety
/// The address is on the calling thread's stack.
unsafe fn word(address: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { (address as *const u64).read() }
}

/// Copies from a stack pointer of which it is not known what stack it is on; how many bytes, a multiple of 8.
pub fn copy_unknown(pointer: u64, buffer: &mut [u8]) -> usize {
    let longest = buffer.len().min(UNKNOWN);
    buffer.get_mut(..longest).map_or(0, |buffer| memory::read_some(pointer & !7, buffer)) & !7
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A stack of words, and what is kept of it.
    struct Fixture {
        stack: Vec<u64>,
        kept: KeptStack,
        _bytes: Vec<u64>,
    }

    impl Fixture {
        fn new(words: usize) -> Fixture {
            let stack = (0..words as u64).collect();
            let mut bytes = vec![0_u64; KEPT_SIZE / 8];
            // SAFETY: the bytes live as long as the fixture.
            let kept = unsafe { KeptStack::new(NonNull::new(bytes.as_mut_ptr()).unwrap().cast()) };
            Fixture { stack, kept, _bytes: bytes }
        }

        /// Samples with the stack pointer at a word; what is new, and whether the copy is cut.
        fn sample(&mut self, from: usize) -> (Vec<u64>, bool) {
            let start = self.stack.as_ptr() as u64;
            let high = start + 8 * self.stack.len() as u64;
            let mut bytes = Vec::new();
            // SAFETY: the stack is the vector.
            let extent = unsafe {
                let extent = self.kept.extent(start + 8 * from as u64, high);
                self.kept.keep(&extent, |piece| bytes.extend_from_slice(piece));
                extent
            };
            let words = bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
            (words, extent.cut)
        }
    }

    #[test]
    fn only_what_has_changed_is_handed_over() {
        let mut fixture = Fixture::new(100);
        assert_eq!(fixture.sample(90), ((90..100).collect(), false));
        assert_eq!(fixture.sample(90), (vec![], false));
        fixture.stack[95] = 7;
        assert_eq!(fixture.sample(92), (vec![92, 93, 94, 7], false));
        // Deeper: what lies above is as it was.
        assert_eq!(fixture.sample(88), (vec![88, 89, 90, 91], false));
        fixture.kept.forget();
        assert_eq!(fixture.sample(98), (vec![98, 99], false));
    }

    #[test]
    fn a_long_stack_is_cut_at_an_end_that_stays() {
        let mut fixture = Fixture::new(100_000);
        let (words, cut) = fixture.sample(1000);
        assert!(cut && words.len() * 8 <= LONGEST as usize && words.len() * 8 > (LONGEST - END_STEP) as usize);
        assert_eq!(words[0], 1000);
        assert_eq!(fixture.sample(1000), (vec![], true));
        // Where the end moves up, all is new.
        let (words, _) = fixture.sample(1000 + END_STEP as usize / 8);
        assert_eq!(words[0], 1000 + END_STEP / 8);
        assert!(words.len() * 8 > (LONGEST - END_STEP) as usize);
    }

    #[test]
    fn an_unknown_stack_is_copied_as_far_as_there_is_memory() {
        let words = [1_u64, 2, 3];
        let mut buffer = [0; 16];
        assert_eq!(copy_unknown(words.as_ptr() as u64 + 3, &mut buffer), 16);
        assert_eq!(buffer[..8], 1_u64.to_ne_bytes());
        assert_eq!(copy_unknown(64, &mut buffer), 0);
    }
}
