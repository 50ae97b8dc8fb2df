//! Unwinding through code of ours, by its own tables and by the records that stubs keep on the stack.

use super::stack::Stack;
use super::{Code, Registers};
use crate::mappings::Mappings;
use crate::recording::Address;
use pronk_trampolines::python::{HOOK_SIZE, HOOK_UNWIND_TABLE};
use pronk_trampolines::stub::record::{FRAME, LINK, LOWEST, STACK_POINTER, TAG, THREAD, live_stub, stub_of_tag};
use pronk_trampolines::stub::{Cfa, RETURN_OFFSET, STUB_SIZE, Saved, UNWIND_TABLE, UnwindRow, row_at};
use std::ops::Range;

/// A live stub record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// What it is named by: the frame pointer in its stub.
    pub(super) base: u64,
    /// The address of its stub.
    pub(super) stub: u64,
}

impl Record {
    /// The record at `base`, if there is a live one whose stub is waiting for the evaluator.
    fn at(base: u64, stack: &Stack, mappings: &Mappings) -> Option<Record> {
        let stub = live_stub(base, |offset| stack.word_at(base, offset))?;
        mappings.is_stub(stub).then_some(Record { base, stub })
    }

    /// The first live record whose words all lie at or above an address.
    pub(super) fn first_from(address: u64, stack: &Stack, mappings: &Mappings) -> Option<Record> {
        Record::first_in(address..u64::MAX, stack, mappings)
    }

    /// The first live record whose lowest word lies in a range of addresses.
    pub(super) fn first_in(range: Range<u64>, stack: &Stack, mappings: &Mappings) -> Option<Record> {
        let around = mappings.around_stubs();
        if around.is_empty() {
            return None;
        }
        let lowest_tag = range.start.checked_add_signed(TAG - LOWEST)?;
        let tags_end = range.end.saturating_add_signed(TAG - LOWEST);
        stack.words_from(lowest_tag).take_while(|(at, _)| *at < tags_end).find_map(|(at, tag)| {
            let base = at.checked_add_signed(-TAG)?;
            around.contains(&(tag ^ base)).then(|| Record::at(base, stack, mappings)).flatten()
        })
    }

    /// The next live record below this one on the call chain: by the link if that holds, else the next in memory.
    pub(super) fn below(base: u64, stack: &Stack, mappings: &Mappings) -> Option<Record> {
        let linked = stack.word_at(base, LINK).filter(|&link| link > base);
        let linked = linked.and_then(|link| Record::at(link, stack, mappings));
        linked.or_else(|| Record::first_from(base, stack, mappings))
    }

    /// The stub's stack pointer while the evaluator runs.
    pub(super) fn stack_pointer(self) -> u64 {
        self.base.wrapping_add_signed(STACK_POINTER)
    }

    /// The caller of the stub.
    pub(super) fn caller(self, stack: &Stack) -> Option<Registers> {
        let in_stub = Registers { pc: self.stub, sp: self.stack_pointer(), fp: self.base };
        step_by_row(row_at(UNWIND_TABLE, u64::from(RETURN_OFFSET))?, in_stub, stack)
    }
}

/// The stub that an address in a mapping of stubs belongs to, by the stub's first address.
pub(super) fn stub_at(address: u64, mapping_start: u64) -> Address {
    Address(address - (address - mapping_start) % STUB_SIZE as u64)
}

/// The addresses of the interpreter's frame and of its thread's state, by the live record of a stub whose frame begins at
/// a stack pointer.
pub(super) fn words_of_record(stub: Address, sp: u64, stack: &Stack) -> Option<(u64, u64)> {
    let base = sp.wrapping_add_signed(-STACK_POINTER);
    let is_live = live_stub(base, |offset| stack.word_at(base, offset)) == Some(stub.0);
    is_live.then(|| Some((stack.word_at(base, FRAME)?, stack.word_at(base, THREAD)?)))?
}

/// One step out of a stub. Also says which record was passed, if the stub had one.
pub(super) fn step_from_stub(
    code: Code,
    stub: Address,
    registers: Registers,
    stack: &Stack,
) -> (Option<Registers>, Option<u64>) {
    let offset = code.lookup().0.wrapping_sub(stub.0);
    if let Code::ReturnTo(_) = code {
        // The frame pointer may have been restored wrongly on the way here; the stack pointer is what led here.
        let base = registers.sp.wrapping_add_signed(-STACK_POINTER);
        let tagged = stack.word_at(base, TAG).and_then(|tag| stub_of_tag(tag, base));
        if tagged == Some(stub.0) {
            return (Record { base, stub: stub.0 }.caller(stack), Some(base));
        }
    }
    let caller = row_at(UNWIND_TABLE, offset).and_then(|row| step_by_row(row, registers, stack));
    (caller, None)
}

/// One step out of a hook, at an offset in a mapping of hooks.
pub(super) fn step_from_hook(offset: u64, registers: Registers, stack: &Stack) -> Option<Registers> {
    step_by_row(row_at(HOOK_UNWIND_TABLE, offset % HOOK_SIZE as u64)?, registers, stack)
}

fn step_by_row(row: UnwindRow, registers: Registers, stack: &Stack) -> Option<Registers> {
    let cfa = match row.cfa {
        Cfa::StackPointer(offset) => registers.sp.checked_add(u64::from(offset))?,
        Cfa::FramePointer(offset) => registers.fp.checked_add(u64::from(offset))?,
    };
    let saved = |at: Saved| match at {
        Saved::BelowCfa(offset) => stack.word(cfa.checked_sub(u64::from(offset))?),
        Saved::InRegister => None,
    };
    let fp = match row.frame_pointer {
        Saved::InRegister => registers.fp,
        below => saved(below)?,
    };
    Some(Registers { pc: saved(row.return_address)?, sp: cfa, fp })
}
