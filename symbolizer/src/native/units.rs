//! The units of a file's debug information: where they lie, and whether reading one takes no more memory than it should.
//!
//! Who has written the file may mean harm. addr2line reads what is in a unit when an address in one of its ranges is first looked up,
//! so that is when the unit is looked through before. Its ranges are taken from the same attributes as there, and a unit without any
//! is looked through at once: addr2line finds those by their lines.

use super::dwarf::{Reader, Sections};
use gimli::{AttributeValue, DebugInfoOffset, Range, Unit, UnitHeader};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// How deep entries of a unit may lie in others. Compilers come to some dozens, and addr2line goes down by recursion: each
/// level of functions that are inlined in each other takes some of this process's stack.
const MAX_DEPTH: isize = 1000;

/// How many ranges of addresses the entries of a file may have. The biggest programs have some millions; a small file can have its
/// entries refer to one long list of them, over and over.
const MOST_RANGES: usize = 1 << 24;

/// The units of `.debug_info`.
pub(super) struct Units {
    /// Where each begins, in this order.
    headers: Vec<(usize, UnitHeader<Reader>)>,
    /// The addresses of units, and which unit it is; by where they begin.
    ranges: Vec<(Range, usize)>,
    /// The highest end of each range and all before it.
    furthest: Vec<u64>,
    /// Whether those that were looked through may be read.
    sound: RefCell<HashMap<usize, bool>>,
    ranges_left: Cell<usize>,
}

impl Units {
    /// Finds out where the units lie. `None` when they take too much memory.
    pub(super) fn read(sections: &Sections) -> Option<Units> {
        let mut units = Units {
            headers: Vec::new(),
            ranges: Vec::new(),
            furthest: Vec::new(),
            sound: RefCell::default(),
            ranges_left: Cell::new(MOST_RANGES),
        };
        let mut headers = sections.units();
        while let Ok(Some(header)) = headers.next() {
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else { continue };
            let index = units.headers.len();
            let are_known = units.add_ranges(index, &header, sections).unwrap_or(false);
            units.headers.push((offset, header));
            if units.ranges_left.get() == 0 || !are_known && !units.is_sound(index, sections) {
                return None;
            }
        }
        units.ranges.sort_unstable_by_key(|(range, _)| range.begin);
        let ends = units.ranges.iter().scan(0, |furthest, (range, _)| {
            *furthest = range.end.max(*furthest);
            Some(*furthest)
        });
        units.furthest = ends.collect();
        Some(units)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether the units that an address is in may be read.
    pub(super) fn may_be_read(&self, address: u64, sections: &Sections) -> bool {
        let behind = self.ranges.partition_point(|(range, _)| range.begin <= address);
        let before = self.ranges.iter().zip(&self.furthest).take(behind).rev();
        let mut near = before.take_while(|(_, furthest)| **furthest > address);
        near.all(|((range, unit), _)| range.end <= address || self.is_sound(*unit, sections))
    }

    /// The unit that an offset in `.debug_info` is in.
    pub(super) fn at(&self, DebugInfoOffset(offset): DebugInfoOffset) -> Option<&(usize, UnitHeader<Reader>)> {
        self.headers.get(self.headers.partition_point(|(start, _)| *start <= offset).checked_sub(1)?)
    }

    /// Takes the addresses of a unit from its root, as far as there may be more. Whether it has any.
    fn add_ranges(&mut self, index: usize, header: &UnitHeader<Reader>, sections: &Sections) -> gimli::Result<bool> {
        let before = self.ranges.len();
        let unit = sections.unit(header.clone())?;
        let mut entries = unit.entries_raw(None)?;
        let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(false) };
        let (mut low, mut high, mut size, mut list) = (None, None, None, None);
        for attribute in abbreviation.attributes() {
            let attribute = entries.read_attribute(*attribute)?;
            // The last one counts of those that can be read.
            match (attribute.name(), attribute.value()) {
                (gimli::DW_AT_low_pc, value) => low = address(value, &unit, sections)?.or(low),
                (gimli::DW_AT_high_pc, AttributeValue::Udata(value)) => size = Some(value),
                (gimli::DW_AT_high_pc, value) => high = address(value, &unit, sections)?.or(high),
                (gimli::DW_AT_ranges, value) => list = sections.attr_ranges_offset(&unit, value)?,
                _ => {}
            }
        }
        match (list, low, high, size) {
            (Some(list), ..) => {
                let mut ranges = sections.ranges(&unit, list)?;
                while let Some(range) = ranges.next()?.filter(|_| self.ranges_left.get() > 0) {
                    self.add(range, index);
                }
            }
            (None, Some(begin), Some(end), _) => self.add(Range { begin, end }, index),
            (None, Some(begin), None, Some(size)) => self.add(Range { begin, end: begin.wrapping_add(size) }, index),
            _ => {}
        }
        Ok(self.ranges.len() > before)
    }

    fn add(&mut self, range: Range, index: usize) {
        self.ranges_left.set(self.ranges_left.get().saturating_sub(1));
        if range.begin < range.end {
            self.ranges.push((range, index));
        }
    }

    /// Whether a unit may be read; it is looked through if it was not yet.
    fn is_sound(&self, index: usize, sections: &Sections) -> bool {
        let Some((_, header)) = self.headers.get(index) else { return false };
        *self.sound.borrow_mut().entry(index).or_insert_with(|| self.look_through(header, sections).is_some())
    }

    /// Whether reading a unit takes no more memory than it should, as far as it can be read. `None` if it does.
    fn look_through(&self, header: &UnitHeader<Reader>, sections: &Sections) -> Option<()> {
        let Ok(unit) = sections.unit(header.clone()) else { return Some(()) };
        let Ok(mut entries) = unit.entries_raw(None) else { return Some(()) };
        while !entries.is_empty() {
            if entries.next_depth() > MAX_DEPTH {
                return None;
            }
            let abbreviation = match entries.read_abbreviation() {
                Ok(Some(abbreviation)) => abbreviation,
                Ok(None) => continue,
                Err(_) => return Some(()),
            };
            let attributes = abbreviation.attributes();
            if attributes.iter().all(|attribute| attribute.name() != gimli::DW_AT_ranges) {
                if entries.skip_attributes(attributes).is_err() {
                    return Some(());
                }
                continue;
            }
            for attribute in attributes {
                let Ok(attribute) = entries.read_attribute(*attribute) else { return Some(()) };
                if attribute.name() != gimli::DW_AT_ranges {
                    continue;
                }
                let Ok(Some(mut ranges)) = sections.attr_ranges(&unit, attribute.value()) else { continue };
                while let Ok(Some(_)) = ranges.next() {
                    self.ranges_left.set(self.ranges_left.get().checked_sub(1)?);
                }
            }
        }
        Some(())
    }
}

/// An attribute's value as an address, if it is one.
fn address(value: AttributeValue<Reader>, unit: &Unit<Reader>, sections: &Sections) -> gimli::Result<Option<u64>> {
    match value {
        AttributeValue::Addr(address) => Ok(Some(address)),
        AttributeValue::DebugAddrIndex(index) => sections.address(unit, index).map(Some),
        _ => Ok(None),
    }
}
