//! What makes a sample cost the same at any depth: proof that the older frames are the same as at the sample before.
//!
//! From 3.11 on a thread's frames lie on a stack of chunks (`_PyStackChunk` in Include/cpython/pystate.h; `push_chunk` and
//! `_PyThreadState_PopFrame` in Python/pystate.c). A chunk is given up when its first frame is popped. So as long as a chunk
//! is there, its first frame is, and all that is older waits for that frame and cannot have changed. That a chunk has been
//! there all the time is told by a word of it that CPython does not use and that does not outlive the chunk, in which a
//! sample leaves a number:
//!
//! - `top` of the newest chunk: it is set when a chunk is put on top, read when that is taken off, and 0 in a chunk that is
//!   new or used again.
//! - The last word of a chunk, if no frame reaches it. A chunk that is given up goes back to the system, and a new one is
//!   full of zeros. From 3.14 on the one that was given up last is spared, with its contents, until the next one is: so
//!   there the word is proof for the chunk below.
//!
//! Only stacks of more than [`DEEP`] links are treated so.
//!
//! # Safety
//! The chunks are those of the calling thread, which is in a signal handler. A chunk is read only if the thread's state leads
//! to it; and guarded, if it is the spared one, which may be on its way back to the system. What is written are words that
//! nobody else uses.

use super::layout::{Chunks, Layout};
use super::links::Link;
use crate::capture::memory::{Guarded, Memory};
use core::ptr;

/// The most links of a stack that is walked whole each time.
const DEEP: usize = 512;
/// The size of a chunk is a multiple of this (`DATA_STACK_CHUNK_SIZE`).
const CHUNK: u64 = 16 << 10;
/// `previous`, `size`, `top` and `data` of `_PyStackChunk`.
const PREVIOUS: u64 = 0;
const SIZE: u64 = 8;
const TOP: u64 = 16;
const DATA: u64 = 24;
/// How many of the newest links are looked through for a chunk's first frame: more than two chunks have.
const MOST_IN_CHUNKS: usize = 1024;

/// Proof that a chunk has been there since the sample before.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// The chunk in which the word is.
    witness: u64,
    /// The address of the word.
    word: u64,
    /// What was left there.
    number: u64,
    /// The first frame of the chunk that it is proof for.
    frame: u64,
    /// How many links are older than that frame.
    older: usize,
}

/// The marks that a thread's last sample left; the best first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anchors {
    marks: [Mark; 2],
    numbers: u64,
}

/// What is proven: this frame is the same, and so are all links that are older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The frame's address.
    pub frame: u64,
    /// The number of links that are older.
    pub older: usize,
}

/// The newest chunks of a thread, as its state has them.
struct Newest {
    chunk: u64,
    top: u64,
    limit: u64,
    below: u64,
    spare: u64,
}

impl Anchors {
    /// Forgets the marks.
    pub fn forget(&mut self) {
        self.marks = [Mark::default(); 2];
    }

    /// What is the same as at the sample before.
    ///
    /// # Safety
    /// The state is the calling thread's.
    pub unsafe fn known(&self, layout: &Layout, thread: u64) -> Option<Known> {
        if self.marks.iter().all(|mark| mark.frame == 0) {
            return None;
        }
        // SAFETY: as promised by the caller; a word is read only in chunks that the state leads to.
        unsafe {
            let newest = Newest::of(&layout.links.chunks?, thread)?;
            let holds = |mark: &&Mark| {
                let found = match mark.witness {
                    0 => None,
                    chunk if chunk == newest.chunk || chunk == newest.below => Some(word(mark.word)),
                    chunk if chunk == newest.spare => Guarded.word(mark.word),
                    _ => None,
                };
                found == Some(mark.number)
            };
            self.marks.iter().find(holds).map(|mark| Known { frame: mark.frame, older: mark.older })
        }
    }

