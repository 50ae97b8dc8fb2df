//! From registers and a copy of the stack to the chain of calls.
//!
//! Native code is unwound by whatever [`NativeUnwinder`] knows of it; code of ours by its own exact tables. The records
//! that stubs keep on the stack are anchors: where the walk through native code fails, or passes a record without
//! having met its stub, it is taken up again at that record, and a gap says so. This module does no I/O and believes
//! nothing that it reads: each step but the first must raise the stack pointer, so every
//! walk ends.

mod cfi;
pub(crate) mod evaluator;
pub(crate) mod merge;
pub(crate) mod modules;
pub(crate) mod stack;
mod stubs;
#[cfg(test)]
mod tests;
pub(crate) mod thread;

use crate::mappings::{Image, Mapping, Mappings};
use crate::recording::{Address, Code, Frame};
use pronk_trampolines::stub::STUB_SIZE;
use pronk_trampolines::wire::{CodeKind, Token};
use stack::Stack;
use std::cell::Cell;
use std::rc::Rc;
use stubs::Record;

/// The most frames that a stack is walked for. A recursion 20,000 calls deep, through C code at each level, has a tenth
/// of them.
const MAX_FRAMES: usize = 1 << 20;

/// The registers that unwinding needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// The instruction pointer or return address.
    pub(crate) pc: u64,
    /// The stack pointer.
    pub(crate) sp: u64,
    /// The frame pointer, or whatever the code keeps in that register.
    pub(crate) fp: u64,
}

/// The general registers at a sample, by their DWARF numbers (x86-64 psABI 1.0, figure 3.36).
pub(crate) type GeneralRegisters = [u64; 16];

/// What the few rules that need other registers than [`Registers`] can find their values by: the frames of native code
/// between here and the sample.
#[derive(Debug)]
pub(crate) struct Trail<'a> {
    /// The registers at the sample; `None` once code was passed of which it is not known what it saves where.
    pub(crate) sampled: Option<&'a GeneralRegisters>,
    /// The frames that were called from here, the nearest last.
    pub(crate) callees: Vec<Callee<'a>>,
    /// Whether anything was looked up in it since this was last cleared.
    pub(crate) used: Cell<bool>,
}

/// A frame of native code that was passed.
#[derive(Debug)]
pub(crate) struct Callee<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) code: Code,
    /// The address of the frame: its caller's stack pointer (DWARF 5, section 6.4, the CFA).
    pub(crate) frame: u64,
}

/// One step out of native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The caller's registers.
    Caller(Registers),
    /// There is no caller.
    Root,
    /// Nothing is known of the caller.
    Failed,
}

/// Knows how to unwind native code.
pub(crate) trait NativeUnwinder {
    /// One step from an address in a mapping of a file's.
    fn step(&mut self, mapping: &Mapping, code: Code, registers: Registers, stack: &Stack, trail: &Trail) -> Step;
}

/// What a frame of a walk is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'m> {
    /// Code in a mapping.
    Native(&'m Rc<Mapping>, Code),
    /// A stub, by its first address.
    Stub(&'m Rc<Mapping>, Address),
    /// An address in no mapping.
    Unmapped(Code),
    /// Frames are missing.
    Gap,
    /// Frames are missing towards the root, as the copy of the stack ended.
    Truncated,
}

/// One frame of a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked<'m> {
    pub(crate) found: Found<'m>,
    /// Where the frame begins. It ends where its caller's begins. Where frames are missing, they lie above this.
    pub(crate) sp: u64,
    /// What the walk knew when it came to the frame; `None` for what it did not come to step by step.
    pub(crate) place: Option<Place>,
    /// The lowest address of the stack that the step out of the frame depended on, 0 if it depended on more than that.
    pub(crate) reads_from: u64,
}

impl Walked<'_> {
    /// If it is a stub that waits for the evaluator: the registry that names it, its address, and those of the interpreter's
    /// frame and of the thread's state, which its record has.
    pub(crate) fn record(&self, stack: &Stack) -> Option<(Token, u64, u64, u64)> {
        let Found::Stub(mapping, stub) = self.found else { return None };
        let Image::Ours(CodeKind::Stubs, registry) = mapping.image else { return None };
        let (frame, state) = stubs::words_of_record(stub, self.sp, stack)?;
        Some((registry, stub.0, frame, state))
    }
}

/// All that a walk takes along from frame to frame: with the same mappings and the same stack above it, it goes on alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) code: Code,
    pub(crate) registers: Registers,
    /// The live record that the walk must come to next.
    expected: Option<Record>,
}

/// What is known of a thread at a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled<'m, 's> {
    pub(crate) mappings: &'m Mappings,
    pub(crate) registers: Registers,
    pub(crate) general: &'m GeneralRegisters,
    pub(crate) stack: &'s Stack<'s>,
}

