//! The ELF files that a process has mapped, and the symbols that they export.

use super::Target;
use crate::files::open_regular;
use crate::maps::{self, MapsLine};
use object::elf::{EM_AARCH64, EM_X86_64, PF_X, PT_LOAD, ProgramHeader64, SHN_UNDEF, STT_FUNC, STT_OBJECT};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, ReadCache, SymbolFlags, SymbolSection};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a process has mapped, whether it is executable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) range: Range<u64>,
    pub(crate) executable: bool,
    pub(crate) offset: u64,
    /// 0 where there is no file.
    pub(crate) inode: u64,
    /// As the process sees it.
    pub(crate) path: PathBuf,
}

/// All that a process has mapped, by rising addresses; empty once it has ended.
pub(crate) fn regions(target: &Target) -> Vec<Region> {
    let text = std::fs::read(target.directory().join("maps")).unwrap_or_default();
    let region = |(MapsLine { range, offset, file }, executable)| Region {
        range,
        executable,
        offset,
        inode: file.inode,
        path: file.path,
    };
    maps::lines(&text).filter_map(maps::parse_any).map(region).collect()
}

/// A file that a process runs code of.
#[derive(Debug)]
pub(crate) struct LoadedFile {
    /// As the process sees it.
    pub(crate) path: PathBuf,
    /// Its executable regions.
    pub(crate) code: Vec<Region>,
    /// Where it is opened: a link that leads to the very file, whatever its path leads to by now
    /// (proc_pid_map_files(5)), or else the path within the process's root.
    places: [PathBuf; 2],
}

/// A symbol that a file exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Its address in the process.
    pub(crate) address: u64,
    /// Its size in bytes; 0 where it is not stated.
    pub(crate) size: u64,
}

/// The files that a process runs code of, each once.
pub(crate) fn loaded_files(target: &Target) -> Vec<LoadedFile> {
    let mut files: BTreeMap<(u64, PathBuf), LoadedFile> = BTreeMap::new();
    for region in regions(target).into_iter().filter(|region| region.executable && region.inode != 0) {
        let Ok(inside) = region.path.strip_prefix("/") else { continue };
        let Range { start, end } = region.range;
        let places = [
            target.directory().join("map_files").join(format!("{start:x}-{end:x}")),
            target.directory().join("root").join(inside),
        ];
        let path = region.path.clone();
        let file = files.entry((region.inode, path.clone()));
        file.or_insert_with(|| LoadedFile { path, code: Vec::new(), places }).code.push(region);
    }
    files.into_values().collect()
}

impl LoadedFile {
    /// A file with its executable regions, and where it is opened.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new(path: PathBuf, code: Vec<Region>, places: [PathBuf; 2]) -> LoadedFile {
        LoadedFile { path, code, places }
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether it is the C library musl, by its name: one file, which is the dynamic linker as well. Alpine has it as
    /// `ld-musl-x86_64.so.1`, and Debian as `libc.so`; glibc's has a version behind that.
    pub(crate) fn is_musl(&self) -> bool {
        self.name().starts_with("ld-musl") || self.name() == "libc.so"
    }

    /// The same, but for the file itself, which is at another path.
    pub(crate) fn at(&self, path: &Path) -> LoadedFile {
        LoadedFile { path: self.path.clone(), code: self.code.clone(), places: [path.to_owned(), path.to_owned()] }
    }

    /// The address behind the last of its code; what follows in the same page is padding.
    pub(crate) fn end_of_code(&self) -> Option<u64> {
        let data = ReadCache::new(self.open()?);
        let elf = ElfFile64::<LittleEndian, _>::parse(&data).ok()?;
        let bias = self.bias(&elf)?;
        let code = elf
            .elf_program_headers()
            .iter()
            .filter(|segment| segment.p_type(LittleEndian) == PT_LOAD && segment.p_flags(LittleEndian) & PF_X != 0);
        let end = |segment: &ProgramHeader64<LittleEndian>| {
            segment.p_vaddr(LittleEndian).checked_add(segment.p_memsz(LittleEndian))
        };
        code.filter_map(end).max().map(|end| end.wrapping_add(bias))
    }

    /// Opens the file.
    pub(crate) fn open(&self) -> Option<File> {
        self.places.iter().find_map(|place| open_regular(place).ok()).map(|(file, _)| file)
    }

    /// Looks up symbols that the file defines; `None` for each that it does not, and for all if it is not a 64-bit ELF
    /// file.
    pub(crate) fn symbols<const N: usize>(&self, names: [&str; N]) -> [Option<Symbol>; N] {
        let mut found = [None; N];
        let Some(file) = self.open() else { return found };
        let data = ReadCache::new(file);
        let Ok(elf) = ElfFile64::<LittleEndian, _>::parse(&data) else { return found };
        let Some(bias) = self.bias(&elf) else { return found };
        for symbol in elf.dynamic_symbols() {
            let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { continue };
            let is_defined =
                symbol.elf_symbol().st_shndx(LittleEndian) != SHN_UNDEF && symbol.section() != SymbolSection::Undefined;
            if !is_defined || !matches!(st_info & 0xf, STT_FUNC | STT_OBJECT) {
                continue;
            }
            let Ok(name) = symbol.name() else { continue };
            if let Some(place) = names.iter().position(|wanted| *wanted == name) {
                found[place] = Some(Symbol { address: symbol.address().wrapping_add(bias), size: symbol.size() });
            }
        }
        found
    }

    /// The address of a section in the process.
    pub(crate) fn section(&self, name: &str) -> Option<u64> {
        let data = ReadCache::new(self.open()?);
        let elf = ElfFile64::<LittleEndian, _>::parse(&data).ok()?;
        let bias = self.bias(&elf)?;
        let section = elf.section_by_name(name).filter(|section| section.address() != 0)?;
        Some(section.address().wrapping_add(bias))
    }

    /// What is to be added to an address that the file states.
    fn bias<'data>(&self, elf: &ElfFile64<'data, LittleEndian, &'data ReadCache<File>>) -> Option<u64> {
        let is_ours = [EM_X86_64, EM_AARCH64].contains(&elf.elf_header().e_machine(LittleEndian));
        let region = self.code.first().filter(|_| is_ours)?;
        let segment = elf.elf_program_headers().iter().find(|segment| {
            let (offset, size) = (segment.p_offset(LittleEndian), segment.p_filesz(LittleEndian));
            let first_page = offset & !0xfff;
            let is_code = segment.p_type(LittleEndian) == PT_LOAD && segment.p_flags(LittleEndian) & PF_X != 0;
            is_code && (first_page..offset.saturating_add(size)).contains(&region.offset)
        })?;
        let from_offset = region.offset.wrapping_sub(segment.p_offset(LittleEndian));
        Some(region.range.start.wrapping_sub(segment.p_vaddr(LittleEndian).wrapping_add(from_offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn symbols_have_their_addresses_in_the_process() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let target = Target::open(child.id()).unwrap();
        // The dynamic linker maps the C library in a moment.
        let libc = loop {
            let files = loaded_files(&target);
            if let Some(libc) = files.into_iter().find(|file| file.name().starts_with("libc.so")) {
                break libc;
            }
            std::thread::yield_now();
        };
        let [open, none] = libc.symbols(["dlopen", "no_such_symbol"]);
        let open = open.unwrap();
        assert!(libc.code.iter().any(|region| region.range.contains(&open.address)), "{open:?}");
        assert!(open.size > 0 && none.is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
