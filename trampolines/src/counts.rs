//! Writes the file of counts: where stubs count how often they were entered.
//!
//! Stubs count without asking anybody, so there is always memory for them to count in: where the file cannot be had, or cannot
//! grow, it is memory that nobody reads, and the file says that it has too little.

use crate::stub::Counters;
use crate::sys::{self, File, FileIdentity, PathText, Refused};
use crate::wire::{
    COUNTERS, COUNTS_EXTENSION, COUNTS_MAGIC, COUNTS_VERSION, CountsHeader, HEAD_COUNTERS, KINDS, LANE_SIZE, LANES_AT,
    MOST_LANES, Token, lane_at,
};
use core::ffi::CStr;
use core::mem::size_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// What the kernel maps and reserves at least.
const PAGE: usize = 4096;

/// The counters of one process.
#[derive(Debug)]
pub struct Counts {
    file: Option<CountsFile>,
    /// The file of the nearest process that it was forked from and that has one, where it has none itself.
    ancestor: Option<CountsFile>,
    /// The token of the process.
    token: Token,
    terms: Terms,
    lanes: [Option<Lane>; MOST_LANES],
    /// How many counters are given away, those of lanes' heads included.
    given: u32,
}

/// How a process counts, and what that costs.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many lanes each interpreter has.
    pub groups: u32,
    /// What a stub that is entered costs, by [`FunctionKind`](crate::wire::FunctionKind), in picoseconds; zeros where it is
    /// not known.
    pub costs_ps: [u32; KINDS],
}

impl Default for Terms {
    fn default() -> Terms {
        Terms { groups: 1, costs_ps: [0; KINDS] }
    }
}

#[derive(Debug)]
struct CountsFile {
    path: PathText,
    identity: FileIdentity,
    header: NonNull<CountsHeader>,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    base: NonNull<u8>,
    state: LaneState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// It is in the file.
    Counted,
    /// It is in memory that nobody reads.
    Lost,
    /// It is the one of the process that this one was forked from: nobody may count there.
    Inherited,
}

// SAFETY: the mappings are the counts' own and stay.
unsafe impl Send for Counts {}

impl Counts {
    /// The counters of this process, with a file in the session's directory if there is one.
    pub fn create(session: &CStr, token: Token, terms: Terms) -> Counts {
        let file = CountsFile::create(session, token, None, &terms).ok();
        Counts { file, ancestor: None, token, terms, lanes: [None; MOST_LANES], given: HEAD_COUNTERS }
    }

    /// The child of a fork counts from zero, in a file of its own.
    pub fn forked(&mut self, session: &CStr, token: Token) {
        let parent = (self.token, self.given);
        let before = self.file.take().or_else(|| self.ancestor.take());
        self.file = CountsFile::create(session, token, Some(parent), &self.terms).ok();
        self.token = token;
        if let (None, Some(before)) = (&self.file, before) {
            before.header().uncounted_children.fetch_add(1, Ordering::Relaxed);
            self.ancestor = Some(before);
        }
        self.lanes.iter_mut().flatten().for_each(|lane| lane.state = LaneState::Inherited);
    }

