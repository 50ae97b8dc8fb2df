//! Stops a thread of another process for a moment (ptrace(2)).
//!
//! Who traces must be one thread, and the kernel lets all go on that it has stopped when it ends, however it ends.

use super::Status;
use crate::error::Error;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a thread may take to stop: one that waits for a disk cannot.
const PATIENCE: Duration = Duration::from_millis(500);

/// A thread that is stopped, by the calling thread. It goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Stopped {
    tid: Pid,
    /// Only the thread that has stopped it can let it go on.
    _tracer: PhantomData<Rc<()>>,
}

/// Why a thread is not stopped.
#[derive(Debug)]
pub(crate) enum NotStopped {
    /// It has ended.
    Ended,
    /// It is stopped already, by a signal such as SIGSTOP.
    ByJobControl,
    /// It does not stop in time: it is in the kernel, where it cannot be interrupted.
    Busy,
    /// The kernel refuses, or another process traces it.
    Refused(Errno),
}

impl NotStopped {
    /// What to tell a user, of a process.
    pub(crate) fn error(self, pid: u32, tracer: Option<u32>) -> Error {
        match (self, tracer) {
            (NotStopped::Ended, _) => Error::NoProcess(pid),
            (NotStopped::ByJobControl, _) => Error::ProcessStopped(pid),
            (NotStopped::Busy, _) => Error::NoSafePoint { pid, waited: PATIENCE },
            (NotStopped::Refused(_), Some(tracer)) => Error::Traced { pid, tracer },
            // Whoever has opened the process's memory, as is done first, is permitted to trace it (ptrace(2)).
            (NotStopped::Refused(errno), None) if Status::own().is_some_and(|own| own.is_filtered) => {
                Error::PtraceFiltered { pid, source: errno.into() }
            }
            (NotStopped::Refused(errno), None) => Error::NotPermitted { pid, source: errno.into() },
        }
    }
}

impl Stopped {
    /// Stops a thread.
    ///
    /// # Errors
    /// Why it is not stopped; it then runs on as before. One that is [`NotStopped::Busy`] stays traced until the calling
    /// thread ends.
    pub(crate) fn new(tid: u32) -> Result<Stopped, NotStopped> {
        Stopped::within(tid, PATIENCE)
    }

    /// Stops a thread, if that takes no longer than so much.
    ///
    /// # Errors
    /// As for [`Stopped::new`].
    pub(crate) fn within(tid: u32, patience: Duration) -> Result<Stopped, NotStopped> {
        let pid = Pid::from_raw(tid.cast_signed());
        let lost = |errno| if errno == Errno::ESRCH { NotStopped::Ended } else { NotStopped::Refused(errno) };
        ptrace::seize(pid, ptrace::Options::empty()).map_err(lost)?;
        ptrace::interrupt(pid).map_err(lost)?;
        let deadline = Instant::now() + patience;
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(20));
                }
                Ok(WaitStatus::StillAlive) => return Err(NotStopped::Busy),
                // A stop by PTRACE_INTERRUPT has SIGTRAP; by job control, the signal that stopped it.
                Ok(WaitStatus::PtraceEvent(_, Signal::SIGTRAP, libc::PTRACE_EVENT_STOP)) => {
                    return Ok(Stopped { tid: pid, _tracer: PhantomData });
                }
                Ok(WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_STOP)) => {
                    let _ = ptrace::detach(pid, None);
                    return Err(NotStopped::ByJobControl);
                }
                // A signal is about to be delivered: it is, and the stop comes after it.
                Ok(WaitStatus::Stopped(_, signal)) => {
                    let _ = ptrace::cont(pid, signal);
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return Err(NotStopped::Ended),
                Ok(_) => {
                    let _ = ptrace::cont(pid, None);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return Err(NotStopped::Ended),
            }
        }
    }

    /// The thread's id.
    pub(crate) fn tid(&self) -> u32 {
        self.tid.as_raw().unsigned_abs()
    }

    /// Its registers.
    ///
    /// # Errors
    /// When it was killed meanwhile.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn registers(&self) -> Result<libc::user_regs_struct, Errno> {
        ptrace::getregs(self.tid)
    }

    /// Changes its registers.
    ///
    /// # Errors
    /// When it was killed meanwhile.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn set_registers(&self, registers: libc::user_regs_struct) -> Result<(), Errno> {
        ptrace::setregs(self.tid, registers)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // One that was killed meanwhile is not there to go on.
        let _ = ptrace::detach(self.tid, None);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::Target;
    use super::*;
    use std::process::Command;

    #[test]
    fn a_thread_stops_and_goes_on() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let target = Target::open(child.id()).unwrap();
        let stopped = Stopped::new(child.id()).unwrap();
        assert_eq!(target.status().unwrap().state, 't');
        assert!(stopped.registers().unwrap().rip > 0);
        // Nobody else can stop it now.
        let tid = child.id();
        let other = std::thread::spawn(move || Stopped::new(tid).map(|_| ()).unwrap_err()).join().unwrap();
        let tracer = target.status().unwrap().tracer;
        assert!(matches!(other.error(tid, tracer), Error::Traced { .. }));
        drop(stopped);
        assert!(target.status().unwrap().tracer.is_none());

        nix::sys::signal::kill(Pid::from_raw(tid.cast_signed()), Signal::SIGSTOP).unwrap();
        while target.status().unwrap().state != 'T' {
            std::thread::yield_now();
        }
        assert!(matches!(Stopped::new(tid), Err(NotStopped::ByJobControl)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(Stopped::new(tid), Err(NotStopped::Ended)));
    }
}
