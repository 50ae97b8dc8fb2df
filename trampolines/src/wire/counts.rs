//! The file of counts: how often each stub was entered.
//!
//! ```text
//! 0               LANES_AT           LANES_AT + LANE_SIZE
//! | CountsHeader  | lane 0: counters | lane 1: counters   | ...
//! ```
//!
//! A *lane* is a set of counters, one for each stub, that one thread at a time counts in: that of an interpreter, whose lock
//! makes sure of it. So a stub counts with a plain addition. How often a stub was entered is the sum of its counter in all
//! lanes. [`super::Record::Function`] says which counter is which function's. A lane begins with a [`LaneHead`], in the place of
//! its first counters.
//!
//! Where stubs are on in windows only, an interpreter has [`GROUPS`] lanes one behind the other, and each window is counted in one of
//! them, which is drawn at random. How much those differ says how sure it is what all windows together say of the time outside
//! (random groups: K. M. Wolter, "Introduction to Variance Estimation", chapter 2).
//!
//! The file is sparse. Beside the header, what is reserved of it are the first [`CountsHeader::counters`] counters of each lane
//! that is used. It belongs to one process, and is mapped by it: what was counted is in it however the process ends.
//!
//! The child of a fork has a file of its own, which begins with zeros. The stubs that it has from its parent keep their
//! counters, and it gives its own stubs counters behind those. [`Head`] believes nothing of what it reads.

use super::{FunctionKind, KINDS, Token};
use core::mem::{offset_of, size_of};
use core::ops::Range;
use core::sync::atomic::AtomicU32;

/// The first eight bytes of a file of counts.
pub const COUNTS_MAGIC: [u8; 8] = *b"PRONKCNT";
/// The version of the format that this crate reads and writes.
pub const COUNTS_VERSION: u32 = 3;
/// The extension of a file of counts.
pub const COUNTS_EXTENSION: &str = "counts";
/// The counters of a lane.
pub const COUNTERS: u32 = 1 << 20;
/// The size of a lane in bytes.
pub const LANE_SIZE: usize = COUNTERS as usize * size_of::<u64>();
/// Where lanes begin: at a page, also where pages are large.
pub const LANES_AT: usize = 1 << 16;
/// The most lanes in a file.
pub const MOST_LANES: usize = 256;
/// The counter of stubs for which there was none left: [`LaneHead::unnamed`].
pub const NO_COUNTER: u32 = 0;
/// The counters that are not stubs', but [`LaneHead`].
pub const HEAD_COUNTERS: u32 = (size_of::<LaneHead>() / size_of::<u64>()) as u32;
/// How many lanes an interpreter has whose stubs are on in windows.
pub const GROUPS: usize = 16;
/// The one of them in which the first moments of windows are counted, while the interpreter still does what it does without stubs.
pub const SETTLING: usize = 0;

/// What a lane begins with. Times are CPU time of threads that held the interpreter's lock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LaneHead {
    /// How often stubs were entered for which there was no counter left.
    pub unnamed: u64,
    /// How often stubs were entered, by [`FunctionKind`].
    pub entered: [u64; KINDS],
    /// How long it took to give functions their stubs, when they were first seen.
    pub registering_ns: u64,
    /// How long stubs were on.
    pub on_ns: u64,
    /// How long stubs were off between windows.
    pub off_ns: u64,
    /// How long they were off before the first window.
    pub before_ns: u64,
    /// In how many windows they were on.
    pub windows: u64,
    /// Zeros.
    pub reserved: [u64; 7],
}

const _: () = {
    assert!(size_of::<LaneHead>() == 128 && offset_of!(LaneHead, unnamed) == NO_COUNTER as usize * 8);
    assert!(LaneHead::entered(FunctionKind::Coroutine) == KINDS as u8);
};

impl LaneHead {
    /// The counter that is the sum of those of all stubs of a kind.
    pub(crate) const fn entered(kind: FunctionKind) -> u8 {
        (offset_of!(LaneHead, entered) / size_of::<u64>()) as u8 + kind as u8
    }