    /// Gives so many counters to somebody who has had none, and returns the first of them. `None` when they are used up.
    pub fn give(&mut self, counters: u32) -> Option<u32> {
        let first = self.given;
        let given = first.checked_add(counters).filter(|given| *given <= COUNTERS)?;
        self.given = given;
        if let Some(file) = &self.file {
            // A lane that cannot grow goes on where nobody reads; what was counted so far is in the file.
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let Some(lane) = lane.as_mut().filter(|lane| lane.state == LaneState::Counted) else { continue };
                if file.open().and_then(|open| reserve(&open, index, first, given)).is_err() {
                    // SAFETY: the lane is one mapping of ours. Counters that begin with zeros are sound.
                    if unsafe { sys::map_anonymous_over(lane.base, LANE_SIZE) }.is_ok() {
                        lane.state = LaneState::Lost;
                        file.header().lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            file.header().counters.store(given, Ordering::Release);
        }
        Some(first)
    }

    /// The counters of a lane.
    ///
    /// # Errors
    /// When there is no memory for them, or no such lane.
    pub fn lane(&mut self, index: usize) -> Result<Counters, Refused> {
        let lane = self.lanes.get_mut(index).ok_or(Refused { what: "a lane", errno: libc::EINVAL })?;
        let base = match *lane {
            Some(Lane { base, state: LaneState::Counted | LaneState::Lost }) => base,
            before => {
                let made = make_lane(self.file.as_ref(), index, self.given, before.map(|lane| lane.base))?;
                *lane = Some(made);
                made.base
            }
        };
        Ok(Counters::new(base.cast()))
    }
}

/// Maps a lane, in the place of the one that was inherited.
fn make_lane(file: Option<&CountsFile>, index: usize, given: u32, over: Option<NonNull<u8>>) -> Result<Lane, Refused> {
    let counted = file.and_then(|file| {
        let open = file.open().ok()?;
        reserve(&open, index, 0, given).ok()?;
        // SAFETY: what was inherited is one mapping of ours, and nobody counts in it.
        let base = unsafe { open.map_part_shared(lane_at(index), LANE_SIZE, over) }.ok()?;
        file.header().lanes.fetch_max(index as u32 + 1, Ordering::Relaxed);
        Some(base)
    });
    if let Some(base) = counted {
        return Ok(Lane { base, state: LaneState::Counted });
    }
    let base = match over {
        // SAFETY: as above.
        Some(base) => unsafe { sys::map_anonymous_over(base, LANE_SIZE) }.map(|()| base)?,
        None => sys::map_anonymous(LANE_SIZE)?,
    };
    if let Some(file) = file {
        file.header().lost.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Lane { base, state: LaneState::Lost })
}

/// Reserves the part of a lane for the counters from one to another.
fn reserve(file: &File, lane: usize, from: u32, to: u32) -> Result<(), Refused> {
    let [from, to] = [from, to].map(|counter| counter as usize * size_of::<u64>());
    let (from, to) = (from / PAGE * PAGE, to.next_multiple_of(PAGE));
    file.reserve_part(lane_at(lane) + from as u64, to.saturating_sub(from))
}

impl CountsFile {
    fn create(
        session: &CStr,
        token: Token,
        parent: Option<(Token, u32)>,
        terms: &Terms,
    ) -> Result<CountsFile, Refused> {
        // Where the child of a fork is not told apart at once, it would count in its parent's file.
        // SAFETY: nobody uses the memory.
        unsafe { sys::unmap(sys::map_wiped_on_fork(PAGE)?, PAGE) };
        let path = sys::path_in(session, format_args!("{token}.{COUNTS_EXTENSION}"))?;
        let file = File::create_new(path.as_c())?;
        let prepare = || {
            file.reserve(PAGE)?;
            Ok((file.map_shared(PAGE)?, file.identity()?))
        };
        let (header, identity) = prepare().inspect_err(|_| sys::remove(path.as_c()))?;
        let given = parent.map_or(HEAD_COUNTERS, |(_, inherited)| inherited);
        let header = header.cast::<CountsHeader>();
        let head = CountsHeader {
            magic: COUNTS_MAGIC,
            version: COUNTS_VERSION,
            lanes: AtomicU32::new(0),
            token: token.0,
            parent: parent.map_or(0, |(parent, _)| parent.0),
            pid: sys::process_id(),
            inherited: parent.map_or(0, |(_, inherited)| inherited),
            counters: AtomicU32::new(given),
            lost: AtomicU32::new(0),
            uncounted_children: AtomicU32::new(0),
            groups: terms.groups,
            costs_ps: terms.costs_ps,
            reserved: 0,
        };
        // SAFETY: the beginning of the file is reserved and mapped, aligned to a page, and nobody else writes it.
        unsafe { header.write(head) };
        Ok(CountsFile { path, identity, header })
    }

    fn header(&self) -> &CountsHeader {
        // SAFETY: the header was written by `create` and stays mapped; what changes in it is atomic.
        unsafe { self.header.as_ref() }
    }

    /// Opened again each time, as the registry is, and for the same reason.
    fn open(&self) -> Result<File, Refused> {
        let file = File::open_existing(self.path.as_c())?;
        match file.identity()? == self.identity {
            true => Ok(file),
            false => Err(Refused { what: "growing the file of counts", errno: libc::ESTALE }),
        }
    }
}

impl Drop for CountsFile {
    fn drop(&mut self) {
        // SAFETY: the header was mapped by `create`, and nobody has a reference to it any more.
        unsafe { sys::unmap(self.header.cast(), PAGE) };
    }
}

const _: () = assert!(LANES_AT.is_multiple_of(PAGE));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Head;
    use std::ffi::CString;
    use std::path::{Path, PathBuf};
    use std::vec::Vec;
    use std::{format, fs};

    const TOKEN: Token = Token(0xabc);

    fn session(directory: &Path) -> CString {
        CString::new(directory.to_str().unwrap()).unwrap()
    }

    fn path(directory: &Path, token: Token) -> PathBuf {
        directory.join(format!("{token}.counts"))
    }

    /// Adds to a counter, as a stub does.
    fn count(counters: Counters, counter: u32, by: u64) {
        // SAFETY: the counter was given, and nobody else counts there.
        unsafe { *(counters.address() as *mut u64).add(counter as usize) += by };
    }

    fn read(path: &Path) -> (Head, Vec<Vec<u64>>) {
        let bytes = fs::read(path).unwrap();
        let head = Head::read(&bytes).unwrap();
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
        let lanes = head
            .lanes()
            .map(|lane| bytes[lane.start as usize..lane.end as usize].chunks(8).map(word).collect::<Vec<_>>());
        (head, lanes.collect())
    }

    #[test]
    fn lanes_grow_together_and_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut counts = Counts::create(&session(directory.path()), TOKEN, Terms::default());
        let early = counts.lane(0).unwrap();
        assert_eq!(counts.give(1024), Some(16));
        let late = counts.lane(2).unwrap();
        assert_eq!(counts.give(4096), Some(1040));
        assert_eq!(counts.lane(0).unwrap().address(), early.address());
        count(early, 16, 3);
        count(late, 5120, 4);
        let (head, lanes) = read(&path(directory.path(), TOKEN));
        assert_eq!((head.lanes, head.counters, head.lost, head.parent), (3, 5136, 0, None));
        assert_eq!((lanes[0][16], lanes[2][5120]), (3, 4));
        assert_eq!(lanes.iter().flatten().sum::<u64>(), 7);
        assert!(counts.lane(MOST_LANES).is_err());
    }