/// The frames of a chain of calls in the kernel, whose addresses are given from the newest on: the oldest first.
pub(crate) fn kernel_frames(addresses: &[u64]) -> impl Iterator<Item = Frame> {
    addresses.iter().enumerate().rev().map(|(index, &address)| {
        let address = Address(address);
        Frame::Kernel(if index == 0 { Code::At(address) } else { Code::ReturnTo(address) })
    })
}

/// Walks a stack, and hands over each frame from the newest to the root.
pub(crate) fn unwind<'m>(sampled: &Sampled<'m, '_>, native: &mut impl NativeUnwinder, frames: &mut Vec<Walked<'m>>) {
    let first = Record::first_from(sampled.registers.sp, sampled.stack, sampled.mappings);
    unwind_until(sampled, first, native, |_| false, frames);
}

/// Walks a stack, whose first live record is known, until the walk comes to a place that is known.
fn unwind_until<'m>(
    sampled: &Sampled<'m, '_>,
    first: Option<Record>,
    native: &mut impl NativeUnwinder,
    is_known: impl FnMut(&Place) -> bool,
    frames: &mut Vec<Walked<'m>>,
) {
    let Sampled { mappings, registers, general, stack } = *sampled;
    let trail = Trail { sampled: Some(general), callees: Vec::new(), used: Cell::new(false) };
    let place = Place { code: Code::At(Address(registers.pc)), registers, expected: first };
    Walk { mappings, native, stack, trail, expected: first }.run(place, is_known, frames);
}

struct Walk<'m, 's, N> {
    mappings: &'m Mappings,
    native: &'s mut N,
    stack: &'s Stack<'s>,
    trail: Trail<'m>,
    /// The live record that the walk must come to next.
    expected: Option<Record>,
}

