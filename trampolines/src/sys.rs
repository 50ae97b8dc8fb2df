//! The system calls that the crate needs, without the program's heap.
//!
//! # Safety
//! All `unsafe` of this file is calls into libc with arguments that this file makes itself or that its types guarantee.

use crate::wire::Token;
use core::ffi::{CStr, c_char, c_void};
use core::fmt::{self, Write};
use core::ptr::{self, NonNull};

/// A system call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was attempted, such as `memfd_create`.
    pub what: &'static str,
    /// The value of `errno`.
    pub errno: i32,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with errno {}", self.what, self.errno)
    }
}

fn refused(what: &'static str) -> Refused {
    // SAFETY: errno's location is valid for the calling thread.
    Refused { what, errno: unsafe { *libc::__errno_location() } }
}

/// Keeps `errno` as the program left it while pronk makes system calls in the middle of it.
#[derive(Debug)]
pub struct KeepErrno(i32);

impl KeepErrno {
    /// Remembers `errno`; it is put back on drop.
    pub fn new() -> KeepErrno {
        // SAFETY: errno's location is valid for the calling thread.
        KeepErrno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: errno's location is valid for the calling thread.
        unsafe { *libc::__errno_location() = self.0 }
    }
}

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
        // SAFETY: the path is zero-terminated.
        match unsafe { libc::open(path.as_ptr(), flags, 0o600) } {
            -1 => Err(refused("open")),
            descriptor => Ok(File(descriptor)),
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

    /// Appends all bytes.
    pub fn write_all(&self, mut bytes: &[u8]) -> Result<(), Refused> {
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
        // SAFETY: plain integers.
        match unsafe { libc::posix_fallocate(self.0, 0, size as libc::off_t) } {
            0 => Ok(()),
            errno => Err(Refused { what: "posix_fallocate", errno }),
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

    /// Maps the file's code.
    pub fn map_code(&self, size: usize) -> Result<NonNull<u8>, Refused> {
        map(size, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, self.0)
    }
}

/// Fresh zeroed memory that belongs to this process only.
pub fn map_anonymous(size: usize) -> Result<NonNull<u8>, Refused> {
    map(size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
}

fn map(size: usize, protection: i32, flags: i32, descriptor: i32) -> Result<NonNull<u8>, Refused> {
    // SAFETY: without MAP_FIXED a new mapping disturbs no other memory.
    let address = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, descriptor, 0) };
    if address == libc::MAP_FAILED {
        return Err(refused("mmap"));
    }
    NonNull::new(address.cast()).ok_or(Refused { what: "mmap", errno: 0 })
}

/// Gives memory of [`map_anonymous`] back.
///
/// # Safety
/// The memory is one whole mapping of that size, and nobody uses it any more.
pub unsafe fn unmap(address: NonNull<u8>, size: usize) {
    // SAFETY: as promised by the caller.
    unsafe { libc::munmap(address.as_ptr().cast(), size) };
}

/// A word that tells whether the process has forked since it was made.
///
/// The kernel clears the page in the child (madvise(2), MADV_WIPEONFORK, Linux 4.14), however the fork was made.
#[derive(Debug)]
pub struct ForkMark(NonNull<u8>);

// SAFETY: the page is the mark's own.
unsafe impl Send for ForkMark {}

impl ForkMark {
    /// A mark that is set.
    pub fn new() -> Result<ForkMark, Refused> {
        let size = 4096;
        let page = map_anonymous(size)?;
        // SAFETY: the page was just mapped and is ours alone.
        unsafe {
            if libc::madvise(page.as_ptr().cast(), size, libc::MADV_WIPEONFORK) != 0 {
                let error = refused("madvise(MADV_WIPEONFORK)");
                unmap(page, size);
                return Err(error);
            }
            page.as_ptr().write_volatile(1);
        }
        Ok(ForkMark(page))
    }

    /// Whether this process is a fork of the one that made the mark; sets it again.
    pub fn forked(&self) -> bool {
        // SAFETY: the page stays mapped for good.
        unsafe { self.0.as_ptr().replace(1) == 0 }
    }
}

/// The time that never goes back: CLOCK_MONOTONIC, nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// The id of this process.
pub fn process_id() -> u32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() as u32 }
}

/// Lets other threads run.
pub fn yield_processor() {
    // SAFETY: sched_yield has no preconditions.
    unsafe { libc::sched_yield() };
}

/// A random token; of the time and the process id where the kernel has no random numbers to give.
pub fn random_token() -> Token {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is as long as said.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast::<c_void>(), bytes.len(), libc::GRND_NONBLOCK) };
    match got {
        8 => Token(u64::from_ne_bytes(bytes)),
        _ => Token(monotonic_ns().rotate_left(20) ^ u64::from(process_id())),
    }
}

/// A variable of the environment. Valid as long as nobody changes the environment.
pub fn environment<'a>(name: &CStr) -> Option<&'a CStr> {
    // SAFETY: getenv returns null or a zero-terminated text that stays as long as the variable is not changed.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// The address of a symbol in the process, from any library that is loaded.
pub fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is zero-terminated.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// The stack of the calling thread: its lowest address, and the address behind its highest.
pub fn thread_stack() -> Option<(usize, usize)> {
    // SAFETY: the attributes are initialised by pthread_getattr_np before they are read, and destroyed after.
    unsafe {
        let mut attributes: libc::pthread_attr_t = core::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut low, mut size) = (ptr::null_mut(), 0);
        let got = libc::pthread_attr_getstack(&attributes, &mut low, &mut size);
        libc::pthread_attr_destroy(&mut attributes);
        (got == 0).then_some((low as usize, (low as usize).wrapping_add(size)))
    }
}

/// Text of bounded size, zero-terminated, without a heap. What does not fit is cut off.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Empty text.
    pub const fn new() -> Text<N> {
        Text { bytes: [0; N], len: 0 }
    }

    /// The formatted arguments.
    pub fn format(arguments: fmt::Arguments<'_>) -> Text<N> {
        let mut text = Text::new();
        // It fails only when the text is full, and then it is cut off.
        let _full = text.write_fmt(arguments);
        text
    }

    /// Appends bytes, as many as fit. Returns whether all did.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        // One byte stays zero for the end.
        let room = N.saturating_sub(1).saturating_sub(self.len);
        let (fits, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(fits) {
            *to = *from;
        }
        self.len = self.len.saturating_add(fits.len());
        rest.is_empty()
    }

    /// The bytes, without the zero at the end.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The text, as far as it is UTF-8.
    pub fn as_str(&self) -> &str {
        match core::str::from_utf8(self.as_bytes()) {
            Ok(text) => text,
            Err(error) => {
                let valid = self.as_bytes().get(..error.valid_up_to()).unwrap_or_default();
                core::str::from_utf8(valid).unwrap_or_default()
            }
        }
    }

    /// The text for C. A zero within the text ends it.
    pub fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const _: () = assert!(size_of::<c_char>() == 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_is_cut_off() {
        let mut text: Text<8> = Text::new();
        assert!(text.push(b"abcd"));
        assert!(!text.push(b"efgh"));
        assert_eq!(text.as_bytes(), b"abcdefg");
        assert_eq!(text.as_c(), c"abcdefg");
    }

    #[test]
    fn a_fork_is_seen_once_in_the_child_and_never_in_the_parent() {
        let mark = ForkMark::new().unwrap();
        assert!(!mark.forked());
        // SAFETY: the child only reads the mark and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let seen = i32::from(mark.forked()) * 2 + i32::from(mark.forked());
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(seen) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid to be written.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 2);
        assert!(!mark.forked());
    }
}
