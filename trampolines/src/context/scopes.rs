//! The scopes of a process.
//!
//! # Safety
//! A scope's memory stays mapped, and is used again for other scopes. All of it but the text is atomic. A text is written
//! before its scope can be found, and copied by readers that look afterwards whether the scope is still the same one.

use super::pairs::{PAIRS_SIZE, Pairs};
use super::table::AddressTable;
use crate::lock::Lock;
use crate::sys;
use crate::wire::REMEMBERED_SCOPES;
use core::cell::UnsafeCell;
use core::num::NonZeroU32;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The most scopes that there are at a time, open or inherited.
pub const MOST_SCOPES: usize = CHUNKS * CHUNK;
/// The scopes of a chunk of memory, and the most chunks.
const CHUNK: usize = 1024;
const CHUNKS: usize = 128;

/// The place of a scope. Places are used again; serial numbers are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeNumber(NonZeroU32);

impl ScopeNumber {
    /// The number as it is kept elsewhere; 0 there is none.
    pub fn from_raw(raw: u32) -> Option<ScopeNumber> {
        NonZeroU32::new(raw).map(ScopeNumber)
    }

    /// See [`ScopeNumber::from_raw`].
    pub fn raw(self) -> u32 {
        self.0.get()
    }
}

/// What a scope is made of.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// The address of the frame that it belongs to; 0 for a scope that is open on none, and is only inherited.
    pub frame: u64,
    /// What runs in the frame: tells it from another one that comes to lie at the same address.
    pub code: u64,
    /// Its labels.
    pub labels: &'a Pairs,
    /// The scope that was around when it was opened, whatever frame that belongs to, if it is to be inherited with it.
    pub inherits: Option<ScopeNumber>,
    /// The address of what stands for it in the program; not 0.
    pub object: u64,
}

/// A scope.
#[repr(C, align(64))]
struct Scope {
    /// Its serial number; 0 while it is free.
    serial: AtomicU64,
    /// The frame that it is open on; 0 once it was closed.
    frame: AtomicU64,
    code: AtomicU64,
    object: AtomicU64,
    /// When it was said in the ring: see [`Scopes::say`].
    said: AtomicU64,
    /// The next scope of the same frame, further out; of a free scope, the next free one.
    outer: AtomicU32,
    inherits: AtomicU32,
    size: AtomicU32,
    text: UnsafeCell<[u8; PAIRS_SIZE]>,
}

const _: () = assert!(size_of::<Scope>() == 512);

// SAFETY: see the module.
unsafe impl Sync for Scope {}

/// The scopes of a process.
///
/// Opening and closing takes a lock for a moment. Finding does not, and is safe in a signal handler.
#[derive(Debug)]
pub struct Scopes {
    chunks: [AtomicPtr<Scope>; CHUNKS],
    frames: AddressTable,
    /// How many are open on a frame.
    open: AtomicU32,
    /// How often a scope was said.
    said: AtomicU64,
    /// Blocks that got no scope.
    unrecorded: AtomicU64,
    writer: Lock<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// The first free scope.
    free: u32,
    /// The scopes that were ever used.
    used: u32,
    serial: u64,
}

/// A scope that was said so many others ago is said again: half of what a reader remembers, as scopes are not read in the
/// moment in which they are said.
const REMEMBERED: u64 = REMEMBERED_SCOPES as u64 / 2;

impl Scopes {
    /// None yet.
    pub const fn new() -> Scopes {
        Scopes {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            frames: AddressTable::new(),
            open: AtomicU32::new(0),
            said: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            // A scope that was being opened when a fork came is lost, and nothing else.
            writer: Lock::new(Writer { free: 0, used: 0, serial: 0 }, |_| ()),
        }
    }

    /// Blocks with labels that got no scope, as there was no memory, or no room.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Counts what is not recorded because the reader could not be told: the scopes that are open.
    pub fn lose(&self) {
        self.unrecorded.fetch_add(u64::from(self.open.load(Ordering::Relaxed)).max(1), Ordering::Relaxed);
    }

