//! The code of hooks, on both architectures, for each supported version; and the machine's own, run.
//!
//! # Safety
//! The machine's own code is run on memory that the tests make as the interpreter would.

use super::super::hook_words::gate;
use super::super::layout::{self, Layout};
use super::super::recursion::lowest_for_stubs;
use super::super::version::SUPPORTED;
use super::{HOOK_SIZE, LowRecursion, Parameters, aarch64, native, x86_64};
use crate::stub::disassembly::{Architecture, Disassembled, compare};
use crate::stub::{UnwindEntry, map_code, thread};
use crate::wire::Token;
use std::cell::Cell;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn hook(architecture: Architecture, parameters: &Parameters) -> ([u8; HOOK_SIZE], &'static [UnwindEntry]) {
    match architecture {
        Architecture::X86_64 => (x86_64::hook_code(parameters), x86_64::HOOK_UNWIND_TABLE),
        Architecture::Aarch64 => (aarch64::hook_code(parameters), aarch64::HOOK_UNWIND_TABLE),
    }
}

/// The parameters of an interpreter with that layout: addresses that show each of their bytes, and a third extra slot.
fn parameters(layout: &Layout, stack_limit: i32) -> Parameters {
    Parameters {
        stack_limit,
        frame_code: layout.frame.code,
        code_is_tagged: layout.frame.code_is_tagged,
        code_extra: layout.code.extra,
        index: 2,
        words: 0x1112_1314_1516_1718,
        recursion: layout
            .c_recursion
            .map(|fields| LowRecursion { remaining: fields.remaining, low: lowest_for_stubs(100_000) }),
        next: 0x2122_2324_2526_2728,
        resolve: 0x3132_3334_3536_3738,
    }
}

