//! The code objects that samples refer to: each gets a number, and is described in the ring when it is first seen.
//!
//! Everything here runs in signal handlers, so the table has no locks. A frame keeps its code object alive, and that its
//! strings and its line table. What leads to the module's name another thread may change meanwhile: those reads are guarded.

use super::frame_module::module_of_frame;
use super::layout::{Code, Layout};
use super::links::Link;
use super::text::Texts;
use crate::capture::memory::{Guarded, Memory};
use crate::ring::RingWriter;
use crate::sys::{self, Refused};
use crate::wire::{Function, FunctionRecord, LineTableFormat, NO_COUNTER, RingRecord, RingRecordKind};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// The code objects that can have a number at a time; a power of two.
const CAPACITY: usize = 1 << 17;
/// The memory for them, in bytes.
const SIZE: usize = CAPACITY * size_of::<AtomicU64>();
/// How far from its place a code object is looked for.
const MOST_PROBES: usize = 64;
/// In a slot: the code object is described in the ring.
const DESCRIBED: u64 = 1;
/// The number of all code objects for which there was no room.
pub const NO_ROOM: u32 = u32::MAX;

/// The longest line table that is copied, in bytes.
const LONGEST_LINE_TABLE: u64 = 256 << 10;
/// The room for a code object's texts, in bytes.
pub const TEXT_SIZE: usize = 16 << 10;

/// Which code objects have numbers. A slot holds 0, or a number that tells the code object from all others.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    slots: NonNull<AtomicU64>,
}

// SAFETY: the slots are atomic, and stay mapped for good.
unsafe impl Send for Codes {}
// SAFETY: as above.
unsafe impl Sync for Codes {}

impl Codes {
    /// An empty table.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Codes, Refused> {
        Ok(Codes { slots: sys::map_anonymous(SIZE)?.cast() })
    }

    /// Forgets all code objects, as the child of a fork must, whose ring is a new one.
    pub fn clear(&self) {
        // Without a look at what is there: in the child of a fork each page would be a fault.
        // SAFETY: the slots are one mapping of that size, and zeros are what is wanted.
        if unsafe { sys::map_anonymous_over(self.slots.cast(), SIZE) }.is_err() {
            self.slots().iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
        }
    }

    fn slots(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds so many slots, and zeros are a valid value.
        unsafe { core::slice::from_raw_parts(self.slots.as_ptr(), CAPACITY) }
    }

    /// The number of a link's code object, and its slot, made if it has none; `None` when there is no room.
    fn slot_of(&self, link: &Link) -> Option<(u32, &AtomicU64)> {
        let key = key_of(link);
        let start = (key >> 20) as usize;
        (0..MOST_PROBES).find_map(|step| {
            let at = start.wrapping_add(step) & (CAPACITY - 1);
            let slot = self.slots().get(at)?;
            let found = match slot.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => key,
                Err(found) => found,
            };
            (found & !DESCRIBED == key).then_some((at as u32 + 1, slot))
        })
    }

    /// The number of a link's code object, described in the ring if it was not; 0 for a border. `None` when the ring has no
    /// room. `memory` suits the code object: it is read straight where a frame that runs keeps it alive. `describe` is told the
    /// names of the function's module and its own when it is described.
    pub fn number(
        &self,
        link: &Link,
        memory: impl Memory + Copy,
        layout: &Layout,
        ring: &RingWriter,
        scratch: &mut [u8; TEXT_SIZE],
        describe: impl FnOnce(&Link, &[u8], &[u8]),
    ) -> Option<u32> {
        if link.code == 0 {
            return Some(0);
        }
        let Some((number, slot)) = self.slot_of(link) else {
            ring.header().unregistered.fetch_add(1, Ordering::Relaxed);
            return Some(NO_ROOM);
        };
        if slot.load(Ordering::Relaxed) & DESCRIBED == 0 {
            Describe { memory, layout, ring, link }.write(number, scratch, describe)?;
            slot.fetch_or(DESCRIBED, Ordering::Relaxed);
        }
        Some(number)
    }
}

/// Describes a code object in the ring by what is known of it where functions get their stubs: there it has its qualified
/// name, which it does not know itself up to 3.10. Does nothing when it is described already, or when the ring is full.
///
/// The link has the code object only.
pub fn describe_known(codes: &Codes, ring: &RingWriter, link: &Link, function: &Function<'_>) {
    let Some((number, slot)) = codes.slot_of(link) else { return };
    if slot.load(Ordering::Relaxed) & DESCRIBED == 0 && write_function(ring, number, function).is_some() {
        slot.fetch_or(DESCRIBED, Ordering::Relaxed);
    }
}

