//! The words that stubs and hooks keep per thread.
//!
//! They are in static thread-local storage, so that generated code reaches them without a call: `fs:[offset]` on
//! x86-64, `tpidr_el0 + offset` on aarch64. The offset is the same in every thread (ELF handling for
//! thread-local storage, section 4.4, "initial exec").

use crate::sys;
use core::arch::{asm, global_asm};

/// What a thread keeps.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadWords {
    /// The base of the newest stub record, or 0.
    pub head: usize,
    /// Where stubs must stop: a stack pointer below this is too deep. The highest number until it has been found out.
    pub stack_limit: usize,
    /// The address behind the highest of the thread's stack, or 0 until it has been found out.
    pub stack_high: usize,
    /// How often stubs were stopped on this thread because it was too deep.
    pub stops: usize,
    /// When `stops` was last looked at: CLOCK_MONOTONIC, nanoseconds.
    pub looked_at_ns: u64,
    /// The address of what the thread keeps if it is sampled from inside, else 0.
    pub sampled: usize,
    /// How often the signal handler ran in it.
    pub signals: usize,
    /// While the thread attempts a read in its signal handler: the stack pointer where it goes on if that fails; else 0.
    pub attempt: usize,
    /// What was last said of the thread in the ring, where samples are taken by somebody outside.
    pub said: Said,
}

/// The frames of tasks of which it is remembered that they were said.
pub const SAID_TASKS: usize = 8;

/// What was said of a thread. Zeros are nothing.
#[derive(Debug)]
#[repr(C)]
pub struct Said {
    /// The thread's state of which it was said.
    pub state: u64,
    /// The number of losses before it was said: after one, nothing holds.
    pub losses: u64,
    /// The scope that its context inherits, or 0.
    pub inherits: u64,
    /// The frames of tasks that were said last, and which of them is the newest.
    pub tasks: [u64; SAID_TASKS],
    /// See `tasks`.
    pub newest: u64,
    /// A number that the name of the newest task and what it inherits have, and hardly any other.
    pub check: u64,
}

/// The offset of [`ThreadWords::head`] from the thread pointer.
pub const HEAD: i32 = 0;
/// The offset of [`ThreadWords::stack_limit`] from [`HEAD`].
pub const STACK_LIMIT: i32 = 8;

const _: () = {
    assert!(size_of::<ThreadWords>() == 168);
    assert!(core::mem::offset_of!(ThreadWords, head) == HEAD as usize);
    assert!(core::mem::offset_of!(ThreadWords, stack_limit) == STACK_LIMIT as usize);
};

// The linker keeps one copy per library: hidden, so that an interpreter that has this crate linked in and a preloaded
// agent do not share it.
global_asm!(
    ".pushsection .tdata.pronk_thread_words,\"awT\",%progbits",
    ".balign 16",
    ".globl pronk_thread_words",
    ".hidden pronk_thread_words",
    ".type pronk_thread_words, %object",
    ".size pronk_thread_words, 168",
    "pronk_thread_words:",
    ".quad 0",
    ".quad -1",
    ".quad 0",
    ".quad 0",
    ".quad 0",
    ".quad 0",
    ".quad 0",
    ".zero 112",
    ".popsection",
);

/// The offset of this thread's [`ThreadWords`] from the thread pointer: the same in every thread.
pub fn offset() -> i32 {
    let offset: isize;
    // SAFETY: reads the offset that the loader has put into the global offset table.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("mov {}, qword ptr [rip + pronk_thread_words@GOTTPOFF]", out(reg) offset,
             options(pure, readonly, nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("adrp {0}, :gottprel:pronk_thread_words", "ldr {0}, [{0}, #:gottprel_lo12:pronk_thread_words]",
             out(reg) offset, options(pure, readonly, nostack, preserves_flags));
    }
    // Thread-local storage of libraries that are loaded at start is within 2 GiB of the thread pointer.
    offset as i32
}

/// This thread's words.
pub fn words() -> *mut ThreadWords {
    sys::thread_pointer().wrapping_add_signed(offset() as isize) as *mut ThreadWords
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_words_at_the_same_offset() {
        let here = words() as usize;
        let there = std::thread::spawn(|| {
            // SAFETY: a thread's words are valid as long as it runs.
            let (head, limit) = unsafe { ((*words()).head, (*words()).stack_limit) };
            assert_eq!((head, limit), (0, usize::MAX));
            words() as usize
        })
        .join()
        .unwrap();
        assert_ne!(here, there);
    }
}
