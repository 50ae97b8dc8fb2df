//! The code of stubs, on both architectures; and the machine's own, run.
//!
//! # Safety
//! The machine's own stubs call functions that take any words. Beside that, the stack is read where a record was.

use super::disassembly::{Architecture, Disassembled, compare};
use super::{Counters, Stub, StubMemory, UnwindEntry, aarch64, record, thread, x86_64};
use crate::counts::{Counts, Terms};
use crate::wire::{COUNTERS, FunctionKind, LaneHead, Token};
use std::hint::black_box;
use std::vec::Vec;

/// The code of a stub, where its evaluator returns to, and its unwind rows.
fn stub(architecture: Architecture, head: i32, sum: u8, counter: u32) -> (Vec<u8>, u16, &'static [UnwindEntry]) {
    let (code, return_offset, rows) = match architecture {
        Architecture::X86_64 => {
            (x86_64::stub_code(head, sum, counter).to_vec(), x86_64::RETURN_OFFSET, x86_64::UNWIND_TABLE)
        }
        Architecture::Aarch64 => {
            (aarch64::stub_code(head, sum, counter).to_vec(), aarch64::RETURN_OFFSET, aarch64::UNWIND_TABLE)
        }
    };
    (code, return_offset, rows)
}

#[test]
fn stubs_are_what_their_listings_say() {
    for (architecture, head, name) in [
        (Architecture::X86_64, -0x1234_5678, "stub-x86_64.txt"),
        (Architecture::Aarch64, 0x12_3450, "stub-aarch64.txt"),
    ] {
        let (code, return_offset, rows) = stub(architecture, head, 3, 0x9_8765);
        assert!(code.len().is_power_of_two());
        let code = Disassembled::new(architecture, &code);
        code.check(rows);
        code.check_return(return_offset);
        compare(name, &code.listing(rows));
    }
}

#[test]
fn only_the_offset_of_the_head_and_the_counters_differ_between_stubs() {
    const LAST: u32 = COUNTERS - 1;
    for architecture in Architecture::BOTH {
        let (zero, ..) = stub(architecture, 0, 0, 0);
        let (ones, ..) = stub(architecture, -1, 15, LAST);
        for head in [i32::MIN, -0x1234_5678, -8, 8, 0xff8, 0x1000, 0xff_fff8, 0x1000_0000, i32::MAX] {
            let (code, return_offset, rows) = stub(architecture, head, head as u8 & 15, head as u32 & LAST);
            let fixed = zero.iter().zip(&ones).map(|(zero, one)| !(zero ^ one));
            let same = code.iter().zip(&zero).zip(fixed).all(|((code, zero), fixed)| (code ^ zero) & fixed == 0);
            assert!(same, "{architecture:?}, {head:#x}");
            let code = Disassembled::new(architecture, &code);
            code.check(rows);
            code.check_return(return_offset);
        }
    }
}

/// The word at an offset from the base of a record.
///
/// # Safety
/// The stack reaches there.
unsafe fn word(base: usize, offset: i64) -> usize {
    let address = base.wrapping_add_signed(offset as isize);
    // SAFETY: as promised by the caller.
    unsafe { std::ptr::with_exposed_provenance::<usize>(address).read_volatile() }
}

#[test]
fn a_record_is_live_until_its_stub_returns() {
    extern "C" fn evaluator(_: usize, _: usize, stub: usize) -> usize {
        // SAFETY: a stub is running, so the thread's head points at its record.
        let (base, live) = unsafe {
            let base = (*thread::words()).head;
            (base, record::live_stub(base as u64, |offset| Some(word(base, offset) as u64)))
        };
        assert_eq!(live, Some(stub as u64));
        base
    }
    #[inline(never)]
    fn call(stub: Stub, counters: Counters) -> usize {
        // Room, so that what is called later does not come down to where the record was.
        let mut room = [0_u8; 1 << 16];
        black_box(&mut room);
        // SAFETY: the evaluator can be called with these words.
        let base = unsafe { stub.call(counters, [3, 5, stub.address()], evaluator) };
        black_box(&mut room);
        base
    }
    let mut counts = Counts::create(c"/nowhere", Token(0), Terms::default());
    let (stub, counter) = StubMemory::new(FunctionKind::Generator).take(Token(0), &mut counts).unwrap();
    let counters = counts.lane(0).unwrap();
    let base = call(stub, counters);
    let address = std::ptr::with_exposed_provenance::<u64>(counters.address());
    // SAFETY: the counters stay mapped.
    let counted = |counter: u32| unsafe { address.add(counter as usize).read_volatile() };
    assert_eq!((counted(counter), counted(counter + 1)), (1, 0));
    let sums = FunctionKind::ALL.map(|kind| counted(LaneHead::entered(kind).into()));
    assert_eq!(sums, [0, 1, 0]);
    // SAFETY: the stack was there a moment ago, and stacks do not shrink.
    let (tag, frame, thread) =
        unsafe { (word(base, record::TAG), word(base, record::FRAME), word(base, record::THREAD)) };
    assert_eq!((frame, thread), (5, 3), "what is left of the record");
    assert_eq!(tag, 0, "it is over");
    // SAFETY: a thread's words are its own.
    assert_eq!(unsafe { (*thread::words()).head }, 0);
}
