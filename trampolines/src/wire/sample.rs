//! What a ring's records hold.
//!
//! A thread's samples build on each other: a sample carries what is not as it was in the thread's sample before, and the
//! number of frames and the addresses of the stack that are. The first sample of a thread carries everything.
//! A sample that found no room in the ring was never there: the next one builds on the last one that did.

use core::ffi::CStr;
use core::mem::size_of;

/// What a record of a ring is about. Readers pass over kinds that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RingRecordKind {
    /// Nothing: room at the ring's end in which the next record did not fit.
    Padding = 1,
    /// A [`SampleRecord`], and what comes behind it.
    Sample = 2,
    /// A [`super::FunctionRecord`] and its texts: the function of a code object. Its `stub` is the number by which
    /// [`FrameLink::code`] refers to it. A number may be used before its record is there, and may be said twice.
    Code = 3,
    /// A [`ThreadRecord`]: a thread begins.
    ThreadStart = 4,
    /// A [`ThreadRecord`]: a thread ends.
    ThreadEnd = 5,
    /// Lines of `/proc/self/maps`: the executable mappings of the process.
    Mappings = 6,
    /// A [`ScopeRecord`] and its labels. It comes before the first sample that refers to it, and again once in a while: a
    /// reader that remembers the last [`REMEMBERED_SCOPES`] knows of each.
    Scope = 7,
    /// An [`super::OpenedRecord`] and its labels, where samples are taken by somebody outside, as all that follows.
    Opened = 8,
    /// A [`super::ClosedRecord`].
    Closed = 9,
    /// An [`super::EndedRecord`].
    Ended = 10,
    /// An [`super::InheritsRecord`].
    Inherits = 11,
    /// A [`super::TaskRecord`] and the task's name.
    Task = 12,
    /// A [`super::ForgetRecord`].
    Forget = 13,
    /// A [`ScopeRecord`] and its labels: what the arguments of a frame's function give. Its `outer` is the innermost scope that is
    /// open on the frame, and all of those are further in.
    Arguments = 14,
}

impl RingRecordKind {
    /// The kind that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<RingRecordKind> {
        match raw {
            1 => Some(RingRecordKind::Padding),
            2 => Some(RingRecordKind::Sample),
            3 => Some(RingRecordKind::Code),
            4 => Some(RingRecordKind::ThreadStart),
            5 => Some(RingRecordKind::ThreadEnd),
            6 => Some(RingRecordKind::Mappings),
            7 => Some(RingRecordKind::Scope),
            8 => Some(RingRecordKind::Opened),
            9 => Some(RingRecordKind::Closed),
            10 => Some(RingRecordKind::Ended),
            11 => Some(RingRecordKind::Inherits),
            12 => Some(RingRecordKind::Task),
            13 => Some(RingRecordKind::Forget),
            14 => Some(RingRecordKind::Arguments),
            _ => None,
        }
    }
}

/// Flags of a [`SampleRecord`].
pub mod sample_flags {
    /// The frame links could not be read whole, even when the sample was taken again: those that it has are the newest.
    pub const TORN: u32 = 1;
    /// The copy of the stack ended because it was full, not because the stack did.
    pub const STACK_CUT: u32 = 2;
    /// There were more frame links than are kept; the oldest are missing.
    pub const LINKS_CUT: u32 = 4;
    /// The thread waited in a system call, or had just left it.
    pub const IN_SYSTEM_CALL: u32 = 8;
    /// The task has the name that the thread's last sample with a task had.
    pub const SAME_TASK_NAME: u32 = 16;
    /// The task is awaited by the frames by which the thread's last sample with an awaited task was.
    pub const SAME_AWAITERS: u32 = 32;
    /// Stubs were on, in a window, until the sample was taken.
    pub const STUBS_ON: u32 = 64;
}

/// The number of registers in a sample.
pub const REGISTERS: usize = 17;

