//! Reads of memory: of the process's own, straight or guarded where an address may be wild, or of another process that somebody
//! else knows how to read.

use core::sync::atomic::{AtomicU8, Ordering};

/// A way to read a process's memory.
pub trait Memory {
    /// Fills a buffer from an address; whether all of it could be read.
    ///
    /// # Safety
    /// What the type says.
    unsafe fn fill(&self, address: u64, buffer: &mut [u8]) -> bool;

    /// So many bytes at an address; `None` where they cannot be read.
    ///
    /// # Safety
    /// What the type says.
    unsafe fn bytes<const SIZE: usize>(&self, address: u64) -> Option<[u8; SIZE]> {
        let mut bytes = [0; SIZE];
        // SAFETY: as promised by the caller.
        unsafe { self.fill(address, &mut bytes) }.then_some(bytes)
    }

    /// The word at an address; `None` where it cannot be read.
    ///
    /// # Safety
    /// What the type says.
    unsafe fn word(&self, address: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe { self.bytes(address) }.map(u64::from_ne_bytes)
    }

    /// The byte at an address; `None` where it cannot be read.
    ///
    /// # Safety
    /// What the type says.
    unsafe fn byte(&self, address: u64) -> Option<u8> {
        // SAFETY: as promised by the caller.
        unsafe { self.bytes(address) }.map(u8::from_ne_bytes)
    }

    /// The 32-bit number at an address; `None` where it cannot be read.
    ///
    /// # Safety
    /// What the type says.
    unsafe fn number(&self, address: u64) -> Option<i32> {
        // SAFETY: as promised by the caller.
        unsafe { self.bytes(address) }.map(i32::from_ne_bytes)
    }
}

/// Reads straight: the caller answers for every address.
#[derive(Clone, Copy, Debug)]
pub struct Straight;

impl Memory for Straight {
    unsafe fn fill(&self, address: u64, buffer: &mut [u8]) -> bool {
        // SAFETY: the caller answers for the address; the target is the buffer.
        unsafe { buffer.as_mut_ptr().copy_from_nonoverlapping(address as *const u8, buffer.len()) };
        true
    }
}

/// Has the kernel read: any address will do, at the price of a system call.
#[derive(Clone, Copy, Debug)]
pub struct Guarded;

impl Memory for Guarded {
    unsafe fn fill(&self, address: u64, buffer: &mut [u8]) -> bool {
        read_some(address, buffer) == buffer.len()
    }
}

/// Whether the kernel lets this process read itself: 0 is not known, 1 yes, 2 no.
static PERMITTED: AtomicU8 = AtomicU8::new(0);

/// Fills the beginning of a buffer from an address, as far as that can be read, page by page; how much that was.
pub fn read_some(address: u64, buffer: &mut [u8]) -> usize {
    match PERMITTED.load(Ordering::Relaxed) {
        2 => read_by_pipe(address, buffer),
        _ => match transfer(address, buffer) {
            Some(read) => read,
            // Seccomp may refuse the call.
            None => {
                PERMITTED.store(2, Ordering::Relaxed);
                read_by_pipe(address, buffer)
            }
        },
    }
}

/// Reads with process_vm_readv(2); `None` where that is refused.
fn transfer(address: u64, buffer: &mut [u8]) -> Option<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: buffer.len() };
    // SAFETY: the local range is the buffer's. The kernel checks the remote one.
    let read = unsafe {
        libc::syscall(
            libc::SYS_process_vm_readv,
            libc::getpid(),
            &raw const local,
            1_usize,
            &raw const remote,
            1_usize,
            0_usize,
        )
    };
    match usize::try_from(read) {
        Ok(read) => Some(read),
        // SAFETY: errno's location is valid for the calling thread.
        Err(_) => match unsafe { *libc::__errno_location() } {
            libc::EFAULT => Some(0),
            _ => None,
        },
    }
}

/// Reads through a pipe, page by page: write(2) refuses memory that is not there (EFAULT).
fn read_by_pipe(address: u64, buffer: &mut [u8]) -> usize {
    const PAGE: u64 = 4096;
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return 0;
    }
    let [from, to] = ends;
    let mut done = 0_usize;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = address.wrapping_add(done as u64);
        let now = (PAGE - at % PAGE).min(rest.len() as u64) as usize;
        // SAFETY: the kernel checks the range that is written from; the one that is read to lies in the buffer.
        let moved = unsafe {
            // Not by `libc::write`, before which the agent stands.
            let written = libc::syscall(libc::SYS_write, to, at, now);
            if written <= 0 { written as isize } else { libc::read(from, rest.as_mut_ptr().cast(), written as usize) }
        };
        match usize::try_from(moved) {
            Ok(moved) if moved > 0 => done = done.saturating_add(moved),
            _ => break,
        }
    }
    // SAFETY: both descriptors are ours.
    unsafe {
        libc::close(from);
        libc::close(to);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_not_read() {
        let value = 0x0102_0304_0506_0708_u64;
        let address = (&raw const value) as u64;
        // SAFETY: guarded reads take any address.
        unsafe {
            assert_eq!(Guarded.word(address), Some(value));
            assert_eq!(Guarded.byte(address), Some(8));
            assert_eq!(Guarded.number(address), Some(0x0506_0708));
            assert_eq!(Guarded.word(8), None);
            assert_eq!(Guarded.word(u64::MAX - 3), None);
        }
        let mut word = [0; 8];
        assert_eq!((read_by_pipe(address, &mut word), u64::from_ne_bytes(word)), (8, value));
        assert_eq!(read_by_pipe(8, &mut word), 0);
    }
}
