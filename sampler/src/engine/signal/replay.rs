//! A thread's samples, whole again: each carries what has changed since the one before.

use super::records::Sample;
use crate::recording::CodeId;
use crate::unwind::merge::Link;

/// The most bytes of a stack that a sample can have.
const LONGEST_STACK: usize = 80 << 10;
/// The most links that a sample can have.
const MOST_LINKS: usize = 1 << 16;

/// What a thread's last sample looked like.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// The sequence number of the sample that is to come.
    next: u32,
    /// The stack up to `end`, in the last bytes; the sample before began `used` bytes before.
    bytes: Vec<u8>,
    end: u64,
    used: usize,
    links: Vec<Link>,
    /// Whether each frame is a call of the evaluator of its own, so that there is a border below each.
    border_below_each: bool,
}

/// A sample that is whole.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    /// The stack, from its pointer (rounded down to a multiple of 8) on.
    pub(super) stack_start: u64,
    pub(super) stack: &'a [u8],
    /// From here on the stack is as it was at the sample before; `u64::MAX` if nothing is.
    pub(super) unchanged_from: u64,
    /// The links, oldest first.
    pub(super) links: &'a [Link],
    /// How many of the oldest are as they were.
    pub(super) links_kept: usize,
}

impl Replay {
    /// Of a thread whose frames are calls of the evaluator of their own (CPython 3.9 and 3.10), or not.
    pub(super) fn new(border_below_each: bool) -> Replay {
        Replay { border_below_each, ..Replay::default() }
    }

