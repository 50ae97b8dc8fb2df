//! Walks over hand-built stacks.
//!
//! Native functions are those of a mapping at [`CODE`]; how big a frame is, is written in the address: 0x100 for each
//! word. So `CODE + 0x300` is in a function whose return address lies three words above the stack pointer.

use super::*;
use pronk_trampolines::stub::{RETURN_OFFSET, Saved};
use pronk_trampolines::wire::Token;

pub(super) const CODE: u64 = 0x40_0000;
pub(super) const STUBS: u64 = 0x7f00_0000_0000;
const JIT: u64 = 0x5000_0000;
const HOOK: u64 = 0x6000_0000;
const STACK: u64 = 0x7ffd_0000_0000;
/// An address in the mapping at [`CODE`] that has no caller.
pub(super) const ROOT: u64 = CODE + 0x8000;
/// An address in the mapping at [`CODE`] of whose caller nothing is known.
pub(super) const OPAQUE: u64 = CODE + 0x9000;

/// Functions by the size of their frames.
pub(super) struct Sized;

impl NativeUnwinder for Sized {
    fn step(&mut self, _: &Mapping, code: Code, registers: Registers, stack: &Stack, _: &Trail) -> Step {
        match code.lookup().0 & !0xff {
            ROOT => Step::Root,
            OPAQUE => Step::Failed,
            function => {
                let at = registers.sp + (function - CODE) / 0x100 * 8;
                match stack.word(at) {
                    Some(pc) => Step::Caller(Registers { pc, sp: at + 8, fp: registers.fp }),
                    None => Step::Failed,
                }
            }
        }
    }
}

pub(super) fn mappings() -> Mappings {
    let mut mappings = Mappings::default();
    mappings.add(Mapping::new(CODE..CODE + 0x10000, 0, Image::Vdso));
    mappings.add(Mapping::new(STUBS..STUBS + 0x10000, 0, Image::Ours(CodeKind::Stubs, Token(1))));
    mappings.add(Mapping::new(HOOK..HOOK + 0x2000, 0, Image::Ours(CodeKind::Hook, Token(1))));
    mappings.add(Mapping::new(JIT..JIT + 0x1000, 0, Image::Anonymous("//anon".into())));
    mappings
}

/// A stack that is built from the root to the newest frame, as calls do.
pub(super) struct Builder {
    /// From the highest address down.
    pub(super) words: Vec<u64>,
    pub(super) top: u64,
    /// The base of the newest record, and the frame pointer.
    head: u64,
    pub(super) fp: u64,
}

pub(super) fn stub(index: u64) -> u64 {
    STUBS + index * STUB_SIZE as u64
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder { words: vec![0x5a; 4], top: STACK + 0x10000, head: 0, fp: 0 }
    }

    pub(super) fn sp(&self) -> u64 {
        self.top - 8 * self.words.len() as u64
    }

    pub(super) fn push(&mut self, word: u64) {
        self.words.push(word);
    }

    /// A native function with so many words in its frame, which is at `pc` while what comes next runs.
    pub(super) fn native(&mut self, words: usize, pc: u64) {
        self.words.extend(std::iter::repeat_n(0x11, words));
        self.push(pc);
    }

    /// A stub that has called its evaluator.
    pub(super) fn stub(&mut self, index: u64) -> u64 {
        self.push(self.fp);
        self.fp = self.sp();
        let base = self.fp;
        for word in [stub(index) ^ base, 0xf, 0x7, self.head, stub(index) + u64::from(RETURN_OFFSET)] {
            self.push(word);
        }
        self.head = base;
        base
    }

    fn set(&mut self, address: u64, word: u64) {
        let index = (self.top - address) / 8 - 1;
        self.words[index as usize] = word;
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.words.iter().rev().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Walks from an instruction, with a whole copy of the stack.
    fn walk(&self, pc: u64) -> Vec<String> {
        self.walk_copy(Registers { pc, sp: self.sp(), fp: self.fp }, usize::MAX)
    }

    /// Walks with a copy of so many bytes at most.
    fn walk_copy(&self, registers: Registers, limit: usize) -> Vec<String> {
        let mappings = mappings();
        let bytes = self.bytes();
        let cut = bytes.len() > limit;
        let stack = Stack::new(self.sp(), &bytes[..bytes.len().min(limit)], cut);
        let mut frames = Vec::new();
        let sampled = Sampled { mappings: &mappings, registers, general: &[0; 16], stack: &stack };
        unwind(&sampled, &mut Sized, &mut frames);
        frames.iter().map(|frame| show(&frame.found)).collect()
    }
}