    #[test]
    fn counters_are_given_until_there_are_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut counts = Counts::create(&session(directory.path()), TOKEN, Terms::default());
        let mut given = 0;
        while counts.give(16_384).is_some() {
            given += 16_384;
        }
        assert_eq!(given, COUNTERS - 16_384);
    }

    #[test]
    fn a_child_counts_from_zero_and_its_parent_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut counts = Counts::create(&session(directory.path()), TOKEN, Terms::default());
        counts.give(1024);
        let counters = counts.lane(0).unwrap();
        count(counters, 17, 5);
        // SAFETY: the child counts and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            counts.forked(&session(directory.path()), Token(0xdef));
            let own = counts.lane(0).unwrap();
            let first = counts.give(1024).unwrap();
            count(own, 17, 1);
            count(own, first, 1);
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(i32::from(own.address() == counters.address() && first == 1040)) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid to be written.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 1);
        count(counters, 17, 1);
        let (head, lanes) = read(&path(directory.path(), TOKEN));
        assert_eq!((head.counters, lanes[0][17]), (1040, 6));
        let (head, lanes) = read(&path(directory.path(), Token(0xdef)));
        assert_eq!((head.parent, head.counters), (Some((TOKEN, 1040)), 2064));
        assert_eq!((lanes[0][17], lanes[0][1040], lanes[0].iter().sum::<u64>()), (1, 1, 2));
    }

    #[test]
    fn a_lane_that_cannot_grow_says_so_and_keeps_what_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let mut counts = Counts::create(&session(directory.path()), TOKEN, Terms::default());
        counts.give(1024);
        let counters = counts.lane(0).unwrap();
        count(counters, 17, 5);
        let aside = directory.path().join("aside");
        fs::rename(path(directory.path(), TOKEN), &aside).unwrap();
        assert_eq!(counts.give(1024), Some(1040));
        count(counters, 17, 1);
        count(counters, 2048, 1);
        let bytes = fs::read(&aside).unwrap();
        let head = Head::read(&bytes).unwrap();
        assert_eq!((head.lost, head.lanes), (1, 1));
        assert_eq!(bytes[lane_at(0) as usize + 17 * 8..][..8], 5_u64.to_ne_bytes());
    }

    #[test]
    fn a_child_without_a_file_is_one_that_its_parent_speaks_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut counts = Counts::create(&session(directory.path()), TOKEN, Terms::default());
        counts.give(1024);
        let counters = counts.lane(0).unwrap();
        // SAFETY: the children count and leave.
        let child = unsafe { libc::fork() };
        if child == 0 {
            counts.forked(c"/nowhere", Token(1));
            count(counts.lane(0).unwrap(), 17, 1);
            // SAFETY: as above.
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                counts.forked(c"/nowhere", Token(2));
                count(counts.lane(0).unwrap(), 17, 1);
            } else {
                // SAFETY: nobody asks how the grandchild ended.
                unsafe { libc::waitpid(grandchild, std::ptr::null_mut(), 0) };
            }
            // SAFETY: ends the process without running anything else.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: nobody asks how the child ended.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        count(counters, 17, 5);
        let (head, lanes) = read(&path(directory.path(), TOKEN));
        assert_eq!((head.uncounted_children, lanes[0][17]), (2, 5));
    }

    #[test]
    fn there_are_counters_where_there_is_no_file() {
        let mut counts = Counts::create(c"/nowhere", TOKEN, Terms::default());
        counts.give(1024);
        let counters = counts.lane(0).unwrap();
        count(counters, 1024, 1);
        assert_eq!(counts.lane(0).unwrap().address(), counters.address());
    }
}
