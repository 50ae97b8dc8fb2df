//! Files that a target has mapped, too: each side writes, and each side can cut off the file.
//!
//! Who then comes to memory that is no more gets SIGBUS (mmap(2)), which ends a process. A look at the file's size before each
//! access would leave the moment between the two, and a target that wants to can meet it. So there is a handler: where the
//! access was to memory like that, it puts empty memory in the place of the whole mapping, and the access is made again.
//!
//! # Safety
//! `unsafe` is needed to map, and to handle the signal. What a mapping holds is the target's: it is read through atomics or
//! copied, and what is read is believed by nobody. The handler reads atomics and makes system calls, no more; it keeps `errno`.
//! It hands on what is none of its business to what handled the signal before.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most files that are mapped at a time: one for each process that is sampled.
const MOST: usize = 4096;
/// What [`Slot::start`] is while nothing is there, and while something is being put there.
const FREE: usize = 0;
const TAKEN: usize = 1;

/// Where a file is mapped.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
}

static SLOTS: [Slot; MOST] = [const { Slot { start: AtomicUsize::new(FREE), end: AtomicUsize::new(0) } }; MOST];
/// What handled the signal before; `None` in it where that could not be found out.
static BEFORE: OnceLock<Option<libc::sigaction>> = OnceLock::new();

/// A file that is mapped. Once it is cut off, this is empty memory of this process's.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    base: NonNull<u8>,
    size: usize,
    slot: usize,
}

// SAFETY: the mapping is the value's own.
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// Maps so many bytes of a file, from its beginning on.
    ///
    /// # Errors
    /// When it cannot be mapped, or very many are.
    pub(crate) fn map(file: &File, size: usize) -> io::Result<SharedMemory> {
        BEFORE.get_or_init(handle);
        let free = |slot: &Slot| slot.start.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let slot = SLOTS.iter().position(free).ok_or_else(|| io::Error::other("too many files are mapped"))?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours.
        let memory = unsafe { libc::mmap(ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        let Some(base) = NonNull::new(memory.cast()).filter(|_| memory != libc::MAP_FAILED) else {
            SLOTS[slot].start.store(FREE, Ordering::Release);
            return Err(io::Error::last_os_error());
        };
        SLOTS[slot].end.store(memory.addr() + size, Ordering::Relaxed);
        SLOTS[slot].start.store(memory.addr(), Ordering::Release);
        Ok(SharedMemory { base, size, slot })
    }

    /// Where it is mapped.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(FREE, Ordering::Release);
        // SAFETY: the mapping is the value's own, and nobody uses it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}

/// Has the signal handled; what handled it before.
fn handle() -> Option<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: an action of zeros is valid, and the handler is one for SA_SIGINFO (sigaction(2)).
    unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = on_bus_error as *const () as usize;
        // On the stack for signals, where there is one: the standard library's threads have it.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        (libc::sigaction(libc::SIGBUS, action, before.as_mut_ptr()) == 0).then(|| before.assume_init())
    }
}

extern "C" fn on_bus_error(signal: i32, info: *const libc::siginfo_t, _: *const libc::c_void) {
    // SAFETY: the kernel gives a valid `info`; `errno` is this thread's.
    let (address, errno) = unsafe { ((*info).si_addr().addr(), *libc::__errno_location()) };
    if !replace_around(address) {
        let default = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: an action of zeros is the default one. The access is made again, and handled as before.
        unsafe {
            let before = BEFORE.get().copied().flatten().unwrap_or_else(|| default.assume_init());
            libc::sigaction(signal, &raw const before, ptr::null_mut());
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Puts empty memory in the place of the mapping that an address lies in; whether there is one.
fn replace_around(address: usize) -> bool {
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Relaxed);
        if start > TAKEN && (start..end).contains(&address) {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: it replaces a mapping of [`SharedMemory`], whole. What is read from it is believed by nobody.
            let new = unsafe { libc::mmap(ptr::without_provenance_mut(start), end - start, access, flags, -1, 0) };
            return new != libc::MAP_FAILED;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const SIZE: usize = 3 * 4096;

    fn byte(memory: &SharedMemory, at: usize) -> u8 {
        assert!(at < SIZE);
        // SAFETY: it is within the mapping.
        unsafe { memory.base().add(at).read_volatile() }
    }

    fn mapped() -> (File, SharedMemory) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; SIZE]).unwrap();
        let memory = SharedMemory::map(&file, SIZE).unwrap();
        (file, memory)
    }

    #[test]
    fn what_was_cut_off_is_empty_and_nobody_ends() {
        let (file, memory) = mapped();
        let (_other_file, other) = mapped();
        assert_eq!(byte(&memory, SIZE - 1), 7);
        file.set_len(4096).unwrap();
        assert_eq!((byte(&memory, 0), byte(&memory, SIZE - 1)), (7, 0));
        // All of it: what is left of the file contradicts what is not.
        assert_eq!((byte(&memory, 0), byte(&other, 0)), (0, 7));
        // SAFETY: it is within the mapping.
        unsafe { memory.base().write_volatile(1) };
        assert_eq!(byte(&memory, 0), 1);
    }

    /// Comes to memory that is no more, and of which nobody was told.
    #[test]
    #[ignore = "ends its process: `other_errors_of_the_bus_end_the_process` runs it"]
    fn other_memory() {
        let (file, memory) = mapped();
        let slot = &SLOTS[memory.slot];
        slot.start.store(TAKEN, Ordering::Release);
        file.set_len(0).unwrap();
        byte(&memory, 0);
    }

    #[test]
    fn other_errors_of_the_bus_end_the_process() {
        let test = "shared_memory::tests::other_memory";
        let mut command = Command::new(std::env::current_exe().unwrap());
        let status = command.args(["--ignored", "--exact", test]).output().unwrap().status;
        assert_eq!(status.signal(), Some(libc::SIGBUS), "{status}");
    }
}