impl<'m, N: NativeUnwinder> Walk<'m, '_, N> {
    fn run(&mut self, start: Place, mut is_known: impl FnMut(&Place) -> bool, frames: &mut Vec<Walked<'m>>) {
        let mut place = start;
        while !is_known(&place) {
            let caller = match self.advance(place, frames) {
                Step::Caller(caller) => Some(caller).filter(|_| frames.len() < MAX_FRAMES),
                Step::Root => return,
                Step::Failed => None,
            };
            let Some(registers) = caller else {
                let missing = if self.stack.is_cut() { Found::Truncated } else { Found::Gap };
                self.push_missing(missing, frames);
                return;
            };
            place = Place { code: Code::ReturnTo(Address(registers.pc)), registers, expected: self.expected };
        }
    }

    /// Hands over the frame at a place, and those behind it that are only known by their records, and goes on to the
    /// caller.
    fn advance(&mut self, place: Place, frames: &mut Vec<Walked<'m>>) -> Step {
        let Place { code, registers, .. } = place;
        self.stack.take_lowest_read();
        self.trail.used.set(false);
        let (found, mut step) = self.frame(code, registers);
        let index = frames.len();
        frames.push(Walked { found, sp: registers.sp, place: Some(place), reads_from: 0 });
        if matches!(code, Code::At(_)) {
            step = self.second_chance(step, code, registers);
        }
        let next = match step {
            Step::Caller(caller) if self.is_plausible(code, registers, caller) => {
                self.leave(code, caller);
                step
            }
            Step::Root if self.expected.is_none() => step,
            _ => self.resume(frames).map_or(Step::Failed, Step::Caller),
        };
        let lowest_read = self.stack.take_lowest_read();
        if let Some(walked) = frames.get_mut(index).filter(|_| !self.trail.used.get()) {
            walked.reads_from = lowest_read;
        }
        next
    }

    /// Says that frames are missing behind the last one.
    fn push_missing(&self, missing: Found<'m>, frames: &mut Vec<Walked<'m>>) {
        let sp = frames.last().map_or(0, |last| last.sp);
        frames.push(Walked { found: missing, sp, place: None, reads_from: u64::MAX });
    }

    /// Notes what was passed on the way to a caller.
    fn leave(&mut self, code: Code, caller: Registers) {
        match self.mappings.find(code.lookup().0) {
            Some(mapping) if matches!(mapping.image, Image::File(_) | Image::Vdso) => {
                self.trail.callees.push(Callee { mapping, code, frame: caller.sp });
            }
            _ => self.lose_trail(),
        }
    }

    fn lose_trail(&mut self) {
        self.trail.sampled = None;
        self.trail.callees.clear();
    }

    /// The frame that the walk is at, and a step out of it.
    fn frame(&mut self, code: Code, registers: Registers) -> (Found<'m>, Step) {
        let address = code.lookup().0;
        let Some(mapping) = self.mappings.find(address) else {
            return (Found::Unmapped(code), step_by_frame_pointer(registers, self.stack));
        };
        let found = Found::Native(mapping, code);
        match &mapping.image {
            Image::Ours(CodeKind::Stubs, _) => {
                let stub = stubs::stub_at(address, mapping.range.start);
                let (caller, passed) = stubs::step_from_stub(code, stub, registers, self.stack);
                self.pass(passed, caller);
                (Found::Stub(mapping, stub), caller.map_or(Step::Failed, Step::Caller))
            }
            Image::Ours(CodeKind::Hook, _) => {
                let offset = address - mapping.range.start;
                let caller = stubs::step_from_hook(offset, registers, self.stack);
                (found, caller.map_or(Step::Failed, Step::Caller))
            }
            Image::File(_) | Image::Vdso => {
                (found, self.native.step(mapping, code, registers, self.stack, &self.trail))
            }
            Image::Anonymous(_) => (found, step_by_frame_pointer(registers, self.stack)),
        }
    }

    /// What lies in no function that is described is taken for a function without a frame by those who only look at
    /// the description. Where that leads nowhere, the code may keep a frame pointer.
    fn second_chance(&self, step: Step, code: Code, registers: Registers) -> Step {
        if matches!(step, Step::Caller(caller) if self.is_plausible(code, registers, caller)) {
            return step;
        }
        match step_by_frame_pointer(registers, self.stack) {
            Step::Caller(caller) if self.is_plausible(code, registers, caller) && self.is_code(caller.pc) => {
                Step::Caller(caller)
            }
            _ => step,
        }
    }

    /// Sets the record to expect after a stub was met.
    fn pass(&mut self, base: Option<u64>, caller: Option<Registers>) {
        self.expected = match (base, caller) {
            (Some(base), _) => Record::below(base, self.stack, self.mappings),
            // A stub without a live record: one that was just being entered or left.
            (None, Some(caller)) => Record::first_from(caller.sp, self.stack, self.mappings),
            (None, None) => self.expected,
        };
    }

    /// Whether the walk can have come from one frame to that caller.
    fn is_plausible(&self, code: Code, from: Registers, caller: Registers) -> bool {
        // A function that has yet to call anything can have its return address in a register and nothing on the stack.
        let is_newest = matches!(code, Code::At(_));
        if caller.sp < from.sp || (caller.sp == from.sp && !is_newest) {
            return false;
        }
        if let Some(record) = self.expected {
            // The frame of a stub that waits begins there. Whoever is at that place must be the stub, and whoever is
            // above it has missed the stub.
            let in_stub = caller.pc.wrapping_sub(record.stub) < STUB_SIZE as u64;
            if caller.sp > record.stack_pointer() || (caller.sp == record.stack_pointer() && !in_stub) {
                return false;
            }
        }
        if self.is_code(caller.pc) {
            return true;
        }
        // An address in no mapping is likely no return address at all. But generated code may have escaped the
        // kernel's notice, and then it mostly keeps frame pointers.
        match step_by_frame_pointer(caller, self.stack) {
            Step::Caller(next) => self.is_code(next.pc),
            _ => false,
        }
    }

    fn is_code(&self, return_address: u64) -> bool {
        self.mappings.find(return_address.wrapping_sub(1)).is_some()
    }

    /// Takes the walk up again at the next live record whose stub has a caller.
    fn resume(&mut self, frames: &mut Vec<Walked<'m>>) -> Option<Registers> {
        self.lose_trail();
        while let Some(record) = self.expected {
            let mapping = self.mappings.find(record.stub)?;
            self.push_missing(Found::Gap, frames);
            let found = Found::Stub(mapping, Address(record.stub));
            frames.push(Walked { found, sp: record.stack_pointer(), place: None, reads_from: u64::MAX });
            self.expected = Record::below(record.base, self.stack, self.mappings);
            let in_stub = Registers { pc: record.stub, sp: record.stack_pointer(), fp: record.base };
            let code = Code::ReturnTo(Address(record.stub));
            if let Some(caller) = record.caller(self.stack).filter(|&caller| self.is_plausible(code, in_stub, caller)) {
                return Some(caller);
            }
        }
        None
    }
}

/// One step by the frame pointer alone.
fn step_by_frame_pointer(registers: Registers, stack: &Stack) -> Step {
    let frame = registers.fp;
    if frame == 0 {
        // Where code keeps frame pointers, zero ends the chain (x86-64 psABI 1.0, section 3.4.1).
        return Step::Root;
    }
    let caller = || {
        let sp = frame.checked_add(16).filter(|&sp| sp > registers.sp)?;
        Some(Registers { pc: stack.word_at(frame, 8)?, sp, fp: stack.word(frame)? })
    };
    match caller() {
        Some(caller) if caller.pc == 0 => Step::Root,
        Some(caller) => Step::Caller(caller),
        None => Step::Failed,
    }
}