/// The listing of each different hook, headed by the versions that it is for.
fn listings(architecture: Architecture, stack_limit: i32) -> String {
    let mut hooks: Vec<(String, String)> = vec![];
    for minor in SUPPORTED {
        let parameters = parameters(layout::of(minor).unwrap(), stack_limit);
        let (code, rows) = hook(architecture, &parameters);
        let code = Disassembled::new(architecture, &code);
        code.check(rows);
        assert_eq!(code.exits(), 2, "the fast path ends before the slow one begins");
        let listing = code.listing(rows);
        match hooks.iter_mut().find(|(_, other)| *other == listing) {
            Some((versions, _)) => versions.push_str(&format!(", 3.{minor}")),
            None => hooks.push((format!("CPython 3.{minor}"), listing)),
        }
    }
    hooks.iter().map(|(versions, listing)| format!("{versions}:\n{listing}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn hooks_are_what_their_listings_say() {
    compare("hook-x86_64.txt", &listings(Architecture::X86_64, -0x1234_5678));
    compare("hook-aarch64.txt", &listings(Architecture::Aarch64, 0x12_3458));
}

#[test]
fn the_code_holds_its_shape_with_the_smallest_and_the_largest_numbers() {
    let smallest = Parameters {
        stack_limit: i32::MIN,
        frame_code: 0,
        code_is_tagged: false,
        code_extra: 0,
        index: 0,
        words: 0,
        recursion: None,
        next: 0,
        resolve: 0,
    };
    // The signed 8-bit offsets of x86-64 end at 127.
    let largest = Parameters {
        stack_limit: i32::MAX,
        frame_code: 127,
        code_is_tagged: true,
        code_extra: u16::MAX,
        index: u16::MAX,
        words: usize::MAX,
        recursion: Some(LowRecursion { remaining: 127, low: i32::MIN }),
        next: usize::MAX,
        resolve: usize::MAX,
    };
    for architecture in Architecture::BOTH {
        for parameters in [&smallest, &largest] {
            let (code, rows) = hook(architecture, parameters);
            let code = Disassembled::new(architecture, &code);
            code.check(rows);
            assert_eq!(code.exits(), 2, "the fast path ends before the slow one begins");
        }
    }
}

/// What the code that the hook leads to was called with: thread, frame, throwflag, evaluator, counters.
type Arguments = (usize, usize, i32, usize, u64);
type Target = extern "C" fn(usize, usize, i32, usize, u64) -> usize;
type Asked = extern "C" fn(usize, usize, i32, usize) -> usize;

std::thread_local! {
    static ASKED: Cell<Option<Arguments>> = const { Cell::new(None) };
    static ARRIVED: Cell<Option<Arguments>> = const { Cell::new(None) };
}

extern "C" fn resolve(thread: usize, frame: usize, throwflag: i32, next: usize) -> usize {
    ASKED.set(Some((thread, frame, throwflag, next, COUNTERS)));
    slow_target as Target as usize
}

extern "C" fn slow_target(thread: usize, frame: usize, throwflag: i32, next: usize, counters: u64) -> usize {
    ARRIVED.set(Some((thread, frame, throwflag, next, counters)));
    1
}

extern "C" fn stub(thread: usize, frame: usize, throwflag: i32, next: usize, counters: u64) -> usize {
    ARRIVED.set(Some((thread, frame, throwflag, next, counters)));
    2
}

/// An interpreter's objects, as far as the hook reads them.
struct Objects {
    thread: [i32; 64],
    frame: [usize; 32],
    code: [usize; 64],
    extras: [usize; 4],
    /// The gate, and the address of the counters.
    words: [u64; 2],
}

const THROWFLAG: i32 = -7;
const COUNTERS: u64 = 0x4142_4344_4546_4748;
const NEXT: usize = 0x2122_2324_2526_2728;

impl Objects {
    /// Calls a hook, and returns whether it came to the stub without asking.
    fn is_fast(&self, parameters: &Parameters) -> bool {
        let parameters = Parameters {
            stack_limit: thread::offset() + thread::STACK_LIMIT,
            words: self.words.as_ptr() as usize,
            next: NEXT,
            resolve: resolve as Asked as usize,
            ..*parameters
        };
        let code = map_code("pronk-test-", Token(0), 1, |_| native::hook_code(&parameters)).unwrap();
        let (thread, frame) = (self.thread.as_ptr() as usize, self.frame.as_ptr() as usize);
        ASKED.set(None);
        ARRIVED.set(None);
        // SAFETY: the code follows the calling convention, and reads within the objects.
        let result = unsafe {
            let hook: extern "C" fn(usize, usize, i32) -> usize = core::mem::transmute(code);
            hook(thread, frame, THROWFLAG)
        };
        let arguments = Some((thread, frame, THROWFLAG, NEXT, COUNTERS));
        assert_eq!(ARRIVED.get(), arguments);
        assert_eq!(ASKED.get(), if result == 1 { arguments } else { None });
        result == 2
    }
}

#[test]
fn hooks_go_to_the_stub_or_ask_where_to_go() {
    let set_stack_limit = |limit| {
        // SAFETY: a thread's words are its own, and no other stubs run on this thread.
        unsafe { (*thread::words()).stack_limit = limit }
    };
    for minor in SUPPORTED {
        let parameters = parameters(layout::of(minor).unwrap(), 0);
        let index = usize::from(parameters.index);
        let mut objects = Objects {
            thread: [0; 64],
            frame: [0; 32],
            code: [0; 64],
            extras: [0; 4],
            words: [gate(parameters.index), COUNTERS],
        };
        objects.extras[0] = index + 1;
        objects.extras[1 + index] = stub as Target as usize;
        let extra = usize::from(parameters.code_extra) / 8;
        objects.code[extra] = objects.extras.as_ptr() as usize;
        let tag = if parameters.code_is_tagged { 3 } else { 0 };
        objects.frame[usize::from(parameters.frame_code) / 8] = objects.code.as_ptr() as usize | tag;
        let remaining = parameters.recursion.map(|recursion| (usize::from(recursion.remaining) / 4, recursion.low));
        if let Some((remaining, low)) = remaining {
            objects.thread[remaining] = low;
        }

        assert!(!objects.is_fast(&parameters), "a new thread");
        set_stack_limit(0);
        assert!(objects.is_fast(&parameters), "3.{minor}");
        if let Some((remaining, low)) = remaining {
            objects.thread[remaining] = low - 1;
            assert!(!objects.is_fast(&parameters), "little C recursion left");
            objects.thread[remaining] = -1;
            assert!(!objects.is_fast(&parameters), "no C recursion left");
            objects.thread[remaining] = low;
        }
        objects.words[0] = 0;
        assert!(!objects.is_fast(&parameters), "stubs are off, or there was a fork");
        objects.words[0] = gate(parameters.index);
        objects.extras[0] = index;
        assert!(!objects.is_fast(&parameters), "the extras end before the slot");
        objects.extras[0] = 255;
        objects.extras[1 + index] = 0;
        assert!(!objects.is_fast(&parameters), "an empty slot");
        objects.extras[1 + index] = stub as Target as usize | 1 << 63;
        assert!(!objects.is_fast(&parameters), "a slot that is looked at each time");
        objects.extras[1 + index] = stub as Target as usize;
        objects.code[extra] = 0;
        assert!(!objects.is_fast(&parameters), "no extras");
        objects.code[extra] = objects.extras.as_ptr() as usize;
        assert!(objects.is_fast(&parameters), "3.{minor}");
        set_stack_limit(usize::MAX);
    }
}
