//! The code of stubs, on both architectures.

use super::disassembly::{Architecture, Disassembled, compare};
use super::{UnwindEntry, aarch64, x86_64};
use std::vec::Vec;

/// The code of a stub, where its evaluator returns to, and its unwind rows.
fn stub(architecture: Architecture, head: i32) -> (Vec<u8>, u16, &'static [UnwindEntry]) {
    match architecture {
        Architecture::X86_64 => (x86_64::stub_code(head).to_vec(), x86_64::RETURN_OFFSET, x86_64::UNWIND_TABLE),
        Architecture::Aarch64 => (aarch64::stub_code(head).to_vec(), aarch64::RETURN_OFFSET, aarch64::UNWIND_TABLE),
    }
}

#[test]
fn stubs_are_what_their_listings_say() {
    for (architecture, head, name) in [
        (Architecture::X86_64, -0x1234_5678, "stub-x86_64.txt"),
        (Architecture::Aarch64, 0x12_3450, "stub-aarch64.txt"),
    ] {
        let (code, return_offset, rows) = stub(architecture, head);
        assert!(code.len().is_power_of_two());
        let code = Disassembled::new(architecture, &code);
        code.check(rows);
        code.check_return(return_offset);
        compare(name, &code.listing(rows));
    }
}

#[test]
fn only_the_offset_of_the_head_differs_between_stubs() {
    for architecture in Architecture::BOTH {
        let (zero, ..) = stub(architecture, 0);
        let (ones, ..) = stub(architecture, -1);
        for head in [i32::MIN, -0x1234_5678, -8, 8, 0xff8, 0x1000, 0xff_fff8, 0x1000_0000, i32::MAX] {
            let (code, return_offset, rows) = stub(architecture, head);
            let fixed = zero.iter().zip(&ones).map(|(zero, one)| !(zero ^ one));
            let same = code.iter().zip(&zero).zip(fixed).all(|((code, zero), fixed)| (code ^ zero) & fixed == 0);
            assert!(same, "{architecture:?}, {head:#x}");
            let code = Disassembled::new(architecture, &code);
            code.check(rows);
            code.check_return(return_offset);
        }
    }
}
