//! The signals that reach the profiler while a command runs.
//!
//! The command must be able to live and die as it would without the profiler, so the profiler survives what is meant
//! for the command, and hands on what was sent to the profiler alone. A handler writes each signal into a pipe, which
//! the session reads; nothing is lost between the installation of the handlers and the first read.
//!
//! # Safety
//! `unsafe` is needed to install handlers and for what they do: they touch nothing but the pipe, by async-signal-safe
//! calls (signal-safety(7)), and they preserve `errno`.

use crate::error::Error;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock};

/// Signals that the profiler survives and hands on.
const CAUGHT: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
];

/// The write end of the pipe, or -1. The pipe is made once and never closed, so a late handler cannot hit another file.
static PIPE: AtomicI32 = AtomicI32::new(-1);
static IN_USE: AtomicBool = AtomicBool::new(false);

/// What a process was started with for SIGPIPE, before Rust's start-up code ignored it: 0 is not known, else 1 + the
/// handler's address, which is `SIG_DFL` or `SIG_IGN` as nothing else outlives `execve`.
static INHERITED_SIGPIPE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn remember_sigpipe() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only fills the old one, which zero bytes make valid anyhow.
    let handler = unsafe {
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    };
    INHERITED_SIGPIPE.store(std::ptr::without_provenance_mut(handler + 1), Ordering::Relaxed);
}

/// Runs [`remember_sigpipe`] before `main`, and so before Rust's start-up code (gABI, "Initialization and Termination
/// Functions").
#[used]
// SAFETY: the section holds addresses of functions that take nothing they need, which this is.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = remember_sigpipe;

/// A signal that reached the profiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: i32,
    /// Whether a process sent it, and not the kernel, which tells the whole process group of the terminal by itself.
    pub(crate) by_process: bool,
    /// The process that sent it, if one did.
    pub(crate) sender: i32,
}

const MESSAGE_SIZE: usize = 12;

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to handlers with SA_SIGINFO; si_pid is only meant, and used, where a
    // process sent the signal, and reading it is defined for every signal as the union is fully initialized.
    let (code, sender) = unsafe { ((*info).si_code, (*info).si_pid()) };
    let mut message = [0; MESSAGE_SIZE];
    message[..4].copy_from_slice(&signal.to_ne_bytes());
    message[4..8].copy_from_slice(&code.to_ne_bytes());
    message[8..].copy_from_slice(&sender.to_ne_bytes());
    // SAFETY: errno is the thread's own; write is async-signal-safe, and a message this short is written whole or not
    // at all (pipe(7), PIPE_BUF). When the pipe is full, 64 KiB of signals wait to be read: one more changes nothing.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        libc::write(PIPE.load(Ordering::Relaxed), message.as_ptr().cast(), MESSAGE_SIZE);
        *errno = saved;
    }
}

/// Catches signals until it is dropped. One at a time in a process.
#[derive(Debug)]
pub(crate) struct Signals {
    reader: &'static Mutex<io::PipeReader>,
    fd: BorrowedFd<'static>,
    /// What was there before, for [`Signals::inherited`] and for the end.
    before: Vec<(Signal, SigAction)>,
}

impl Signals {
    /// Starts to catch signals.
    ///
    /// # Errors
    /// [`Error::Busy`] while there is another one; [`Error::System`] when the system refuses.
    pub(crate) fn catch() -> Result<Signals, Error> {
        if IN_USE.swap(true, Ordering::Acquire) {
            return Err(Error::Busy);
        }
        let reader = pipe().inspect_err(|_| IN_USE.store(false, Ordering::Release))?;
        let fd = borrow(reader);
        let mut signals = Signals { reader, fd, before: Vec::new() };
        while signals.next().is_some() {}
        for signal in CAUGHT {
            let flags = SaFlags::SA_RESTART | SaFlags::SA_SIGINFO;
            signals.set(signal, SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty()))?;
        }
        // A parent may have left SIGCHLD ignored, and then nobody could wait for the command (wait(2), notes).
        signals.set(Signal::SIGCHLD, SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty()))?;
        Ok(signals)
    }

    fn set(&mut self, signal: Signal, action: SigAction) -> Result<(), Error> {
        let failed = |errno: nix::Error| Error::System { call: "sigaction", source: errno.into() };
        // SAFETY: `handle` is async-signal-safe, as its comments show.
        let before = unsafe { sigaction(signal, &action) }.map_err(failed)?;
        self.before.push((signal, before));
        if matches!(before.handler(), SigHandler::SigIgn) && signal != Signal::SIGCHLD {
            // Who started us wants the signal ignored, as nohup does: so it stays, for us and for the command.
            // SAFETY: this is the action that was there a moment ago.
            unsafe { sigaction(signal, &before) }.map_err(failed)?;
        }
        Ok(())
    }

    /// Which signals the command must find ignored, and which at their default: as the profiler found them.
    pub(crate) fn inherited(&self) -> Vec<(i32, libc::sighandler_t)> {
        let of_sigpipe = match INHERITED_SIGPIPE.load(Ordering::Relaxed).addr() {
            0 => libc::SIG_DFL,
            known => known - 1,
        };
        let of = |action: &SigAction| match action.handler() {
            SigHandler::SigIgn => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        let caught = self.before.iter().map(|(signal, action)| (*signal as i32, of(action)));
        caught.chain([(libc::SIGPIPE, of_sigpipe)]).collect()
    }

    /// Becomes readable when there is a signal.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd
    }

    /// The next signal, if there is one. Never waits.
    pub(crate) fn next(&self) -> Option<Received> {
        let mut message = [0; MESSAGE_SIZE];
        let mut reader = self.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        reader.read_exact(&mut message).ok()?;
        let field = |at: usize| i32::from_ne_bytes(*message[at..].first_chunk().expect("the message has three fields"));
        // siginfo's codes up to 0 are those of kill, sigqueue and their like (sigaction(2)).
        Some(Received { signal: field(0), by_process: field(4) <= 0, sender: field(8) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: this is the action that was there before; if it is refused there is nothing to be done.
            let _ = unsafe { sigaction(*signal, before) };
        }
        IN_USE.store(false, Ordering::Release);
    }
}

fn borrow(reader: &'static Mutex<io::PipeReader>) -> BorrowedFd<'static> {
    let raw = reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_fd().as_raw_fd();
    // SAFETY: the pipe is in a static and never closed.
    unsafe { BorrowedFd::borrow_raw(raw) }
}

fn pipe() -> Result<&'static Mutex<io::PipeReader>, Error> {
    static READER: OnceLock<Mutex<io::PipeReader>> = OnceLock::new();
    if let Some(reader) = READER.get() {
        return Ok(reader);
    }
    let (reader, writer) = io::pipe().map_err(Error::system("pipe"))?;
    for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
        // SAFETY: F_SETFL takes a number and changes only how the file is waited for.
        if unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
            return Err(Error::System { call: "fcntl", source: io::Error::last_os_error() });
        }
    }
    PIPE.store(std::os::fd::IntoRawFd::into_raw_fd(writer), Ordering::Relaxed);
    Ok(READER.get_or_init(|| Mutex::new(reader)))
}
