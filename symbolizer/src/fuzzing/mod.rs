//! What the fuzz targets call (`fuzz/`): the real readers, on bytes that a hostile target could have made.
//!
//! Each returns how much it has understood, so that a seed that no longer leads anywhere is noticed.

use crate::counts::Counts;
use crate::file;
use crate::lines;
use crate::merge::symbolize_with;
use crate::native::{Module, demangled};
use crate::profile::{Meta, NativeFrames, Profile};
use crate::registry::Registries;
use crate::view::{By, View, ViewOptions, label_keys};
use pronk_sampler::recording::{Address, MappedFile, PythonCode, Recording};
use pronk_trampolines::wire::{COUNTS_EXTENSION, Head, LineTableFormat, REGISTRY_EXTENSION, Reader, Record};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Where nothing is.
const NOWHERE: &str = "/nonexistent";

/// A registry, of which more is there with each of a few looks: how many functions have names.
pub fn registry(data: &[u8]) -> usize {
    let Ok(reader) = Reader::new(data) else { return 0 };
    let token = reader.token();
    let Ok(session) = tempfile::tempdir() else { return 0 };
    let path = session.path().join(format!("{token}.registry"));
    let mut registries = Registries::default();
    for part in 1..=3 {
        // What cannot be written is not read.
        let _ = fs::write(&path, data.get(..data.len() * part / 3).unwrap_or_default());
        registries.read_on(session.path());
    }
    let stubs = reader.records().map(|Record::Function { stub, .. }| stub);
    let _ = (registries.unregistered(), registries.deep_stops(), registries.refused_elsewhere(&[]));
    stubs.filter(|stub| registries.function(token, Address(*stub)).is_some()).count()
}

/// A file of counts, behind the registry that names its functions, and two bytes with the size of that: how many functions were
/// called.
pub fn counts(data: &[u8]) -> usize {
    let Some((size, data)) = data.split_first_chunk() else { return 0 };
    let Some((registry, counts)) = data.split_at_checked(u16::from_le_bytes(*size).into()) else { return 0 };
    let (Ok(head), Ok(session)) = (Head::read(counts), tempfile::tempdir()) else { return 0 };
    // What cannot be written is not read.
    let _ = fs::write(session.path().join(format!("{}.{COUNTS_EXTENSION}", head.token)), counts);
    if let Ok(reader) = Reader::new(registry) {
        let _ = fs::write(session.path().join(format!("{}.{REGISTRY_EXTENSION}", reader.token())), registry);
    }
    Counts::load(session.path(), &Registries::load(session.path())).calls.len()
}

/// A line table, behind two bytes: its format, and the line that it begins on. How many instructions have lines.
pub fn lines(data: &[u8]) -> usize {
    let Some((&[format, first_line], line_table)) = data.split_first_chunk() else { return 0 };
    let code = PythonCode {
        module: String::new(),
        qualname: String::new(),
        file: String::new(),
        first_line: if first_line == u8::MAX { u32::MAX } else { first_line.into() },
        line_table_format: LineTableFormat::from_raw((format % 4).into()).unwrap_or(LineTableFormat::None),
        line_table: line_table.to_vec(),
    };
    let instructions = (0..256).chain([u32::MAX - 1, u32::MAX]);
    instructions.filter(|instruction| lines::line(&code, Some(*instruction)).is_some()).count()
}

/// An ELF file with all that names are made of: how many places in it have one.
pub fn elf(data: &[u8]) -> usize {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return 0 };
    if file.write_all(data).is_err() {
        return 0;
    }
    let path = file.path().to_owned();
    let mapped = MappedFile { path: path.clone(), found: Some(path), device: 0, inode: 0, build_id: None };
    let mut module = Module::open(&mapped, Path::new(NOWHERE));
    let _ = (module.defines("caller"), module.imports("caller"));
    // The code of small files comes early in them.
    let offsets = (0..2048.min(data.len() as u64)).step_by(4);
    offsets.filter(|offset| module.places(*offset).iter().any(|place| place.named || place.line.is_some())).count()
}

/// A symbol's name: whether it is another one in the source.
pub fn name(data: &[u8]) -> usize {
    let symbol = String::from_utf8_lossy(data);
    usize::from(demangled(&symbol) != symbol)
}

/// The contents of a `.pronk` file, before they are compressed; or the file, if it begins as one does. How many samples the
/// views of it show.
pub fn profile(data: &[u8]) -> usize {
    if let Ok(profile) = file::read(data).or_else(|_| file::read(&file::with_content(data))) {
        look_at(&profile)
    } else {
        0
    }
}

/// A recording that was made of hostile bytes: how many stacks its profile has.
pub fn recording(recording: &Recording) -> usize {
    let profile = symbolize_with(recording, Meta::default(), Path::new(NOWHERE), Path::new(NOWHERE));
    assert_eq!(profile.validate(), Ok(()), "what pronk makes is sound");
    let mut bytes = Vec::new();
    assert!(file::write(&profile, &mut bytes).is_ok());
    let read = file::read(&bytes);
    assert!(read.is_ok_and(|read| read == profile), "what was written comes back");
    look(&profile, &ViewOptions::default());
    profile.stacks.len()
}

/// Looks at a sound profile in all ways.
fn look_at(profile: &Profile) -> usize {
    let mut shown = 0;
    let label = label_keys(profile).first().map(|key| By::Label((*key).to_owned()));
    let by =
        [None, Some(By::Task), Some(By::EachTask), Some(By::TaskGroup), Some(By::Thread), Some(By::Process), label];
    for by in by {
        let only = by.iter().map(|by| format!("{by}=?*")).filter_map(|only| only.parse().ok()).collect();
        for native in [NativeFrames::Python, NativeFrames::All] {
            let lines = native == NativeFrames::All;
            let options = ViewOptions {
                native: Some(native),
                thread: None,
                only: Vec::clone(&only),
                by: by.clone(),
                lines,
                unperturbed: lines,
                compensate: !lines,
            };
            shown += look(profile, &ViewOptions { only: Vec::new(), ..options.clone() }) + look(profile, &options);
        }
    }
    let along = crate::along_awaits(profile);
    assert_eq!(along.validate(), Ok(()), "what pronk makes is sound");
    shown + look(&along, &ViewOptions::default())
}

fn look(profile: &Profile, options: &ViewOptions) -> usize {
    let view = View::new(profile, options);
    let _ = (view.folded(), view.functions(), view.values(), view.knows_lines(), view.sample_count());
    let _ = view.timeline(10, 80);
    for file in view.files() {
        let _ = view.source(file.file);
    }
    view.samples().count()
}

#[cfg(test)]
mod tests;
