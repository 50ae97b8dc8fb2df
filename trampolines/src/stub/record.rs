//! The stub record: the few words that a stub keeps on the C stack while it runs.
//!
//! A record is named by its *base*, the value of the frame pointer in the stub. On x86-64:
//!
//! ```text
//! base + 8    return address into the stub's caller
//! base        the caller's frame pointer
//! base - 8    tag: the stub's address XOR base; 0 when the stub has returned
//! base - 16   the evaluator's second argument: the interpreter's frame
//! base - 24   the evaluator's first argument: the interpreter's thread
//! base - 32   link: the base of the record below (of the stub that was entered before), or 0
//! base - 40   return address into the stub, at its RETURN_OFFSET
//! ```
//!
//! The tag says three things at once: whose stub it is, that the record lies where it was made (a copy of a stack
//! elsewhere does not check out), and that it is still live.
//! Links are a hint and must be checked: greenlets exchange stacks below a thread's head without telling it.

/// The offset of the word from a record's base, in bytes.
pub const TAG: i64 = -8;
/// The interpreter's frame.
pub const FRAME: i64 = -16;
/// The interpreter's thread state.
pub const THREAD: i64 = -24;
/// The base of the record below.
pub const LINK: i64 = -32;
/// The return address into the stub.
pub const RETURN: i64 = -40;

/// The address of the stub that made the record at `base` with this tag, to be checked against the known stubs.
/// `None` when the record is over.
pub const fn stub_of_tag(tag: u64, base: u64) -> Option<u64> {
    match tag {
        0 => None,
        _ => Some(tag ^ base),
    }
}