fn show(frame: &Found) -> String {
    let place = |code: Code| {
        let (word, Address(address)) = match code {
            Code::At(address) => ("at", address),
            Code::ReturnTo(address) => ("to", address),
        };
        match address {
            CODE..0x41_0000 => format!("{word} code+{:x}", address - CODE),
            JIT..0x5000_1000 => format!("{word} jit+{:x}", address - JIT),
            _ => format!("{word} {address:x}"),
        }
    };
    match frame {
        Found::Native(_, code) => place(*code),
        Found::Stub(_, address) => format!("stub {}", (address.0 - STUBS) / STUB_SIZE as u64),
        Found::Unmapped(code) => format!("unmapped {}", place(*code)),
        Found::Gap => "gap".into(),
        Found::Truncated => "truncated".into(),
    }
}

/// `main` (no words) calls stub 1, whose evaluator (2 words) calls stub 2, whose evaluator calls a leaf.
fn two_stubs() -> Builder {
    let mut stack = Builder::new();
    stack.push(ROOT + 0x10);
    stack.native(0, CODE + 0x10);
    stack.stub(1);
    stack.native(2, CODE + 0x210);
    stack.stub(2);
    stack.native(2, CODE + 0x220);
    stack
}

#[test]
fn stubs_are_frames_between_native_ones() {
    let expected = ["at code+5", "to code+220", "stub 2", "to code+210", "stub 1", "to code+10", "to code+8010"];
    assert_eq!(two_stubs().walk(CODE + 5), expected);
}

#[test]
fn a_frame_pointer_that_was_restored_wrongly_does_no_harm() {
    let stack = two_stubs();
    let wrong = Registers { pc: CODE + 5, sp: stack.sp(), fp: 0xdead };
    assert_eq!(stack.walk_copy(wrong, usize::MAX), stack.walk(CODE + 5));
}

#[test]
fn native_code_that_cannot_be_unwound_costs_only_itself() {
    let mut stack = two_stubs();
    stack.native(7, OPAQUE + 1);
    stack.fp = 0x1;
    let expected =
        ["at code+5", "to code+9001", "gap", "stub 2", "to code+210", "stub 1", "to code+10", "to code+8010"];
    assert_eq!(stack.walk(CODE + 5), expected);
}

#[test]
fn a_walk_that_misses_a_stub_is_taken_back_to_it() {
    // The innermost evaluator is taken for a function with one word more, and then with many.
    for words in [3, 9, 30] {
        let mut stack = two_stubs();
        let wrong = CODE + 0x30 + words * 0x100;
        let at = stack.sp();
        stack.set(at, wrong);
        stack.fp = 0;
        let walked = stack.walk(CODE + 5);
        assert_eq!(walked[2..], ["gap", "stub 2", "to code+210", "stub 1", "to code+10", "to code+8010"], "{words}");
    }
}

#[test]
fn a_frame_pointer_that_leads_past_the_stub_is_not_followed() {
    // Code that does not touch the frame pointer leaves it as the stub has set it: it leads to the stub's caller.
    let mut stack = two_stubs();
    stack.native(3, JIT + 0x10);
    let walked = stack.walk(JIT + 5);
    assert_eq!(walked, ["at jit+5", "gap", "stub 2", "to code+210", "stub 1", "to code+10", "to code+8010"]);
}

