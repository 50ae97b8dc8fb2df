//! CPython's side: finding it in the process, its layouts, and the frame evaluation hook.

mod anchors;
mod arguments;
mod attach;
mod attributes;
pub mod awaits;
mod check;
mod code_object;
mod codes;
mod coroutines;
mod costs;
mod current;
mod definitions;
pub mod dict;
mod frame_module;
mod governor;
mod hook;
mod hook_code;
mod hook_words;
mod inittab;
pub mod int;
mod interpreters;
mod labels;
pub mod layout;
mod links;
mod methods;
pub mod objects;
mod perf_support;
mod recursion;
mod refusal;
mod register;
mod sampled;
mod search;
mod spans;
mod switches;
mod symbols;
mod task_fields;
mod task_names;
mod tasks;
pub mod text;
mod values;
mod variables;
mod version;
pub(crate) mod windows;

pub use anchors::{Anchors, Known, may_be_left};
pub(crate) use attach::attach;
pub use codes::TEXT_SIZE;
pub use frame_module::module_of_frame;
pub use hook_code::{HOOK_SIZE, HOOK_UNWIND_TABLE};
pub(crate) use labels::{SCOPES, inherited_scope};
pub use layout::Layout;
pub use links::{End, Link, Walked, Walker};
pub use sampled::Sampled;
pub(crate) use task_names::follow as follow_task_names;
pub use tasks::{Chain, Task, TaskName};
pub(crate) use text::push_text;
pub use version::{SUPPORTED, Version};

use crate::capture;
use crate::counts::Terms;
use crate::functions::Functions;
use crate::lock::Once;
use crate::sys::{self, KeepErrno, PathText, Refused};
use crate::wire::{Driver, GROUPS, KINDS, Settings, Status, StubsSetting};
use core::ffi::{CStr, c_char};
use refusal::Refusal;

/// The first version that runs Python calls within the evaluator of their caller, which stubs end.
const FIRST_WITH_INLINED_CALLS: u8 = 11;

/// The functions of this process that have stubs.
static FUNCTIONS: Functions = Functions::new();

/// The interpreter, once it was found to be one that stubs work on.
static CPYTHON: Once<CPython> = Once::new();

/// A supported interpreter.
#[derive(Debug)]
struct CPython {
    symbols: symbols::Symbols,
    layout: &'static Layout,
    version: Version,
    /// The session's directory, as it was named when the process started.
    session: PathText,
    /// The directory for what has to be in memory: a page of a file on a disk can take milliseconds when it is first written.
    memory: Option<PathText>,
    stubs: Stubs,
    /// What a stub that is entered costs here, by [`FunctionKind`](crate::wire::FunctionKind), in picoseconds.
    costs_ps: [u32; KINDS],
}

/// When functions run through stubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stubs {
    Off,
    Full,
    /// In windows, so that they cost so many millionths of the time.
    Windowed {
        budget_ppm: u32,
    },
}

impl Stubs {
    fn of(settings: Option<&Settings>, version: Version) -> Stubs {
        let Some(settings) = settings else { return Stubs::Full };
        match StubsSetting::from_raw(settings.stubs) {
            None | Some(StubsSetting::Full) => Stubs::Full,
            Some(StubsSetting::Off) => Stubs::Off,
            Some(StubsSetting::Auto) if version.minor < FIRST_WITH_INLINED_CALLS => Stubs::Full,
            Some(StubsSetting::Auto) => Stubs::Off,
            Some(StubsSetting::Windowed) => Stubs::Windowed { budget_ppm: settings.budget_ppm },
        }
    }
}

/// Looks for CPython in this process, before it is initialized, begins to sample it if the session asks for that, and
/// arranges for the hook to be installed.
///
/// Does nothing when the process does not take part in the session or is not Python. An interpreter that is not supported gets a
/// registry that says why, and runs on as it would have.
pub fn start(session: PathText, settings: Option<Settings>) {
    let _errno = KeepErrno::new();
    if settings.is_some_and(|settings| !settings.followed.includes(sys::process_id())) {
        return;
    }
    let Some(version) = find_version() else { return };
    match find_python(version, session, Stubs::of(settings.as_ref(), version)) {
        Ok(mut python) => {
            if let Some(settings) = settings {
                python.memory = settings.memory();
                // Without memory or timers the program runs as if there were no session.
                let sampled = sampled_of(&python);
                if let Ok(sampled) = &sampled {
                    labels::prepare(&python.symbols, sampled.walker, version.minor);
                }
                let _unsampled = sampled.and_then(|sampled| match Driver::from_raw(settings.driver) {
                    Some(Driver::Outside) => {
                        capture::outside::start(settings, sampled);
                        Ok(())
                    }
                    _ => capture::start(settings, sampled),
                });
            }
            CPYTHON.set(python);
            if let Err(why) = inittab::wrap(on_interpreter_start, perf_support::comes_first(version), labels::module())
            {
                refuse(&session, version, why);
            }
        }
        Err(why) => refuse(&session, version, why),
    }
}

