//! The system calls that the crate needs, without the program's heap.
//!
//! # Safety
//! All `unsafe` of this module is calls into libc with arguments that it makes itself or that its types guarantee.

mod file;
mod fork;
pub mod loader;
mod maps;
mod next;
pub mod perf_event;
mod text;
mod threads;

pub use file::{File, FileIdentity, can_be_read, exists, read, remove};
pub use fork::{fork_generation, map_wiped_on_fork};
pub use maps::{each_executable_mapping, region_of};
pub use next::{Next, next_symbol};
pub use text::{PathText, Text};
pub use threads::{each_thread, queue_signal, sleep_ms, wait_for_change, wake_all};

use crate::wire::Token;
use core::ffi::{CStr, c_char, c_void};
use core::fmt;
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

/// What `errno` says of a call that was refused just now.
pub(crate) fn refused(what: &'static str) -> Refused {
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
        set_errno(self.0);
    }
}

/// Sets the calling thread's `errno`.
pub fn set_errno(errno: i32) {
    // SAFETY: errno's location is valid for the calling thread.
    unsafe { *libc::__errno_location() = errno }
}

/// Fresh zeroed memory that belongs to this process only.
pub fn map_anonymous(size: usize) -> Result<NonNull<u8>, Refused> {
    map(size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
}

/// The same in the place of a mapping that was there.
///
/// # Safety
/// The memory is of one or several mappings of the caller's. Who uses it is prepared to find zeros there.
pub unsafe fn map_anonymous_over(address: NonNull<u8>, size: usize) -> Result<(), Refused> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: as promised by the caller.
    unsafe { map_at(address.as_ptr().cast(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) }.map(|_| ())
}

fn map(size: usize, protection: i32, flags: i32, descriptor: i32) -> Result<NonNull<u8>, Refused> {
    // SAFETY: without MAP_FIXED a new mapping disturbs no other memory.
    unsafe { map_at(ptr::null_mut(), size, protection, flags, descriptor, 0) }
}

/// # Safety
/// With MAP_FIXED, the memory that was there is the caller's to replace.
unsafe fn map_at(
    address: *mut c_void,
    size: usize,
    protection: i32,
    flags: i32,
    descriptor: i32,
    offset: u64,
) -> Result<NonNull<u8>, Refused> {
    // SAFETY: as promised by the caller.
    let address = unsafe { libc::mmap(address, size, protection, flags, descriptor, offset as libc::off_t) };
    if address == libc::MAP_FAILED {
        return Err(refused("mmap"));
    }
    NonNull::new(address.cast()).ok_or(Refused { what: "mmap", errno: 0 })
}

/// Keeps a mapping from the children of forks (madvise(2), MADV_DONTFORK).
pub fn keep_from_children(address: NonNull<u8>, size: usize) {
    // SAFETY: the mapping stays as it is in this process.
    unsafe { libc::madvise(address.as_ptr().cast(), size, libc::MADV_DONTFORK) };
}

/// Gives memory of [`map_anonymous`] back.
///
/// # Safety
/// The memory is one whole mapping of that size, and nobody uses it any more.
pub unsafe fn unmap(address: NonNull<u8>, size: usize) {
    // SAFETY: as promised by the caller.
    unsafe { libc::munmap(address.as_ptr().cast(), size) };
}

/// The time that never goes back: CLOCK_MONOTONIC, nanoseconds.
pub fn monotonic_ns() -> u64 {
    time_of(libc::CLOCK_MONOTONIC)
}

fn time_of(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid to be written.
    unsafe { libc::clock_gettime(clock, &mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// The id of this process.
pub fn process_id() -> u32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() as u32 }
}

/// The id of the process that this one is a child of.
pub fn parent_process_id() -> u32 {
    // SAFETY: getppid has no preconditions.
    unsafe { libc::getppid() as u32 }
}

/// The inode of this process's pid namespace (pid_namespaces(7)); 0 where there is no `/proc` that tells.
pub fn pid_namespace() -> u64 {
    // SAFETY: `stat` is plain data for which zeros are a valid value, and stat fills it if it succeeds.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        match libc::stat(c"/proc/self/ns/pid".as_ptr(), &mut stat) {
            0 => stat.st_ino,
            _ => 0,
        }
    }
}

/// The id of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: gettid has no preconditions. The C library has it under its own name from glibc 2.30 on only.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// The CPU time that the calling thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The kernel's name of the calling thread, filled up with zeros.
pub fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    // SAFETY: there is room for the 16 bytes that the kernel writes (prctl(2), PR_GET_NAME).
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
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

/// The variables of the process, as a list that ends with a null pointer (environ(7)).
pub fn own_environment() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: the variable is the C library's.
    unsafe { (&raw const environ).read() }
}

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

/// The path of a file in a directory.
///
/// # Errors
/// When it is too long.
pub fn path_in(directory: &CStr, name: fmt::Arguments<'_>) -> Result<PathText, Refused> {
    let mut path = PathText::new();
    let whole = path.push(directory.to_bytes()) && path.push(b"/") && path.push(Text::<32>::format(name).as_bytes());
    if whole { Ok(path) } else { Err(Refused { what: "open", errno: libc::ENAMETOOLONG }) }
}

/// The calling thread's thread pointer.
pub fn thread_pointer() -> usize {
    let thread: usize;
    // SAFETY: fs:0 holds the thread pointer itself (System V ABI for x86-64, TLS variant II).
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) thread, options(pure, readonly, nostack, preserves_flags));
    }
    // SAFETY: reads the thread pointer.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) thread, options(pure, nomem, nostack, preserves_flags));
    }
    thread
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
