//! Gets the agent into a process that runs already, and out of it again.
//!
//! - [`safe_point`]: where a thread may be given something to do.
//! - [`call`]: the code that has it done, and the thread go on as if it never had.
//! - [`place`]: where that code lies.
//! - [`control`]: how the profiler and the agent agree from then on.

mod call;
mod control;
mod place;
mod safe_point;

use crate::directory::SessionDirectory;
use crate::error::Error;
use crate::launch::pidfd_open;
use crate::target::files::{LoadedFile, loaded_files, regions};
use crate::target::stop::{NotStopped, Stopped};
use crate::target::{Status, Target};
use call::{Call, Functions};
use control::ControlPage;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use control::fuzz as fuzzing;
use place::Place;
use pronk_trampolines::wire::{ATTACH_FUNCTION, AttachState, LIBRARY_FILE, REASON_FILE};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The signal that the agent handles while it is at work.
const SIGNAL: i32 = libc::SIGURG;
/// How long a thread is waited for that may load a library.
const SAFE_POINT_PATIENCE: Duration = Duration::from_secs(5);
/// How long another profiler is waited for that attaches just now.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);
/// How long between two looks for one.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);
/// How long an answer is waited for, once a thread makes the call.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a thread is waited for that is still in the code of its call.
const TAKE_AWAY_PATIENCE: Duration = Duration::from_millis(200);
/// How long the interpreter's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// How long the agent may take to leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// A process that runs, and has the agent in it.
#[derive(Debug)]
pub(crate) struct Attached {
    target: Target,
    control: ControlPage,
    /// Becomes readable when the process ends. `None` where the kernel has no pidfd_open (before 5.3).
    pidfd: Option<OwnedFd>,
    /// How long the thread was stopped that was given the agent to load.
    pub(crate) pause: Duration,
}

/// The call that a thread makes.
struct Made {
    tid: u32,
    place: Place,
    pause: Duration,
}

/// A process that an agent can be in, and what waits for that in the session's directory.
#[derive(Debug)]
pub(crate) struct Prepared {
    target: Target,
    control: ControlPage,
}

impl Prepared {
    /// Looks at a process, and makes the control page.
    ///
    /// # Errors
    /// Why no agent can be in it.
    pub(crate) fn new(pid: u32, directory: &SessionDirectory) -> Result<Prepared, Error> {
        let target = Target::open(pid)?;
        check(&target, &loaded_files(&target))?;
        let control = ControlPage::create(directory.path())?;
        Ok(Prepared { target, control })
    }

    /// The process's id, as it sees that itself.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn own_pid(&self) -> Result<u32, Error> {
        Ok(self.target.status()?.own_pid.unwrap_or(self.target.pid()))
    }

    /// The user and the group of the process, if the user is another one than this process's.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn foreign_owner(&self) -> Result<Option<(u32, u32)>, Error> {
        let own = nix::unistd::geteuid().as_raw();
        Ok(self.target.status()?.owner.filter(|(user, _)| *user != own))
    }

    /// Gets the agent into the process, and waits until it samples.
    ///
    /// # Errors
    /// Why that cannot be; the process runs on as before.
    pub(crate) fn attach(self, directory: &SessionDirectory) -> Result<Attached, Error> {
        let Prepared { target, mut control } = self;
        let pid = target.pid();
        let claim = target.claim(CLAIM_PATIENCE)?;
        // Another session may have had the agent loaded since the process was looked at, and two of them would not know of each other.
        let made = call_agent(&target, &loaded_files(&target), directory)?;
        let state = wait_for_answer(&target, &mut control);
        take_away(&target, &made);
        drop(claim);
        if let Err(error) = state {
            control.tell_to_leave();
            return Err(error);
        }
        let pidfd = pidfd_open(pid.cast_signed());
        Ok(Attached { target, control, pidfd, pause: made.pause })
    }
}

impl Attached {
    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.target.pid()
    }

    /// Becomes readable when the process ends, where the kernel can tell.
    pub(crate) fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whether the process has not ended, and the agent in it is at work: it leaves by itself when it does not hear of the
    /// profiler for a while.
    pub(crate) fn is_sampled(&self) -> bool {
        self.control.state() == Some(AttachState::Sampling) && self.target.is_alive()
    }

    /// The command that the process runs, as it says itself; empty where it says nothing.
    pub(crate) fn command(&self) -> Vec<OsString> {
        let text = std::fs::read(self.target.directory().join("cmdline")).unwrap_or_default();
        let text = text.strip_suffix(b"\0").unwrap_or(&text);
        let words = text.split(|byte| *byte == 0).filter(|_| !text.is_empty());
        words.map(|word| OsStr::from_bytes(word).to_owned()).collect()
    }

    /// Says that the profiler lives: several times in a second, or the agent leaves.
    pub(crate) fn beat(&self) {
        self.control.beat();
    }

    /// Whether the agent that was given to the process is in it: it is not when the process has executed another program.
    fn is_there(&self) -> bool {
        let inode = self.control.inode();
        regions(&self.target).iter().any(|region| Some(region.inode) == inode)
    }

    /// Has the agent leave, and waits until it has. Returns what it could not take back, in words.
    pub(crate) fn leave(self) -> Option<String> {
        self.control.tell_to_leave();
        let deadline = Instant::now() + LEAVE_PATIENCE;
        let pid = self.pid();
        while let Some(state @ (AttachState::Begun | AttachState::Sampling)) = self.control.state() {
            if !self.target.is_alive() {
                return None;
            }
            if !self.is_there() {
                break;
            }
            if self.target.status().is_ok_and(|status| status.state == 'T') {
                return Some(format!("process {pid} is stopped: pronk's agent leaves it as soon as it goes on"));
            }
            if Instant::now() > deadline {
                return Some(format!("process {pid} has not let pronk's agent go yet; it will, when it can"));
            }
            self.control.wait_for_change(state, Duration::from_millis(20));
        }
        match self.control.left_behind() {
            0 => None,
            threads => Some(format!(
                "{threads} threads of process {pid} hold back SIGURG and were not sampled to the end; some memory of \
                 theirs stays"
            )),
        }
    }
}

