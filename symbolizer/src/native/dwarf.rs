//! Functions, inlined functions, files and lines by DWARF.

use super::demangle::demangle;
use super::elf::{self, Svma};
use gimli::Reader as _;
use gimli::{AttributeValue, DebugInfoOffset, LittleEndian, SectionId, Unit, UnitHeader, UnitOffset, UnitRef};
use object::ReadCache;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

type Reader = gimli::EndianArcSlice<LittleEndian>;

/// Abstract origins and specifications refer to each other in chains of one to three. A longer chain is a damaged one.
const MAX_CHAIN: usize = 8;

/// How deep entries of a unit may lie in others. Compilers come to some dozens, and addr2line goes down by recursion: each
/// level of functions that are inlined in each other takes some of this process's stack.
const MAX_DEPTH: isize = 1000;

/// How many ranges of addresses the entries of a file may have. The biggest programs have some millions; a small file can have its
/// entries refer to one long list of them, over and over.
const MOST_RANGES: usize = 1 << 24;

/// The sections that functions and lines are in. Others, such as where variables are, can be as large as these.
const NEEDED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// A function at an address, as the debug information has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DwarfFrame {
    /// The function's name; `None` when only the line is known.
    pub name: Option<String>,
    /// Where the function is declared.
    pub declared: Declaration,
    /// The line that the address is at, or that the inlined function was called from.
    pub line: Option<u32>,
}

/// Where a function is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// The file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
}

/// The debug information of one binary.
pub struct Dwarf {
    context: addr2line::Context<Reader>,
    /// Where each unit begins in `.debug_info`, to find the one that a reference between units leads to.
    headers: Vec<(usize, UnitHeader<Reader>)>,
    units: RefCell<HashMap<usize, Option<Rc<Unit<Reader>>>>>,
    declarations: RefCell<HashMap<DebugInfoOffset, Declaration>>,
    sections: Arc<gimli::Dwarf<Reader>>,
}

impl Dwarf {
    /// Reads the debug sections of a file, and those that it shares with other files.
    pub fn load(file: &File, shared: Option<&File>) -> Option<Dwarf> {
        let mut sections = sections(file)?;
        if let Some(shared) = shared.and_then(self::sections) {
            sections.set_sup(shared);
        }
        let sections = Arc::new(sections);
        let mut headers = Vec::new();
        let mut units = sections.units();
        let mut ranges_left = MOST_RANGES;
        while let Ok(Some(header)) = units.next() {
            check(&header, &sections, &mut ranges_left)?;
            if let Some(DebugInfoOffset(offset)) = header.debug_info_offset() {
                headers.push((offset, header));
            }
        }
        let context = addr2line::Context::from_arc_dwarf(sections.clone()).ok()?;
        Some(Dwarf { context, headers, units: RefCell::default(), declarations: RefCell::default(), sections })
    }

    /// The functions at an address: the innermost inlined one first, the function itself last. Empty when nothing is
    /// known.
    pub fn frames(&self, Svma(address): Svma) -> Vec<DwarfFrame> {
        let mut frames = Vec::new();
        let Ok(mut found) = self.context.find_frames(address).skip_all_loads() else { return frames };
        let unit = self.context.find_dwarf_and_unit(address).skip_all_loads();
        // What cannot be read ends the list.
        while let Ok(Some(frame)) = found.next() {
            let name = frame.function.as_ref().and_then(|function| {
                let raw = function.raw_name().ok().filter(|raw| !raw.is_empty())?;
                Some(demangle(&raw, function.language))
            });
            let location = frame.location.as_ref();
            let mut declared = match (&unit, frame.dw_die_offset) {
                (Some(unit), Some(offset)) => self.declaration(unit, offset),
                _ => Declaration::default(),
            };
            if declared.file.is_none() {
                declared.file = location.and_then(|location| location.file).map(str::to_owned);
            }
            let line = location.and_then(|location| location.line).filter(|&line| line != 0);
            frames.push(DwarfFrame { name, declared, line });
        }
        frames
    }

