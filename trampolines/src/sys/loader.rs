//! The files that the dynamic linker has loaded.
//!
//! # Safety
//! `dl_iterate_phdr(3)` holds off whoever would add a file to the list of those that are loaded, or take one away. A file is added
//! before it is ready, though: whoever loads it goes on with it, holding another lock, for which [`wait_for_loads`] waits
//! (`_dl_add_to_namespace_list` and `_dl_open`, elf/dl-object.c and elf/dl-open.c, glibc 2.36).
//!
//! In the child of a fork the lock of that list would stay held for good if this thread had it (`__libc_fork` renews only the other
//! one, posix/fork.c), and the child's next import would wait for ever. So forks wait until it is given back.

use super::yield_processor;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

/// How many files were ever loaded, and closed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loads {
    /// `dlpi_adds`.
    pub loaded: u64,
    /// `dlpi_subs`.
    closed: u64,
}

impl Loads {
    /// The numbers of this moment.
    pub fn now() -> Loads {
        let mut loads = Loads { loaded: 0, closed: 0 };
        iterate(|info| {
            loads = Loads::of(info);
            false
        });
        loads
    }

    fn of(info: &libc::dl_phdr_info) -> Loads {
        Loads { loaded: info.dlpi_adds, closed: info.dlpi_subs }
    }
}

/// A file that is loaded.
#[derive(Debug)]
pub struct LoadedFile<'a> {
    base: usize,
    headers: &'a [libc::Elf64_Phdr],
    thread_local: usize,
}

impl LoadedFile<'_> {
    /// What is added to addresses in the file.
    pub fn base(&self) -> usize {
        self.base
    }

    /// Where it has its segment of a type.
    pub fn segment(&self, kind: u32) -> Option<Range<usize>> {
        let header = self.headers.iter().find(|header| header.p_type == kind)?;
        Some(self.range(header))
    }

    /// Whether an address is in one of its segments.
    pub fn holds(&self, address: usize) -> bool {
        let loaded = self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        loaded.map(|header| self.range(header)).any(|range| range.contains(&address))
    }

    /// The calling thread's block of the file's thread-local storage, if it has one already.
    pub fn thread_local_block(&self) -> Option<Range<usize>> {
        let storage = self.headers.iter().find(|header| header.p_type == libc::PT_TLS)?;
        let start = self.thread_local;
        (start != 0).then(|| start..start.wrapping_add(storage.p_memsz as usize))
    }

    fn range(&self, header: &libc::Elf64_Phdr) -> Range<usize> {
        let start = self.base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    }
}

/// Waits until all files are ready that were added to the list before.
pub fn wait_for_loads() {
    // SAFETY: the program itself is always loaded. Whoever loads a file holds the lock that is taken here.
    unsafe {
        let program = libc::dlopen(core::ptr::null(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if !program.is_null() {
            libc::dlclose(program);
        }
    }
}

/// Hands over each file, unless some were loaded or closed since the numbers were those. Whether that was so. Nothing may be asked
/// of the dynamic linker meanwhile.
pub fn each_file(loads: Option<Loads>, mut hand_over: impl FnMut(&LoadedFile<'_>)) -> bool {
    let mut is_as_expected = true;
    iterate(|info| {
        is_as_expected = loads.is_none_or(|loads| loads == Loads::of(info));
        if is_as_expected {
            // SAFETY: the linker hands over so many headers, which stay as long as the file.
            let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
            hand_over(&LoadedFile {
                base: info.dlpi_addr as usize,
                headers,
                thread_local: info.dlpi_tls_data as usize,
            });
        }
        is_as_expected
    });
    is_as_expected
}

/// Calls a function with what the linker knows of each file, until it returns false.
fn iterate<F: FnMut(&libc::dl_phdr_info) -> bool>(mut look: F) {
    unsafe extern "C" fn call<F: FnMut(&libc::dl_phdr_info) -> bool>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        look: *mut c_void,
    ) -> c_int {
        // SAFETY: the linker passes valid information, and `look` is the one below.
        let goes_on = unsafe { (*look.cast::<F>())(&*info) };
        c_int::from(!goes_on)
    }
    let _forks = HeldForks::new();
    // SAFETY: the callback keeps to what the linker passes.
    unsafe { libc::dl_iterate_phdr(Some(call::<F>), (&raw mut look).cast()) };
}

/// How many threads are looking at the list, or about to.
static LOOKING: AtomicU32 = AtomicU32::new(0);
/// How many threads are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// As long as it is there, no thread forks.
struct HeldForks(PhantomData<*const ()>);

impl HeldForks {
    fn new() -> HeldForks {
        loop {
            LOOKING.fetch_add(1, Ordering::SeqCst);
            if FORKING.load(Ordering::SeqCst) == 0 {
                return HeldForks(PhantomData);
            }
            LOOKING.fetch_sub(1, Ordering::SeqCst);
            yield_processor();
        }
    }
}

impl Drop for HeldForks {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The calling thread is about to fork.
pub fn before_fork() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    while LOOKING.load(Ordering::SeqCst) != 0 {
        yield_processor();
    }
}

/// It has forked; this is the parent.
pub fn after_fork_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// It has forked; this is the child, which has no other thread.
pub fn after_fork_in_child() {
    FORKING.store(0, Ordering::SeqCst);
    LOOKING.store(0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_at_unless_there_are_others_by_now() {
        // Other tests load nothing.
        let loads = Loads::now();
        wait_for_loads();
        let mut files = 0;
        assert!(each_file(Some(loads), |file| files += usize::from(file.segment(libc::PT_LOAD).is_some())));
        assert!(files > 1 && loads.loaded as usize >= files);
        let earlier = Loads { loaded: loads.loaded - 1, ..loads };
        assert!(!each_file(Some(earlier), |_| panic!("what was loaded since may not be ready")));
        assert!(each_file(None, |_| {}));
    }

    #[test]
    fn a_fork_waits_for_a_look_and_a_look_for_a_fork() {
        let held = HeldForks::new();
        let forking = std::thread::spawn(before_fork);
        while FORKING.load(Ordering::SeqCst) == 0 {
            yield_processor();
        }
        assert!(!forking.is_finished());
        drop(held);
        forking.join().unwrap();
        let looking = std::thread::spawn(|| drop(HeldForks::new()));
        after_fork_in_parent();
        looking.join().unwrap();
    }
}
