//! What the fuzz targets call (`fuzz/`): the real readers, on bytes that a hostile target could have made.
//!
//! Each returns how much it has understood, so that a seed that no longer leads anywhere is noticed.

mod ring;

pub use ring::{moments, records, ring};

use crate::files::{FileId, Files, Mapped};
use crate::mappings::{Image, Mapping, Mappings};
use crate::maps::{self, MapsLine};
use crate::recording::{Address, Code};
use crate::target::files::{LoadedFile, Region};
use crate::unwind::evaluator::Evaluator;
use crate::unwind::modules::Modules;
use crate::unwind::stack::Stack;
use crate::unwind::{Registers, Sampled, unwind};
use pronk_trampolines::wire::{Settings, code_of_mapping};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// No process has this id.
const NOBODY: u32 = u32::MAX;

/// Lines of `/proc/PID/maps`: how many are of mappings.
pub fn maps(data: &[u8]) -> usize {
    let mut mappings = Mappings::default();
    let mut understood = 0;
    for (MapsLine { range, offset, file }, _) in maps::lines(data).filter_map(maps::parse_any) {
        understood += 1;
        let name = file.path.as_os_str().as_bytes();
        let image = match code_of_mapping(name) {
            Some((kind, token)) => Image::Ours(kind, token),
            None => Image::Anonymous(String::from_utf8_lossy(name).into_owned()),
        };
        let is_empty = range.is_empty();
        let (first, last) = (range.start, range.end.wrapping_sub(1));
        mappings.add(Mapping::new(range, offset, image));
        if !is_empty {
            let found = |address| mappings.find(address).map(|mapping| mapping.range.clone());
            assert!(
                found(first).is_some() && found(first) == found(last),
                "what was just mapped is there, in one piece"
            );
        }
        let _ = mappings.is_stub(first);
        let stubs = mappings.around_stubs();
        assert!(stubs.is_empty() || mappings.find(stubs.start).is_some());
    }
    understood
}

/// What a target leaves in its session's directory for who attaches: how much of it is valid.
pub fn control(data: &[u8]) -> usize {
    usize::from(Settings::from_bytes(data).is_some_and(|settings| {
        let _ = settings.arguments().count() + settings.variables().count();
        settings.to_bytes() == data
    })) + crate::attach::fuzzing(data)
}

/// An ELF file that is mapped, and stacks with return addresses into it: how many frames are found.
pub fn module(data: &[u8]) -> usize {
    /// Where the file is mapped, from its beginning on.
    const BASE: u64 = 0x7000_0000_0000;
    const STACK: u64 = 0x7fff_0000_0000;
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return 0 };
    let Ok(metadata) = file.write_all(data).and_then(|()| file.as_file().metadata()) else { return 0 };
    let range = BASE..BASE + (data.len() as u64).max(1).next_multiple_of(4096);
    let id = FileId { path: file.path().to_owned(), major: 0, minor: 0, inode: metadata.ino(), generation: 0 };
    let mut modules = Modules::new();
    let mapped = Mapped { pid: NOBODY, range: range.clone(), offset: 0 };
    let image = Files::default().get(&id, &mapped, &mut modules);
    let mut mappings = Mappings::default();
    mappings.add(Mapping::new(range.clone(), 0, Image::File(image)));

    let mut understood = 0;
    // Rules differ from place to place: walks begin at many, on stacks that lead through all of them.
    let places = (0..64_u64).map(|index| range.start + index.wrapping_mul(0x9e37_79b9) % (range.end - range.start));
    let words: Vec<u64> = places.clone().flat_map(|place| [STACK + place % 512, place]).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (index, pc) in places.enumerate() {
        let sp = STACK + 8 * index as u64;
        let registers = Registers { pc, sp, fp: STACK + ((pc % 1024) & !7) };
        let general = std::array::from_fn(|register| sp.wrapping_add(16 * register as u64));
        let stack = Stack::new(sp, bytes.get(8 * index..).unwrap_or_default(), index % 2 == 0);
        let mut frames = Vec::new();
        let sampled = Sampled { mappings: &mappings, registers, general: &general, stack: &stack };
        unwind(&sampled, &mut modules, &mut frames);
        understood += frames.len() - 1;
        let evaluator = Evaluator::find(Address(pc), &mappings, &mut modules);
        understood += usize::from(evaluator.holds(Code::At(Address(pc))));
    }
    understood + symbols(file.path(), &range)
}

/// Looks up in a file what attaching and dumping do.
fn symbols(path: &Path, range: &std::ops::Range<u64>) -> usize {
    let region = Region { range: range.clone(), executable: true, offset: 0, inode: 1, path: path.to_owned() };
    let file = LoadedFile::new(path.to_owned(), vec![region], [path.to_owned(), path.to_owned()]);
    let symbols = file.symbols(["caller", "outer", "_PyRuntime"]);
    let found = symbols.iter().flatten().count();
    found + file.section(".text").into_iter().count() + file.end_of_code().into_iter().count()
}

#[cfg(test)]
mod tests;
