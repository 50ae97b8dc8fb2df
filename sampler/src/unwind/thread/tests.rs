//! Threads that call and return, sampled again and again.
//!
//! Stacks are those of `unwind/tests.rs`. The evaluator is the function with frames of six words.

use super::*;
use crate::recording::{Address, Code, CodeId, MappingId, StackId};
use crate::unwind::Step;
use crate::unwind::tests::{Builder, CODE, OPAQUE, ROOT, Sized, mappings};

const EVALUATOR: u64 = CODE + 0x600;
/// A function that the trail of [`Counting`] has an influence on.
const BY_TRAIL: u64 = CODE + 0x900;

/// Unwinds as [`Sized`] does, and counts.
#[derive(Default)]
struct Counting {
    steps: usize,
}

impl NativeUnwinder for Counting {
    fn step(
        &mut self,
        mapping: &crate::mappings::Mapping,
        code: Code,
        registers: Registers,
        stack: &Stack,
        trail: &crate::unwind::Trail,
    ) -> Step {
        self.steps += 1;
        trail.used.set(trail.used.get() || code.lookup().0 & !0xff == BY_TRAIL);
        Sized.step(mapping, code, registers, stack, trail)
    }
}

/// What a thread has called, from the root on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A function in C, which is at an address. [`EVALUATOR`] is a call of the evaluator.
    C(u64),
    /// A function in Python, which runs in the newest call of the evaluator.
    Python(u32),
    Stub(u64),
}
use Call::{C, Python, Stub};

const EVALUATE: Call = C(EVALUATOR + 5);

/// Where borders are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Borders {
    /// In the evaluator's frames, as from 3.11 on.
    Addressed,
    /// Nowhere, as up to 3.10.
    Counted,
}
use Borders::{Addressed, Counted};

/// A moment of a thread.
struct Moment {
    stack: Builder,
    pc: u64,
    links: Vec<Link>,
    /// The bytes of the stack that are copied at most.
    limit: usize,
    links_cut: bool,
    torn: bool,
    kernel: Vec<u64>,
    unchanged_from: u64,
    links_kept: usize,
}

impl Moment {
    /// The moment at which these calls have been made.
    fn of(calls: &[Call], borders: Borders) -> Moment {
        let mut stack = Builder::new();
        let mut links = Vec::new();
        let mut pc = ROOT + 0x10;
        let mut border = None;
        for call in calls {
            match *call {
                C(address) => {
                    stack.push(pc);
                    let words = if address & !0xff == OPAQUE { 4 } else { (address - CODE) / 0x100 };
                    stack.words.extend(std::iter::repeat_n(0x11, words as usize));
                    pc = address;
                    let is_evaluator = address & !0xff == EVALUATOR;
                    border = is_evaluator.then(|| if borders == Addressed { stack.sp() + 16 } else { 0 });
                }
                Python(code) => {
                    let border = border.take().map(|address| Link { code: None, instruction: None, address });
                    links.extend(border);
                    links.push(Link { code: Some(CodeId(code)), instruction: Some(2 * code), address: 0xf0 });
                }
                Stub(index) => {
                    stack.push(pc);
                    stack.stub(index);
                    // What the stub calls pushes the stub's return address itself.
                    pc = stack.words.pop().unwrap();
                }
            }
        }
        Moment {
            stack,
            pc,
            links,
            limit: usize::MAX,
            links_cut: false,
            torn: false,
            kernel: Vec::new(),
            unchanged_from: u64::MAX,
            links_kept: 0,
        }
    }

    /// Says what is as it was before.
    fn after(mut self, before: &Moment) -> Moment {
        let words = self.stack.words.iter().zip(&before.stack.words).take_while(|(now, then)| now == then).count();
        self.unchanged_from = self.stack.top - 8 * words as u64;
        self.links_kept = self.links.iter().zip(&before.links).take_while(|(now, then)| now == then).count();
        self
    }
}

/// A profiler with one thread to sample.
struct Profiler {
    mappings: Rc<Mappings>,
    evaluator: Evaluator,
    unwinder: Counting,
    stacks: StackTable,
    thread: ThreadWalk,
}

impl Profiler {
    fn new() -> Profiler {
        Profiler {
            mappings: Rc::new(mappings()),
            evaluator: Evaluator::at(EVALUATOR..EVALUATOR + 0x100),
            unwinder: Counting::default(),
            stacks: StackTable::default(),
            thread: ThreadWalk::default(),
        }
    }

