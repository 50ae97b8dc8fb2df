//! The stub record: the few words that a stub keeps on the C stack while it runs.
//!
//! A record is named by its *base*, the value of the frame pointer in the stub (x86-64 `rbp`, aarch64 `x29`):
//!
//! ```text
//! base + 8    return address into the stub's caller
//! base        the caller's frame pointer
//! base - 8    tag: the stub's address XOR base; 0 when the stub has returned
//! base - 16   the evaluator's second argument: the interpreter's frame
//! base - 24   the evaluator's first argument: the interpreter's thread
//! base - 32   link: the base of the record below (of the stub that was entered before), or 0
//! base - 40   x86-64 only: return address into the stub, at its RETURN_OFFSET
//! ```
//!
//! The tag says three things at once: whose stub it is, that the record lies where it was made (a copy of a stack
//! elsewhere does not check out), and that it is still live.
//! Links are a hint and must be checked: greenlets exchange stacks below a thread's head without telling it.
//!
//! On x86-64 the call of the evaluator leaves its return address right below the record, which is checked as well. On
//! aarch64 a call leaves it in `x30`, and the evaluator saves that wherever it likes in its own frame, signed perhaps
//! (AAPCS64, "The Frame Pointer"; Armv8.3 pointer authentication). There the tag stands alone; what is checked besides
//! is that the base is a multiple of 16, as the stack pointer always is when memory is accessed through it (AAPCS64,
//! "The Stack"). [`live_stub`] does either.

/// The offset of the word from a record's base, in bytes.
pub const TAG: i64 = -8;
/// The interpreter's frame.
pub const FRAME: i64 = -16;
/// The interpreter's thread state.
pub const THREAD: i64 = -24;
/// The base of the record below.
pub const LINK: i64 = -32;
/// The return address into the stub.
#[cfg(target_arch = "x86_64")]
pub const RETURN: i64 = -40;

/// What the stub's stack pointer is while it waits for the evaluator: the lowest word that the stub itself has written.
pub const STACK_POINTER: i64 = LINK;

/// The lowest word of a live record.
#[cfg(target_arch = "x86_64")]
pub const LOWEST: i64 = RETURN;
/// The lowest word of a live record.
#[cfg(target_arch = "aarch64")]
pub const LOWEST: i64 = LINK;

/// The address of the stub that made the record at `base` with this tag, to be checked against the known stubs.
/// `None` when the record is over.
pub const fn stub_of_tag(tag: u64, base: u64) -> Option<u64> {
    match tag {
        0 => None,
        _ => Some(tag ^ base),
    }
}

/// The address of the stub that waits for its evaluator with its record at `base`, to be checked against the known
/// stubs. `None` where there is no such record.
///
/// `word` reads the word at an offset from the base, and returns `None` where there is none.
pub fn live_stub(base: u64, word: impl Fn(i64) -> Option<u64>) -> Option<u64> {
    let stub = stub_of_tag(word(TAG)?, base)?;
    #[cfg(target_arch = "x86_64")]
    let waits = word(RETURN)? == stub.wrapping_add(super::RETURN_OFFSET.into());
    #[cfg(target_arch = "aarch64")]
    let waits = base.is_multiple_of(16);
    waits.then_some(stub)
}
