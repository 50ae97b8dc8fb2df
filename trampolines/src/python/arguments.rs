//! Arguments of the program's functions whose values are labels: `pronk record --label-arg`.
//!
//! Which code objects are those of such functions is decided once for each, when it is described. A sample then asks of each
//! frame whether its code object is one of them, and reads the frame's variables.
//!
//! So a label has what the argument is at that moment: what the function was called with, unless it assigns to its argument. What
//! was read for an earlier sample cannot be kept for it, as nothing in a frame tells a call from the next one of the same function,
//! whose frame lies at the same address.
//!
//! # Safety
//! In a signal handler all reads are of what another thread may change or free meanwhile: who calls has faults caught. A
//! frame keeps its code object alive, and that its names.

use super::attributes;
use super::codes::key_of;
use super::layout::{Arguments as Fields, Captured, Layout};
use super::links::Link;
use super::objects::{held_at, is_address, type_of};
use super::sampled::Sampled;
use super::text::is_text;
use super::values;
use crate::capture::memory::{Memory, Straight};
use crate::context::Pairs;
use crate::wire::{ArgumentName, MOST_ARGUMENTS, Settings, StubsSetting};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The functions that are known, and how far from its place one is looked for.
const PLACES: usize = 256;
const MOST_PROBES: usize = 8;
/// In a place: which of the arguments are the function's, a bit each. The rest tells its code object from all others.
const WHICH: u64 = 0xffff;
const _: () = assert!(MOST_ARGUMENTS == WHICH.count_ones() as usize);

/// `ob_size` of a tuple, and where the bytes of a bytes object begin.
const SIZE: u64 = 16;
const BYTES: u64 = 32;
/// `cell_contents` of `PyCellObject`.
const CELL_CONTENT: u64 = 16;
/// `CO_VARARGS` and `CO_VARKEYWORDS` (Include/cpython/code.h).
const COLLECTORS: [i32; 2] = [4, 8];
/// `CO_FAST_CELL` (Include/internal/pycore_code.h).
const CELL: u8 = 0x40;
/// The most arguments and cells of a function that are looked through.
const MOST: u64 = 256;

/// The functions of which an argument is a label.
#[derive(Debug)]
pub struct Arguments {
    known: [AtomicU64; PLACES],
    /// How many functions were noted.
    noted: AtomicU32,
    /// Which of the arguments belong to a function that was noted, and which have given a label, a bit each.
    found: AtomicU64,
    read: AtomicU64,
    /// `PyCell_Type`.
    cell_type: u64,
}

impl Arguments {
    /// No function is known yet.
    pub fn new(cell_type: u64) -> Arguments {
        Arguments {
            known: [const { AtomicU64::new(0) }; PLACES],
            noted: AtomicU32::new(0),
            found: AtomicU64::new(0),
            read: AtomicU64::new(0),
            cell_type,
        }
    }

    /// Forgets which functions there are, and what became of them.
    pub fn forget(&self) {
        self.noted.store(0, Ordering::Relaxed);
        self.known.iter().chain([&self.found, &self.read]).for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// How many functions were noted: as long as that is the same, no other frames have labels.
    pub fn noted(&self) -> u32 {
        self.noted.load(Ordering::Relaxed)
    }

    /// Which of the arguments belong to a function that was seen, and which have given a label, a bit each.
    pub fn seen(&self) -> [u64; 2] {
        [self.found.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed)]
    }

    /// Whether samples note functions: where code objects know their qualified names, or nobody else does.
    pub fn are_noted_by_samples(&self, settings: &Settings, layout: &Layout) -> bool {
        let is_asked = settings.arguments().next().is_some();
        is_asked && (layout.code.qualname.is_some() || settings.stubs == StubsSetting::Off as u32)
    }

    fn places(&self, key: u64) -> impl Iterator<Item = &AtomicU64> {
        (0..MOST_PROBES).filter_map(move |step| {
            let at = (key >> 20) as usize;
            self.known.get(at.wrapping_add(step) % PLACES)
        })
    }

