//! The library that is loaded into a target: what the loader runs, what it exports, and what becomes of a panic.

use crate::attach;
use crate::capture::{self, Main, interpose, program_action, writes};
use crate::execute::{self, Texts};
use crate::functions::session_of_environment;
use crate::python;
use core::ffi::{CStr, c_char, c_int, c_void};

/// Runs when the loader has mapped the library, before the program's `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn on_load() {
    writes::prepare();
    let Some(session) = session_of_environment() else { return };
    let settings = capture::settings_of(&session);
    if let Some(settings) = &settings {
        execute::begin(&session, settings);
    }
    python::start(session, settings);
}

/// Runs when the program ends by `exit`, or by returning from `main`.
#[used]
#[unsafe(link_section = ".fini_array")]
static ON_EXIT: extern "C" fn() = on_exit;

extern "C" fn on_exit() {
    capture::end();
}

/// Functions that stand before the C library's of the same names: the dynamic linker leads the program's calls here.
macro_rules! stand_before {
    ($($module:ident::$name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("[`", stringify!($module), "::", stringify!($name), "`], in front of the C library's.")]
        ///
        /// # Safety
        /// As for that.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: as promised by the caller.
            unsafe { $module::$name($($argument),*) }
        }
    )*};
}

stand_before! {
    interpose::pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        main: Main,
        argument: *mut c_void
    ) -> c_int;
    program_action::sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int;
    program_action::signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t;
    writes::write(file: c_int, bytes: *const c_void, size: usize) -> isize;
    execute::execve(path: *const c_char, arguments: Texts, given: Texts) -> c_int;
    execute::execv(path: *const c_char, arguments: Texts) -> c_int;
    execute::execvpe(file: *const c_char, arguments: Texts, given: Texts) -> c_int;
    execute::execvp(file: *const c_char, arguments: Texts) -> c_int;
    execute::fexecve(file: c_int, arguments: Texts, given: Texts) -> c_int;
    execute::posix_spawn(
        pid: *mut libc::pid_t,
        path: *const c_char,
        actions: *const libc::posix_spawn_file_actions_t,
        attributes: *const libc::posix_spawnattr_t,
        arguments: Texts,
        given: Texts
    ) -> c_int;
    execute::posix_spawnp(
        pid: *mut libc::pid_t,
        file: *const c_char,
        actions: *const libc::posix_spawn_file_actions_t,
        attributes: *const libc::posix_spawnattr_t,
        arguments: Texts,
        given: Texts
    ) -> c_int;
}

/// [`attach::begin`]: what a profiler has a thread of a running process call.
///
/// # Safety
/// The text is zero-terminated; the rest as for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_attach(directory: *const c_char) {
    if !directory.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { attach::begin(CStr::from_ptr(directory)) };
    }
}

/// [`python::install`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_install() -> bool {
    // SAFETY: as promised by the caller.
    unsafe { python::install() }
}

/// [`python::remove`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_remove() {
    // SAFETY: as promised by the caller.
    unsafe { python::remove() }
}

unsafe extern "C" {
    /// Is nowhere defined: a library that needs it does not link.
    fn pronk_agent_contains_a_path_to_a_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked.
    unsafe { pronk_agent_contains_a_path_to_a_panic() }
}
