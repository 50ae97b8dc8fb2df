//! Files: made, filled, sealed and mapped.

use super::{Refused, map, map_at, refused};
use core::ffi::CStr;
use core::ptr::NonNull;

/// An open file, closed on drop.
#[derive(Debug)]
pub struct File(i32);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open and owned.
        unsafe { libc::close(self.0) };
    }
}

/// Which file a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl File {
    /// Creates a file that must not exist, for its owner only, and opens it for reading and writing.
    pub fn create_new(path: &CStr) -> Result<File, Refused> {
        File::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC)
    }

    /// Opens a file for reading and writing that is no symbolic link.
    pub fn open_existing(path: &CStr) -> Result<File, Refused> {
        File::open(path, libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC)
    }

    fn open(path: &CStr, flags: i32) -> Result<File, Refused> {
        loop {
            // SAFETY: the path is zero-terminated.
            match unsafe { libc::open(path.as_ptr(), flags, 0o600) } {
                -1 => match refused("open") {
                    Refused { errno: libc::EINTR, .. } => {}
                    error => return Err(error),
                },
                descriptor => return Ok(File(descriptor)),
            }
        }
    }

    /// Makes a file that lives in memory and can be sealed.
    pub fn in_memory(name: &CStr) -> Result<File, Refused> {
        // MFD_EXEC (Linux 6.3) says that the file is meant to be executable, which vm.memfd_noexec may otherwise
        // refuse; older kernels do not know the flag.
        const MFD_EXEC: u32 = 0x10;
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        for flags in [flags | MFD_EXEC, flags] {
            // SAFETY: the name is zero-terminated.
            let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
            if descriptor >= 0 {
                return Ok(File(descriptor));
            }
        }
        Err(refused("memfd_create"))
    }

    /// Appends all bytes to a file that is so far `size` bytes long.
    pub fn append(&self, size: usize, mut bytes: &[u8]) -> Result<(), Refused> {
        within_file_size_limit(size.saturating_add(bytes.len()))?;
        while !bytes.is_empty() {
            // SAFETY: the pointer and the length are those of a slice.
            let written = unsafe { libc::write(self.0, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(written) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(_) => match refused("write") {
                    Refused { errno: libc::EINTR, .. } => {}
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Makes the contents and the size final, for everybody and for good (fcntl(2), "File sealing").
    pub fn seal(&self) -> Result<(), Refused> {
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: fcntl with an integer argument.
        match unsafe { libc::fcntl(self.0, libc::F_ADD_SEALS, seals) } {
            0 => Ok(()),
            _ => Err(refused("fcntl(F_ADD_SEALS)")),
        }
    }

    /// Makes the file at least so big, with its blocks reserved, so that writing through a mapping cannot raise SIGBUS
    /// on a full file system.
    pub fn reserve(&self, size: usize) -> Result<(), Refused> {
        self.reserve_part(0, size)
    }

    /// The same of a part of the file only.
    pub fn reserve_part(&self, start: u64, size: usize) -> Result<(), Refused> {
        within_file_size_limit((start as usize).saturating_add(size))?;
        loop {
            // SAFETY: plain integers.
            match unsafe { libc::posix_fallocate(self.0, start as libc::off_t, size as libc::off_t) } {
                0 => return Ok(()),
                libc::EINTR => {}
                errno => return Err(Refused { what: "posix_fallocate", errno }),
            }
        }
    }

    /// Which file this is.
    pub fn identity(&self) -> Result<FileIdentity, Refused> {
        // SAFETY: `stat` is plain data for which zeros are a valid value, and fstat fills it.
        unsafe {
            let mut stat: libc::stat = core::mem::zeroed();
            match libc::fstat(self.0, &mut stat) {
                0 => Ok(FileIdentity { device: stat.st_dev, inode: stat.st_ino }),
                _ => Err(refused("fstat")),
            }
        }
    }

    /// Maps the file for everybody to see what is written; pages behind its end must not be touched.
    pub fn map_shared(&self, size: usize) -> Result<NonNull<u8>, Refused> {
        map(size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, self.0)
    }

    /// Maps a part of the file in the same way, in the place of a mapping that was there if there is one.
    ///
    /// # Safety
    /// The memory at `over` is of mappings of the caller's. Who uses it is prepared to find there what is in the file.
    pub unsafe fn map_part_shared(
        &self,
        start: u64,
        size: usize,
        over: Option<NonNull<u8>>,
    ) -> Result<NonNull<u8>, Refused> {
        let address = over.map_or(core::ptr::null_mut(), |over| over.as_ptr().cast());
        let flags = libc::MAP_SHARED | if over.is_some() { libc::MAP_FIXED } else { 0 };
        // SAFETY: as promised by the caller.
        unsafe { map_at(address, size, libc::PROT_READ | libc::PROT_WRITE, flags, self.0, start) }
    }

    /// Maps the file's code.
    pub fn map_code(&self, size: usize) -> Result<NonNull<u8>, Refused> {
        map(size, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, self.0)
    }
}

/// Refuses what would go beyond RLIMIT_FSIZE, since the kernel answers that with a signal, which ends a program that is
/// not prepared for it (setrlimit(2)). CPython is, but not from its very start.
fn within_file_size_limit(size: usize) -> Result<(), Refused> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid to be written.
    if unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0 && limit.rlim_cur < size as u64 {
        return Err(Refused { what: "RLIMIT_FSIZE", errno: libc::EFBIG });
    }
    Ok(())
}

/// Reads the beginning of a file.
pub fn read<'a>(path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], Refused> {
    let file = File::open(path, libc::O_RDONLY | libc::O_CLOEXEC)?;
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the pointer and the length are those of a slice.
        let got = unsafe { libc::read(file.0, rest.as_mut_ptr().cast(), rest.len()) };
        match usize::try_from(got) {
            Ok(0) => break,
            Ok(got) => len += got,
            Err(_) => match refused("read") {
                Refused { errno: libc::EINTR, .. } => {}
                error => return Err(error),
            },
        }
    }
    Ok(buffer.get(..len).unwrap_or_default())
}

/// Whether there is a file or a directory.
pub fn exists(path: &CStr) -> bool {
    // SAFETY: the path is zero-terminated.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

/// Whether this process may read a file.
pub fn can_be_read(path: &CStr) -> bool {
    File::open(path, libc::O_RDONLY | libc::O_CLOEXEC).is_ok()
}

/// Removes a file.
pub fn remove(path: &CStr) {
    // SAFETY: the path is zero-terminated. A file that cannot be removed is left to whoever cleans the directory.
    unsafe { libc::unlink(path.as_ptr()) };
}
