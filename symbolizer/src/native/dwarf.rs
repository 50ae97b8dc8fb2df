//! Functions, inlined functions, files and lines by DWARF.

use super::demangle::demangle;
use super::elf::{self, Svma};
use super::units::Units;
use gimli::Reader as _;
use gimli::{AttributeValue, DebugInfoOffset, LittleEndian, SectionId, Unit, UnitOffset, UnitRef};
use object::{Object, ReadCache};
use pronk_sampler::shared_section;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

pub(super) type Reader = gimli::EndianArcSlice<LittleEndian>;
pub(super) type Sections = gimli::Dwarf<Reader>;

/// Abstract origins and specifications refer to each other in chains of one to three. A longer chain is a damaged one.
const MAX_CHAIN: usize = 8;

/// The sections that functions and lines are in. Others, such as where variables are, can be as large as these.
/// `.debug_aranges` is left out on purpose: so it is the units' own entries alone that say where units lie.
const NEEDED: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
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
    units: Units,
    /// Those to which references between units lead, by where they begin.
    parsed: RefCell<HashMap<usize, Option<Rc<Unit<Reader>>>>>,
    declarations: RefCell<HashMap<DebugInfoOffset, Declaration>>,
    sections: Arc<Sections>,
}

impl Dwarf {
    /// Reads the debug sections of a file, and those that it shares with other files.
    pub fn load(file: &File, shared: Option<&File>) -> Option<Dwarf> {
        let mut sections = sections(file)?;
        if let Some(shared) = shared.and_then(self::sections) {
            sections.set_sup(shared);
        }
        // Both who looks through units and who reads them need these.
        sections.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::All);
        let sections = Arc::new(sections);
        let units = Units::read(&sections)?;
        let context = addr2line::Context::from_arc_dwarf(sections.clone()).ok()?;
        Some(Dwarf { context, units, parsed: RefCell::default(), declarations: RefCell::default(), sections })
    }

    /// The functions at an address: the innermost inlined one first, the function itself last. Empty when nothing is
    /// known.
    pub fn frames(&self, Svma(address): Svma) -> Vec<DwarfFrame> {
        let mut frames = Vec::new();
        if !self.units.may_be_read(address, &self.sections) {
            return frames;
        }
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
        let (start, header) = self.units.at(offset)?;
        let parse = || self.sections.unit(header.clone()).ok().map(Rc::new);
        let unit = self.parsed.borrow_mut().entry(*start).or_insert_with(parse).clone()?;
        let offset = offset.to_unit_offset(&unit.header)?;
        Some(self.follow(&unit.unit_ref(&self.sections), offset, chain))
    }
}

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dwarf").field("units", &self.units.len()).finish_non_exhaustive()
    }
}

fn sections(file: &File) -> Option<Sections> {
    let cache = ReadCache::new(file);
    let elf = elf::parse(&cache)?;
    let load = |id: SectionId| -> Result<Reader, gimli::Error> {
        let section = elf.section_by_name(id.name()).filter(|_| NEEDED.contains(&id));
        let contents = section.and_then(|section| shared_section(&section, file));
        Ok(Reader::new(contents.unwrap_or_default(), LittleEndian))
    };
    gimli::Dwarf::load(load).ok()
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
