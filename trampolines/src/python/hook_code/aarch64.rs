//! The hook for aarch64. `x86_64.rs` mirrors this file.

use super::{Assembler, HOOK_SIZE, Parameters};
use crate::stub::{Cfa, Saved, UnwindEntry, UnwindRow};

/// Where the slow path begins: behind the longest fast path.
const SLOW: usize = 144;

/// The code for the given interpreter.
///
/// In and out: `x0` thread, `x1` frame, `w2` throwflag; to the stub also `x3`, the evaluator that it calls, and `x4`, the
/// counters.
/// The jumps go through `x16`, from which `bti c` lets them in (Arm Architecture Reference Manual, "BTI").
pub fn hook_code(parameters: &Parameters) -> [u8; HOOK_SIZE] {
    // Filled with `udf #0`.
    let mut code = Assembler::new(0);

    put(&mut code, &[0xd503_245f]); // bti c
    // mrs x9, tpidr_el0; w10 = stack_limit; ldr x9, [x9, w10, sxtw]; cmp sp, x9; b.lo slow
    put(&mut code, &[0xd53b_d049]);
    put_constant32(&mut code, 10, parameters.stack_limit);
    put(&mut code, &[0xf86a_c929, 0xeb29_63ff]);
    jump_to_slow(&mut code, 0x5400_0003);
    if let Some(recursion) = parameters.recursion {
        // ldur w9, [x0, remaining]; w10 = low; cmp w9, w10; b.lt slow
        put(&mut code, &[0xb840_0009 | u32::from(recursion.remaining) << 12]);
        put_constant32(&mut code, 10, recursion.low);
        put(&mut code, &[0x6b0a_013f]);
        jump_to_slow(&mut code, 0x5400_000b);
    }
    put(&mut code, &[0xf840_0029 | u32::from(parameters.frame_code) << 12]); // ldur x9, [x1, frame_code]
    if parameters.code_is_tagged {
        put(&mut code, &[0x927e_f529]); // and x9, x9, #-4
    }
    // movz w10, co_extra; ldr x9, [x9, x10]; cbz x9, slow
    put(&mut code, &[0x5280_000a | u32::from(parameters.code_extra) << 5, 0xf86a_6929]);
    jump_to_slow(&mut code, 0xb400_0009);
    // x10 = words; ldp x12, x4, [x10]; ldr x11, [x9]; adds x12, x12, x11; b.lo slow: the extras end before our slot, or there
    // are no counters
    put_constant64(&mut code, 10, parameters.words);
    put(&mut code, &[0xa940_114c, 0xf940_012b, 0xab0b_018c]);
    jump_to_slow(&mut code, 0x5400_0003);
    // movz w10, index; add x9, x9, x10, lsl #3; ldr x16, [x9, #8]; cmp x16, #0; b.le slow: what has the highest bit is
    // looked at each time
    put(&mut code, &[0x5280_000a | u32::from(parameters.index) << 5, 0x8b0a_0d29, 0xf940_0530, 0xf100_021f]);
    jump_to_slow(&mut code, 0x5400_000d);
    put_constant64(&mut code, 3, parameters.next); // x3 = next
    put(&mut code, &[0xd61f_0200]); // br x16

    code.skip_to(SLOW);
    put(&mut code, &[0xa9bd_7bfd]); // stp x29, x30, [sp, #-48]!
    put(&mut code, &[0x9100_03fd]); // mov x29, sp
    put(&mut code, &[0xa901_07e0, 0xf900_13e2]); // stp x0, x1, [sp, #16]; str x2, [sp, #32]
    put_constant64(&mut code, 3, parameters.next); // x3 = next
    put_constant64(&mut code, 9, parameters.resolve); // x9 = resolve
    put(&mut code, &[0xd63f_0120]); // blr x9
    put(&mut code, &[0xaa00_03f0]); // mov x16, x0
    put(&mut code, &[0xa941_07e0, 0xf940_13e2]); // ldp x0, x1, [sp, #16]; ldr x2, [sp, #32]
    put(&mut code, &[0xa8c3_7bfd]); // ldp x29, x30, [sp], #48
    put_constant64(&mut code, 10, parameters.words); // x10 = words
    put(&mut code, &[0xf940_0544]); // ldr x4, [x10, #8]: the counters
    put_constant64(&mut code, 3, parameters.next); // x3 = next
    put(&mut code, &[0xd61f_0200]); // br x16
    code.finish()
}

/// Appends instructions.
fn put(code: &mut Assembler, instructions: &[u32]) {
    for instruction in instructions {
        code.put(&instruction.to_le_bytes());
    }
}

/// movz and movk: any 32 bits into a register.
fn put_constant32(code: &mut Assembler, register: u32, value: i32) {
    let value = value as u32;
    put(code, &[0x5280_0000 | (value & 0xffff) << 5 | register, 0x72a0_0000 | (value >> 16) << 5 | register]);
}

/// movz and three times movk: any 64 bits into a register.
fn put_constant64(code: &mut Assembler, register: u32, value: usize) {
    let value = value as u64;
    for (opcode, shift) in [(0xd280_0000, 0), (0xf2a0_0000, 16), (0xf2c0_0000, 32), (0xf2e0_0000, 48)] {
        let part = (value >> shift) as u32 & 0xffff;
        put(code, &[opcode | part << 5 | register]);
    }
}

/// A conditional branch, with its displacement in instructions in the bits from 5 on.
fn jump_to_slow(code: &mut Assembler, opcode: u32) {
    let displacement = SLOW - code.position();
    put(code, &[opcode | (displacement as u32 / 4) << 5]);
}

const BEFORE_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(0), frame_pointer: Saved::InRegister, return_address: Saved::InRegister };
const FRAME_RECORD_PUSHED: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(48), frame_pointer: Saved::BelowCfa(48), return_address: Saved::BelowCfa(40) };
const IN_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::FramePointer(48), frame_pointer: Saved::BelowCfa(48), return_address: Saved::BelowCfa(40) };

/// How to unwind from each instruction of a hook.
pub const HOOK_UNWIND_TABLE: &[UnwindEntry] = &[
    UnwindEntry { from: 0, row: BEFORE_FRAME },
    UnwindEntry { from: SLOW as u16 + 4, row: FRAME_RECORD_PUSHED },
    UnwindEntry { from: SLOW as u16 + 8, row: IN_FRAME },
    UnwindEntry { from: SLOW as u16 + 68, row: BEFORE_FRAME },
];