#[test]
fn generated_code_is_unwound_by_frame_pointers() {
    let mut stack = two_stubs();
    // Called by the evaluator: it has pushed the frame pointer and set it, and some words.
    let caller = stack.fp;
    stack.push(caller);
    stack.fp = stack.sp();
    stack.native(4, 0x11);
    let walked = stack.walk(JIT + 0x20);
    let expected = ["at jit+20", "to code+220", "stub 2", "to code+210", "stub 1", "to code+10", "to code+8010"];
    assert_eq!(walked, expected);
    // The same where the kernel did not tell of the mapping.
    let unmapped = stack.walk(0x6666_0000);
    assert_eq!(unmapped[0], "unmapped at 66660000");
    assert_eq!(unmapped[1..], expected[1..]);
}

#[test]
fn a_record_that_is_over_is_not_taken_for_a_live_one() {
    let mut stack = Builder::new();
    stack.push(ROOT + 0x10);
    let base = stack.stub(1);
    stack.native(2, CODE + 0x220);
    stack.set(base - 8, 0);
    // The frame that holds what is left of the record is one of 8 words.
    stack.set(stack.sp(), CODE + 0x810);
    assert_eq!(stack.walk(CODE + 5), ["at code+5", "to code+810", "to code+8010"]);
}

#[test]
fn a_record_elsewhere_or_with_another_return_address_is_none() {
    let mut stack = Builder::new();
    stack.push(ROOT + 0x10);
    let base = stack.stub(1);
    stack.native(0, CODE + 0x10);
    let bytes = stack.bytes();
    let mappings = mappings();
    let at = |start, bytes: &[u8]| Record::first_from(0, &Stack::new(start, bytes, false), &mappings);
    assert_eq!(at(stack.sp(), &bytes), Some(Record { base, stub: stub(1) }));
    // The same bytes, moved: as in a coroutine's saved stack.
    assert_eq!(at(stack.sp() + 0x1000, &bytes), None);
    stack.set(base - 40, stub(1) + 1);
    assert_eq!(at(stack.sp(), &stack.bytes()), None);
    stack.set(base - 40, stub(1) + u64::from(RETURN_OFFSET));
    stack.set(base - 8, (stub(1) + 8) ^ base);
    assert_eq!(at(stack.sp(), &stack.bytes()), None);
}

#[test]
fn wrong_links_are_not_followed() {
    let good = two_stubs();
    let expected = good.walk(CODE + 5);
    // To itself, down, up to no record, out of the stack, and to no aligned address.
    let head = good.head;
    for link in [head, head - 8, head + 16, 0, u64::MAX, head + 1] {
        let mut stack = two_stubs();
        stack.set(head - 32, link);
        assert_eq!(stack.walk(CODE + 5), expected, "{link:#x}");
    }
}

#[test]
fn links_lead_past_native_code_that_is_lost() {
    let mut stack = Builder::new();
    stack.push(ROOT + 0x10);
    for index in 1..=50 {
        stack.native(1, OPAQUE + 1);
        stack.stub(index);
        stack.native(2, CODE + 0x210);
    }
    stack.fp = 0;
    let walked = stack.walk(CODE + 5);
    let stubs: Vec<_> = walked.iter().filter(|frame| frame.starts_with("stub")).cloned().collect();
    assert_eq!(stubs, (1..=50).rev().map(|index| format!("stub {index}")).collect::<Vec<_>>());
    // Each caller of a stub cannot be unwound; behind the last one nothing is known.
    assert_eq!(walked.iter().filter(|frame| *frame == "gap").count(), 50);
    assert_eq!(walked.last().unwrap(), "gap");
}

#[test]
fn stacks_are_unwound_from_every_instruction_of_a_stub() {
    let mut stack = Builder::new();
    stack.push(ROOT + 0x10);
    stack.native(0, CODE + 0x10);
    stack.fp = 0x77;
    let expected = ["stub 3", "to code+10", "to code+8010"];
    // Before the frame pointer is pushed, after, and with the frame.
    assert_eq!(stack.walk(stub(3)), expected);
    stack.push(stack.fp);
    assert_eq!(stack.walk(stub(3) + 5), expected);
    stack.fp = stack.sp();
    let base = stack.fp;
    for (offset, word) in [(8, None), (19, Some(stub(3) ^ base)), (20, Some(1)), (21, Some(2)), (29, Some(0))] {
        if let Some(word) = word {
            stack.push(word);
        }
        assert_eq!(stack.walk(stub(3) + offset), expected, "{offset}");
    }
    assert_eq!(stack.walk(stub(3) + 38), expected);
    assert_eq!(stack.walk(stub(3) + 40), expected);
}

