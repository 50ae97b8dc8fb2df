//! Tells the child of a fork from its parent.

use super::{Refused, map_anonymous, process_id, refused, unmap};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

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
        let Ok(fresh) = map_wiped_on_fork(size_of::<AtomicU32>()) else { return process_id() };
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

/// Fresh zeroed memory that is zeros again in the child of every fork, however the fork was made.
///
/// # Errors
/// When the kernel has no such memory, or none at all.
pub fn map_wiped_on_fork(size: usize) -> Result<NonNull<u8>, Refused> {
    let page = map_anonymous(size)?;
    // SAFETY: the page was just mapped and is ours alone.
    unsafe {
        if libc::madvise(page.as_ptr().cast(), size, libc::MADV_WIPEONFORK) != 0 {
            let error = refused("madvise(MADV_WIPEONFORK)");
            unmap(page, size);
            return Err(error);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

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