    /// Leaves marks for the links of a sample, oldest first.
    ///
    /// # Safety
    /// As for [`Anchors::known`].
    pub unsafe fn mark(&mut self, layout: &Layout, thread: u64, links: &[Link]) {
        self.forget();
        if !may_be_left(layout, links.len()) {
            return;
        }
        self.numbers = self.numbers.wrapping_add(1);
        // No count of words that CPython would put there.
        let number = u64::MAX.wrapping_sub(self.numbers);
        // SAFETY: as promised by the caller.
        unsafe {
            let Some(newest) = layout.links.chunks.and_then(|chunks| Newest::of(&chunks, thread)) else { return };
            let of_newest = Mark { witness: newest.chunk, word: newest.chunk + TOP, number, ..Mark::default() };
            let of_below = match newest.spare_is_kept(layout) {
                true => newest.last_word(newest.chunk, newest.top).map(|word| (newest.chunk, word)),
                false => {
                    let used = (newest.below != 0).then(|| newest.below + DATA + 8 * word(newest.below + TOP));
                    used.and_then(|used| newest.last_word(newest.below, used)).map(|word| (newest.below, word))
                }
            };
            let of_below = of_below.map(|(witness, word)| Mark { witness, word, number, ..Mark::default() });
            let [first, second] = &mut self.marks;
            *first = set(of_newest, newest.chunk, links).unwrap_or_default();
            *second = of_below.and_then(|mark| set(mark, newest.below, links)).unwrap_or_default();
        }
    }
}

/// Whether links of a stack may be left out of a later walk, as they are proven to be the same: by how many links there are.
pub fn may_be_left(layout: &Layout, links: usize) -> bool {
    layout.links.chunks.is_some() && links >= DEEP
}

/// Leaves a mark that is proof for a chunk, if a link has its first frame.
///
/// # Safety
/// The mark's word is one that nobody uses, and the chunk is the thread's.
unsafe fn set(mark: Mark, chunk: u64, links: &[Link]) -> Option<Mark> {
    if chunk == 0 {
        return None;
    }
    // SAFETY: as promised by the caller. The first chunk's first word is skipped, so that it is never given up.
    let frame = chunk + DATA + if unsafe { word(chunk + PREVIOUS) } == 0 { 8 } else { 0 };
    let newer = links.iter().rev().take(MOST_IN_CHUNKS).position(|link| link.address == frame && link.code != 0)?;
    // SAFETY: as above.
    unsafe { ptr::write_volatile(mark.word as *mut u64, mark.number) };
    Some(Mark { frame, older: links.len().checked_sub(newer.wrapping_add(1))?, ..mark })
}

impl Newest {
    /// The newest chunks, if all is as it should be.
    ///
    /// # Safety
    /// The state is the calling thread's.
    unsafe fn of(chunks: &Chunks, thread: u64) -> Option<Newest> {
        // SAFETY: as promised by the caller; a chunk is what the state says, or all was found to be something else.
        unsafe {
            let field = |offset: u16| word(thread + u64::from(offset));
            let (chunk, top, limit) = (field(chunks.newest), field(chunks.top), field(chunks.limit));
            let in_chunk = chunk != 0 && chunk.is_multiple_of(8) && chunk + DATA <= top && top <= limit;
            if !in_chunk || !limit.wrapping_sub(chunk).is_multiple_of(CHUNK) || word(chunk + SIZE) != limit - chunk {
                return None;
            }
            let spare = chunks.spare.map_or(0, field);
            Some(Newest { chunk, top, limit, below: word(chunk + PREVIOUS), spare })
        }
    }

    /// Whether this version keeps the chunk that was given up last.
    fn spare_is_kept(&self, layout: &Layout) -> bool {
        layout.links.chunks.is_some_and(|chunks| chunks.spare.is_some())
    }

    /// The last word of a chunk that is used up to an address, if no frame reaches it.
    ///
    /// # Safety
    /// The chunk is the thread's.
    unsafe fn last_word(&self, chunk: u64, used: u64) -> Option<u64> {
        let end = match chunk == self.chunk {
            true => self.limit,
            // SAFETY: as promised by the caller.
            false => chunk.checked_add(unsafe { word(chunk + SIZE) })?,
        };
        let last = end.checked_sub(8)?;
        (chunk < used && used <= last).then_some(last)
    }
}

/// # Safety
/// The address is one of the thread's state or of its chunks.
unsafe fn word(address: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { ptr::read_volatile(address as *const u64) }
}
