//! The samples of one thread, one after the other.
//!
//! Most of a stack is as it was at the sample before. The walk ends where it comes to a frame that it came to then, with
//! the same registers, if all that lies behind was read from memory that is unchanged: the rest is known, and so is its
//! place in the stack. So a sample costs what has changed, and not what there is.

use super::evaluator::Evaluator;
use super::merge::{Chain, Link, Merge, Merged, Native, Natives, Seen};
use super::stubs::Record;
use super::{
    Found, GeneralRegisters, NativeUnwinder, Place, Registers, Sampled, Stack, Walked, kernel_frames, unwind_until,
};
use crate::mappings::Mappings;
use crate::recording::{Frame, StackTable};
use std::rc::Rc;

#[cfg(test)]
mod tests;

/// What a thread's signal handler has found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadSample<'a> {
    pub(crate) mappings: &'a Rc<Mappings>,
    /// The evaluator of the process; the same for the same mappings.
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) registers: Registers,
    pub(crate) general: &'a GeneralRegisters,
    pub(crate) stack: &'a Stack<'a>,
    /// From here on the stack is as it was at the thread's sample before; `u64::MAX` where nothing is.
    pub(crate) unchanged_from: u64,
    /// The frame links, from the oldest to the newest.
    pub(crate) links: &'a [Link],
    /// How many of the oldest links are as they were at the thread's sample before.
    pub(crate) links_kept: usize,
    /// Whether older links are missing.
    pub(crate) links_cut: bool,
    /// Whether the links could not be read whole. Stubs then tell what they can.
    pub(crate) torn: bool,
    /// Addresses in the kernel, the newest first.
    pub(crate) kernel: &'a [u64],
}

/// What is known of a thread's last sample.
#[derive(Debug, Default)]
pub(crate) struct ThreadWalk {
    /// Held on to, so that no other mappings come to lie where these do.
    mappings: Rc<Mappings>,
    /// Where the copy of the stack ended, and whether that was because it was full.
    stack_end: u64,
    stack_is_cut: bool,
    /// The native frames, from the root on, and what the walk knew at each.
    natives: Vec<Native>,
    visits: Vec<Visit>,
    merge: Merge,
}

/// What a walk knew when it came to a frame.
#[derive(Clone, Copy, Debug)]
struct Visit {
    place: Option<Place>,
    /// The lowest address of the stack that the walk from here to the root depended on, 0 if on more than that.
    reads_from: u64,
}

impl ThreadWalk {
    /// Puts the thread's next sample together. `publish` makes a frame of the recording's of one that was found.
    pub(crate) fn sample<N: NativeUnwinder>(
        &mut self,
        sample: &ThreadSample,
        native: &mut N,
        publish: impl FnMut(&mut N, Found) -> Frame,
        stacks: &mut StackTable,
    ) -> Merged {
        let kept = self.walk(sample, native, publish);
        let natives = Natives { frames: &self.natives, kept };
        let chain = if sample.torn {
            Chain { links: &[], kept: 0, is_cut: false }
        } else {
            Chain { links: sample.links, kept: sample.links_kept, is_cut: sample.links_cut }
        };
        let mut merged = self.merge.merge(natives, chain, stacks);
        for frame in kernel_frames(sample.kernel) {
            merged = merged.with(frame, stacks);
        }
        merged
    }

    /// Walks the native stack, as far as it is not known. Returns how many frames at the root were.
    fn walk<N: NativeUnwinder>(
        &mut self,
        sample: &ThreadSample,
        native: &mut N,
        mut publish: impl FnMut(&mut N, Found) -> Frame,
    ) -> usize {
        let ThreadSample { mappings, registers, general, stack, .. } = *sample;
        let comparable = Rc::ptr_eq(&self.mappings, mappings)
            && self.stack_end == stack.end()
            && self.stack_is_cut == stack.is_cut();
        if !comparable {
            self.mappings = mappings.clone();
            self.stack_end = stack.end();
            self.stack_is_cut = stack.is_cut();
            self.natives.clear();
            self.visits.clear();
        }
        let first = self.first_record(sample);
        let mut known = Known { natives: &self.natives, visits: &self.visits, unchanged_from: sample.unchanged_from };
        let mut kept = 0;
        let is_known = |place: &Place| {
            kept = known.up_to(place);
            kept > 0
        };
        let mut walked = Vec::new();
        let sampled = Sampled { mappings, registers, general, stack };
        unwind_until(&sampled, first, native, is_known, &mut walked);
        self.natives.truncate(kept);
        self.visits.truncate(kept);
        for frame in walked.into_iter().rev() {
            let published = publish(native, frame.found);
            self.push(&frame, published, sample.evaluator);
        }
        kept
    }

    /// The first live record on the stack: what is unchanged was searched before.
    fn first_record(&self, sample: &ThreadSample) -> Option<Record> {
        let ThreadSample { registers, stack, mappings, .. } = *sample;
        let unchanged = self.natives.partition_point(|native| native.sp >= sample.unchanged_from.max(registers.sp));
        let place = self.visits.get(..unchanged).unwrap_or_default().iter().rev().find_map(|visit| visit.place);
        match place {
            Some(place) => Record::first_in(registers.sp..place.registers.sp, stack, mappings).or(place.expected),
            None => Record::first_from(registers.sp, stack, mappings),
        }
    }

    fn push(&mut self, walked: &Walked, frame: Frame, evaluator: &Evaluator) {
        let index = self.natives.len();
        let below = self.natives.last();
        let is_evaluator = matches!(walked.found, Found::Native(_, code) if evaluator.holds(code));
        let is_mark = matches!(walked.found, Found::Gap | Found::Truncated);
        self.natives.push(Native {
            frame,
            sp: walked.sp,
            evaluators: below.map_or_else(Seen::default, |below| below.evaluators).and(index, is_evaluator),
            marks: below.map_or_else(Seen::default, |below| below.marks).and(index, is_mark),
        });
        let below = self.visits.last().map_or(u64::MAX, |below| below.reads_from);
        self.visits.push(Visit { place: walked.place, reads_from: walked.reads_from.min(below) });
    }
}

/// The walk before, from the newest frame that a new walk has not yet passed.
struct Known<'a> {
    natives: &'a [Native],
    visits: &'a [Visit],
    unchanged_from: u64,
}

impl Known<'_> {
    /// How many frames at the root there are up to a place from which a walk goes on as it did before; 0 if it was not
    /// there, or may go on otherwise.
    fn up_to(&mut self, place: &Place) -> usize {
        while let Some((_, rest)) = self.natives.split_last().filter(|(native, _)| native.sp < place.registers.sp) {
            self.natives = rest;
        }
        let is_there = |(index, _): &(usize, &Native)| {
            self.visits
                .get(*index)
                .is_some_and(|visit| visit.place == Some(*place) && visit.reads_from >= self.unchanged_from.max(1))
        };
        let mut at_same_sp = self.natives.iter().enumerate().rev().take_while(|(_, it)| it.sp == place.registers.sp);
        at_same_sp.find(is_there).map_or(0, |(index, _)| index + 1)
    }
}