#[test]
fn hooks_are_unwound_with_and_without_their_frame() {
    use pronk_trampolines::python::HOOK_UNWIND_TABLE;
    use pronk_trampolines::stub::Cfa;
    for start in [HOOK, HOOK + pronk_trampolines::python::HOOK_SIZE as u64] {
        for entry in HOOK_UNWIND_TABLE {
            let mut stack = two_stubs();
            let caller = stack.fp;
            if entry.row.frame_pointer != Saved::InRegister {
                stack.push(caller);
            }
            if matches!(entry.row.cfa, Cfa::FramePointer(_)) {
                stack.fp = stack.sp();
                stack.words.extend([1, 2, 3, 4]);
            }
            let walked = stack.walk(start + u64::from(entry.from));
            assert_eq!(walked[1..], two_stubs().walk(CODE + 5)[1..], "{entry:?}");
        }
    }
}

#[test]
fn a_truncated_stack_keeps_all_that_was_copied() {
    let whole = two_stubs();
    let registers = Registers { pc: CODE + 5, sp: whole.sp(), fp: whole.fp };
    let size = whole.bytes().len();
    let all = whole.walk(CODE + 5);
    let mut longest = 0;
    for limit in (0..size).step_by(8) {
        let walked = whole.walk_copy(registers, limit);
        let kept = walked.len() - 1;
        // Behind the last frame there are four words that nobody needs.
        if limit + 4 * 8 < size {
            assert_eq!(walked[kept], "truncated", "{limit}: {walked:?}");
            assert_eq!(walked[..kept], all[..kept], "{limit}");
            assert!(kept >= longest);
            longest = kept;
        } else {
            assert_eq!(walked, all);
        }
    }
    assert_eq!(longest, all.len() - 1);
}

#[test]
fn what_ends_without_a_root_says_that_frames_are_missing() {
    let mut stack = Builder::new();
    stack.push(0x1234);
    assert_eq!(stack.walk(CODE + 5), ["at code+5", "gap"]);
}

#[test]
fn nothing_that_a_stack_holds_makes_a_walk_run_on() {
    // A thousand stacks of words that look like anything, by a generator with a known start.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..1000 {
        let mut stack = Builder::new();
        for _ in 0..200 {
            let word = match random() % 7 {
                0 => CODE + random() % 0x10000,
                1 => stub(random() % 4) + u64::from(RETURN_OFFSET),
                2 => stack.sp() + 8 * (random() % 64),
                3 => stub(random() % 4) ^ (stack.sp() + 8 * (random() % 4)),
                4 => JIT + random() % 0x1000,
                5 => 0,
                _ => random(),
            };
            stack.push(word);
        }
        let fp = stack.sp() + 8 * (random() % 200);
        for pc in [CODE + random() % 0x10000, stub(2) + random() % 64, JIT + 8, random()] {
            let frames = stack.walk_copy(Registers { pc, sp: stack.sp(), fp }, 1500);
            assert!(!frames.is_empty() && frames.len() < 800);
        }
    }
}

#[test]
fn registers_of_no_sense_do_no_harm() {
    let stack = two_stubs();
    for value in [0, 1, u64::MAX, u64::MAX - 7, 1 << 63] {
        for registers in [
            Registers { pc: value, sp: stack.sp(), fp: stack.fp },
            Registers { pc: CODE + 5, sp: value, fp: stack.fp },
            Registers { pc: stub(1) + 12, sp: stack.sp(), fp: value },
        ] {
            stack.walk_copy(registers, usize::MAX);
        }
    }
}
