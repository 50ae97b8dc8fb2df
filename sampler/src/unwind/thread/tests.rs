//! Threads that call and return, sampled again and again.
//!
//! Stacks are those of `unwind/tests.rs`. The evaluator is the function with frames of six words.

use super::*;
use crate::mappings::Mapping;
use crate::recording::{Address, Code, CodeId, MappingId, StackId};
use crate::unwind::tests::{Builder, CODE, OPAQUE, ROOT, Sized, mappings};
use crate::unwind::{Step, Trail};

mod order;
mod reuse;

const EVALUATOR: u64 = CODE + 0x600;
/// A function that the trail of [`Counting`] has an influence on.
const BY_TRAIL: u64 = CODE + 0x900;

/// Unwinds as [`Sized`] does, and counts.
#[derive(Default)]
struct Counting {
    steps: usize,
}

impl NativeUnwinder for Counting {
    fn step(&mut self, mapping: &Mapping, code: Code, registers: Registers, stack: &Stack, trail: &Trail) -> Step {
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
