//! A copy of the upper part of a thread's stack, as it was at a sample.

use std::cell::Cell;

/// A copy of the upper part of a thread's stack, which knows how far down it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stack<'a> {
    /// The address of the first byte: the stack pointer.
    start: u64,
    bytes: &'a [u8],
    cut: bool,
    lowest_read: Cell<u64>,
}

impl<'a> Stack<'a> {
    /// A copy that begins at `start`. `cut` says that the copy ended because it was full, not because the memory did.
    pub(crate) fn new(start: u64, bytes: &'a [u8], cut: bool) -> Stack<'a> {
        Stack { start, bytes, cut, lowest_read: Cell::new(u64::MAX) }
    }

    /// The word at an address, if all of it is in the copy.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        self.lowest_read.set(self.lowest_read.get().min(address));
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
    }

    /// The word so many bytes from an address.
    pub(crate) fn word_at(&self, address: u64, offset: i64) -> Option<u64> {
        self.word(address.checked_add_signed(offset)?)
    }

    /// Whether the stack goes on behind the copy.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The address behind the copy.
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    /// The lowest address that was asked for since this was last called, whether it is in the copy or not.
    pub(crate) fn take_lowest_read(&self) -> u64 {
        self.lowest_read.replace(u64::MAX)
    }

    /// The addresses from one on at which a whole aligned word is in the copy, and the words, rising.
    pub(crate) fn words_from(&self, address: u64) -> impl Iterator<Item = (u64, u64)> + 'a {
        self.lowest_read.set(self.lowest_read.get().min(address));
        let from = address.max(self.start);
        let first = from.checked_next_multiple_of(8);
        let rest = first.and_then(|first| self.bytes.get(usize::try_from(first - self.start).ok()?..));
        let first = first.unwrap_or(0);
        rest.unwrap_or_default().chunks_exact(8).enumerate().filter_map(move |(index, word)| {
            let word = u64::from_le_bytes(*word.first_chunk()?);
            Some((first.checked_add(8 * index as u64)?, word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_copied_can_be_read() {
        let bytes: Vec<u8> = (0..20).collect();
        let stack = Stack::new(0x1004, &bytes, false);
        assert_eq!(stack.word(0x1004), Some(0x0706050403020100));
        assert_eq!(stack.word(0x1010), Some(0x13121110_0f0e0d0c));
        for outside in [0, 0x1003, 0x1011, 0x1018, u64::MAX] {
            assert_eq!(stack.word(outside), None, "{outside:#x}");
        }
        assert_eq!(stack.word_at(0x1014, -8), Some(0x0f0e0d0c_0b0a0908));
        assert_eq!(stack.word_at(2, -8), None);
        let aligned: Vec<u64> = stack.words_from(0).map(|(address, _)| address).collect();
        assert_eq!(aligned, [0x1008, 0x1010]);
        assert_eq!(stack.words_from(0x1009).collect::<Vec<_>>(), [(0x1010, 0x13121110_0f0e0d0c)]);
        assert_eq!(stack.words_from(u64::MAX).count(), 0);
        assert_eq!(Stack::new(u64::MAX - 3, &bytes, false).words_from(0).count(), 0);
    }

    #[test]
    fn a_copy_knows_how_far_down_it_was_read() {
        let bytes = [0; 32];
        let stack = Stack::new(0x1000, &bytes, false);
        assert_eq!(stack.end(), 0x1020);
        assert_eq!(stack.take_lowest_read(), u64::MAX);
        stack.word(0x1010);
        stack.word_at(0x1010, -8);
        let _ = stack.words_from(0x1018);
        assert_eq!(stack.take_lowest_read(), 0x1008);
        stack.word(0x20);
        assert_eq!(stack.take_lowest_read(), 0x20);
        assert_eq!(stack.take_lowest_read(), u64::MAX);
    }
}
