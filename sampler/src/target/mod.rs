//! A process that runs already, looked at from outside: its memory, its files, its threads.
//!
//! Whatever is read here is the target's word: addresses and sizes are checked where they are used, and a target that
//! changes meanwhile gives an error, never more.

pub(crate) mod files;
pub(crate) mod python;
pub(crate) mod stop;

use crate::error::Error;
use crate::proc_text;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A running process, by its memory: another one that gets its id later is not taken for it.
#[derive(Debug)]
pub(crate) struct Target {
    pid: u32,
    /// `/proc/PID/mem`. It stays that of the same process (proc_pid_mem(5)).
    memory: File,
}

impl Target {
    /// A process that this user may trace (ptrace(2), "Ptrace access mode checking").
    ///
    /// # Errors
    /// When there is no such process, it is this one, it has ended, or it may not be looked at.
    pub(crate) fn open(pid: u32) -> Result<Target, Error> {
        if pid == std::process::id() {
            return Err(Error::OwnProcess);
        }
        let path = directory_of(pid).join("mem");
        let memory = match File::options().read(true).write(true).open(path) {
            Ok(memory) => memory,
            Err(error) if is_gone(&error) => return Err(Error::NoProcess(pid)),
            Err(source) => return Err(Error::NotPermitted { pid, source }),
        };
        let status = Status::read(pid).ok_or(Error::NoProcess(pid))?;
        match status.thread_group {
            Some(group) if group != pid => Err(Error::ThreadOf { tid: pid, pid: group }),
            _ if status.state == 'Z' || status.state == 'X' => Err(Error::NoProcess(pid)),
            _ => Ok(Target { pid, memory }),
        }
    }

    /// Keeps other profilers that attach from doing so at the same time; waits for them as long as said.
    ///
    /// # Errors
    /// When they take longer.
    pub(crate) fn claim(&self, patience: Duration) -> Result<Flock<File>, Error> {
        let deadline = Instant::now() + patience;
        let mut file = self.memory.try_clone().map_err(Error::system("dup"))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((again, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = again,
                Err((_, Errno::EWOULDBLOCK)) => return Err(Error::OtherAttaches(self.pid)),
                Err((_, errno)) => return Err(Error::System { call: "flock", source: errno.into() }),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process's id, in this process's pid namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its directory in `/proc`.
    pub(crate) fn directory(&self) -> PathBuf {
        directory_of(self.pid)
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        Status::read(self.pid).is_some_and(|status| status.state != 'Z' && status.state != 'X')
    }

    /// What `/proc/PID/status` says.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn status(&self) -> Result<Status, Error> {
        Status::read(self.pid).ok_or(Error::NoProcess(self.pid))
    }

    /// The ids of its threads, its first one at the front.
    pub(crate) fn threads(&self) -> Vec<u32> {
        let entries = std::fs::read_dir(self.directory().join("task")).into_iter().flatten().flatten();
        let mut threads: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        threads.sort_by_key(|tid| (*tid != self.pid, *tid));
        threads
    }

    /// Reads memory into the whole of a buffer.
    ///
    /// # Errors
    /// When not all of it is there.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read_exact_at(buffer, address)
    }

    /// Writes memory, also where the process itself may not (`FOLL_FORCE`, mm/gup.c): pages of files become its own.
    ///
    /// # Errors
    /// When not all of it is there.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, address)
    }
}

/// Some lines of `/proc/PID/status` (proc_pid_status(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The letter of its state, such as `S`; `T` is stopped, `Z` is ended.
    pub(crate) state: char,
    /// Its id in the innermost pid namespace that it is in: as it sees itself.
    pub(crate) own_pid: Option<u32>,
    /// The process that a thread belongs to.
    thread_group: Option<u32>,
    /// The process that traces it, if one does.
    pub(crate) tracer: Option<u32>,
    /// The signals that it handles, one bit for each, the first one for signal 1.
    handled: u64,
    /// Its effective user and group.
    pub(crate) owner: Option<(u32, u32)>,
    /// Whether a filter of its system calls is in force (seccomp(2)).
    pub(crate) is_filtered: bool,
}

