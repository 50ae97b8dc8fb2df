//! Stubs for x86-64. `aarch64.rs` mirrors this file.

use super::eh_frame::DwarfNumbers;
use super::unwind::{Cfa, Saved, UnwindEntry, UnwindRow};

/// The size of a stub in bytes, and its alignment.
pub const STUB_SIZE: usize = 64;

/// The offset in the stub of the address to which the evaluator returns. The word below a live stub record is this
/// address.
pub const RETURN_OFFSET: u16 = 48;

/// The registers' numbers: System V ABI for x86-64, figure 3.36.
pub const DWARF: DwarfNumbers = DwarfNumbers { stack_pointer: 7, frame_pointer: 6, return_address: 16 };

/// The machine code of a stub.
///
/// A stub is called with three arguments for an evaluator, the evaluator itself as the fourth and the counters as the fifth
/// (System V ABI: `rdi`, `rsi`, `rdx`, `rcx`, `r8`), and returns what the evaluator returns. While that runs, the stub's frame holds its record
/// (see [`super::record`]) right below the saved frame pointer.
///
/// `head` is the offset of the thread's head of records from the thread pointer (`fs`), `counter` says which of the
/// counters is the stub's, and `sum` which of the first [`MOST_SUMS`](super::MOST_SUMS) is that of all stubs of its kind. One
/// thread at a time uses them, so the additions are plain ones.
pub const fn stub_code(head: i32, sum: u8, counter: u32) -> [u8; STUB_SIZE] {
    let h = head.to_le_bytes();
    let s = sum * 8;
    let c = (counter * 8).to_le_bytes();
    [
        0xf3, 0x0f, 0x1e, 0xfa, //                          0  endbr64
        0x55, //                                            4  push rbp
        0x48, 0x89, 0xe5, //                                5  mov rbp, rsp
        0x48, 0x8d, 0x05, 0xf1, 0xff, 0xff, 0xff, //        8  lea rax, [rip - 15]: this stub
        0x48, 0x31, 0xe8, //                               15  xor rax, rbp
        0x50, //                                           18  push rax: tag
        0x56, //                                           19  push rsi: second argument, the interpreter's frame
        0x57, //                                           20  push rdi: first argument, the interpreter's thread
        0x48, 0xc7, 0xc0, h[0], h[1], h[2], h[3], //       21  mov rax, head
        0x64, 0xff, 0x30, //                               28  push fs:[rax]: link
        0x64, 0x48, 0x89, 0x28, //                         31  mov fs:[rax], rbp
        0x49, 0xff, 0x40, s, //                            35  inc qword [r8 + 8 * sum]
        0x49, 0xff, 0x80, c[0], c[1], c[2], c[3], //       39  inc qword [r8 + 8 * counter]
        0xff, 0xd1, //                                     46  call rcx
        0x64, 0x8f, 0x04, 0x25, h[0], h[1], h[2], h[3], // 48  pop fs:[head]
        0x31, 0xc9, //                                     56  xor ecx, ecx
        0x48, 0x89, 0x4d, 0xf8, //                         58  mov [rbp - 8], rcx: the record is over
        0xc9, //                                           62  leave
        0xc3, //                                           63  ret
    ]
}

/// Before a frame is pushed, and when it has been left.
pub const BEFORE_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(8), frame_pointer: Saved::InRegister, return_address: Saved::BelowCfa(8) };
/// When the caller's frame pointer has been pushed.
pub const FRAME_POINTER_PUSHED: UnwindRow =
    UnwindRow { cfa: Cfa::StackPointer(16), frame_pointer: Saved::BelowCfa(16), return_address: Saved::BelowCfa(8) };
/// When the frame pointer is the frame's own.
pub const IN_FRAME: UnwindRow =
    UnwindRow { cfa: Cfa::FramePointer(16), frame_pointer: Saved::BelowCfa(16), return_address: Saved::BelowCfa(8) };

/// How to unwind from each instruction of a stub.
pub const UNWIND_TABLE: &[UnwindEntry] = &[
    UnwindEntry { from: 0, row: BEFORE_FRAME },
    UnwindEntry { from: 5, row: FRAME_POINTER_PUSHED },
    UnwindEntry { from: 8, row: IN_FRAME },
    UnwindEntry { from: 63, row: BEFORE_FRAME },
];
