//! The threads of this process, and what is sent to them.

use super::process_id;
use core::ptr;

/// Hands over the id of each thread, in the order of `/proc/self/task`: that in which they began. Whether there is such a
/// directory: in a chroot there may be none.
pub fn each_thread(mut hand_over: impl FnMut(u32)) -> bool {
    const HEAD: usize = core::mem::offset_of!(libc::dirent64, d_name);
    // SAFETY: the path is zero-terminated.
    let directory = unsafe {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        libc::open(c"/proc/self/task".as_ptr(), flags)
    };
    if directory < 0 {
        return false;
    }
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: the buffer is as long as said.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, directory, buffer.as_mut_ptr(), buffer.len()) };
        let mut entries = usize::try_from(got).ok().and_then(|got| buffer.get(..got)).unwrap_or_default();
        if entries.is_empty() {
            break;
        }
        // `d_reclen` is behind the inode and the offset (getdents(2)).
        while let Some(&[low, high]) = entries.get(16..18) {
            let size = usize::from(u16::from_ne_bytes([low, high]));
            let Some((entry, rest)) = entries.split_at_checked(size).filter(|_| size > HEAD) else { break };
            if let Some(tid) = number(entry.get(HEAD..).unwrap_or_default()) {
                hand_over(tid);
            }
            entries = rest;
        }
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(directory) };
    true
}

/// The number that a zero-terminated text is.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.split(|byte| *byte == 0).next().filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Queues a signal for a thread of this process, with a value. Whether that was possible.
pub fn queue_signal(tid: u32, signal: i32, value: usize) -> bool {
    /// `siginfo_t` of a queued signal (include/uapi/asm-generic/siginfo.h).
    #[repr(C)]
    struct Queued {
        signal: i32,
        errno: i32,
        code: i32,
        padding: i32,
        pid: u32,
        uid: u32,
        value: usize,
        rest: [u64; 12],
    }
    const _: () = assert!(size_of::<Queued>() == 128);
    // SAFETY: getuid has no preconditions.
    let uid = unsafe { libc::getuid() };
    let pid = process_id();
    let info = Queued { signal, errno: 0, code: libc::SI_QUEUE, padding: 0, pid, uid, value, rest: [0; 12] };
    // SAFETY: the information is as the kernel has it.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, &raw const info) == 0 }
}

/// Sleeps for so many milliseconds.
pub fn sleep_ms(ms: u32) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(ms.min(999)).saturating_mul(1_000_000) };
    // SAFETY: the time is valid; the rest of a sleep that is interrupted is not wanted.
    unsafe { libc::nanosleep(&time, ptr::null_mut()) };
}

/// Waits until a word that processes share is no longer what it was, or so many milliseconds have passed (futex(2)).
pub fn wait_for_change(word: &core::sync::atomic::AtomicU32, was: u32, ms: u32) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::from(ms / 1000),
        tv_nsec: libc::c_long::from(ms % 1000).saturating_mul(1_000_000),
    };
    // SAFETY: the word is valid, and so is the time.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, was, &raw const timeout) };
}

/// Wakes up whoever waits for a word to change.
pub fn wake_all(word: &core::sync::atomic::AtomicU32) {
    // SAFETY: the word is valid.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_threads_of_this_process_are_found() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let (say, said) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            say.send(super::super::thread_id().cast_unsigned()).unwrap();
            let _ = wait.recv();
        });
        let expected = [super::super::thread_id().cast_unsigned(), said.recv().unwrap()];
        let mut found = Vec::new();
        assert!(each_thread(|tid| found.push(tid)));
        assert!(expected.iter().all(|tid| found.contains(tid)), "{expected:?} {found:?}");
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(number(b"4711\0x"), Some(4711));
        for text in [&b".\0"[..], b"..\0", b"\0", b"", b"12a\0", b"99999999999\0"] {
            assert_eq!(number(text), None);
        }
    }
}
