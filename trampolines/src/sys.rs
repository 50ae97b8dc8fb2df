//! The system calls that the crate needs, without the program's heap.
//!
//! # Safety
//! All `unsafe` of this file is calls into libc with arguments that this file makes itself or that its types guarantee.

use crate::wire::Token;
use core::ffi::{CStr, c_char, c_void};
use core::fmt::{self, Write};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

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
        within_file_size_limit(size)?;
        loop {
            // SAFETY: plain integers.
            match unsafe { libc::posix_fallocate(self.0, 0, size as libc::off_t) } {
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

/// Removes a file.
pub fn remove(path: &CStr) {
    // SAFETY: the path is zero-terminated. A file that cannot be removed is left to whoever cleans the directory.
    unsafe { libc::unlink(path.as_ptr()) };
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

/// Which fork of the program this process is: a number that is another one in the child of every fork, however the fork
/// was made, and never 0.
///
/// The kernel clears a page of ours in the child (madvise(2), MADV_WIPEONFORK, Linux 4.14). Where it cannot, the process
/// id has to do.
pub fn fork_generation() -> u32 {
    static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
    static NEWEST: AtomicU32 = AtomicU32::new(0);

    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let Ok(fresh) = map_wiped_on_fork() else { return process_id() };
        let fresh = fresh.cast().as_ptr();
        // A thread that is later than another one leaves its page unused.
        page = match PAGE.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(first) => first,
        };
    }
    // SAFETY: the page stays mapped for good, and zeros are a valid value.
    let generation = unsafe { &*page };
    match generation.load(Ordering::Relaxed) {
        0 => {
            let next = NEWEST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            match generation.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => next,
                Err(first) => first,
            }
        }
        generation => generation,
    }
}

fn map_wiped_on_fork() -> Result<NonNull<u8>, Refused> {
    const SIZE: usize = 4096;
    let page = map_anonymous(SIZE)?;
    // SAFETY: the page was just mapped and is ours alone.
    unsafe {
        if libc::madvise(page.as_ptr().cast(), SIZE, libc::MADV_WIPEONFORK) != 0 {
            let error = refused("madvise(MADV_WIPEONFORK)");
            unmap(page, SIZE);
            return Err(error);
        }
    }
    Ok(page)
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

/// A copy of a variable of the environment. `None` when it is not set or too long for a path.
///
/// To be called while no other thread changes the environment, as before `main`.
pub fn environment(name: &CStr) -> Option<PathText> {
    // SAFETY: getenv returns null or a zero-terminated text that stays as long as the variable is not changed.
    let value = unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))?
    };
    let mut copy = PathText::new();
    copy.push(value.to_bytes()).then_some(copy)
}

/// A path without a heap.
pub type PathText = Text<{ libc::PATH_MAX as usize }>;

/// The address of a symbol in a library that is loaded already, even if it is not visible to the whole process.
pub fn symbol_of_library(library: &CStr, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the texts are zero-terminated. RTLD_NOLOAD loads nothing; the library keeps one user more, for good, as
    // suits somebody who keeps an address in it.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if handle.is_null() { None } else { NonNull::new(libc::dlsym(handle, name.as_ptr())) }
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
    fn each_fork_is_a_generation_of_its_own() {
        let parent = fork_generation();
        assert_ne!(parent, 0);
        assert_eq!(fork_generation(), parent);
        // SAFETY: the child only asks and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let first = fork_generation();
            let right = first != parent && first != 0 && fork_generation() == first;
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(i32::from(right)) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid to be written.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(libc::WEXITSTATUS(status), 1);
        assert_eq!(fork_generation(), parent);
    }
}