    fn sample(&mut self, moment: &Moment) -> Merged {
        let bytes = moment.stack.bytes();
        let is_cut = bytes.len() > moment.limit;
        let sample = ThreadSample {
            mappings: &self.mappings,
            evaluator: &self.evaluator,
            registers: Registers { pc: moment.pc, sp: moment.stack.sp(), fp: moment.stack.fp },
            general: &[0; 16],
            stack: &Stack::new(moment.stack.sp(), &bytes[..bytes.len().min(moment.limit)], is_cut),
            unchanged_from: moment.unchanged_from,
            links: &moment.links,
            links_kept: moment.links_kept,
            links_cut: moment.links_cut,
            torn: moment.torn,
            kernel: &moment.kernel,
        };
        let publish = |_: &mut Counting, found: Found| match found {
            Found::Native(_, code) => Frame::Native(MappingId(0), code),
            Found::Stub(_, stub) => Frame::Stub(MappingId(1), stub),
            Found::Unmapped(code) => Frame::Unmapped(code),
            Found::Gap => Frame::Gap,
            Found::Truncated => Frame::Truncated,
        };
        self.thread.sample(&sample, &mut self.unwinder, publish, &mut self.stacks)
    }

    fn show(&self, stack: Option<StackId>) -> Vec<String> {
        let mut frames: Vec<String> = stack.into_iter().flat_map(|stack| self.stacks.frames(stack)).map(show).collect();
        frames.reverse();
        frames
    }

    /// The frames of a moment that nothing came before, from the root on.
    fn frames(moment: &Moment) -> Vec<String> {
        let mut profiler = Profiler::new();
        let merged = profiler.sample(moment);
        profiler.show(merged.stack)
    }
}

fn show(frame: Frame) -> String {
    let place = |Address(address): Address| match address & !0xff {
        ROOT => "root".to_owned(),
        EVALUATOR => "eval".to_owned(),
        OPAQUE => "opaque".to_owned(),
        function => format!("c{:x}", (function - CODE) / 0x100),
    };
    match frame {
        Frame::Native(_, code) => place(code.lookup()),
        Frame::Python(CodeId(code), _) => format!("py{code}"),
        Frame::Stub(..) => "stub".into(),
        Frame::Gap => "gap".into(),
        Frame::Truncated => "truncated".into(),
        Frame::Kernel(Code::At(address)) => format!("at kernel {:x}", address.0),
        Frame::Kernel(Code::ReturnTo(address)) => format!("to kernel {:x}", address.0),
        Frame::Unmapped(_) => "unmapped".into(),
    }
}

/// A function in C with a frame of so many words.
fn c(words: u64) -> Call {
    C(CODE + words * 0x100 + 5)
}

fn frames(calls: &[Call], borders: Borders) -> String {
    Profiler::frames(&Moment::of(calls, borders)).join(" ")
}

/// `main` runs a module, whose function calls a function in C that calls back.
const CALLBACK: [Call; 9] = [
    C(CODE + 0x205),
    EVALUATE,
    Python(1),
    Python(2),
    C(CODE + 0x105),
    C(CODE + 0x305),
    EVALUATE,
    Python(3),
    C(CODE + 0x105),
];

#[test]
fn python_frames_lie_between_their_evaluator_and_what_it_called() {
    assert_eq!(frames(&CALLBACK, Addressed), "root c2 eval py1 py2 c1 c3 eval py3 c1");
    // The evaluator itself is the newest.
    assert_eq!(frames(&CALLBACK[..4], Addressed), "root c2 eval py1 py2");
    let each_in_its_own = [c(2), EVALUATE, Python(1), c(1), EVALUATE, Python(2), c(3), EVALUATE, Python(3), c(1)];
    assert_eq!(frames(&each_in_its_own, Counted), "root c2 eval py1 c1 eval py2 c3 eval py3 c1");
}

#[test]
fn an_evaluator_that_was_just_called_has_no_python_frames() {
    let mut calls = [c(2), EVALUATE, Python(1), c(1), EVALUATE].to_vec();
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 eval py1 c1 eval");
    }
    // Nor has one whose frame is gone already, while it calls something.
    calls.push(c(3));
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 eval py1 c1 eval c3");
    }
}

