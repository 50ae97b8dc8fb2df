//! Programs that the process executes belong to the session as well.
//!
//! The dynamic linker loads the agent into a program whose environment asks for that. But a program may be executed with an
//! environment of somebody's making, and a process that was attached to has not been asked itself. So the agent stands before
//! the functions of the C library that execute programs, and has the environment ask as long as there is a session. When it is
//! over, the library is gone, and the dynamic linker would complain of that: so the environment does not ask any more.
//!
//! Most programs are executed in the child of a `vfork`, which has its parent's memory (vfork(2)): nothing is kept here, and
//! nothing allocated.
//!
//! `system`, `popen` and the functions with a list of arguments (`execl`) are not looked after: they take the environment of
//! the process as it is.

mod environment;

use crate::capture;
use crate::lock::Replaced;
use crate::sys::{self, Next, PathText, Text};
use crate::wire::{Followed, LIBRARY_FILE, Settings};
use core::ffi::{c_char, c_int};
use environment::Environment;
use libc::{pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};

/// A list of texts that ends with a null pointer: a program's arguments, or its environment.
pub type Texts = *const *const c_char;
/// The type of `execve` and `execvpe`.
type Execve = unsafe extern "C" fn(*const c_char, Texts, Texts) -> c_int;
type Fexecve = unsafe extern "C" fn(c_int, Texts, Texts) -> c_int;
/// The type of `posix_spawn` and `posix_spawnp`.
type Spawn = unsafe extern "C" fn(
    *mut pid_t,
    *const c_char,
    *const posix_spawn_file_actions_t,
    *const posix_spawnattr_t,
    Texts,
    Texts,
) -> c_int;

// SAFETY: the functions are of these types (exec(3), fexecve(3), posix_spawn(3)).
static EXECVE: Next<Execve> = unsafe { Next::new(c"execve") };
// SAFETY: as above.
static EXECVPE: Next<Execve> = unsafe { Next::new(c"execvpe") };
// SAFETY: as above.
static FEXECVE: Next<Fexecve> = unsafe { Next::new(c"fexecve") };
// SAFETY: as above.
static SPAWN: Next<Spawn> = unsafe { Next::new(c"posix_spawn") };
// SAFETY: as above.
static SPAWNP: Next<Spawn> = unsafe { Next::new(c"posix_spawnp") };

/// The session that programs are executed in.
#[derive(Clone, Copy, Debug)]
struct Executing {
    session: Text<512>,
    library: PathText,
    followed: Followed,
}

static EXECUTING: Replaced<Executing> = Replaced::new();

/// Has programs that are executed from now on belong to a session.
pub(crate) fn begin(session: &PathText, settings: &Settings) {
    prepare();
    let mut executing = Executing { session: Text::new(), library: *session, followed: settings.followed };
    let fits = executing.session.push(session.as_bytes())
        && executing.library.push(b"/")
        && executing.library.push(LIBRARY_FILE.as_bytes());
    if fits {
        // SAFETY: sessions of a process begin one after the other, and a program is executed within one of them.
        unsafe { EXECUTING.set(executing) };
    }
}

/// Has them belong to no session.
pub(crate) fn end() {
    EXECUTING.clear();
}

/// Finds the C library's functions: in the child of a fork nobody may look for a symbol.
fn prepare() {
    for function in [&EXECVE, &EXECVPE] {
        function.get();
    }
    for function in [&SPAWN, &SPAWNP] {
        function.get();
    }
    FEXECVE.get();
}

impl Executing {
    /// Whether a program belongs to the session that is executed in the calling process, or in a new child of it.
    fn includes(&self, in_child: bool) -> bool {
        let followed = match in_child {
            true => self.followed.includes_children(),
            false => self.followed.includes(sys::process_id()),
        };
        followed && capture::may_be_on() && sys::can_be_read(self.library.as_c())
    }
}

/// Executes a program with an environment, once that is made to be as it should.
///
/// # Safety
/// The environment is one, or null.
unsafe fn with_environment<R>(given: Texts, in_child: bool, execute: impl FnOnce(Texts) -> R) -> R {
    let Some(executing) = EXECUTING.get() else { return execute(given) };
    let mut environment = Environment::new();
    let (session, library) = (executing.session.as_c(), executing.library.as_c());
    // SAFETY: as promised by the caller; what is made is used as long as both are there.
    let made = unsafe { environment.make(given, session, library, executing.includes(in_child)) };
    execute(made.unwrap_or(given))
}

/// What is returned where the C library has no such function.
fn missing() -> c_int {
    sys::set_errno(libc::ENOSYS);
    -1
}

/// Stands for `execve(2)`.
///
/// # Safety
/// As for that; so for all that follow.
pub unsafe extern "C" fn execve(path: *const c_char, arguments: Texts, given: Texts) -> c_int {
    let Some(real) = EXECVE.get() else { return missing() };
    // SAFETY: as promised by the caller.
    unsafe { with_environment(given, false, |environment| real(path, arguments, environment)) }
}

/// Stands for `execv(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn execv(path: *const c_char, arguments: Texts) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { execve(path, arguments, sys::own_environment()) }
}

/// Stands for `execvpe(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn execvpe(file: *const c_char, arguments: Texts, given: Texts) -> c_int {
    let Some(real) = EXECVPE.get() else { return missing() };
    // SAFETY: as promised by the caller.
    unsafe { with_environment(given, false, |environment| real(file, arguments, environment)) }
}

/// Stands for `execvp(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn execvp(file: *const c_char, arguments: Texts) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { execvpe(file, arguments, sys::own_environment()) }
}

/// Stands for `fexecve(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn fexecve(file: c_int, arguments: Texts, given: Texts) -> c_int {
    let Some(real) = FEXECVE.get() else { return missing() };
    // SAFETY: as promised by the caller.
    unsafe { with_environment(given, false, |environment| real(file, arguments, environment)) }
}

/// Stands for `posix_spawn(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Texts,
    given: Texts,
) -> c_int {
    let Some(real) = SPAWN.get() else { return libc::ENOSYS };
    // SAFETY: as promised by the caller.
    unsafe { with_environment(given, true, |own| real(pid, path, actions, attributes, arguments, own)) }
}

/// Stands for `posix_spawnp(3)`.
///
/// # Safety
/// As for that.
pub unsafe extern "C" fn posix_spawnp(
    pid: *mut pid_t,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: Texts,
    given: Texts,
) -> c_int {
    let Some(real) = SPAWNP.get() else { return libc::ENOSYS };
    // SAFETY: as promised by the caller.
    unsafe { with_environment(given, true, |own| real(pid, file, actions, attributes, arguments, own)) }
}