impl Status {
    /// Whether it handles a signal.
    pub(crate) fn handles(&self, signal: i32) -> bool {
        self.handled.checked_shr(signal.unsigned_abs().wrapping_sub(1)).is_some_and(|mask| mask & 1 != 0)
    }

    /// That of this process.
    pub(crate) fn own() -> Option<Status> {
        Some(Status::parse(&proc_text::read("/proc/self/status").ok()?))
    }

    fn read(pid: u32) -> Option<Status> {
        Some(Status::parse(&proc_text::read(directory_of(pid).join("status")).ok()?))
    }

    fn parse(text: &str) -> Status {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let number = |name: &str| field(name)?.parse::<u32>().ok();
        let effective = |name: &str| field(name)?.split_ascii_whitespace().nth(1)?.parse::<u32>().ok();
        Status {
            state: field("State:").and_then(|state| state.chars().next()).unwrap_or('?'),
            own_pid: field("NSpid:").and_then(|all| all.split_ascii_whitespace().last()?.parse().ok()),
            thread_group: number("Tgid:"),
            tracer: number("TracerPid:").filter(|tracer| *tracer != 0).map(process_of),
            handled: field("SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0),
            owner: effective("Uid:").zip(effective("Gid:")),
            // SECCOMP_MODE_FILTER
            is_filtered: number("Seccomp:") == Some(2),
        }
    }
}

/// The process that a thread belongs to.
fn process_of(tid: u32) -> u32 {
    let status = proc_text::read(directory_of(tid).join("status")).unwrap_or_default();
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    group.and_then(|group| group.trim().parse().ok()).unwrap_or(tid)
}

fn directory_of(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn sleeper() -> Child {
        Command::new("sleep").arg("100").stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn memory_is_read_until_the_process_has_ended() {
        let mut child = sleeper();
        let target = Target::open(child.id()).unwrap();
        assert_eq!(target.threads(), [child.id()]);
        assert!(target.is_alive() && target.status().unwrap().tracer.is_none());
        // Who has started a process goes on before the new program is mapped (`exec_mmap` of fs/exec.c, Linux 6.1).
        let start = loop {
            let maps = std::fs::read_to_string(target.directory().join("maps")).unwrap();
            let first = maps.lines().find(|line| line.contains("/sleep") && line.contains(" r--p 00000000"));
            if let Some((start, _)) = first.and_then(|line| line.split_once('-')) {
                break u64::from_str_radix(start, 16).unwrap();
            }
            std::thread::yield_now();
        };
        let mut magic = [0; 4];
        target.read(start, &mut magic).unwrap();
        assert_eq!(&magic, b"\x7fELF");
        // A page that the process itself cannot write.
        target.write(start + 9, b"x").unwrap();
        assert!(target.read(0x10, &mut magic).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!target.is_alive() && target.threads().is_empty());
        assert!(target.read(start, &mut magic).is_err());
        assert!(matches!(Target::open(child.id()), Err(Error::NoProcess(_))));
    }

    #[test]
    fn this_process_and_threads_are_refused() {
        assert!(matches!(Target::open(std::process::id()), Err(Error::OwnProcess)));
        std::thread::spawn(|| {
            // SAFETY: gettid has no preconditions.
            let tid = unsafe { libc::gettid() } as u32;
            assert!(matches!(Target::open(tid), Err(Error::ThreadOf { pid, .. }) if pid == std::process::id()));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_status_is_read() {
        let text = "Name:\tx\nState:\tt (tracing stop)\nTgid:\t7\nNSpid:\t7\t3\nTracerPid:\t4294967295\nSigCgt:\t0000000000000003\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nSeccomp:\t2\n";
        let expected = Status {
            own_pid: Some(3),
            handled: 3,
            state: 't',
            thread_group: Some(7),
            tracer: Some(u32::MAX),
            owner: Some((2, 6)),
            is_filtered: true,
        };
        assert!(expected.handles(2) && !expected.handles(3));
        assert_eq!(Status::parse(text), expected);
        assert_eq!(Status::parse("").state, '?');
    }
}