#[test]
fn threads_that_run_no_python_have_native_frames_alone() {
    assert_eq!(frames(&[c(2), c(1), c(3)], Addressed), "root c2 c1 c3");
    assert_eq!(frames(&[c(2), Stub(1), EVALUATE, c(3)], Addressed), "root c2 stub eval c3");
}

#[test]
fn stubs_give_way_to_the_python_frames_that_they_name() {
    let calls = [c(2), Stub(1), EVALUATE, Python(1), c(1), Stub(2), EVALUATE, Python(2), c(3)];
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 eval py1 c1 eval py2 c3");
        let torn = Moment { torn: true, ..Moment::of(&calls, borders) };
        assert_eq!(Profiler::frames(&torn).join(" "), "root c2 stub eval c1 stub eval c3");
    }
}

#[test]
fn native_code_that_cannot_be_unwound_leaves_python_frames_complete() {
    let with_stubs = [c(2), Stub(1), EVALUATE, Python(1), C(OPAQUE + 5), c(1), EVALUATE, Python(2), c(3)];
    assert_eq!(frames(&with_stubs, Addressed), "root c2 py1 gap opaque c1 eval py2 c3");
    let no_stubs = [c(2), EVALUATE, Python(1), C(OPAQUE + 5), c(1), EVALUATE, Python(2), c(3)];
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&no_stubs, borders), "py1 gap opaque c1 eval py2 c3", "{borders:?}");
    }
}

#[test]
fn a_stack_that_is_cut_still_has_all_python_frames() {
    let whole = Moment::of(&CALLBACK, Addressed);
    let size = whole.stack.bytes().len();
    let all = Profiler::frames(&whole);
    for limit in (0..size - 4 * 8).step_by(8) {
        let mut walked = Profiler::frames(&Moment { limit, ..Moment::of(&CALLBACK, Addressed) });
        let python: Vec<_> = walked.iter().filter(|frame| frame.starts_with("py")).cloned().collect();
        assert_eq!(python, ["py1", "py2", "py3"], "{limit}: {walked:?}");
        let mark = walked.iter().position(|frame| frame == "truncated").unwrap();
        let walked = walked.split_off(mark + 1);
        // Where an evaluator is the last frame that was walked, it is not known how far it reaches.
        match walked.first() {
            Some(first) if first == "eval" => assert!(all.ends_with(&walked[1..]), "{limit}: {walked:?}"),
            _ => assert!(all.ends_with(&walked), "{limit}: {walked:?}"),
        }
    }
}

#[test]
fn counted_frames_are_in_their_places_wherever_the_stack_is_cut() {
    let mut calls = vec![c(2)];
    for code in 1..=5 {
        calls.extend([EVALUATE, Python(code), c(3), c(1)]);
    }
    let all = frames(&calls, Counted);
    for limit in (0..Moment::of(&calls, Counted).stack.bytes().len() - 4 * 8).step_by(8) {
        let walked = Profiler::frames(&Moment { limit, ..Moment::of(&calls, Counted) }).join(" ");
        let (before, behind) = walked.split_once("truncated ").unwrap();
        let older = (1..=5).map(|code| format!("py{code} ")).filter(|frame| !behind.contains(frame.trim()));
        assert_eq!(before, older.collect::<String>(), "{limit}");
        // A run whose evaluator is the last frame to be walked follows it.
        assert!(all.ends_with(behind), "{walked}");
    }
}

#[test]
fn what_cannot_be_counted_is_not_guessed() {
    // Evaluators that run nothing, in the midst: the frames of another greenlet lie below.
    let calls = [c(2), EVALUATE, c(1), EVALUATE, c(1), EVALUATE, Python(1), c(3), EVALUATE, Python(2), c(2)];
    assert_eq!(frames(&calls, Counted), "root c2 py1 py2 gap c2");
    // By their addresses they are known.
    assert_eq!(frames(&calls, Addressed), "root c2 eval c1 eval c1 eval py1 c3 eval py2 c2");
    // More frames than evaluators, or none.
    let moment = |calls: &[Call], links| Moment { links, ..Moment::of(calls, Counted) };
    let links = Moment::of(&calls, Counted).links;
    assert_eq!(
        Profiler::frames(&moment(&[c(2), EVALUATE, Python(1), c(3)], links.clone())).join(" "),
        "root c2 py1 py2 gap c3"
    );
    assert_eq!(Profiler::frames(&moment(&[c(2), c(3)], links)).join(" "), "py1 py2 gap c2 c3");
}

