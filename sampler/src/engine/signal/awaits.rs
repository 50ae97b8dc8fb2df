//! The frames that await a thread's task, as a stack.

use super::records::{RawLink, Sample};
use crate::recording::{CodeId, Frame, StackId, StackTable};
use pronk_trampolines::wire::sample_flags;

/// What awaited the task of a thread's last sample with an awaited task.
#[derive(Debug, Default)]
pub(super) struct Awaiters {
    last: Option<StackId>,
}

impl Awaiters {
    /// Forgets what the next sample could build on.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The frames that await a sample's task, from the root of the outermost on. `code` finds the code object of a link.
    pub(super) fn sample(
        &mut self,
        sample: &Sample,
        stacks: &mut StackTable,
        mut code: impl FnMut(RawLink) -> CodeId,
    ) -> Option<StackId> {
        if sample.flags & sample_flags::SAME_AWAITERS != 0 {
            return self.last;
        }
        // Borders have no place among them.
        let links = sample.awaiters().rev().filter(|link| link.code != 0);
        let awaiters = links.fold(None, |below, link| {
            let frame = Frame::Python(code(link), link.instruction);
            Some(stacks.push(below, frame))
        });
        self.last = awaiters.or(self.last);
        awaiters
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::{self, Record};
    use super::*;
    use pronk_trampolines::wire::{RingRecordKind, SampleRecord};
    use std::mem::{offset_of, size_of};

    /// A record with these code objects as awaiters, and flags.
    fn record(codes: &[u32], flags: u32) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<SampleRecord>()];
        let mut set = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        set(offset_of!(SampleRecord, awaiters), codes.len() as u32);
        set(offset_of!(SampleRecord, flags), flags);
        for code in codes {
            bytes.extend([*code, 10 * code, 0, 0, 0, 0].map(u32::to_ne_bytes).concat());
        }
        bytes
    }

    #[test]
    fn awaiters_are_a_stack_with_the_nearest_on_top() {
        let (mut awaiters, mut stacks) = (Awaiters::default(), StackTable::default());
        let mut sample = |codes: &[u32], flags| -> Vec<Frame> {
            let bytes = record(codes, flags);
            let Some(Record::Sample(sample)) = records::read(RingRecordKind::Sample as u32, &bytes) else { panic!() };
            let stack = awaiters.sample(&sample, &mut stacks, |link| CodeId(link.code));
            stack.map_or_else(Vec::new, |stack| stacks.frames(stack).collect())
        };
        let frame = |code| Frame::Python(CodeId(code), Some(10 * code));
        assert_eq!(sample(&[], sample_flags::SAME_AWAITERS), []);
        assert_eq!(sample(&[3, 2, 1], 0), [3, 2, 1].map(frame));
        assert_eq!(sample(&[], 0), []);
        assert_eq!(sample(&[], sample_flags::SAME_AWAITERS), [3, 2, 1].map(frame));
        assert_eq!(sample(&[0, 7], 0), [frame(7)]);
        awaiters.forget();
    }
}