/// Whether a process is one that an agent can be in.
fn check(target: &Target, files: &[LoadedFile]) -> Result<(), Error> {
    let pid = target.pid();
    if files.iter().any(LoadedFile::is_musl) {
        return Err(Error::Musl(pid));
    }
    let is_python =
        |file: &LoadedFile| file.symbols(["Py_GetVersion", "PyGILState_Ensure"]).iter().all(Option::is_some);
    // Those that are most likely first: every file has to be read for its symbols.
    let likely = |file: &&LoadedFile| file.name().contains("python");
    let (first, rest): (Vec<_>, Vec<_>) = files.iter().partition(likely);
    match first.into_iter().chain(rest).any(is_python) {
        true => Ok(()),
        false if target.is_alive() => Err(Error::NotPython(pid)),
        false => Err(Error::NoProcess(pid)),
    }
}

/// Has a thread of a process call the agent.
fn call_agent(target: &Target, files: &[LoadedFile], directory: &SessionDirectory) -> Result<Made, Error> {
    let functions = Functions::find(files).ok_or(Error::NoLoader(target.pid()))?;
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::ZeroByte(path.into()));
    // As the process sees them.
    let inside = directory.inside();
    let library = inside.join(directory.library().file_name().unwrap_or_default());
    let (session, library, reason) = (text(inside)?, text(&library)?, text(&inside.join(REASON_FILE))?);
    let attach = loaded_agent(target, files, &directory.library())?;
    let call = |resume| Call { session: &session, library: &library, reason: &reason, attach, functions, resume };
    let size = call(0).code().len();
    // The agent's own code has to stay as it is: the next session tells by it whether it is the same.
    let mut hosts: Vec<_> = files.iter().filter(|file| !is_agent(file)).collect();
    // The C library is never closed, nor is what has the interpreter.
    hosts.sort_by_key(|file| (!call::is_c_library(file.name()), !file.name().contains("python")));
    let places = Place::find_all(target, hosts.into_iter(), size);
    if places.is_empty() {
        return Err(Error::NoPlace(target.pid()));
    }
    // Who stops threads must be one thread, and lets all of them go when it ends.
    std::thread::scope(|scope| {
        let make = || make_call(target, &places, |resume| call(resume).code());
        scope.spawn(make).join().map_err(|_| Error::Thread("attaching"))?
    })
}

