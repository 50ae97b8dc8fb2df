//! A lock that a fork cannot leave locked, a value that is set once, and one that comes and goes.

use crate::sys;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// Guards a value that is used for moments only: who waits lets other threads run and tries again.
#[derive(Debug)]
pub struct Lock<T> {
    /// The generation of the process that holds the lock ([`sys::fork_generation`]), or 0.
    holder: AtomicU32,
    /// Mends a value in the child of a fork, where the thread that was changing it does not exist.
    mend: fn(&mut T),
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through `with` only, by one thread at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// An unlocked value. `mend` is given a value that may be half changed, and leaves a whole one.
    pub const fn new(value: T, mend: fn(&mut T)) -> Lock<T> {
        Lock { holder: AtomicU32::new(0), mend, value: UnsafeCell::new(value) }
    }

    /// Runs `action` with the value. Must not be called again from within `action`.
    pub fn with<R>(&self, action: impl FnOnce(&mut T) -> R) -> R {
        let this_process = sys::fork_generation();
        let mut holder = 0;
        while let Err(other) =
            self.holder.compare_exchange_weak(holder, this_process, Ordering::Acquire, Ordering::Relaxed)
        {
            // A fork copies the lock but not the thread that held it: a holder that is another process is taken over.
            holder = if other == this_process { 0 } else { other };
            if holder == 0 {
                sys::yield_processor();
            }
        }
        // SAFETY: the lock is held, and given back only when the reference is gone.
        let value = unsafe { &mut *self.value.get() };
        if holder != 0 {
            (self.mend)(value);
        }
        let result = action(value);
        self.holder.store(0, Ordering::Release);
        result
    }
}

/// A value that is set once and then only read.
#[derive(Debug)]
pub struct Once<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

const EMPTY: u8 = 0;
const BEING_SET: u8 = 1;
const SET: u8 = 2;

// SAFETY: the value is written by the one thread that moved the state from EMPTY, and read only when it is SET.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not set.
    pub const fn new() -> Once<T> {
        Once { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value; the first one stays.
    pub fn set(&self, value: T) {
        if self.state.compare_exchange(EMPTY, BEING_SET, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // SAFETY: only one thread gets here, once, and nobody reads before the state is SET.
            unsafe { *self.value.get() = Some(value) };
            self.state.store(SET, Ordering::Release);
        }
    }

    /// The value, set first if it is not.
    pub fn get_or(&self, make: impl Fn() -> T) -> &T {
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            self.set(make());
            // Another thread may be about to set it.
            if self.get().is_none() {
                sys::yield_processor();
            }
        }
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        match self.state.load(Ordering::Acquire) {
            // SAFETY: nobody writes the value any more.
            SET => unsafe { (*self.value.get()).as_ref() },
            _ => None,
        }
    }
}

/// A value that there is one of from time to time.
#[derive(Debug)]
pub struct Replaced<T> {
    current: AtomicPtr<T>,
    /// They are used in turn.
    places: [UnsafeCell<MaybeUninit<T>>; 2],
    used: AtomicUsize,
}

// SAFETY: values are only written where nobody looks, as `set` is promised, and shared as any reference is.
unsafe impl<T: Send + Sync + Copy> Sync for Replaced<T> {}

impl<T: Copy> Replaced<T> {
    /// None.
    pub const fn new() -> Replaced<T> {
        Replaced {
            current: AtomicPtr::new(core::ptr::null_mut()),
            places: [const { UnsafeCell::new(MaybeUninit::uninit()) }; 2],
            used: AtomicUsize::new(0),
        }
    }

    /// Has there be a value.
    ///
    /// # Safety
    /// One thread at a time calls this, and nobody uses the value before the last one any more.
    pub unsafe fn set(&self, value: T) {
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.places.get(used % 2) {
            // SAFETY: as promised by the caller, nobody looks there.
            let place = unsafe { (*place.get()).write(value) };
            self.current.store(place, Ordering::Release);
        }
    }

    /// Has there be none. Who has it already may use it until the value after the next is set.
    pub fn clear(&self) {
        self.current.store(core::ptr::null_mut(), Ordering::Release);
    }

    /// The value, if there is one.
    pub fn get(&'static self) -> Option<&'static T> {
        // SAFETY: it was written before the pointer, and is not written again as long as somebody uses it.
        unsafe { self.current.load(Ordering::Acquire).as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn threads_take_turns() {
        static COUNT: Lock<u64> = Lock::new(0, |_| ());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    for _ in 0..10_000 {
                        COUNT.with(|count| *count += 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(COUNT.with(|count| *count), 40_000);
    }

    #[test]
    fn a_value_is_there_until_it_is_cleared() {
        static VALUE: Replaced<u32> = Replaced::new();
        assert_eq!(VALUE.get(), None);
        for value in 1..5 {
            // SAFETY: only this test uses it.
            unsafe { VALUE.set(value) };
            assert_eq!(VALUE.get(), Some(&value));
            VALUE.clear();
            assert_eq!(VALUE.get(), None);
        }
    }

    #[test]
    fn a_child_takes_over_the_lock_of_a_thread_that_it_does_not_have() {
        let lock = Lock::new(0, |value| *value = 1);
        lock.with(|_| {
            // SAFETY: the child takes the lock and leaves.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let code = lock.with(|value| {
                    *value += 7;
                    *value
                });
                // SAFETY: ends the child without running anything else.
                unsafe { libc::_exit(code) };
            }
            let mut status = 0;
            // SAFETY: `status` is valid to be written.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 8);
        });
    }
}
