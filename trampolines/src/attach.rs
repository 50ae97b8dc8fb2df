//! A session that begins while the process runs, and ends before it does.
//!
//! [`begin`] is called in a thread of the program, in the midst of whatever that does: it maps the session's control page
//! and starts the agent's own thread, no more. That thread gets the interpreter's lock as any thread of C code does, finds
//! out what has to be known, has all threads join the session, and then waits: for the profiler's word to leave, or for its
//! heartbeat to stand still. Then it takes everything back, and ends.
//!
//! # Safety
//! The control page is mapped from before the agent's thread starts until just before it ends, and only that thread uses it.

use crate::capture::members::Members;
use crate::capture::relink::{self, Replacement};
use crate::capture::{self, Heartbeat, interpose, program_action, writes};
use crate::execute;
use crate::python;
use crate::sys::{self, File, KeepErrno, PathText, Refused, Text};
use crate::wire::{
    AttachState, CONTROL_FILE, CONTROL_MAGIC, CONTROL_VERSION, Control, GO_ON, LONGEST_SILENCE_NS, REASON_FILE,
};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_void};
use core::fmt::Display;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// How often the agent's thread looks for new threads, in milliseconds.
const LOOK_MS: u32 = 20;
/// The name of the agent's thread.
const THREAD_NAME: &CStr = c"pronk-agent";
/// The size of its stack.
const STACK_SIZE: usize = 256 << 10;

/// The process in which a session is on, as [`sys::fork_generation`] has it, or 0: one at a time.
static BUSY: AtomicU32 = AtomicU32::new(0);

/// A session, as the agent's thread has it.
#[derive(Clone, Copy, Debug)]
struct Session {
    directory: PathText,
    control: NonNull<Control>,
}

/// The session that is on: written by who has made the process busy, and read by the thread that it starts.
struct Current(UnsafeCell<Option<Session>>);

// SAFETY: whoever has made the process busy is alone with it, and starts the thread that is alone with it then.
unsafe impl Sync for Current {}

static CURRENT: Current = Current(UnsafeCell::new(None));

/// Begins the session in a directory, for which a control page waits there.
///
/// # Safety
/// The calling thread may allocate memory: it is not in the midst of that.
pub unsafe fn begin(directory: &CStr) {
    let _errno = KeepErrno::new();
    let mut path = PathText::new();
    if !path.push(directory.to_bytes()) {
        return;
    }
    let generation = sys::fork_generation();
    let before = BUSY.load(Ordering::Relaxed);
    let is_free = before != generation && !capture::is_on();
    if !is_free || BUSY.compare_exchange(before, generation, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return refuse_outright(&path, "another session of pronk's profiles it");
    }
    let Ok(control) = map_control(&path) else {
        BUSY.store(0, Ordering::Release);
        return;
    };
    let session = Session { directory: path, control };
    // SAFETY: the process was made busy by this thread.
    unsafe { *CURRENT.0.get() = Some(session) };
    session.say(AttachState::Begun);
    if let Err(refused) = start_thread() {
        session.refuse(&refused);
        session.end();
    }
}

/// Says that there can be no session, without taking part in one.
fn refuse_outright(directory: &PathText, reason: &str) {
    if let Ok(control) = map_control(directory) {
        let session = Session { directory: *directory, control };
        session.refuse(&reason);
        session.unmap();
    }
}

fn map_control(directory: &PathText) -> Result<NonNull<Control>, Refused> {
    let refused = Refused { what: CONTROL_FILE, errno: libc::EINVAL };
    let file = File::open_existing(in_directory(directory, CONTROL_FILE).ok_or(refused)?.as_c())?;
    let control = file.map_shared(size_of::<Control>())?.cast::<Control>();
    // SAFETY: the file has that size, as the profiler has made it before it had this called.
    let is_known = unsafe { control.as_ref() };
    match (is_known.magic, is_known.version) {
        (CONTROL_MAGIC, CONTROL_VERSION) => Ok(control),
        _ => {
            // SAFETY: the mapping was just made.
            unsafe { sys::unmap(control.cast(), size_of::<Control>()) };
            Err(refused)
        }
    }
}

fn in_directory(directory: &PathText, file: &str) -> Option<PathText> {
    let mut path = *directory;
    (path.push(b"/") && path.push(file.as_bytes())).then_some(path)
}

/// Starts the agent's thread, which takes no signals, and which nobody waits for.
fn start_thread() -> Result<(), Refused> {
    // SAFETY: the structures are initialized before they are used, and the function stays.
    unsafe {
        let (mut all, mut before) = (core::mem::zeroed(), core::mem::zeroed());
        libc::sigfillset(&mut all);
        let mut attributes = core::mem::zeroed();
        let mut thread = 0;
        libc::pthread_attr_init(&mut attributes);
        libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&mut attributes, STACK_SIZE);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let errno = interpose::create_unsampled(&mut thread, &attributes, run);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, core::ptr::null_mut());
        libc::pthread_attr_destroy(&mut attributes);
        if errno == 0 { Ok(()) } else { Err(Refused { what: "pthread_create", errno }) }
    }
}