    /// Notes the function of a link's code object, if an argument of its is a label.
    ///
    /// # Safety
    /// The code object is alive.
    pub unsafe fn note<'a>(
        &self,
        names: impl Iterator<Item = ArgumentName<'a>>,
        layout: &Layout,
        link: &Link,
        (module, qualname): (&[u8], &[u8]),
    ) {
        let is_function = |name: &ArgumentName<'_>| {
            let rest = name.function.strip_prefix(module).and_then(|rest| rest.strip_prefix(b"."));
            rest == Some(qualname)
        };
        // SAFETY: as promised by the caller.
        let has = |name: &ArgumentName<'_>| unsafe { index_of(layout, link.code, parts(name.path).next()?) };
        let which = names
            .enumerate()
            .filter(|(_, name)| is_function(name) && has(name).is_some())
            .fold(0, |which, (index, _)| which | 1_u64.wrapping_shl(index as u32));
        if which == 0 {
            return;
        }
        let entry = key_of(link) & !WHICH | which;
        let takes = |place: &&AtomicU64| match place.compare_exchange(0, entry, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(there) => there == entry,
        };
        if self.places(entry).find(takes).is_none() {
            // One that was noted earlier makes room.
            self.places(entry).take(1).for_each(|place| place.store(entry, Ordering::Relaxed));
        }
        self.found.fetch_or(which, Ordering::Relaxed);
        self.noted.fetch_add(1, Ordering::Relaxed);
    }

    /// Which of the arguments are those of a link's function, a bit each.
    pub fn of(&self, link: &Link) -> u64 {
        let key = key_of(link) & !WHICH;
        let known = self.places(key).map(|place| place.load(Ordering::Relaxed)).take_while(|known| *known != 0);
        known.into_iter().find(|known| known & !WHICH == key).map_or(0, |known| known & WHICH)
    }

    /// The labels that these arguments of a link's function have in its frame, and which of them have one.
    ///
    /// # Safety
    /// The frame is one of the calling thread's, which is in a signal handler, and a fault is caught.
    pub unsafe fn labels<'a>(
        &self,
        sampled: &Sampled,
        names: impl Iterator<Item = ArgumentName<'a>>,
        which: u64,
        link: &Link,
    ) -> (Pairs, u64) {
        let mut pairs = Pairs::new();
        let mut have = 0;
        for (index, name) in names.enumerate() {
            let bit = 1_u64.wrapping_shl(index as u32);
            if which & bit == 0 {
                continue;
            }
            // SAFETY: as promised by the caller.
            let pushed = unsafe {
                let value = self.value(sampled.walker.layout, link, name.path);
                value.and_then(|value| values::push(sampled, name.key, value, &mut pairs))
            };
            if pushed.is_some() {
                have |= bit;
            }
        }
        self.read.fetch_or(have, Ordering::Relaxed);
        (pairs, have)
    }

    /// What a path leads to that begins with an argument.
    ///
    /// # Safety
    /// As for [`Arguments::labels`].
    unsafe fn value(&self, layout: &Layout, link: &Link, path: &[u8]) -> Option<u64> {
        let mut parts = parts(path);
        let name = parts.next()?;
        // SAFETY: as promised by the caller.
        unsafe { attributes::follow(layout, self.argument(layout, link, name)?, parts) }
    }

    /// The value of an argument.
    ///
    /// # Safety
    /// As for [`Arguments::labels`].
    unsafe fn argument(&self, layout: &Layout, link: &Link, name: &[u8]) -> Option<u64> {
        let fields = &layout.arguments;
        let value_at = |index: u64| {
            let first = link.address.wrapping_add(fields.values.into());
            // SAFETY: as promised by the caller. From 3.14 on the low bits are a tag, and both say that there is no object.
            let word = unsafe { Straight.word(first.wrapping_add(index.wrapping_mul(8))) }?;
            Some(word & !3).filter(|value| word & 3 != 3 && is_address(*value))
        };
        // SAFETY: as promised by the caller.
        unsafe {
            let index = index_of(layout, link.code, name)?;
            match fields.captured {
                Captured::Behind { variables, names } => value_at(index).or_else(|| {
                    // It was moved into its cell when the frame started (`_PyEval_MakeFrameVector`, Python/ceval.c).
                    let count = Straight.number(link.code.wrapping_add(variables.into()))?;
                    let names = held_at(link.code.wrapping_add(names.into()))?;
                    let cell = named(layout, names, MOST, name)?;
                    self.in_cell(value_at(u64::try_from(count).ok()?.wrapping_add(cell))?)
                }),
                Captured::InPlace(kinds) => {
                    let value = value_at(index)?;
                    let kinds = held_at(link.code.wrapping_add(kinds.into()))?;
                    let kind = Straight.byte(kinds.wrapping_add(BYTES).wrapping_add(index))?;
                    // The cell is made by the function's first instructions.
                    match kind & CELL != 0 && type_of(value)? == self.cell_type {
                        true => self.in_cell(value),
                        false => Some(value),
                    }
                }
            }
        }
    }

    /// What is in a cell.
    ///
    /// # Safety
    /// As for [`Arguments::labels`].
    unsafe fn in_cell(&self, cell: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe {
            let content = held_at(cell.wrapping_add(CELL_CONTENT))?;
            (type_of(cell)? == self.cell_type).then_some(content)
        }
    }
}

/// The names of a path.
fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'.')
}

/// The position of an argument among the variables of a function, by its code object.
///
/// # Safety
/// The code object is alive.
unsafe fn index_of(layout: &Layout, code: u64, name: &[u8]) -> Option<u64> {
    let Fields { count, keyword_only, names, .. } = layout.arguments;
    // SAFETY: as promised by the caller.
    unsafe {
        let number = |at: u64| Straight.number(code.wrapping_add(at));
        let flags = number(layout.code.flags.into())?;
        let collectors = COLLECTORS.iter().filter(|flag| flags & **flag != 0).count() as i32;
        let all = number(count.into())?.checked_add(number(keyword_only.into())?)?.checked_add(collectors)?;
        named(layout, held_at(code.wrapping_add(names.into()))?, u64::try_from(all).ok()?.min(MOST), name)
    }
}

/// The position of a name among the first of a tuple.
///
/// # Safety
/// The tuple is alive.
unsafe fn named(layout: &Layout, tuple: u64, first: u64, name: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let count = Straight.word(tuple.wrapping_add(SIZE))?.min(first);
        let start = tuple.wrapping_add(layout.awaits.items.into());
        let is = |index: &u64| {
            let text = held_at(start.wrapping_add(index.wrapping_mul(8)));
            text.is_some_and(|text| is_text(&Straight, &layout.text, text, name))
        };
        (0..count).find(is)
    }
}
