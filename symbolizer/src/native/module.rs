//! One binary: from an offset in its file to the functions that are there.

use super::debug_files::{self, DebugFile};
use super::demangle::demangle;
use super::dwarf::Dwarf;
use super::elf::{self, Image};
use super::symbols::SymbolTable;
use super::vdso;
use object::ReadCache;
use pronk_sampler::open_regular;
use pronk_sampler::recording::MappedFile;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A function that is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function's name, or `binary+0x1234` where nothing is known.
    pub name: String,
    /// The source file that the function is in.
    pub file: Option<String>,
    /// The line on which the function begins.
    pub first_line: Option<u32>,
    /// The line that is being executed.
    pub line: Option<u32>,
    /// Whether the name is the function's own.
    pub named: bool,
}

/// A binary, with its names. What could not be read has none.
#[derive(Debug)]
pub struct Module {
    /// The binary's name: the last part of its path.
    pub name: String,
    image: Option<Image>,
    debug_symbols: SymbolTable,
    dwarf: Option<Dwarf>,
    places: HashMap<u64, Rc<[Place]>>,
}

impl Module {
    /// Opens the binary behind a mapping, if it is still the one that was mapped, and its debug file. `root` is the
    /// directory of debug files, normally [`super::DEBUG_ROOT`].
    pub fn open(mapped: &MappedFile, root: &Path) -> Module {
        let name = mapped.path.file_name().unwrap_or(mapped.path.as_os_str()).to_string_lossy().into_owned();
        let mut module = Module::without_names(name.strip_suffix(" (deleted)").unwrap_or(&name));
        let Some((file, path, image)) = mapped.found.as_ref().and_then(|path| open_mapped(mapped, path)) else {
            return module;
        };
        // Where the profiler found the file, and where the process knows it, such as in a container.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let directories: Vec<&Path> =
            [&path, &real, &mapped.path].into_iter().filter_map(|path| path.parent()).collect();
        let debug = if image.has_dwarf { None } else { debug_files::of_binary(root, &image, &directories) };
        module.dwarf = match &debug {
            Some(debug) => load_dwarf(root, &debug.file, &debug.image, &debug.path),
            None if image.has_dwarf => load_dwarf(root, &file, &image, &path),
            None => None,
        };
        module.debug_symbols = debug.map(|DebugFile { image, .. }| image.symbols).unwrap_or_default();
        module.image = Some(image);
        module
    }

    /// The kernel's code in every process.
    pub fn vdso() -> Module {
        let image = vdso::image().and_then(|bytes| elf::read(bytes.as_slice()));
        Module { image, ..Module::without_names("[vdso]") }
    }

    /// Code of which nothing is known but where it is.
    pub fn without_names(name: &str) -> Module {
        Module {
            name: name.to_owned(),
            image: None,
            debug_symbols: SymbolTable::default(),
            dwarf: None,
            places: HashMap::new(),
        }
    }

    /// Whether the binary defines a function of this name.
    pub fn defines(&self, function: &str) -> bool {
        self.image.as_ref().is_some_and(|image| image.symbols.defines(function))
    }

    /// Whether the binary takes this name from another one.
    pub fn imports(&self, name: &str) -> bool {
        self.image.as_ref().is_some_and(|image| image.symbols.imports(name))
    }

    /// The functions at an offset in the file: the innermost inlined one first, the function itself last. Never empty.
    pub fn places(&mut self, file_offset: u64) -> Rc<[Place]> {
        if let Some(known) = self.places.get(&file_offset) {
            return known.clone();
        }
        let places: Rc<[Place]> = self.find(file_offset).into();
        self.places.insert(file_offset, places.clone());
        places
    }

    fn find(&self, file_offset: u64) -> Vec<Place> {
        let unnamed = |offset: u64| Place {
            name: format!("{}+{offset:#x}", self.name),
            file: None,
            first_line: None,
            line: None,
            named: false,
        };
        let Some(image) = &self.image else { return vec![unnamed(file_offset)] };
        let Some(svma) = image.svma_of(file_offset) else { return vec![unnamed(file_offset)] };
        let symbol = self.debug_symbols.find(svma).or_else(|| image.symbols.find(svma));
        let function = match symbol {
            Some(name) => {
                Place { name: demangle(&String::from_utf8_lossy(name), None), named: true, ..unnamed(svma.0) }
            }
            // A function that has no name still is one function, wherever it was sampled.
            None => unnamed(image.function_start(svma).unwrap_or(svma).0),
        };
        let frames = self.dwarf.as_ref().map(|dwarf| dwarf.frames(svma)).unwrap_or_default();
        if frames.is_empty() {
            return vec![function];
        }
        let outermost = frames.len() - 1;
        let places = frames.into_iter().enumerate().map(|(at, frame)| {
            let (name, named) = match frame.name {
                // Debug information that has lines only leaves out where a function belongs. Its symbol does not.
                Some(name) if at == outermost && function.name.ends_with(&format!("::{name}")) => {
                    (function.name.clone(), true)
                }
                Some(name) => (name, true),
                None => (function.name.clone(), function.named),
            };
            Place { name, named, file: frame.declared.file, first_line: frame.declared.line, line: frame.line }
        });
        places.collect()
    }
}

/// Opens a file if it still is the one that was mapped: of the same device, inode and build id, as far as they are known.
fn open_mapped(mapped: &MappedFile, path: &Path) -> Option<(File, PathBuf, Image)> {
    let (file, metadata) = open_regular(path).ok()?;
    let image = elf::read(&ReadCache::new(&file))?;
    let same_contents = match (&mapped.build_id, &image.build_id) {
        (Some(then), Some(now)) => then == now,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let known = mapped.inode != 0;
    let same_file = !known || (metadata.ino() == mapped.inode && metadata.dev() == mapped.device);
    (same_contents && same_file).then(|| (file, path.to_owned(), image))
}

fn load_dwarf(root: &Path, file: &File, image: &Image, path: &Path) -> Option<Dwarf> {
    if !image.has_dwarf {
        return None;
    }
    let shared = debug_files::shared(root, image, path);
    Dwarf::load(file, shared.as_ref().map(|shared| &shared.file))
}