/// One sample. Behind it come `stack_new` bytes of the stack, `links_new` and `awaiters` of [`FrameLink`], `kernel`
/// addresses, and `task_name` bytes of a task's name in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct SampleRecord {
    /// When: CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// The thread's id in its own pid namespace.
    pub tid: u32,
    /// How many samples of this thread there were before, modulo 2^32.
    pub sequence: u32,
    /// How many periods it stands for, at least 1.
    pub weight: u32,
    /// See [`sample_flags`].
    pub flags: u32,
    /// How long the handler ran for the thread's sample before, in nanoseconds; 0 with the first.
    pub handler_ns: u32,
    /// How many addresses in the kernel it has, the newest first.
    pub kernel: u32,
    /// The scope that the thread's context inherits, whatever its frames are; 0 is none.
    pub inherits: u64,
    /// The instruction pointer, then the general registers by their DWARF numbers (x86-64 psABI 1.0, figure 3.36).
    pub registers: [u64; REGISTERS],
    /// The address behind the copy of the stack, which begins at the stack pointer, rounded down to a multiple of 8.
    pub stack_end: u64,
    /// The bytes of that copy, from its beginning, that this record carries; a multiple of 8. The rest, up to
    /// `stack_end`, is as in the thread's sample before.
    pub stack_new: u32,
    /// The frame links that this record carries, the newest first.
    pub links_new: u32,
    /// How many of the oldest frame links of the thread's sample before are still there, below the new ones.
    pub links_kept: u32,
    /// How many of its periods the thread waited, before it came to where it is now: those belong to where it was at its
    /// sample before. Less than `weight`.
    pub waited: u32,
    /// The position, from 1 on, from the oldest frame link on, of the frame in which the thread's task began; 0 where it runs
    /// none.
    pub task_root: u32,
    /// The bytes of the task's name that this record carries.
    pub task_name: u32,
    /// The links of the frames that await the task that this record carries, those nearest to it first.
    pub awaiters: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<SampleRecord>() == 216);

/// The most frames that await a task that a sample has.
pub const MOST_AWAITERS: usize = 256;

/// The longest name of a task that is kept whole, in bytes.
pub const LONGEST_TASK_NAME: usize = 128;

/// One link of the chain of interpreter frames: a frame, or the border between two calls of the evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct FrameLink {
    /// The number of the frame's code object, or 0 for a border: all frames that are newer than it, up to the border
    /// before, ran in one call of `_PyEval_EvalFrameDefault`.
    pub code: u32,
    /// The offset of the instruction in the frame's bytecode, in bytes; [`NO_INSTRUCTION`] before the first one.
    pub instruction: u32,
    /// Of a border: an address within the evaluator's native frame, or 0 where the version keeps none there. Of a frame:
    /// the address of the interpreter's frame.
    pub address: u64,
    /// The innermost scope that is open on the frame, or the one of its arguments, which leads there; 0 is none.
    pub scope: u64,
}

const _: () = assert!(size_of::<FrameLink>() == 24);

/// A frame that has yet to execute its first instruction.
pub const NO_INSTRUCTION: u32 = u32::MAX;

/// What a reader of a ring remembers: how many scopes that were said last.
pub const REMEMBERED_SCOPES: usize = 1 << 17;

/// The key under which a scope says that its frame is where a task begins, and what the task is called.
pub const TASK_KEY: &CStr = c"\u{1}task";

/// A block of code with labels: a scope. Behind it come its labels: each key and each value in UTF-8, with a zero behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct ScopeRecord {
    /// Its serial number, which is not 0.
    pub serial: u64,
    /// The scope around it on the same frame, or 0.
    pub outer: u64,
    /// The scope that was around it where it was opened, for contexts that inherit both; or 0.
    pub inherits: u64,
}

const _: () = assert!(size_of::<ScopeRecord>() == 24);

/// A thread begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct ThreadRecord {
    /// When: CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// The CPU time that the thread has used, in nanoseconds.
    pub cpu_ns: u64,
    /// The thread's id in its own pid namespace.
    pub tid: u32,
    /// Zero.
    pub reserved: u32,
    /// The kernel's name of the thread, filled up with zeros.
    pub name: [u8; 16],
}

const _: () = assert!(size_of::<ThreadRecord>() == 40);
