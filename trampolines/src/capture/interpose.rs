//! Finds every thread when it starts, and every fork.
//!
//! The agent stands before the C library's `pthread_create`. A thread that does not come by there (one that the C library
//! makes for itself, or a bare clone) is not sampled.

use super::thread::{Main, SampledThread};
use super::{CAPTURE, after_fork, begin_thread, end_thread};
use crate::lock::Once;
use crate::sys::{self, Next, loader};
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

type PthreadCreate =
    unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Main, *mut c_void) -> c_int;

/// The C library's `pthread_create`.
// SAFETY: it is of that type (pthread_create(3)).
static PTHREAD_CREATE: Next<PthreadCreate> = unsafe { Next::new(c"pthread_create") };

/// Stands for `pthread_create(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    main: Main,
    argument: *mut c_void,
) -> c_int {
    let Some(real) = PTHREAD_CREATE.get() else { return libc::EAGAIN };
    let sampled = CAPTURE.get().and_then(|_| SampledThread::allocate(Some((main, argument))).ok());
    // SAFETY: as promised by the caller; what is passed in place of the argument lives until the thread has ended.
    unsafe {
        let Some(sampled) = sampled else { return real(thread, attributes, main, argument) };
        let result = real(thread, attributes, run, sampled.as_ptr().cast());
        if result != 0 {
            SampledThread::free(sampled);
        }
        result
    }
}

/// Makes a thread that is not sampled; the number of an error, or 0.
///
/// # Safety
/// As for pthread_create(3).
pub unsafe fn create_unsampled(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    main: Main,
) -> c_int {
    match PTHREAD_CREATE.get() {
        // SAFETY: as promised by the caller.
        Some(real) => unsafe { real(thread, attributes, main, core::ptr::null_mut()) },
        None => libc::EAGAIN,
    }
}

/// The main function of a thread that is sampled. `pthread_exit` unwinds past it: without unwinding of its own (`panic` is
/// `abort`) it has nothing to run then, and no routine that would object.
extern "C" fn run(sampled: *mut c_void) -> *mut c_void {
    let Some(sampled) = NonNull::new(sampled.cast::<SampledThread>()) else { return core::ptr::null_mut() };
    // SAFETY: whoever has made the thread has put its function there, and nobody else uses it.
    let Some((main, argument)) = (unsafe { (*sampled.as_ptr()).main.take() }) else { return core::ptr::null_mut() };
    begin_thread(sampled, sys::thread_stack().unwrap_or_default());
    main(argument)
}

/// Has a thread's sampling end with the calling thread, however that ends.
pub fn end_with_thread(sampled: NonNull<SampledThread>) {
    if let Some(key) = end_key() {
        // SAFETY: the key was made.
        unsafe { libc::pthread_setspecific(key, sampled.as_ptr().cast()) };
    }
}

/// The same within a signal handler, where it can be done: a thread has room for the values of the first keys from its
/// start, and for others its room is allocated (`PTHREAD_KEY_2NDLEVEL_SIZE`, nptl/pthread_setspecific.c, glibc 2.36).
pub fn end_with_thread_in_handler(sampled: NonNull<SampledThread>) {
    const KEYS_WITH_ROOM: libc::pthread_key_t = 32;
    if end_key().is_some_and(|key| key < KEYS_WITH_ROOM) {
        end_with_thread(sampled);
    }
}

/// The key of the value with which a thread ends, made when this is first called.
pub fn end_key() -> Option<libc::pthread_key_t> {
    static KEY: Once<Option<libc::pthread_key_t>> = Once::new();
    *KEY.get_or(|| {
        let mut key = 0;
        // SAFETY: there is room for the key.
        let made = unsafe { libc::pthread_key_create(&mut key, Some(at_end)) } == 0;
        made.then_some(key)
    })
}

unsafe extern "C" fn at_end(sampled: *mut c_void) {
    // One that has ended the process has ended already.
    if let Some(sampled) = SampledThread::of_this_thread().filter(|ours| ours.as_ptr().cast() == sampled) {
        end_thread(sampled);
    }
}

/// Has the children of forks sampled as well.
pub fn follow_forks() {
    static FOLLOWED: AtomicBool = AtomicBool::new(false);
    if FOLLOWED.swap(true, Ordering::Relaxed) {
        return;
    }
    unsafe extern "C" fn prepare() {
        loader::before_fork();
    }
    unsafe extern "C" fn parent() {
        loader::after_fork_in_parent();
    }
    unsafe extern "C" fn child() {
        let _errno = sys::KeepErrno::new();
        loader::after_fork_in_child();
        after_fork();
    }
    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }
    // SAFETY: the functions stay, as the library is never unloaded.
    unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}