fn make_call(target: &Target, places: &[Place], code: impl Fn(u64) -> Vec<u8>) -> Result<Made, Error> {
    let pid = target.pid();
    let deadline = Instant::now() + SAFE_POINT_PATIENCE;
    loop {
        let regions = regions(target);
        let (mut refused, mut occupied) = (None, false);
        for tid in target.threads() {
            let since = Instant::now();
            let thread = match Stopped::new(tid) {
                Ok(thread) => thread,
                Err(NotStopped::Ended | NotStopped::Busy) => continue,
                Err(NotStopped::ByJobControl) => return Err(Error::ProcessStopped(pid)),
                Err(error @ NotStopped::Refused(_)) => {
                    refused = Some(error);
                    continue;
                }
            };
            let Ok(mut registers) = thread.registers() else { continue };
            let Some(resume) = safe_point::resume_of(&registers, &regions) else { continue };
            let is_free = |place: &&Place| place.is_empty(target) || !is_used(place, target, &thread);
            let Some(place) = places.iter().find(is_free) else {
                occupied = true;
                continue;
            };
            place.write(target, &code(resume.instruction))?;
            registers.rax = resume.result;
            registers.rip = place.start();
            // The thread is in no system call any more.
            registers.orig_rax = u64::MAX;
            if thread.set_registers(registers).is_err() {
                continue;
            }
            drop(thread);
            return Ok(Made { tid, place: place.clone(), pause: since.elapsed() });
        }
        let tracer = target.status().ok().and_then(|status| status.tracer);
        // Another tracer may go; a filter stays.
        let is_final = refused.is_some() && tracer.is_none() && Status::own().is_some_and(|own| own.is_filtered);
        if is_final || Instant::now() > deadline {
            return Err(match refused {
                _ if !target.is_alive() => Error::NoProcess(pid),
                Some(refused) => refused.error(pid, tracer),
                None if occupied => Error::NoFreePlace { pid, waited: SAFE_POINT_PATIENCE },
                None => Error::NoSafePoint { pid, waited: SAFE_POINT_PATIENCE },
            });
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Whether a thread of the process runs code in a place that somebody else has put there. `stopped` is stopped already.
fn is_used(place: &Place, target: &Target, stopped: &Stopped) -> bool {
    place.is_used_by(target, stopped)
        || target.threads().into_iter().filter(|tid| *tid != stopped.tid()).any(|tid| match Stopped::new(tid) {
            Ok(thread) => place.is_used_by(target, &thread),
            Err(NotStopped::Ended) => false,
            Err(_) => true,
        })
}

/// Takes the call's code away, once its thread is behind it. Where that does not come in time, the code stays: it is used by
/// nobody, and the next session puts its own there.
fn take_away(target: &Target, made: &Made) {
    let take = || {
        let deadline = Instant::now() + TAKE_AWAY_PATIENCE;
        while Instant::now() < deadline {
            match Stopped::new(made.tid) {
                Ok(thread) if made.place.is_used_by(target, &thread) => drop(thread),
                Ok(_thread) => return made.place.clear(target),
                Err(NotStopped::Ended) => return,
                Err(_) => {}
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    };
    std::thread::scope(|scope| {
        // Whatever becomes of it, the session is there.
        let _ = scope.spawn(take).join();
    });
}

fn wait_for_answer(target: &Target, control: &mut ControlPage) -> Result<(), Error> {
    let pid = target.pid();
    let started = Instant::now();
    loop {
        control.beat();
        // The reason is there before the state that says so.
        let before = control.state();
        let reason = control.reason();
        let state = control.state();
        if state != before {
            continue;
        }
        match (state, reason) {
            (Some(AttachState::Sampling), _) => return Ok(()),
            (Some(AttachState::Refused), reason) => {
                let reason = reason.unwrap_or_else(|| "it does not say why".to_owned());
                return Err(Error::AgentRefused { pid, reason });
            }
            (Some(AttachState::Waiting), Some(reason)) => {
                return Err(Error::AgentNotLoaded { pid, reason, advice: advice(target) });
            }
            (Some(AttachState::Left) | None, _) => {
                let reason = "its control page is damaged".to_owned();
                return Err(Error::AgentRefused { pid, reason });
            }
            (Some(AttachState::Waiting | AttachState::Begun), _) => {}
        }
        if !target.is_alive() {
            return Err(Error::NoProcess(pid));
        }
        let waited = started.elapsed();
        match state {
            Some(AttachState::Waiting) if waited > ANSWER_PATIENCE => {
                return Err(Error::NoAnswer { pid, waited, advice: advice(target) });
            }
            Some(AttachState::Begun) if waited > LOCK_PATIENCE => return Err(Error::NoLock { pid, waited }),
            Some(state) => control.wait_for_change(state, Duration::from_millis(10)),
            None => {}
        }
    }
}

/// What may be the reason that a process cannot load the agent.
fn advice(target: &Target) -> &'static str {
    match target.status() {
        Ok(status) if status.is_filtered => {
            "; a filter of system calls (seccomp) is in force in it: it has to allow openat, mmap and mprotect"
        }
        _ => "",
    }
}

/// The address of the agent's function in a process that has the same agent loaded already, from a session before.
///
/// # Errors
/// When it has another agent, of another version of pronk, which is at work.
fn loaded_agent(target: &Target, files: &[LoadedFile], library: &Path) -> Result<Option<u64>, Error> {
    let (same, others): (Vec<_>, Vec<_>) =
        files.iter().filter(|file| is_agent(file)).partition(|file| is_file(target, file, library));
    if !others.is_empty() && target.status()?.handles(SIGNAL) {
        let reason = "another version of pronk profiles it".to_owned();
        return Err(Error::AgentRefused { pid: target.pid(), reason });
    }
    let address = |file: &LoadedFile| file.at(library).symbols([ATTACH_FUNCTION])[0].map(|function| function.address);
    Ok(same.into_iter().find_map(address))
}

/// Whether a file that is mapped is an agent, by its name.
fn is_agent(file: &LoadedFile) -> bool {
    file.name().strip_suffix(" (deleted)").unwrap_or(file.name()) == LIBRARY_FILE
}

/// Whether the code of a file that is mapped is that of another file.
fn is_file(target: &Target, mapped: &LoadedFile, file: &Path) -> bool {
    let Ok(bytes) = std::fs::read(file) else { return false };
    mapped.code.iter().all(|region| {
        let expected = bytes.get(region.offset as usize..).unwrap_or_default();
        let size = expected.len().min((region.range.end - region.range.start) as usize);
        let mut found = vec![0; size];
        target.read(region.range.start, &mut found).is_ok() && found == expected[..size]
    })
}