fn write_function(ring: &RingWriter, number: u32, function: &Function<'_>) -> Option<()> {
    let (lines, format) = match function.line_table.len() as u64 {
        size if size <= LONGEST_LINE_TABLE => (function.line_table, function.line_table_format),
        _ => (&[][..], LineTableFormat::None),
    };
    let texts = [function.module, function.qualname, function.file, lines];
    let size: usize = texts.iter().map(|text| text.len()).sum();
    let size = size.saturating_add(size_of::<RingRecord>() + size_of::<FunctionRecord>()).next_multiple_of(8);
    let mut room = ring.reserve(size)?;
    room.write_value(FunctionRecord {
        stub: number.into(),
        first_line: function.first_line,
        line_table_format: format as u32,
        module_size: function.module.len() as u32,
        qualname_size: function.qualname.len() as u32,
        file_size: function.file.len() as u32,
        line_table_size: lines.len() as u32,
        counter: NO_COUNTER,
        kind: function.kind as u32,
    });
    texts.iter().for_each(|text| room.write(text));
    room.commit(RingRecordKind::Code);
    Some(())
}

/// A number that tells a code object from all others, with a zero where [`DESCRIBED`] is.
pub fn key_of(link: &Link) -> u64 {
    let product = u128::from(link.code ^ 0x9e37_79b9_7f4a_7c15) * u128::from(link.check ^ 0xd6e8_feb8_6659_fd93);
    let key = (product as u64 ^ (product >> 64) as u64) & !DESCRIBED;
    if key == 0 { 2 } else { key }
}

/// Describes one code object.
struct Describe<'a, M> {
    memory: M,
    layout: &'a Layout,
    ring: &'a RingWriter,
    link: &'a Link,
}

impl<M: Memory + Copy> Describe<'_, M> {
    /// Writes the record, and tells `describe` the names; `None` when the ring has no room.
    fn write(
        &self,
        number: u32,
        scratch: &mut [u8; TEXT_SIZE],
        describe: impl FnOnce(&Link, &[u8], &[u8]),
    ) -> Option<()> {
        let Code { filename, name, qualname, first_line, line_table, line_table_format, .. } = self.layout.code;
        let (code, memory) = (self.link.code, self.memory);
        let mut texts = Texts::new(&self.layout.text, scratch);
        // SAFETY: the frame keeps the code object alive, and that its strings and its line table; or reads are guarded.
        let field = |at: u16| unsafe { memory.word(code.wrapping_add(at.into())) }.unwrap_or(0);
        // SAFETY: guarded reads take any address.
        let module = unsafe { module_of_frame(Guarded, self.layout, self.link.address) };
        let module = module.map_or(0, |module| texts.push(&Guarded, module));
        let qualname = texts.push(&memory, field(qualname.unwrap_or(name)));
        let file = texts.push(&memory, field(filename));
        let line_table = field(line_table);
        // SAFETY: as above. PyBytesObject (Include/cpython/bytesobject.h) has its size at 16, and its bytes from 32 on.
        let (first_line, lines) = unsafe {
            let first_line = memory.number(code.wrapping_add(first_line.into())).unwrap_or(0);
            let lines = memory.word(line_table.wrapping_add(16)).filter(|size| *size <= LONGEST_LINE_TABLE);
            (first_line, lines.map(|size| size as usize))
        };
        let format = lines.map_or(LineTableFormat::None, |_| line_table_format);
        let lines = lines.unwrap_or(0);
        let used = texts.size();
        if let Some((module, rest)) = scratch.split_at_checked(module as usize) {
            describe(self.link, module, rest.get(..qualname as usize).unwrap_or_default());
        }
        let size = size_of::<RingRecord>() + size_of::<FunctionRecord>();
        let size = size.saturating_add(used).saturating_add(lines).next_multiple_of(8);
        let mut room = self.ring.reserve(size)?;
        room.write_value(FunctionRecord {
            stub: number.into(),
            first_line: u32::try_from(first_line).unwrap_or(0),
            line_table_format: format as u32,
            module_size: module,
            qualname_size: qualname,
            file_size: file,
            line_table_size: lines as u32,
            counter: NO_COUNTER,
            kind: 0,
        });
        room.write(scratch.get(..used).unwrap_or_default());
        // By the texts' buffer, which has been written out by now.
        let mut from = line_table.wrapping_add(32);
        let mut left = lines;
        while left > 0 {
            let Some(part) = scratch.get_mut(..left.min(TEXT_SIZE)) else { break };
            // SAFETY: as above: the part is within the line table.
            unsafe { memory.fill(from, part) };
            room.write(part);
            from = from.wrapping_add(part.len() as u64);
            left = left.saturating_sub(part.len());
        }
        room.commit(RingRecordKind::Code);
        Some(())
    }
}
