//! Finds the files that hold a binary's debug information.
//!
//! The places are those that GDB documents ("Debugging with GDB", section "Debugging Information in Separate Files").

use super::elf::{self, Image};
use object::ReadCache;
use pronk_sampler::open_regular;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Component, Path, PathBuf};

/// Where distributions put debug files.
pub const DEBUG_ROOT: &str = "/usr/lib/debug";

/// An open file that holds debug information.
#[derive(Debug)]
pub struct DebugFile {
    /// The file.
    pub file: File,
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub image: Image,
}

/// The debug file of a binary: by build id, else by debug link, in the directories where the binary is.
pub fn of_binary(root: &Path, image: &Image, directories: &[&Path]) -> Option<DebugFile> {
    by_build_id(root, image.build_id.as_deref()).or_else(|| by_link(root, image, directories))
}

/// The file that holds debug information shared by several files, for the file at `path`.
pub fn shared(root: &Path, image: &Image, path: &Path) -> Option<DebugFile> {
    let link = image.alt_link.as_ref()?;
    // An absolute path stays as it is when it is joined.
    let named = path.parent().unwrap_or(Path::new("/")).join(&link.path);
    let by_path = open(named).filter(|debug| debug.image.build_id.as_ref() == Some(&link.build_id));
    by_path.or_else(|| by_build_id(root, Some(&link.build_id)))
}

fn by_build_id(root: &Path, build_id: Option<&[u8]>) -> Option<DebugFile> {
    let (first, rest) = build_id?.split_first()?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let path = root.join(".build-id").join(hex(&[*first])).join(format!("{}.debug", hex(rest)));
    open(path).filter(|debug| debug.image.build_id.as_deref() == build_id)
}

fn by_link(root: &Path, image: &Image, directories: &[&Path]) -> Option<DebugFile> {
    let link = image.debug_link.as_ref()?;
    // The link is a plain name: it must not lead out of the directories.
    let mut components = link.name.components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return None;
    }
    let under_root = |directory: &Path| root.join(directory.strip_prefix("/").unwrap_or(directory));
    let places = directories.iter().flat_map(|&directory| {
        [directory.to_owned(), directory.join(".debug"), under_root(directory)].map(|place| place.join(&link.name))
    });
    places.filter_map(open).find_map(|mut debug| (crc32(&mut debug.file).ok()? == link.crc).then_some(debug))
}

fn open(path: PathBuf) -> Option<DebugFile> {
    let (file, _) = open_regular(&path).ok()?;
    let image = elf::read(&ReadCache::new(&file))?;
    Some(DebugFile { file, path, image })
}

fn crc32(file: &mut File) -> io::Result<u32> {
    file.rewind()?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}
