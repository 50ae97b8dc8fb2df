//! The machine code of the hook: from a frame to its stub in a handful of instructions.
//!
//! The fast path reads the frame's code object, its `co_extra`, and our slot in that, where the stub's address is, and
//! jumps there, with the address of the interpreter's counters. Everything else is the slow path, which asks [`super::hook`]
//! where to jump: on first sight of a code object, on a new thread, in the child of a fork, when the stack is nearly used up,
//! and when stubs are off.
//!
//! It is generated, since the offsets are those of the running interpreter, and since a jump that keeps no frame of the
//! hook's own on the stack cannot be written in Rust.

// Tests check the code of both architectures on either.
#[cfg(any(test, target_arch = "aarch64"))]
mod aarch64;
#[cfg(test)]
mod tests;
#[cfg(any(test, target_arch = "x86_64"))]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as native;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

pub use native::HOOK_UNWIND_TABLE;
pub(super) use native::hook_code;

/// The size of the memory that holds one hook, in bytes.
pub const HOOK_SIZE: usize = 4096;

/// What the code depends on.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// The offset of [`crate::stub::thread::ThreadWords::stack_limit`] from the thread pointer.
    pub stack_limit: i32,
    /// The offset of the code object in the frame.
    pub frame_code: u8,
    /// Whether the low two bits of the code object's address are a tag.
    pub code_is_tagged: bool,
    /// The offset of `co_extra` in the code object.
    pub code_extra: u16,
    /// The index of our slot in `co_extra`.
    pub index: u16,
    /// The address of the interpreter's [`HookWords`](super::hook_words::HookWords).
    pub words: usize,
    /// Where the thread counts its C recursion, and from where on it is low.
    pub recursion: Option<LowRecursion>,
    /// The evaluator that stubs call.
    pub next: usize,
    /// `extern "C" fn(thread, frame, throwflag, next) -> address to jump to`.
    pub resolve: usize,
}

/// When a thread has little C recursion left.
#[derive(Clone, Copy, Debug)]
pub struct LowRecursion {
    /// The offset of the count in the thread state.
    pub remaining: u8,
    /// Less than this is low.
    pub low: i32,
}

/// Machine code that is put together piece by piece, up to [`HOOK_SIZE`] bytes.
#[derive(Debug)]
pub(super) struct Assembler {
    code: [u8; HOOK_SIZE],
    len: usize,
}

impl Assembler {
    /// Code that is filled up with `fill`.
    pub fn new(fill: u8) -> Assembler {
        Assembler { code: [fill; HOOK_SIZE], len: 0 }
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) -> &mut Assembler {
        for (to, from) in self.code.iter_mut().skip(self.len).zip(bytes) {
            *to = *from;
        }
        self.len += bytes.len();
        self
    }

    /// The offset of what comes next.
    pub fn position(&self) -> usize {
        self.len
    }

    /// Goes on at an offset.
    pub fn skip_to(&mut self, offset: usize) {
        self.len = offset;
    }

    /// The code.
    pub fn finish(self) -> [u8; HOOK_SIZE] {
        self.code
    }
}
