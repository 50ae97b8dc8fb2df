//! Which Python thread the calling thread is: found in a signal handler, without a call into CPython.
//!
//! CPython keeps a thread's state in the thread's own storage: up to 3.14 under a key (`autoTSSkey`, Python/pystate.c), from
//! 3.12 on also in a thread-local variable while the thread is attached (`_Py_tss_tstate`), and 3.15 in another one as
//! long as the thread lives (`_Py_tss_gilstate`). None of them is exported. While an interpreter starts, the state is
//! known, and so its places are found by their contents: the key among all keys, the variables in the block of
//! thread-local storage of the binary that holds the interpreter.
//!
//! # Safety
//! Blocks of binaries that were loaded at the start of the program are at the same distance from the thread pointer in
//! every thread (ELF handling for thread-local storage, section 3.4.2, variant II), and so are read in any thread.

use super::symbols::{Object, Symbols};
use crate::sys::{self, loader};

/// Where a thread's state is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current {
    /// The key of thread-specific data.
    key: Option<libc::pthread_key_t>,
    /// The distance from the thread pointer of the variable that is set while the thread is attached.
    attached: Option<isize>,
    /// The same of the variable that is set as long as the thread lives.
    bound: Option<isize>,
}

/// `PTHREAD_KEYS_MAX` of glibc.
const MOST_KEYS: libc::pthread_key_t = 1024;

impl Current {
    /// Finds the places, by the state of the calling thread.
    ///
    /// # Safety
    /// The interpreter's lock is held.
    pub unsafe fn find(symbols: &Symbols) -> Current {
        // SAFETY: the lock is held, so the thread has a state.
        let state = unsafe { (symbols.this_thread)() };
        // SAFETY: a key that was not made has no value.
        let has_state = |key: &libc::pthread_key_t| unsafe { libc::pthread_getspecific(*key) == state };
        let key = (0..MOST_KEYS).find(has_state);
        let mut variables = [None; 2];
        if let Some(block) = thread_local_block(symbols.default_eval_frame as *const () as usize) {
            let places = (block.start..block.end).step_by(size_of::<usize>());
            // SAFETY: the block is the calling thread's own, and aligned as any.
            let holds = places.filter(|place| unsafe { (*place as *const usize).read_volatile() } == state as usize);
            for (found, place) in variables.iter_mut().zip(holds) {
                *found = Some(place.wrapping_sub(sys::thread_pointer()) as isize);
            }
        }
        match variables {
            [Some(first), Some(second)] => {
                // SAFETY: the lock is held, given up, and taken again.
                let first_is_attached = unsafe {
                    let saved = (symbols.save_thread)();
                    let attached = word(first).is_null();
                    (symbols.restore_thread)(saved);
                    attached
                };
                let (attached, bound) = if first_is_attached { (first, second) } else { (second, first) };
                Current { key, attached: Some(attached), bound: Some(bound) }
            }
            [attached, _] => Current { key, attached, bound: None },
        }
    }

    /// The state that the calling thread has while it is attached; null when it is not, or where that is not to be seen.
    pub fn attached(&self) -> *mut Object {
        self.attached.map_or(core::ptr::null_mut(), word)
    }

    /// The state that the calling thread has as long as it lives; null when it is no Python thread.
    pub fn bound(&self) -> *mut Object {
        match (self.bound, self.key) {
            (Some(place), _) => word(place),
            // SAFETY: the key is one that was made, or has no value.
            (None, Some(key)) => unsafe { libc::pthread_getspecific(key) },
            (None, None) => core::ptr::null_mut(),
        }
    }
}

/// The word at a distance from the thread pointer.
fn word(place: isize) -> *mut Object {
    let address = sys::thread_pointer().wrapping_add_signed(place);
    // SAFETY: the place is in the block of a binary that every thread has from its start.
    unsafe { (address as *const *mut Object).read_volatile() }
}

/// The calling thread's block of thread-local storage of the binary that an address lies in: whole words of it.
fn thread_local_block(address: usize) -> Option<core::ops::Range<usize>> {
    let mut block = None;
    loader::each_file(None, |file| {
        if file.holds(address) {
            block = file.thread_local_block();
        }
    });
    let block = block.filter(|block: &core::ops::Range<usize>| block.start.is_multiple_of(8))?;
    Some(block.start..block.start.wrapping_add(block.len() & !7))
}
