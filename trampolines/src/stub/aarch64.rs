//! Stubs for aarch64. `x86_64.rs` mirrors this file.

use super::eh_frame::DwarfNumbers;
use super::unwind::{Cfa, Saved, UnwindEntry, UnwindRow};

/// The size of a stub in bytes, and its alignment.
pub const STUB_SIZE: usize = 128;

/// What unused code memory is filled with: `udf #0`.
const FILL: u8 = 0;

/// The offset in the stub of the address to which the evaluator returns. The evaluator keeps it where it likes (see
/// [`super::record`]).
pub const RETURN_OFFSET: u16 = 84;

/// The registers' numbers: DWARF for the Arm 64-bit Architecture (AArch64), "DWARF register names".
pub const DWARF: DwarfNumbers = DwarfNumbers { stack_pointer: 31, frame_pointer: 29, return_address: 30 };

/// The machine code of a stub.
///
/// A stub is called with three arguments for an evaluator, the evaluator itself as the fourth and the counters as the fifth
/// (AAPCS64: `x0`, `x1`, `x2`, `x3`, `x4`), and returns what the evaluator returns. While that runs, the stub's frame holds its record (see
/// [`super::record`]) right below the frame record of the calling convention.
///
/// `head` is the offset of the thread's head of records from the thread pointer (`tpidr_el0`), `counter` says which of
/// the counters is the stub's, and `sum` which of the first [`MOST_SUMS`](super::MOST_SUMS) is that of all stubs of its kind. One
/// thread at a time uses them, so the additions are plain ones.
pub fn stub_code(head: i32, sum: u8, counter: u32) -> [u8; STUB_SIZE] {
    // The immediate operands of movz and movk; together they hold every offset, and sxtw extends its sign.
    let low = (head as u32 & 0xffff) << 5;
    let high = (head as u32 >> 16) << 5;
    let counter_low = (counter & 0xffff) << 5;
    let counter_high = (counter >> 16) << 5;
    // The immediate operand of a load and of a store, in words.
    let sum = u32::from(sum) << 10;
    let instructions: [u32; 30] = [
        0xd503_245f,                //  0  bti c
        0xa9bf_7bfd,                //  4  stp x29, x30, [sp, #-16]!
        0x9100_03fd,                //  8  mov x29, sp
        0x10ff_ffa9,                // 12  adr x9, -12: this stub
        0xca1d_0129,                // 16  eor x9, x9, x29
        0xd53b_d04a,                // 20  mrs x10, tpidr_el0
        0x5280_000b | low,          // 24  movz w11, head
        0x72a0_000b | high,         // 28  movk w11, head, lsl #16
        0xf86b_c94c,                // 32  ldr x12, [x10, w11, sxtw]
        0xa9bf_27e1,                // 36  stp x1, x9, [sp, #-16]!: second argument, the interpreter's frame; tag
        0xa9bf_03ec,                // 40  stp x12, x0, [sp, #-16]!: link; first argument, the interpreter's thread
        0xf82b_c95d,                // 44  str x29, [x10, w11, sxtw]
        0xf940_008e | sum,          // 48  ldr x14, [x4, 8 * sum]
        0x9100_05ce,                // 52  add x14, x14, #1
        0xf900_008e | sum,          // 56  str x14, [x4, 8 * sum]
        0x5280_000d | counter_low,  // 60  movz w13, counter
        0x72a0_000d | counter_high, // 64  movk w13, counter, lsl #16
        0xf86d_788e,                // 68  ldr x14, [x4, x13, lsl #3]
        0x9100_05ce,                // 72  add x14, x14, #1
        0xf82d_788e,                // 76  str x14, [x4, x13, lsl #3]
        0xd63f_0060,                // 80  blr x3
        0xf940_03ec,                // 84  ldr x12, [sp]: link
        0xd53b_d04a,                // 88  mrs x10, tpidr_el0
        0x5280_000b | low,          // 92  movz w11, head
        0x72a0_000b | high,         // 96  movk w11, head, lsl #16
        0xf82b_c94c,                // 100  str x12, [x10, w11, sxtw]
        0xf81f_83bf,                // 104  stur xzr, [x29, #-8]: the record is over
        0x9100_03bf,                // 108  mov sp, x29
        0xa8c1_7bfd,                // 112  ldp x29, x30, [sp], #16
        0xd65f_03c0,                // 116  ret
    ];
    let mut code = [FILL; STUB_SIZE];
    for (to, instruction) in code.as_chunks_mut().0.iter_mut().zip(instructions) {
        // Instructions are little-endian on every aarch64 machine (Arm Architecture Reference Manual,
        // "Instruction endianness").
        *to = instruction.to_le_bytes();
    }
    code
}

const BEFORE_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(0), frame_pointer: Saved::InRegister, return_address: Saved::InRegister };
const FRAME_RECORD_PUSHED: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(16), frame_pointer: Saved::BelowCfa(16), return_address: Saved::BelowCfa(8) };
const IN_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::FramePointer(16), frame_pointer: Saved::BelowCfa(16), return_address: Saved::BelowCfa(8) };

/// How to unwind from each instruction of a stub.
pub const UNWIND_TABLE: &[UnwindEntry] = &[
    UnwindEntry { from: 0, row: BEFORE_FRAME },
    UnwindEntry { from: 8, row: FRAME_RECORD_PUSHED },
    UnwindEntry { from: 12, row: IN_FRAME },
    UnwindEntry { from: 116, row: BEFORE_FRAME },
];