    /// Opens a scope on a frame, within those that are open on it. `None`, counted, where there is no room.
    pub fn open(&self, opened: &Opened<'_>) -> Option<ScopeNumber> {
        let number = self.writer.with(|writer| {
            let number = self.take(writer)?;
            let scope = self.scope(number)?;
            writer.serial = writer.serial.wrapping_add(1);
            self.fill(scope, opened, writer.serial);
            if opened.frame == 0 || self.frames.set(opened.frame, number.raw()) == Ok(true) {
                return Some(number);
            }
            self.give_back(writer, number, scope);
            None
        });
        if number.is_none() {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
        } else if opened.frame != 0 {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        number
    }

    fn fill(&self, scope: &Scope, opened: &Opened<'_>, serial: u64) {
        let text = opened.labels.as_bytes();
        let outer = self.newest_on(opened.frame, opened.code).map_or(0, ScopeNumber::raw);
        scope.frame.store(opened.frame, Ordering::Relaxed);
        scope.code.store(opened.code, Ordering::Relaxed);
        scope.object.store(opened.object, Ordering::Relaxed);
        scope.said.store(0, Ordering::Relaxed);
        scope.outer.store(outer, Ordering::Relaxed);
        scope.inherits.store(opened.inherits.map_or(0, ScopeNumber::raw), Ordering::Relaxed);
        let size = text.len().min(PAIRS_SIZE);
        // SAFETY: the scope is free: nobody else reads or writes its text, which has room for so many bytes.
        unsafe { scope.text.get().cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), size) };
        scope.size.store(size as u32, Ordering::Relaxed);
        scope.serial.store(serial, Ordering::Release);
    }

    /// Closes a scope: it is open on its frame no more. It can go on to be inherited.
    pub fn close(&self, number: ScopeNumber) {
        let closed = self.writer.with(|_| self.unlink(number));
        if closed.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes a scope off its frame's; nothing if it is on none.
    fn unlink(&self, number: ScopeNumber) -> Option<()> {
        let scope = self.scope(number)?;
        let frame = scope.frame.swap(0, Ordering::Relaxed);
        let outer = scope.outer.load(Ordering::Relaxed);
        if frame == 0 {
            return None;
        }
        match (self.frames.get(frame) == Some(number.raw()), outer) {
            (true, 0) => self.frames.remove(frame),
            // It has an entry, and so there is room for it.
            (true, outer) => self.frames.set(frame, outer).map_or((), |_| ()),
            (false, outer) => {
                let inner = self.outward(self.frames.get(frame).and_then(ScopeNumber::from_raw)).find(|inner| {
                    self.scope(*inner).is_some_and(|inner| inner.outer.load(Ordering::Relaxed) == number.raw())
                });
                if let Some(inner) = inner.and_then(|inner| self.scope(inner)) {
                    inner.outer.store(outer, Ordering::Relaxed);
                }
            }
        }
        Some(())
    }

    /// Ends a scope: it is closed, nobody inherits it any more, and its place is used again.
    pub fn end(&self, number: ScopeNumber) {
        let closed = self.writer.with(|writer| {
            let closed = self.unlink(number);
            if let Some(scope) = self.scope(number).filter(|scope| scope.serial.load(Ordering::Relaxed) != 0) {
                self.give_back(writer, number, scope);
            }
            closed
        });
        if closed.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A free scope.
    fn take(&self, writer: &mut Writer) -> Option<ScopeNumber> {
        if let Some(number) = ScopeNumber::from_raw(writer.free) {
            writer.free = self.scope(number)?.outer.load(Ordering::Relaxed);
            return Some(number);
        }
        let index = writer.used as usize;
        let chunk = self.chunks.get(index / CHUNK)?;
        if chunk.load(Ordering::Relaxed).is_null() {
            let fresh = sys::map_anonymous(CHUNK.wrapping_mul(size_of::<Scope>())).ok()?;
            chunk.store(fresh.cast().as_ptr(), Ordering::Release);
        }
        writer.used = writer.used.wrapping_add(1);
        ScopeNumber::from_raw(writer.used)
    }

    fn give_back(&self, writer: &mut Writer, number: ScopeNumber, scope: &Scope) {
        scope.serial.store(0, Ordering::Release);
        scope.outer.store(writer.free, Ordering::Relaxed);
        writer.free = number.raw();
    }

    fn scope(&self, number: ScopeNumber) -> Option<&Scope> {
        let index = (number.raw() as usize).wrapping_sub(1);
        let chunk = NonNull::new(self.chunks.get(index / CHUNK)?.load(Ordering::Acquire))?;
        // SAFETY: a chunk has so many scopes, and stays mapped; zeros are a scope that is free.
        Some(unsafe { chunk.add(index % CHUNK).as_ref() })
    }

    /// Whether a scope is open on any frame.
    pub fn is_any_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// The innermost scope that is open on a frame.
    pub fn newest_on(&self, frame: u64, code: u64) -> Option<ScopeNumber> {
        if frame == 0 {
            return None;
        }
        let number = ScopeNumber::from_raw(self.frames.get(frame)?)?;
        (self.scope(number)?.code.load(Ordering::Relaxed) == code).then_some(number)
    }

    /// A scope and those around it on the same frame, from the innermost on.
    pub fn outward(&self, from: Option<ScopeNumber>) -> impl Iterator<Item = ScopeNumber> + '_ {
        self.chain(from, |scope| &scope.outer)
    }

    /// A scope and those that it inherits, from the innermost on.
    pub fn inherited(&self, from: Option<ScopeNumber>) -> impl Iterator<Item = ScopeNumber> + '_ {
        self.chain(from, |scope| &scope.inherits)
    }

    fn chain(
        &self,
        from: Option<ScopeNumber>,
        next: fn(&Scope) -> &AtomicU32,
    ) -> impl Iterator<Item = ScopeNumber> + '_ {
        /// More than a program nests: a scope that was used again meanwhile may lead anywhere.
        const MOST: usize = 1024;
        let mut at = from;
        core::iter::from_fn(move || {
            let here = at?;
            at = self.scope(here).and_then(|scope| ScopeNumber::from_raw(next(scope).load(Ordering::Acquire)));
            Some(here)
        })
        .take(MOST)
    }

    /// What stands for a scope in the program; 0 for a place that is free.
    pub fn object(&self, number: ScopeNumber) -> u64 {
        let scope = self.scope(number).filter(|scope| scope.serial.load(Ordering::Acquire) != 0);
        scope.map_or(0, |scope| scope.object.load(Ordering::Acquire))
    }

    /// A scope's serial number, 0 for a place that is free.
    pub fn serial(&self, number: ScopeNumber) -> u64 {
        self.scope(number).map_or(0, |scope| scope.serial.load(Ordering::Acquire))
    }

    /// Has `say` tell the reader of a scope, unless the reader knows it: what a process has said lately, it does. Whether
    /// the reader knows it now.
    ///
    /// `say` gets the serial numbers of the scope, of the next one further out on its frame, and of the one that it
    /// inherits, and its labels.
    pub fn say(&self, number: ScopeNumber, say: impl FnOnce(Said<'_>) -> bool) -> bool {
        let Some(scope) = self.scope(number) else { return true };
        let serial = scope.serial.load(Ordering::Acquire);
        if self.is_remembered(scope.said.load(Ordering::Relaxed)) {
            return true;
        }
        let mut text = [0; PAIRS_SIZE];
        let size = (scope.size.load(Ordering::Relaxed) as usize).min(PAIRS_SIZE);
        // SAFETY: the text has so many bytes. Where the scope is used again meanwhile, they are not used.
        unsafe { text.as_mut_ptr().copy_from_nonoverlapping(scope.text.get().cast::<u8>(), size) };
        let of =
            |next: &AtomicU32| ScopeNumber::from_raw(next.load(Ordering::Acquire)).map_or(0, |next| self.serial(next));
        let said = Said {
            serial,
            outer: of(&scope.outer),
            inherits: of(&scope.inherits),
            labels: text.get(..size).unwrap_or_default(),
        };
        if serial == 0 || scope.serial.load(Ordering::Acquire) != serial {
            return true;
        }
        if !say(said) {
            return false;
        }
        scope.said.store(self.count_said(), Ordering::Relaxed);
        true
    }

    /// Counts that a scope is said, be it one of these or one that is no block's; when that is, which is never 0.
    pub fn count_said(&self) -> u64 {
        moment(self.said.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the reader still knows a scope that was said then.
    pub fn is_remembered(&self, said: u64) -> bool {
        moment(self.said.load(Ordering::Relaxed)).wrapping_sub(said) < REMEMBERED
    }
}

/// When so much was said before. The generation, which is not 0, is above that number, which will never be 2^40.
fn moment(said: u64) -> u64 {
    u64::from(sys::fork_generation()) << 40 | said
}

impl Default for Scopes {
    fn default() -> Scopes {
        Scopes::new()
    }
}

/// What is said of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// Its serial number.
    pub serial: u64,
    /// That of the next scope further out on the same frame, or 0.
    pub outer: u64,
    /// That of the scope that it inherits, or 0.
    pub inherits: u64,
    /// Its labels, as [`Pairs`] has them.
    pub labels: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn pairs(value: &str) -> Pairs {
        let mut pairs = Pairs::new();
        assert!(pairs.push(b"k", value.as_bytes()));
        pairs
    }

    fn open(scopes: &Scopes, frame: u64, value: &str, inherits: Option<ScopeNumber>) -> ScopeNumber {
        let labels = &pairs(value);
        scopes.open(&Opened { frame, code: 8, labels, inherits, object: 16 }).unwrap()
    }

    #[test]
    fn scopes_nest_on_their_frames() {
        let scopes = Scopes::new();
        let (outer, inner) = (open(&scopes, 0x100, "a", None), open(&scopes, 0x100, "b", None));
        let other = open(&scopes, 0x200, "c", None);
        let all = |frame| scopes.outward(scopes.newest_on(frame, 8)).collect::<Vec<_>>();
        assert_eq!((all(0x100), all(0x200), all(0x300)), ([inner, outer].into(), [other].into(), [].into()));
        assert_eq!(scopes.newest_on(0x100, 9), None);
        scopes.end(inner);
        assert_eq!(all(0x100), [outer]);
        scopes.end(outer);
        assert_eq!(all(0x100), []);
        assert!(scopes.is_any_open());
        scopes.end(other);
        assert!(!scopes.is_any_open());
    }

    #[test]
    fn an_outer_scope_can_end_before_an_inner_one() {
        let scopes = Scopes::new();
        let nested = ["a", "b", "c"].map(|value| open(&scopes, 0x100, value, None));
        scopes.end(nested[1]);
        let left: Vec<_> = scopes.outward(scopes.newest_on(0x100, 8)).collect();
        assert_eq!(left, [nested[2], nested[0]]);
        // Ended twice is ended once.
        scopes.end(nested[1]);
        let again = open(&scopes, 0x200, "d", None);
        assert_eq!((again, scopes.serial(again)), (nested[1], 4));
        let another = open(&scopes, 0x200, "e", None);
        assert_ne!(another, again);
    }

    #[test]
    fn a_closed_scope_can_be_inherited_until_it_ends() {
        let scopes = Scopes::new();
        let first = open(&scopes, 0x100, "a", None);
        let second = open(&scopes, 0x200, "b", Some(first));
        scopes.close(second);
        scopes.close(first);
        assert_eq!(scopes.newest_on(0x200, 8), None);
        assert_eq!(scopes.inherited(Some(second)).collect::<Vec<_>>(), [second, first]);
        assert_eq!((scopes.object(second), scopes.serial(second)), (16, 2));
        scopes.end(second);
        assert_eq!((scopes.object(second), scopes.serial(second)), (0, 0));
    }

    #[test]
    fn a_scope_without_a_frame_is_inherited_and_open_nowhere() {
        let scopes = Scopes::new();
        let labels = &pairs("a");
        let flat = |inherits| scopes.open(&Opened { frame: 0, code: 0, labels, inherits, object: 16 }).unwrap();
        let (first, second) = (flat(None), flat(None));
        assert!(!scopes.is_any_open());
        assert_eq!(scopes.newest_on(0, 0), None);
        assert_eq!(scopes.outward(Some(second)).collect::<Vec<_>>(), [second]);
        assert_eq!(scopes.inherited(Some(flat(Some(first)))).last(), Some(first));
        scopes.end(first);
        assert_eq!((scopes.serial(first), scopes.serial(second)), (0, 2));
    }

    #[test]
    fn scopes_of_other_code_at_the_same_address_end_as_well() {
        let scopes = Scopes::new();
        let labels = &pairs("a");
        let open = |code| scopes.open(&Opened { frame: 0x100, code, labels, inherits: None, object: 16 }).unwrap();
        // The first was left behind by a frame that is gone.
        let (left, now) = (open(8), open(9));
        assert_eq!((scopes.newest_on(0x100, 8), scopes.newest_on(0x100, 9)), (None, Some(now)));
        scopes.end(now);
        scopes.end(left);
        assert!(!scopes.is_any_open());
    }

    #[test]
    fn a_scope_is_said_once_in_a_while() {
        let scopes = Scopes::new();
        let outer = open(&scopes, 0x100, "a", None);
        let inner = open(&scopes, 0x100, "b", Some(outer));
        let mut said = Vec::new();
        let mut say = |scopes: &Scopes, number| {
            scopes.say(number, |is| {
                said.push((is.serial, is.outer, is.inherits, is.labels.to_vec()));
                true
            })
        };
        assert!(!scopes.say(inner, |_| false));
        assert!(say(&scopes, inner) && say(&scopes, inner));
        for index in 0..REMEMBERED {
            let other = open(&scopes, 0x200, "x", None);
            assert!(scopes.say(other, |is| is.serial == 3 + index));
            scopes.end(other);
        }
        assert!(say(&scopes, inner));
        let expected = (2, 1, 1, b"k\0b\0".to_vec());
        assert_eq!(said, [expected.clone(), expected]);
    }

    #[test]
    fn too_many_are_counted() {
        let scopes = Scopes::new();
        let labels = &pairs("a");
        let open = |frame| scopes.open(&Opened { frame, code: 8, labels, inherits: None, object: 16 });
        let all: Vec<_> = (0..MOST_SCOPES as u64 + 3).filter_map(|index| open(8 + 128 * index)).collect();
        assert_eq!((all.len(), scopes.unrecorded()), (MOST_SCOPES, 3));
        all.into_iter().for_each(|number| scopes.end(number));
        assert!(open(8).is_some());
    }
}
