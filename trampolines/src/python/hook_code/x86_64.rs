//! The hook for x86-64. `aarch64.rs` mirrors this file.

use super::super::hook_words::COUNTERS;
use super::{Assembler, HOOK_SIZE, Parameters};
use crate::stub::UnwindEntry;
use crate::stub::x86_64::{BEFORE_FRAME, FRAME_POINTER_PUSHED, IN_FRAME};

/// Where the slow path begins: behind the longest fast path.
const SLOW: usize = 112;

/// The code for the given interpreter.
///
/// In and out: `rdi` thread, `rsi` frame, `edx` throwflag; to the stub also `rcx`, the evaluator that it calls, and `r8`, the
/// counters.
pub fn hook_code(parameters: &Parameters) -> [u8; HOOK_SIZE] {
    let mut code = Assembler::new(0xcc);
    let next = (parameters.next as u64).to_le_bytes();
    let put_words = |code: &mut Assembler| {
        // mov r8, words
        code.put(&[0x49, 0xb8]).put(&(parameters.words as u64).to_le_bytes());
    };
    let put_counters = |code: &mut Assembler| {
        // mov r8, [r8 + counters]
        code.put(&[0x4d, 0x8b, 0x40, COUNTERS]);
    };

    code.put(&[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    // cmp rsp, fs:[stack_limit]; jb slow
    code.put(&[0x64, 0x48, 0x3b, 0x24, 0x25]).put(&parameters.stack_limit.to_le_bytes());
    jump_to_slow(&mut code, 0x72);
    if let Some(recursion) = parameters.recursion {
        // cmp dword [rdi + remaining], low; jl slow
        code.put(&[0x81, 0x7f, recursion.remaining]).put(&recursion.low.to_le_bytes());
        jump_to_slow(&mut code, 0x7c);
    }
    code.put(&[0x48, 0x8b, 0x46, parameters.frame_code]); // mov rax, [rsi + frame_code]
    if parameters.code_is_tagged {
        code.put(&[0x48, 0x83, 0xe0, 0xfc]); // and rax, -4
    }
    // mov rax, [rax + co_extra]; test rax, rax; jz slow
    code.put(&[0x48, 0x8b, 0x80]).put(&u32::from(parameters.code_extra).to_le_bytes());
    code.put(&[0x48, 0x85, 0xc0]);
    jump_to_slow(&mut code, 0x74);
    // mov r8, words; mov r9, [r8]; mov r8, [r8 + counters]; add r9, [rax]; jnc slow: the extras end before our slot, or there
    // are no counters
    put_words(&mut code);
    code.put(&[0x4d, 0x8b, 0x08]);
    put_counters(&mut code);
    code.put(&[0x4c, 0x03, 0x08]);
    jump_to_slow(&mut code, 0x73);
    // mov rax, [rax + 8 + 8 * index]; test rax, rax; jle slow: what has the highest bit is looked at each time
    code.put(&[0x48, 0x8b, 0x80]).put(&(8 + 8 * u32::from(parameters.index)).to_le_bytes());
    code.put(&[0x48, 0x85, 0xc0]);
    jump_to_slow(&mut code, 0x7e);
    code.put(&[0x48, 0xb9]).put(&next); // mov rcx, next
    code.put(&[0xff, 0xe0]); // jmp rax

    code.skip_to(SLOW);
    code.put(&[0x55]); // push rbp
    code.put(&[0x48, 0x89, 0xe5]); // mov rbp, rsp
    code.put(&[0x57, 0x56, 0x52]); // push rdi; push rsi; push rdx
    code.put(&[0x48, 0x83, 0xec, 0x08]); // sub rsp, 8: aligned to 16
    code.put(&[0x48, 0xb9]).put(&next); // mov rcx, next
    code.put(&[0x48, 0xb8]).put(&(parameters.resolve as u64).to_le_bytes()); // mov rax, resolve
    code.put(&[0xff, 0xd0]); // call rax
    code.put(&[0x48, 0x83, 0xc4, 0x08]); // add rsp, 8
    code.put(&[0x5a, 0x5e, 0x5f, 0x5d]); // pop rdx; pop rsi; pop rdi; pop rbp
    put_words(&mut code);
    put_counters(&mut code);
    code.put(&[0x48, 0xb9]).put(&next); // mov rcx, next
    code.put(&[0xff, 0xe0]); // jmp rax
    code.finish()
}

/// A conditional jump with an 8-bit displacement.
fn jump_to_slow(code: &mut Assembler, opcode: u8) {
    let displacement = SLOW - (code.position() + 2);
    code.put(&[opcode, displacement as u8]);
}

/// How to unwind from each instruction of a hook.
pub const HOOK_UNWIND_TABLE: &[UnwindEntry] = &[
    UnwindEntry { from: 0, row: BEFORE_FRAME },
    UnwindEntry { from: SLOW as u16 + 1, row: FRAME_POINTER_PUSHED },
    UnwindEntry { from: SLOW as u16 + 4, row: IN_FRAME },
    UnwindEntry { from: SLOW as u16 + 41, row: BEFORE_FRAME },
];
