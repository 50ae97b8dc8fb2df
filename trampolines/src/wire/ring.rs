//! The ring: a file in shared memory through which a process's samples go to the profiler.
//!
//! ```text
//! 0                 RING_DATA
//! | RingHeader      | data: a power of two of bytes, used over and over                     |
//! ```
//!
//! Positions in the data only ever rise; the byte of a position is at `position % capacity`. Records lie between
//! [`RingHeader::tail`] and [`RingHeader::head`], each whole: one that would reach over the end has a padding record before
//! it. Many threads write, from signal handlers, and one process reads:
//!
//! - A writer moves `head` by compare-and-exchange, which gives it room that nobody else has; fills it; and stores
//!   [`RingRecord::size`] last, with release ordering.
//! - The reader stops at the first size that is zero: what is behind it is not finished. It copies a record, fills its room
//!   with zeros, and moves `tail`, with release ordering. So all free room is zero, and a size that is not zero is new.
//!
//! A ring is named `<token>.ring`, with the token of the process's stubs, in the directory that the settings name. All
//! numbers are in the byte order of the machine.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// The first eight bytes of a ring.
pub const RING_MAGIC: [u8; 8] = *b"PRONKRNG";
/// The version of the format that this crate reads and writes.
pub const RING_VERSION: u32 = 6;
/// The extension of a ring's file.
pub const RING_EXTENSION: &str = "ring";
/// Where the data begins, in bytes.
pub const RING_DATA: usize = 4096;

/// The head of a ring. What a writer changes often, what the reader changes, and the rest have a cache line each.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct RingHeader {
    /// [`RING_MAGIC`].
    pub magic: [u8; 8],
    /// [`RING_VERSION`].
    pub version: u32,
    /// [`RING_DATA`].
    pub header_size: u32,
    /// The ring's token, which is also in the file's name.
    pub token: u64,
    /// The process's id in its own pid namespace.
    pub pid: u32,
    /// The id of the process that made it.
    pub parent_pid: u32,
    /// When the ring was made: CLOCK_MONOTONIC, nanoseconds.
    pub created_ns: u64,
    /// The bytes of data; a power of two.
    pub capacity: u64,
    /// The address of `_PyEval_EvalFrameDefault`.
    pub evaluator: u64,
    /// CPython's `PY_VERSION_HEX`.
    pub python_hexversion: u32,
    /// Zero.
    pub reserved: u32,
    /// The token of the ring of the process that this one was forked from, or 0.
    pub forked_from: u64,
    /// The kernel's name of the process, filled up with zeros.
    pub name: [u8; 16],
    /// The inode of the process's pid namespace (`/proc/self/ns/pid`), or 0 where it could not be found out.
    pub pid_namespace: u64,

    /// Up to which position writers have reserved room.
    pub head: RingLine,
    /// Up to which position the reader has made room again.
    pub tail: RingLine,

    /// Not 0 once the profiler wants no more samples.
    pub stop: AtomicU64,
    /// Samples that found no room.
    pub lost: AtomicU64,
    /// How often a torn state was met, and the sample taken again a moment later.
    pub retaken: AtomicU64,
    /// Samples that were still torn when they had been taken again often enough.
    pub torn: AtomicU64,
    /// How often a frame was new whose code object found no room in the table of those that are known.
    pub unregistered: AtomicU64,
    /// Threads that were refused the driver that was asked for, and have the timer.
    pub other_driver: AtomicU64,
    /// Threads that could not be sampled, because the system gave no memory or no timer.
    pub unsampled_threads: AtomicU64,
    /// Periods that passed while the signal was held back (blocked), for which there is no sample.
    pub held_back: AtomicU64,
    /// Blocks with labels that got no scope, as too many were open.
    pub unrecorded_scopes: AtomicU64,
    /// Since when a moment that found no room is missing, on CLOCK_MONOTONIC; 0 where none is. See [`super::ForgetRecord`].
    pub unsaid_since: AtomicU64,
    /// Rises as long as the profiler lives: where it stands still, no more samples are taken.
    pub heartbeat: AtomicU64,
    /// Which of [`super::Settings::arguments`] are those of a function that was seen, a bit each.
    pub found_arguments: AtomicU64,
    /// Which of them have given a label to a sample.
    pub read_arguments: AtomicU64,
    /// Whether a sample had a span, if those are asked for: 0 or 1.
    pub had_span: AtomicU64,
}

/// A position, alone in its cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct RingLine(pub AtomicU64);

const _: () = {
    assert!(size_of::<RingHeader>() <= RING_DATA);
    assert!(size_of::<RingLine>() == 64);
    assert!(offset_of!(RingHeader, created_ns) == 32);
    assert!(offset_of!(RingHeader, forked_from) == 64);
    assert!(offset_of!(RingHeader, head) == 128);
    assert!(offset_of!(RingHeader, tail) == 192);
    assert!(offset_of!(RingHeader, stop) == 256);
};

/// What every record of a ring begins with.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct RingRecord {
    /// The size of the whole record in bytes, a multiple of 8; 0 while it is being written.
    pub size: AtomicU32,
    /// A [`super::RingRecordKind`].
    pub kind: AtomicU32,
}

const _: () = assert!(size_of::<RingRecord>() == 8);