    fn declaration(&self, unit: &UnitRef<Reader>, offset: UnitOffset) -> Declaration {
        let Some(key) = offset.to_debug_info_offset(&unit.header) else { return Declaration::default() };
        if let Some(known) = self.declarations.borrow().get(&key) {
            return known.clone();
        }
        let declaration = self.follow(unit, offset, MAX_CHAIN);
        self.declarations.borrow_mut().insert(key, declaration.clone());
        declaration
    }

    /// Reads the declaration at an entry, or at the one that it refers to.
    fn follow(&self, unit: &UnitRef<Reader>, offset: UnitOffset, chain: usize) -> Declaration {
        let Ok(entry) = unit.entry(offset) else { return Declaration::default() };
        let file = match entry.attr_value(gimli::DW_AT_decl_file) {
            Some(AttributeValue::FileIndex(index)) => file_path(unit, index),
            Some(value) => value.udata_value().and_then(|index| file_path(unit, index)),
            None => None,
        };
        let line = entry.attr_value(gimli::DW_AT_decl_line).and_then(|value| value.udata_value());
        let here = Declaration { file, line: line.and_then(|line| u32::try_from(line).ok()).filter(|&line| line != 0) };
        if here.line.is_some() || chain == 0 {
            return here;
        }
        let refers = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
        match refers.into_iter().find_map(|attribute| entry.attr_value(attribute)) {
            Some(AttributeValue::UnitRef(offset)) => self.follow(unit, offset, chain - 1),
            Some(AttributeValue::DebugInfoRef(offset)) => self.follow_to_unit(offset, chain - 1).unwrap_or(here),
            _ => here,
        }
    }

    fn follow_to_unit(&self, offset: DebugInfoOffset, chain: usize) -> Option<Declaration> {
        let at = self.headers.partition_point(|(start, _)| *start <= offset.0).checked_sub(1)?;
        let (start, header) = self.headers.get(at)?;
        let parse = || self.sections.unit(header.clone()).ok().map(Rc::new);
        let unit = self.units.borrow_mut().entry(*start).or_insert_with(parse).clone()?;
        let offset = offset.to_unit_offset(&unit.header)?;
        Some(self.follow(&unit.unit_ref(&self.sections), offset, chain))
    }
}

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dwarf").field("units", &self.headers.len()).finish_non_exhaustive()
    }
}

fn sections(file: &File) -> Option<gimli::Dwarf<Reader>> {
    let cache = ReadCache::new(file);
    let elf = elf::parse(&cache)?;
    let load = |id: SectionId| -> Result<Reader, gimli::Error> {
        let contents = if NEEDED.contains(&id) { elf::section(&elf, id.name()) } else { Cow::default() };
        Ok(Reader::new(contents.as_ref().into(), LittleEndian))
    };
    gimli::Dwarf::load(load).ok()
}

/// Whether reading a unit takes no more memory than it should, as far as it can be read. `None` if it does.
fn check(header: &UnitHeader<Reader>, sections: &gimli::Dwarf<Reader>, ranges_left: &mut usize) -> Option<()> {
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
                *ranges_left = ranges_left.checked_sub(1)?;
            }
        }
    }
    Some(())
}

/// The path of a file in a unit's line table (DWARF 5 section 6.2.4): its name in its directory in the unit's directory.
fn file_path(unit: &UnitRef<Reader>, index: u64) -> Option<String> {
    let header = unit.line_program.as_ref()?.header();
    let file = header.file(index)?;
    let text = |value| Some(unit.attr_string(value).ok()?.to_string_lossy().ok()?.into_owned());
    let unit_directory = match &unit.comp_dir {
        Some(directory) => PathBuf::from(directory.to_string_lossy().ok()?.as_ref()),
        None => PathBuf::new(),
    };
    let mut path = unit_directory.clone();
    // Directory 0 is the unit's own.
    if file.directory_index() != 0
        && let Some(directory) = file.directory(header)
        && let directory = PathBuf::from(text(directory)?)
        && directory != unit_directory
    {
        path.push(directory);
    }
    path.push(text(file.path_name())?);
    // Without the `.` that build systems leave in paths. A `..` stays: it may follow a symbolic link.
    Some(path.components().collect::<PathBuf>().to_string_lossy().into_owned())
}