#[test]
fn a_chain_that_is_cut_says_so_where_it_ends() {
    let cut = |calls: &[Call], borders, from: usize| {
        let mut moment = Moment::of(calls, borders);
        moment.links.drain(..from);
        Profiler::frames(&Moment { links_cut: true, ..moment }).join(" ")
    };
    assert_eq!(cut(&CALLBACK, Addressed, 2), "root c2 eval truncated py2 c1 c3 eval py3 c1");
    assert_eq!(cut(&CALLBACK, Addressed, 3), "root c2 eval c1 c3 eval truncated py3 c1");
    assert_eq!(cut(&CALLBACK, Addressed, 4), "root c2 eval c1 c3 eval truncated py3 c1");
    let counted = [c(2), EVALUATE, Python(1), c(1), EVALUATE, Python(2), c(3), EVALUATE, Python(3), c(1)];
    assert_eq!(cut(&counted, Counted, 3), "root c2 truncated py2 py3 gap c1");
}

#[test]
fn the_kernel_is_on_top() {
    let mut profiler = Profiler::new();
    let moment = Moment { kernel: vec![0xf2, 0xf1], ..Moment::of(&[c(2)], Addressed) };
    let merged = profiler.sample(&moment);
    assert_eq!(profiler.show(merged.stack).join(" "), "root c2 to kernel f1 at kernel f2");
}

/// Numbers that look like anything, by a generator with a known start.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Returns from some calls, and makes others.
    fn go_on(&mut self, calls: &mut Vec<Call>, borders: Borders) {
        let returned = self.below(6) as usize;
        calls.truncate(calls.len().saturating_sub(returned).max(1));
        for _ in 0..self.below(6) {
            let in_evaluator = calls.iter().rev().find(|call| !matches!(call, Python(_)));
            let runs_python = matches!(calls.last(), Some(Python(_)));
            let next = match self.below(8) {
                0 | 1 => EVALUATE,
                2 | 3 if in_evaluator == Some(&EVALUATE) && (borders == Addressed || !runs_python) => {
                    Python(self.below(3) as u32)
                }
                4 if self.below(4) == 0 => C(OPAQUE + 5),
                5 if self.below(4) == 0 => C(BY_TRAIL + 5),
                6 => Stub(self.below(2)),
                _ => c(self.below(4)),
            };
            // A stub calls an evaluator, and nothing else.
            calls.push(if matches!(calls.last(), Some(Stub(_))) { EVALUATE } else { next });
        }
        if matches!(calls.last(), Some(Stub(_))) {
            calls.push(EVALUATE);
        }
    }
}

#[test]
fn what_is_kept_of_the_sample_before_is_what_would_be_found_anew() {
    for (seed, borders) in (1..60).flat_map(|seed| [(seed, Addressed), (seed, Counted)]) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut profiler = Profiler::new();
        let mut calls = vec![c(2)];
        let mut before: Option<Moment> = None;
        for _ in 0..60 {
            random.go_on(&mut calls, borders);
            let mut moment = Moment::of(&calls, borders);
            if random.below(10) == 0 {
                moment.limit = 8 * random.below(60) as usize;
            }
            moment.torn = random.below(20) == 0;
            moment.links_cut = random.below(20) == 0;
            if moment.links_cut {
                moment.links.drain(..moment.links.len().min(2));
            }
            let moment = match &before {
                Some(before) => moment.after(before),
                None => moment,
            };
            let merged = profiler.sample(&moment);
            let anew = Moment { unchanged_from: u64::MAX, links_kept: 0, ..moment };
            let expected = ThreadWalk::default();
            let thread = std::mem::replace(&mut profiler.thread, expected);
            let expected = profiler.sample(&anew);
            assert_eq!(profiler.show(merged.stack), profiler.show(expected.stack), "{seed} {borders:?} {calls:?}");
            assert_eq!(merged, expected);
            profiler.thread = thread;
            before = Some(anew);
        }
    }
}

#[test]
fn a_sample_costs_what_has_changed() {
    for borders in [Addressed, Counted] {
        let mut calls = vec![c(2)];
        for code in 0..20_000 {
            calls.extend([EVALUATE, Python(code % 7), c(1)]);
        }
        let mut profiler = Profiler::new();
        let first = Moment::of(&calls, borders);
        profiler.sample(&first);
        assert!(profiler.unwinder.steps > 40_000);
        let stacks = profiler.stacks.len();
        profiler.unwinder.steps = 0;
        calls.truncate(calls.len() - 7);
        calls.extend([c(3), EVALUATE, Python(8), c(3)]);
        let second = Moment::of(&calls, borders).after(&first);
        let merged = profiler.sample(&second);
        assert!(profiler.unwinder.steps < 10, "{}", profiler.unwinder.steps);
        assert_eq!(profiler.stacks.len() - stacks, 4);
        assert_eq!(profiler.show(merged.stack).len(), calls.len() + 1);
    }
}