    /// Puts the next sample together. `link` makes a link of one in the ring. `None` when it does not fit to the one
    /// before; then the next that is whole by itself does.
    pub(super) fn sample(
        &mut self,
        sample: &Sample,
        mut link: impl FnMut(super::records::RawLink) -> Link,
    ) -> Option<Whole<'_>> {
        if sample.sequence != self.next {
            self.forget();
        }
        self.next = sample.sequence.wrapping_add(1);
        let Some((start, size, kept)) = self.make_room(sample) else {
            self.forget();
            return None;
        };
        let from = self.bytes.len() - size;
        self.bytes.get_mut(from..from + sample.stack.len())?.copy_from_slice(sample.stack);
        self.used = size;
        let links_kept = self.links_kept(sample);
        self.links.truncate(links_kept);
        let new = sample.links().rev().take(MOST_LINKS.saturating_sub(sample.links_kept));
        match self.border_below_each {
            true => self.links.extend(new.flat_map(|new| [Link::BORDER, link(new)])),
            false => self.links.extend(new.map(&mut link)),
        }
        Some(Whole {
            stack_start: start,
            stack: self.bytes.get(from..)?,
            unchanged_from: if kept == 0 { u64::MAX } else { sample.stack_end - kept as u64 },
            links: &self.links,
            links_kept,
        })
    }

    /// The code object of a frame of the last sample, by the position of its link from the oldest on.
    pub(super) fn code_at(&self, position: usize) -> Option<CodeId> {
        self.links.get(self.position(position))?.code
    }

    /// How many frames of the last sample are older than the one whose link has this position.
    pub(super) fn frames_below(&self, position: usize) -> u32 {
        let links = self.links.get(..self.position(position)).unwrap_or_default();
        links.iter().filter(|link| link.code.is_some()).count() as u32
    }

    /// The position of a link of the ring among those that are kept.
    fn position(&self, position: usize) -> usize {
        if self.border_below_each { position.saturating_mul(2).saturating_add(1) } else { position }
    }

    /// How many of the oldest links are as they were.
    fn links_kept(&self, sample: &Sample) -> usize {
        sample.links_kept.saturating_mul(if self.border_below_each { 2 } else { 1 })
    }

    /// Forgets what the next sample could build on.
    fn forget(&mut self) {
        self.used = 0;
        self.links.clear();
    }

    /// Makes room for a sample's stack: where that begins, its size, and how much of it is as it was. `None` when the
    /// sample does not fit to the one before.
    fn make_room(&mut self, sample: &Sample) -> Option<(u64, usize, usize)> {
        let start = sample.registers.sp & !7;
        let size = usize::try_from(sample.stack_end.checked_sub(start)?).ok().filter(|size| *size <= LONGEST_STACK)?;
        let kept = size.checked_sub(sample.stack.len())?;
        let fits = self.links_kept(sample) <= self.links.len() && self.keep(kept, sample.stack_end);
        if fits {
            self.grow(size);
        }
        fits.then_some((start, size, kept))
    }

    /// Makes so much room for the stack. It is as much as samples have needed: a program may say that it has any number of
    /// threads.
    fn grow(&mut self, size: usize) {
        if size > self.bytes.len() {
            let room = size.max(2 * self.bytes.len()).min(LONGEST_STACK);
            let mut bytes = vec![0; room - self.bytes.len()];
            bytes.append(&mut self.bytes);
            self.bytes = bytes;
        }
    }

    /// Has the last bytes be those up to an address, of which so many are to be as they were. Whether they can be.
    fn keep(&mut self, kept: usize, end: u64) -> bool {
        let shift = match self.end.checked_sub(end).map(usize::try_from) {
            _ if kept == 0 => 0,
            Some(Ok(shift)) if shift.saturating_add(kept) <= self.used => shift,
            _ => return false,
        };
        if shift > 0 {
            // The copy ends earlier than before.
            let (end, last) = (self.bytes.len(), self.bytes.len() - shift);
            self.bytes.copy_within(last - kept..last, end - kept);
        }
        self.end = end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::{self, Record};
    use super::*;
    use pronk_trampolines::wire::{RingRecordKind, SampleRecord};
    use std::mem::{offset_of, size_of};

    /// A record: its sequence number, its stack as addresses, of which the first `new` bytes are carried, and its links.
    struct Builder {
        sequence: u32,
        stack: std::ops::Range<u64>,
        new: Vec<u8>,
        links: Vec<u64>,
        links_kept: u32,
    }

    impl Builder {
        fn bytes(&self) -> Vec<u8> {
            let mut bytes = vec![0; size_of::<SampleRecord>()];
            let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
            set(offset_of!(SampleRecord, sequence), &self.sequence.to_ne_bytes());
            // The stack pointer has the DWARF number 7.
            set(offset_of!(SampleRecord, registers) + 64, &self.stack.start.to_ne_bytes());
            set(offset_of!(SampleRecord, stack_end), &self.stack.end.to_ne_bytes());
            set(offset_of!(SampleRecord, stack_new), &(self.new.len() as u32).to_ne_bytes());
            set(offset_of!(SampleRecord, links_new), &(self.links.len() as u32).to_ne_bytes());
            set(offset_of!(SampleRecord, links_kept), &self.links_kept.to_ne_bytes());
            bytes.extend(&self.new);
            for address in &self.links {
                bytes.extend([0; 8]);
                bytes.extend(address.to_ne_bytes());
                bytes.extend([0; 8]);
            }
            bytes
        }
    }

    /// What a sample becomes: the stack, from where on it is unchanged, and the links' addresses.
    fn replay(replay: &mut Replay, builder: Builder) -> Option<(Vec<u8>, u64, Vec<u64>)> {
        let bytes = builder.bytes();
        let Some(Record::Sample(sample)) = records::read(RingRecordKind::Sample as u32, &bytes) else { panic!("none") };
        let link = |link: records::RawLink| Link { code: None, instruction: None, address: link.address };
        let whole = replay.sample(&sample, link)?;
        let links = whole.links.iter().map(|link| link.address).collect();
        Some((whole.stack.to_vec(), whole.unchanged_from, links))
    }

    fn sample(sequence: u32, stack: std::ops::Range<u64>, new: &[u8], links: &[u64], links_kept: u32) -> Builder {
        Builder { sequence, stack, new: new.to_vec(), links: links.to_vec(), links_kept }
    }

    #[test]
    fn a_sample_builds_on_the_one_before() {
        let mut state = Replay::default();
        let first = replay(&mut state, sample(0, 0x1000..0x1010, &[1; 16], &[3, 2, 1], 0));
        assert_eq!(first, Some((vec![1; 16], u64::MAX, vec![1, 2, 3])));
        // Deeper, with the upper 8 bytes as they were, and one link of three.
        let second = replay(&mut state, sample(1, 0xff8..0x1010, &[2; 16], &[5], 1));
        assert_eq!(second, Some(([[2; 8], [2; 8], [1; 8]].concat(), 0x1008, vec![1, 5])));
        // The copy ends earlier than before, and all of it is as it was.
        let third = replay(&mut state, sample(2, 0xff8..0x1008, &[], &[], 2));
        assert_eq!(third, Some((vec![2; 16], 0xff8, vec![1, 5])));
        // Nothing is.
        let fourth = replay(&mut state, sample(3, 0x5000..0x5008, &[9; 8], &[], 0));
        assert_eq!(fourth, Some((vec![9; 8], u64::MAX, vec![])));
    }

    #[test]
    fn a_thread_takes_the_memory_that_its_stacks_need() {
        let mut state = Replay::default();
        assert!(replay(&mut state, sample(0, 0x1000..0x1000, &[], &[], 0)).is_some());
        assert_eq!(state.bytes.len(), 0);
        // It grows by small steps, each of which keeps what was there.
        let end = 0x100_0000;
        for step in 1..=(LONGEST_STACK / 8) as u64 {
            let kept = 8 * (step - 1);
            let (stack, _, _) =
                replay(&mut state, sample(step as u32, end - kept - 8..end, &[step as u8; 8], &[], 0)).unwrap();
            assert_eq!((stack.len() as u64, stack[0], stack[stack.len() - 1]), (kept + 8, step as u8, 1));
            assert!(state.bytes.len() < 2 * stack.len() + 8);
        }
    }

    #[test]
    fn on_3_9_and_3_10_each_frame_has_a_border_below() {
        let mut state = Replay::new(true);
        let first = replay(&mut state, sample(0, 0x1000..0x1008, &[1; 8], &[2, 1], 0));
        assert_eq!(first.unwrap().2, [0, 1, 0, 2]);
        let second = replay(&mut state, sample(1, 0x1000..0x1008, &[1; 8], &[5], 1));
        assert_eq!(second.unwrap().2, [0, 1, 0, 5]);
    }

    #[test]
    fn what_does_not_fit_is_none_and_the_next_whole_sample_is_taken() {
        let whole = |sequence| sample(sequence, 0x1000..0x1010, &[1; 16], &[1], 0);
        let mut state = Replay::default();
        assert!(replay(&mut state, whole(0)).is_some());
        // One is missing in between, and this one builds on it.
        assert_eq!(replay(&mut state, sample(2, 0x1000..0x1010, &[], &[], 1)), None);
        assert!(replay(&mut state, whole(3)).is_some());
        for bad in [
            sample(4, 0x1000..0x1010, &[], &[], 9),
            sample(4, 0xf00..0x1010, &[], &[], 0),
            sample(4, 0x1000..0x2010, &[1; 8], &[], 0),
            sample(4, 0..u64::MAX, &[], &[], 0),
            sample(4, 0x1000..0x1008, &[1; 16], &[], 0),
        ] {
            assert!(replay(&mut state, bad).is_none());
            assert!(replay(&mut state, whole(4)).is_some());
        }
    }
}