    /// What all that is counted in the lane has cost, in picoseconds, by what a stub that is entered costs.
    pub fn cost_ps(&self, costs_ps: &[u32; KINDS]) -> u64 {
        let calls = self.entered.iter().zip(costs_ps).map(|(entered, cost)| entered.saturating_mul((*cost).into()));
        calls.fold(self.registering_ns.saturating_mul(1000), u64::saturating_add)
    }

    /// Reads the first bytes of a lane. `None` where there are too few.
    pub fn read(bytes: &[u8]) -> Option<LaneHead> {
        let (bytes, _) = bytes.split_first_chunk::<{ size_of::<LaneHead>() }>()?;
        // SAFETY: the structure is plain words, without padding, and every pattern of bits is a valid value.
        Some(unsafe { core::mem::transmute::<[u8; size_of::<LaneHead>()], LaneHead>(*bytes) })
    }
}

/// The head of a file of counts.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct CountsHeader {
    /// [`COUNTS_MAGIC`].
    pub magic: [u8; 8],
    /// [`COUNTS_VERSION`].
    pub version: u32,
    /// One more than the highest lane that was used.
    pub lanes: AtomicU32,
    /// The process's token, which is also in the file's name.
    pub token: u64,
    /// The token of the process that it was forked from, if its stubs are in this one; else 0.
    pub parent: u64,
    /// The process's id in its own pid namespace.
    pub pid: u32,
    /// How many counters belong to stubs that it has from its parent: the first ones.
    pub inherited: u32,
    /// How many counters are reserved in each lane.
    pub counters: AtomicU32,
    /// How many lanes count elsewhere by now, as they could not grow: what they have here is too little.
    pub lost: AtomicU32,
    /// How many processes that were forked from it could not have a file of their own.
    pub uncounted_children: AtomicU32,
    /// How many lanes each interpreter has: 1, or [`GROUPS`] where stubs are on in windows.
    pub groups: u32,
    /// What a stub that is entered costs, by [`FunctionKind`], in picoseconds: an estimate.
    pub costs_ps: [u32; KINDS],
    /// Zero.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<CountsHeader>() == 72);
    assert!(offset_of!(CountsHeader, reserved) == 68);
    assert!(LANE_SIZE.is_multiple_of(LANES_AT));
};

/// What a file of counts says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The process's token.
    pub token: Token,
    /// The token of the process that it was forked from, and how many counters it has from there.
    pub parent: Option<(Token, u32)>,
    /// The process's id in its own pid namespace.
    pub pid: u32,
    /// How many lanes there are.
    pub lanes: u32,
    /// How many counters are reserved in each lane.
    pub counters: u32,
    /// How many lanes have too little.
    pub lost: u32,
    /// How many processes that were forked from it have no file.
    pub uncounted_children: u32,
    /// How many lanes each interpreter has.
    pub groups: u32,
    /// What a stub that is entered costs, by [`FunctionKind`], in picoseconds.
    pub costs_ps: [u32; KINDS],
}