/// The functions that calls are led to: the same that stand before the C library's where the agent is loaded first.
fn replacements() -> [Replacement; 11] {
    [
        Replacement::new(c"execve", execute::execve as *const () as usize),
        Replacement::new(c"execv", execute::execv as *const () as usize),
        Replacement::new(c"execvpe", execute::execvpe as *const () as usize),
        Replacement::new(c"execvp", execute::execvp as *const () as usize),
        Replacement::new(c"fexecve", execute::fexecve as *const () as usize),
        Replacement::new(c"posix_spawn", execute::posix_spawn as *const () as usize),
        Replacement::new(c"posix_spawnp", execute::posix_spawnp as *const () as usize),
        Replacement::new(c"pthread_create", interpose::pthread_create as *const () as usize),
        Replacement::new(c"sigaction", program_action::sigaction as *const () as usize),
        Replacement::new(c"signal", program_action::signal as *const () as usize),
        Replacement::new(c"write", writes::write as *const () as usize),
    ]
}

/// The agent's thread.
extern "C" fn run(_: *mut c_void) -> *mut c_void {
    // SAFETY: the name is zero-terminated.
    unsafe { libc::prctl(libc::PR_SET_NAME, THREAD_NAME.as_ptr()) };
    // SAFETY: whoever has started this thread has written it, and is done with it.
    if let Some(session) = unsafe { *CURRENT.0.get() } {
        session.run();
        session.end();
    }
    core::ptr::null_mut()
}

impl Session {
    fn control(&self) -> &Control {
        // SAFETY: the page is mapped until `end`.
        unsafe { self.control.as_ref() }
    }

    fn run(&self) {
        let Some(settings) = capture::settings_of(&self.directory) else {
            return self.refuse(&"the session's settings cannot be read");
        };
        // Without it no thread could be found, and nothing known of the memory that they use.
        if !sys::each_thread(|_| ()) {
            return self.refuse(&"it sees no /proc: mount one in its root, as with `mount -t proc proc ROOT/proc`");
        }
        if let Err(reason) = python::attach(&self.directory, &settings) {
            return self.refuse(&reason);
        }
        match Members::new() {
            Ok(members) => {
                execute::begin(&self.directory, &settings);
                self.sample(members);
                execute::end();
            }
            Err(refused) => self.refuse(&refused),
        }
        let is_unused = self.control().left_behind.load(Ordering::Relaxed) == 0 && capture::is_still();
        // SAFETY: all threads have left, and none was about to join when no more were taken; no stubs use the ring.
        unsafe { capture::finish(is_unused) };
    }

    /// Has all threads sampled until the profiler wants to leave, or is gone.
    fn sample(&self, mut members: Members) {
        let calls = replacements();
        relink::lead_here(&calls);
        members.look();
        self.say(AttachState::Sampling);
        let control = self.control();
        let heartbeat = Heartbeat::new();
        while control.command.load(Ordering::Acquire) == GO_ON {
            sys::wait_for_change(&control.command, GO_ON, LOOK_MS);
            let beats = control.heartbeat.load(Ordering::Relaxed);
            if heartbeat.silence_ns(beats, sys::monotonic_ns()) > LONGEST_SILENCE_NS {
                break;
            }
            relink::lead_here(&calls);
            members.look();
        }
        relink::lead_back(&calls);
        capture::stop();
        control.left_behind.store(members.leave(), Ordering::Relaxed);
    }

    fn say(&self, state: AttachState) {
        self.control().state.store(state as u32, Ordering::Release);
        sys::wake_all(&self.control().state);
    }

    /// Says why there can be no session.
    fn refuse(&self, reason: &dyn Display) {
        let text: Text<256> = Text::format(format_args!("{reason}"));
        if let Some(path) = in_directory(&self.directory, REASON_FILE)
            && let Ok(file) = File::open_existing(path.as_c())
        {
            let _ = file.append(0, text.as_bytes());
        }
        self.say(AttachState::Refused);
    }

    /// The last that the session has of the process.
    fn end(&self) {
        if self.control().state.load(Ordering::Relaxed) != AttachState::Refused as u32 {
            self.say(AttachState::Left);
        }
        self.unmap();
        BUSY.store(0, Ordering::Release);
    }

    fn unmap(&self) {
        // SAFETY: nobody uses the page any more.
        unsafe { sys::unmap(self.control.cast(), size_of::<Control>()) };
    }
}