#[test]
fn a_sample_whose_stack_is_cut_costs_what_was_copied() {
    const LIMIT: usize = 10_000;
    for borders in [Addressed, Counted] {
        let mut calls = vec![c(2)];
        for code in 0..20_000 {
            calls.extend([EVALUATE, Python(code % 7), c(1)]);
        }
        let mut profiler = Profiler::new();
        let first = Moment { limit: LIMIT, ..Moment::of(&calls, borders) };
        profiler.sample(&first);
        let stacks = profiler.stacks.len();
        calls.truncate(calls.len() - 7);
        calls.extend([c(3), EVALUATE, Python(8), c(3)]);
        let second = Moment { limit: LIMIT, ..Moment::of(&calls, borders) }.after(&first);
        let merged = profiler.sample(&second);
        assert!(profiler.stacks.len() - stacks < LIMIT / 8);
        let python = profiler.show(merged.stack).into_iter().filter(|frame| frame.starts_with("py"));
        assert_eq!(python.count(), calls.iter().filter(|call| matches!(call, Python(_))).count());
    }
}

#[test]
fn other_mappings_are_walked_anew() {
    let mut profiler = Profiler::new();
    let first = Moment::of(&CALLBACK, Addressed);
    profiler.sample(&first);
    let walked = profiler.unwinder.steps;
    profiler.sample(&Moment::of(&CALLBACK, Addressed).after(&first));
    assert_eq!(profiler.unwinder.steps, walked);
    profiler.mappings = Rc::new(mappings());
    profiler.sample(&Moment::of(&CALLBACK, Addressed).after(&first));
    assert_eq!(profiler.unwinder.steps, 2 * walked);
}

#[test]
fn frames_that_hang_on_more_than_the_stack_are_walked_anew() {
    let calls = [c(2), c(1), C(BY_TRAIL + 5), c(1), c(3)];
    let mut profiler = Profiler::new();
    let first = Moment::of(&calls, Addressed);
    profiler.sample(&first);
    profiler.unwinder.steps = 0;
    profiler.sample(&Moment::of(&calls, Addressed).after(&first));
    // From the frame behind it on, all is known.
    assert_eq!(profiler.unwinder.steps, 3);
}

#[test]
fn links_that_make_no_sense_do_no_harm() {
    let mut random = Random(0x0bad_5eed);
    let mut profiler = Profiler::new();
    for _ in 0..2000 {
        let mut calls = vec![c(2)];
        random.go_on(&mut calls, Addressed);
        let mut moment = Moment::of(&calls, Addressed);
        let sp = moment.stack.sp();
        moment.links = (0..random.below(20))
            .map(|_| Link {
                code: (random.below(2) == 0).then(|| CodeId(random.below(3) as u32)),
                instruction: None,
                address: [0, 1, sp, sp + random.below(500), u64::MAX][random.below(5) as usize],
            })
            .collect();
        // What is said to be as it was before is not.
        moment.links_kept = random.below(30) as usize;
        moment.unchanged_from = sp.wrapping_add(random.below(900));
        moment.links_cut = random.below(2) == 0;
        let merged = profiler.sample(&moment);
        assert!(profiler.show(merged.stack).len() < 100);
    }
}

#[test]
fn borders_out_of_order_cost_no_more_than_others() {
    let mut calls = vec![c(2)];
    for code in 0..20_000 {
        calls.extend([EVALUATE, Python(code % 7), c(1)]);
    }
    let mut moment = Moment::of(&calls, Addressed);
    moment.links.reverse();
    let mut profiler = Profiler::new();
    for _ in 0..100 {
        let merged = profiler.sample(&moment);
        moment = Moment { links: moment.links.clone(), ..Moment::of(&calls, Addressed) }.after(&moment);
        let python = profiler.show(merged.stack).into_iter().filter(|frame| frame.starts_with("py")).count();
        assert_eq!(python, 20_000);
    }
    assert!(profiler.stacks.len() < 200_000);
}