impl Head {
    /// Reads the first bytes of a file.
    ///
    /// # Errors
    /// Why the file cannot be read, in words that follow its name.
    pub fn read(bytes: &[u8]) -> Result<Head, &'static str> {
        let Some((bytes, _)) = bytes.split_first_chunk::<{ size_of::<CountsHeader>() }>() else {
            return Err("it is shorter than its header");
        };
        if !bytes.starts_with(&COUNTS_MAGIC) {
            return Err("it has no counts");
        }
        let number = |at| super::registry::u32_at(bytes, at).unwrap_or(0);
        let token = |at| super::registry::u64_at(bytes, at).unwrap_or(0);
        if number(offset_of!(CountsHeader, version)) != COUNTS_VERSION {
            return Err("another version of pronk wrote it");
        }
        let inherited = number(offset_of!(CountsHeader, inherited));
        let parent = token(offset_of!(CountsHeader, parent));
        let head = Head {
            token: Token(token(offset_of!(CountsHeader, token))),
            parent: (parent != 0).then_some((Token(parent), inherited)),
            pid: number(offset_of!(CountsHeader, pid)),
            lanes: number(offset_of!(CountsHeader, lanes)),
            counters: number(offset_of!(CountsHeader, counters)),
            lost: number(offset_of!(CountsHeader, lost)),
            uncounted_children: number(offset_of!(CountsHeader, uncounted_children)),
            groups: number(offset_of!(CountsHeader, groups)),
            costs_ps: core::array::from_fn(|kind| number(offset_of!(CountsHeader, costs_ps) + 4 * kind)),
        };
        let is_sound = head.lanes <= MOST_LANES as u32
            && matches!(head.groups as usize, 1 | GROUPS)
            && head.counters >= HEAD_COUNTERS
            && head.counters <= COUNTERS
            && inherited <= head.counters
            && match head.parent {
                Some(_) => inherited >= HEAD_COUNTERS,
                None => inherited == 0,
            };
        if is_sound { Ok(head) } else { Err("its header contradicts itself") }
    }

    /// Where in the file the counters of each lane are that are reserved.
    pub fn lanes(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let size = u64::from(self.counters) * size_of::<u64>() as u64;
        (0..self.lanes as usize).map(move |lane| {
            let at = lane_at(lane);
            at..at + size
        })
    }
}

/// Where a lane begins in the file.
pub const fn lane_at(lane: usize) -> u64 {
    LANES_AT as u64 + lane as u64 * LANE_SIZE as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn bytes(change: impl FnOnce(&mut CountsHeader)) -> Vec<u8> {
        let mut header = CountsHeader {
            magic: COUNTS_MAGIC,
            version: COUNTS_VERSION,
            lanes: AtomicU32::new(2),
            token: 7,
            parent: 5,
            pid: 12,
            inherited: 100,
            counters: AtomicU32::new(1025),
            lost: AtomicU32::new(1),
            uncounted_children: AtomicU32::new(3),
            groups: 16,
            costs_ps: [1, 2, 3],
            reserved: 0,
        };
        change(&mut header);
        // SAFETY: the structure is plain data without padding.
        unsafe { core::mem::transmute::<CountsHeader, [u8; 72]>(header) }.to_vec()
    }

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = Head::read(&bytes(|_| ())).unwrap();
        let parent = Some((Token(5), 100));
        let expected = Head {
            token: Token(7),
            parent,
            pid: 12,
            lanes: 2,
            counters: 1025,
            lost: 1,
            uncounted_children: 3,
            groups: 16,
            costs_ps: [1, 2, 3],
        };
        assert_eq!(head, expected);
        let second = LANES_AT as u64 + LANE_SIZE as u64;
        assert!(head.lanes().eq([LANES_AT as u64..LANES_AT as u64 + 8200, second..second + 8200]));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for length in 0..72 {
            assert!(Head::read(&bytes(|_| ())[..length]).is_err());
        }
        assert!(Head::read(&bytes(|header| header.magic[0] = 0)).is_err());
        assert!(Head::read(&bytes(|header| header.version += 1)).is_err());
        assert!(Head::read(&bytes(|header| header.lanes = AtomicU32::new(257))).is_err());
        assert!(Head::read(&bytes(|header| header.counters = AtomicU32::new(COUNTERS + 1))).is_err());
        assert!(Head::read(&bytes(|header| header.inherited = 1026)).is_err());
        assert!(Head::read(&bytes(|header| header.parent = 0)).is_err(), "counters from nobody");
        assert!(Head::read(&bytes(|header| header.groups = 2)).is_err());
        assert!(Head::read(&bytes(|header| header.counters = AtomicU32::new(15))).is_err());
    }
}
