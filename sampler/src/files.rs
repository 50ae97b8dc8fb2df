//! Finds the files that processes map.

use crate::unwind::modules::{LazyModule, Modules};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the kernel says of a mapped file (`PERF_RECORD_MMAP2`, perf_event_open(2)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// The path as the process sees it.
    pub(crate) path: PathBuf,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) inode: u64,
    /// Tells apart files that had the same inode one after the other.
    pub(crate) generation: u64,
}

/// A file that is mapped somewhere.
#[derive(Debug)]
pub(crate) struct MappedImage {
    /// The path as the process sees it.
    pub(crate) path: PathBuf,
    /// Where the profiler found the same file.
    pub(crate) found: Option<PathBuf>,
    /// As `stat` says where it was found, else as the kernel said.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) module: LazyModule,
}

impl MappedImage {
    /// Opens the file, if it is still the same.
    pub(crate) fn open(&self) -> Option<File> {
        let path = self.found.as_ref()?;
        let (file, metadata) = open_regular(path).ok()?;
        (metadata.dev() == self.device && metadata.ino() == self.inode).then_some(file)
    }
}

/// A mapping of a file in a process, which may have ended meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) pid: u32,
    pub(crate) range: Range<u64>,
    pub(crate) offset: u64,
}

/// All files that were mapped, each once.
#[derive(Debug, Default)]
pub(crate) struct Files {
    known: HashMap<FileId, Rc<MappedImage>>,
}

const DELETED: &str = " (deleted)";

impl Files {
    /// The file that a process mapped.
    pub(crate) fn get(&mut self, id: &FileId, mapped: &Mapped, modules: &mut Modules) -> Rc<MappedImage> {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        let image = Rc::new(find(id, mapped, modules));
        self.known.insert(id.clone(), image.clone());
        image
    }
}

fn find(id: &FileId, mapped: &Mapped, modules: &mut Modules) -> MappedImage {
    let text = id.path.to_str();
    let deleted = text.and_then(|path| path.strip_suffix(DELETED));
    // First where it still is when the process has ended. A process in another mount namespace sees other files.
    let mut places = vec![id.path.clone()];
    if let Ok(inside) = id.path.strip_prefix("/") {
        places.push(Path::new(&format!("/proc/{}/root", mapped.pid)).join(inside));
    }
    for place in places {
        if let Some((_, metadata)) = open_regular(&place).ok().filter(|(file, found)| is_same(id, mapped, file, found))
        {
            return MappedImage {
                path: id.path.clone(),
                found: Some(place),
                device: metadata.dev(),
                inode: metadata.ino(),
                module: LazyModule::new(),
            };
        }
    }
    let image = MappedImage {
        path: deleted.map_or_else(|| id.path.clone(), PathBuf::from),
        found: None,
        device: libc::makedev(id.major, id.minor),
        inode: id.inode,
        module: LazyModule::new(),
    };
    // The kernel keeps what is mapped, under a name that only lasts as long as the mapping: it is now or never.
    let Range { start, end } = mapped.range;
    let link = format!("/proc/{}/map_files/{start:x}-{end:x}", mapped.pid);
    let module = open_regular(Path::new(&link)).ok().and_then(|(file, _)| modules.load(file));
    image.module.get_or_init(|| module);
    image
}

/// Whether a file is the one that is mapped.
fn is_same(id: &FileId, mapped: &Mapped, file: &File, metadata: &Metadata) -> bool {
    if metadata.ino() == id.inode {
        // Overlayfs and btrfs show another device here than the mapping has: path and inode then have to do.
        return true;
    }
    // Overlayfs may also show another inode (Documentation/filesystems/overlayfs.rst, "Inode properties"). Then the
    // code itself tells, while the process is there to be looked at.
    has_same_code(mapped, file).unwrap_or(false)
}

/// Whether the first page of a mapping has the file's bytes.
fn has_same_code(mapped: &Mapped, file: &File) -> Option<bool> {
    const SIZE: usize = 4096;
    let memory = File::open(format!("/proc/{}/mem", mapped.pid)).ok()?;
    let (mut in_memory, mut in_file) = ([0; SIZE], [0; SIZE]);
    memory.read_exact_at(&mut in_memory, mapped.range.start).ok()?;
    let mut filled = 0;
    while filled < SIZE {
        match file.read_at(&mut in_file[filled..], mapped.offset.checked_add(filled as u64)?).ok()? {
            0 => break,
            read => filled += read,
        }
    }
    // The kernel fills the last page of a file with zeros.
    Some(filled > 0 && in_memory == in_file)
}

/// Opens a regular file, and nothing else: a fifo or a device would block, or do something. It is for files in places where the
/// program that is profiled can put something else.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::Error::other("it is not a regular file")),
    };
    regular(std::fs::metadata(path)?)?;
    // Something else may have taken its place: opening that does not block (open(2), O_NONBLOCK; fifo(7)).
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = regular(file.metadata()?)?;
    Ok((file, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(path: &Path) -> FileId {
        let metadata = std::fs::metadata(path).unwrap();
        let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
        FileId { path: path.to_owned(), major, minor, inode: metadata.ino(), generation: 0 }
    }

    /// A mapping of a process that is not there.
    fn nowhere() -> Mapped {
        Mapped { pid: 0, range: 0x1000..0x2000, offset: 0 }
    }

    #[test]
    fn a_file_is_found_under_its_path_and_only_while_it_is_the_same() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lib.so");
        std::fs::copy("/proc/self/exe", &path).unwrap();
        let mut modules = Modules::new();
        let found = Files::default().get(&id_of(&path), &nowhere(), &mut modules);
        assert_eq!(found.found.as_deref(), Some(&*path));
        assert!(found.open().is_some());
        // Another file takes its place.
        std::fs::write(place.path().join("new"), b"new").unwrap();
        std::fs::rename(place.path().join("new"), &path).unwrap();
        assert!(found.open().is_none());
        assert!(found.module(&mut modules).is_none());
    }

    #[test]
    fn a_file_that_was_replaced_or_deleted_is_not_found() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lib.so");
        std::fs::write(&path, b"old").unwrap();
        let id = FileId { inode: u64::MAX, ..id_of(&path) };
        let mut modules = Modules::new();
        assert_eq!(Files::default().get(&id, &nowhere(), &mut modules).found, None);
        let deleted = FileId { path: path.with_file_name("lib.so (deleted)"), ..id };
        let image = Files::default().get(&deleted, &nowhere(), &mut modules);
        assert_eq!((image.found.as_deref(), &*image.path), (None, &*path));
    }
}
