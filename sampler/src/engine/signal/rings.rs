//! The rings of a session: found in their directory, mapped, and read.
//!
//! # Safety
//! `unsafe` is needed to read a ring where it is mapped. It is the target's: what is in it is believed by nobody (`RingReader`
//! checks each step), and [`SharedMemory`] sees to what happens when its file is cut off. Reading by `pread` instead would give
//! no order between what is read, and the writers' atomics rest on one.

use super::owner::{Owner, Said};
use crate::shared_memory::SharedMemory;
use pronk_trampolines::ring::{Damaged, RingReader};
use pronk_trampolines::wire::{RING_DATA, RING_EXTENSION, RING_MAGIC, RING_VERSION, RingHeader, Token};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The largest ring that is mapped, in bytes of data.
const LARGEST: u64 = 64 << 20;

/// A ring that is mapped.
#[derive(Debug)]
pub(in crate::engine) struct Ring {
    reader: RingReader,
    /// Where the reader reads.
    _memory: SharedMemory,
    size: usize,
    path: PathBuf,
    /// Whether samples were stopped: by this process, and by the target before that.
    is_stopped: bool,
    is_abandoned: bool,
}

impl Ring {
    /// Maps the ring in a file. `None` when the file is not yet a ring.
    ///
    /// # Errors
    /// What is wrong with it.
    fn open(path: &Path, user: Option<u32>) -> io::Result<Option<Ring>> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw() || Some(metadata.uid()) == user;
        if !metadata.is_file() || !is_ours {
            return Err(invalid("it is not a file of ours"));
        }
        let Some(capacity) = metadata.len().checked_sub(RING_DATA as u64).filter(|capacity| *capacity > 0) else {
            return Ok(None);
        };
        if capacity > LARGEST || !capacity.is_power_of_two() {
            return Err(invalid("its size is not that of a ring"));
        }
        let size = metadata.len() as usize;
        let memory = SharedMemory::map(&file, size)?;
        // SAFETY: the mapping is as large as the reader is told, and stays as long as the ring, whatever becomes of the file.
        let reader = unsafe { RingReader::new(memory.base(), capacity) };
        let ring =
            Ring { reader, _memory: memory, size, path: path.to_owned(), is_stopped: false, is_abandoned: false };
        let header = ring.header();
        match (header.magic == RING_MAGIC, header.version) {
            // The magic number is written last.
            (false, _) => Ok(None),
            (true, RING_VERSION) if header.capacity == capacity && header.header_size as usize == RING_DATA => {
                Ok(Some(ring))
            }
            (true, RING_VERSION) => Err(invalid("its header contradicts its size")),
            (true, _) => Err(invalid("another version of pronk made it")),
        }
    }

    /// The ring's header: what the target says, at this moment.
    pub(in crate::engine) fn header(&self) -> &RingHeader {
        self.reader.header()
    }

    /// Looks for the process that the ring belongs to.
    pub(in crate::engine) fn owner(&self) -> Owner {
        let header = self.header();
        Owner::find(Said { namespace: header.pid_namespace, pid: header.pid })
    }

    /// The ring's token.
    pub(in crate::engine) fn token(&self) -> Token {
        Token(self.header().token)
    }

    /// Has the target take no more samples.
    pub(in crate::engine) fn stop(&mut self) {
        let was_stopped = self.header().stop.swap(1, Ordering::Relaxed) != 0;
        self.is_abandoned |= was_stopped && !self.is_stopped;
        self.is_stopped = true;
    }

    /// Whether the target took no more samples by itself, since it did not hear of the profiler.
    pub(in crate::engine) fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    /// Says that the profiler lives.
    pub(in crate::engine) fn beat(&self) {
        self.header().heartbeat.fetch_add(1, Ordering::Relaxed);
    }

    /// The bytes that have not been read, in records that are finished or begun.
    pub(in crate::engine) fn unread(&self) -> u64 {
        self.reader.written().wrapping_sub(self.reader.position()).min(self.size as u64)
    }

    /// Copies the next record's contents into an empty buffer; its kind. See [`RingReader::read`].
    pub(in crate::engine) fn read(&mut self, contents: &mut Vec<u8>) -> Result<Option<u32>, Damaged> {
        contents.clear();
        self.reader.read(contents)
    }

    /// Removes the file: the process that wrote it has ended.
    pub(in crate::engine) fn remove(&self) {
        // The directory goes with the session in any case.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The directory in which targets make their rings.
#[derive(Debug)]
pub(in crate::engine) struct RingDirectory {
    path: PathBuf,
    /// The files that were opened, or found to be no rings.
    known: HashSet<OsString>,
    /// The user that may have made rings, beside this process's.
    user: Option<u32>,
}

impl RingDirectory {
    /// The directory at a path, in which this process's user makes rings, and another one if need be.
    pub(in crate::engine) fn new(path: PathBuf, user: Option<u32>) -> RingDirectory {
        RingDirectory { path, known: HashSet::new(), user }
    }

    /// The rings that were made since this was last called, the oldest first, and what is wrong with others.
    pub(in crate::engine) fn new_rings(&mut self) -> (Vec<Ring>, Vec<String>) {
        let (mut rings, mut problems) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != RING_EXTENSION) {
                continue;
            }
            if self.known.contains(&entry.file_name()) {
                continue;
            }
            match Ring::open(&path, self.user) {
                Ok(Some(ring)) => rings.push(ring),
                // It is being made, or was removed.
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => problems.push(format!("no samples from {}: {error}", path.display())),
            }
            self.known.insert(entry.file_name());
        }
        rings.sort_by_key(|ring| ring.header().created_ns);
        (rings, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ring_is_told_once_and_what_is_being_made_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("made.ring"), []).unwrap();
        std::fs::write(path("other.txt"), [1; 8192]).unwrap();
        std::fs::write(path("odd.ring"), [0; RING_DATA + 1000]).unwrap();
        std::os::unix::fs::symlink(path("other.txt"), path("link.ring")).unwrap();
        let mut rings = RingDirectory::new(directory.path().to_owned(), None);
        let (found, problems) = rings.new_rings();
        assert_eq!((found.len(), problems.len()), (0, 2), "{problems:?}");
        assert!(rings.new_rings().1.is_empty());

        let mut bytes = vec![0; RING_DATA + 4096];
        std::fs::write(path("made.ring"), &bytes).unwrap();
        assert_eq!(rings.new_rings().0.len(), 0);
        bytes[..8].copy_from_slice(&RING_MAGIC);
        bytes[8..12].copy_from_slice(&RING_VERSION.to_ne_bytes());
        bytes[12..16].copy_from_slice(&(RING_DATA as u32).to_ne_bytes());
        bytes[40..48].copy_from_slice(&4096_u64.to_ne_bytes());
        std::fs::write(path("made.ring"), &bytes).unwrap();
        let (mut found, problems) = rings.new_rings();
        assert_eq!((found.len(), problems.len()), (1, 0));
        assert_eq!(found[0].read(&mut Vec::new()), Ok(None));
        assert_eq!(rings.new_rings().0.len(), 0);

        // One that is cut off afterwards ends nobody.
        OpenOptions::new().write(true).open(path("made.ring")).unwrap().set_len(0).unwrap();
        found[0].stop();
        assert_eq!(found[0].header().magic, [0; 8]);
        assert_eq!((found[0].unread(), found[0].read(&mut Vec::new())), (0, Ok(None)));
    }
}
