//! Waits for a child and says what it used.
//!
//! # Safety
//! `unsafe` is needed for `wait4`, which fills the numbers that it is given places for.

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// A child that has ended, and what it used with those of its own children that it waited for.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// CPU time in user and kernel mode.
    pub cpu: Duration,
    /// CPU time of the process itself, its children left out.
    pub own_cpu: Duration,
    /// The most memory that it, or one of its children, had at once, in KiB.
    pub memory_kib: u64,
}

/// Waits until a child has ended, and leaves it there to be asked.
///
/// # Errors
/// When it is no child of this process.
pub fn until_ended(child: Pid) -> io::Result<()> {
    loop {
        match waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits for a child. Afterwards its id may be another process's.
///
/// # Errors
/// When it is no child of this process.
pub fn wait(child: Pid) -> io::Result<Ended> {
    until_ended(child)?;
    // A process that nobody has waited for yet still has its clock. It counts the time of all its threads, and not that of its
    // children (clock_getcpuclockid(3)).
    let own = ClockId::pid_cpu_clock_id(child).and_then(ClockId::now)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are valid for the call. The child is one of ours that has ended, so the call does not block.
    let waited = unsafe { libc::wait4(child.as_raw(), &raw mut status, 0, usage.as_mut_ptr()) };
    if waited != child.as_raw() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all its bits were zero, which is a valid value, before wait4 filled it.
    let usage = unsafe { usage.assume_init() };
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        own_cpu: Duration::from(own),
        memory_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn ended(script: &str) -> Ended {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().map(|child| child.id()).expect("a shell");
        wait(Pid::from_raw(child.cast_signed())).expect("it is our child")
    }

    const WORK: &str = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";

    #[test]
    fn the_time_of_children_is_told_from_the_processs_own() {
        let own = ended(WORK);
        let childs = ended(&format!("/bin/sh -c '{WORK}'; exit 3"));
        assert_eq!((own.status.code(), childs.status.code()), (Some(0), Some(3)));
        // Each has done the same work, one by itself and one in a child.
        assert!(own.own_cpu > own.cpu / 2, "{own:?}");
        assert!(childs.own_cpu < childs.cpu / 2, "{childs:?}");
        assert!(own.memory_kib > 0);
    }

    #[test]
    fn what_is_no_child_is_an_error() {
        assert!(wait(Pid::from_raw(1)).is_err());
    }
}