/// What samples need to know of the interpreter of this process, found out once.
fn sampled_of(python: &CPython) -> Result<&'static Sampled, Refused> {
    static SAMPLED: Once<Sampled> = Once::new();
    if SAMPLED.get().is_none() {
        SAMPLED.set(Sampled::new(&python.symbols, python.layout, python.version.hex())?);
    }
    SAMPLED.get().ok_or(Refused { what: "begin", errno: libc::EAGAIN })
}

/// The version of the CPython in this process, if there is one.
fn find_version() -> Option<Version> {
    let get_version = sys::symbol(c"Py_GetVersion")?;
    // SAFETY: Py_GetVersion may be called before the interpreter is initialized, and returns a text that stays
    // (documentation of the C API, "Before Python initialization").
    let text = unsafe {
        let get_version: unsafe extern "C" fn() -> *const c_char = core::mem::transmute(get_version);
        CStr::from_ptr(get_version())
    };
    Version::parse(text)
}

fn find_python(version: Version, session: PathText, stubs: Stubs) -> Result<CPython, Refusal> {
    if version.major != 3 {
        return Err(Refusal::Version);
    }
    let layout = layout::of(version.minor).ok_or(Refusal::Version)?;
    if version.free_threaded {
        return Err(Refusal::FreeThreaded);
    }
    if version.pre_release {
        return Err(Refusal::PreRelease);
    }
    let symbols = symbols::Symbols::load().map_err(Refusal::Missing)?;
    let costs_ps = if stubs == Stubs::Off { [0; KINDS] } else { costs::of(layout) };
    Ok(CPython { symbols, layout, version, session, memory: None, stubs, costs_ps })
}

fn refuse(session: &PathText, version: Version, why: Refusal) {
    if FUNCTIONS.start(session.as_c(), version.hex()).is_ok() {
        FUNCTIONS.set_status(Status::Refused, why);
    }
}

/// Called by each interpreter of the process while it starts, with its lock held.
fn on_interpreter_start() {
    let _errno = KeepErrno::new();
    let Some(python) = CPYTHON.get() else { return };
    if let Some(capture) = capture::CAPTURE.get() {
        // SAFETY: the lock is held.
        unsafe { capture.sampled.find_current(&python.symbols) };
        if capture.settings.reads_variables() {
            // SAFETY: as above.
            unsafe { labels::learn_context_variables() };
        }
    }
    if let Some(capture) = capture::any() {
        // SAFETY: as above.
        unsafe { capture.sampled.tasks.interpreter_starts(&python.symbols) };
        if capture::outside::capture().is_some() {
            // SAFETY: as above. The modules are looked at for as long as coroutines run, and so are kept.
            unsafe { (python.symbols.keep)((python.symbols.modules)()) };
        }
    }
    // Without a registry there would be no names for the stubs: the program runs as if there were no session.
    if FUNCTIONS.start(python.session.as_c(), python.version.hex()).is_ok() {
        let groups = if matches!(python.stubs, Stubs::Windowed { .. }) { GROUPS } else { 1 };
        FUNCTIONS.set_terms(Terms { groups: groups as u32, costs_ps: python.costs_ps }, python.memory);
        install_and_say(python);
    }
}

fn install_and_say(python: &CPython) {
    if python.stubs == Stubs::Off {
        FUNCTIONS.set_status(Status::Running, "");
        return;
    }
    // SAFETY: the lock is held.
    match unsafe { hook::install(python) } {
        Ok(()) => FUNCTIONS.set_status(Status::Running, ""),
        // An interpreter of its own that is refused does not stop the others.
        Err(_) if hook::INSTALLED.get().is_some() => {}
        Err(why) => FUNCTIONS.set_status(Status::Refused, why),
    }
}

/// Installs the hook in the current interpreter, in a process of a session. Returns whether the interpreter is one that
/// stubs work on. Installing it again changes nothing.
///
/// # Safety
/// The interpreter's lock is held.
pub unsafe fn install() -> bool {
    // A registry is there from the start of the first interpreter on, if ever.
    let python = CPYTHON.get().filter(|_| FUNCTIONS.token().is_some());
    if let Some(python) = python {
        install_and_say(python);
    }
    python.is_some()
}

/// Removes the hook from the current interpreter; it becomes a pass-through if another hook has been set over it.
///
/// # Safety
/// The interpreter's lock is held.
pub unsafe fn remove() {
    if let Some(python) = CPYTHON.get() {
        // SAFETY: as promised by the caller.
        unsafe { hook::remove(python) };
        FUNCTIONS.set_status(Status::Stopped, "the hook was removed");
    }
}
