//! Which process a ring belongs to, in the ids of this process's pid namespace.
//!
//! A process in a pid namespace of its own, as in a container that the command starts, knows itself and its threads by
//! other ids than the profiler does (pid_namespaces(7)). Its `/proc/PID/status` has both.

use crate::proc_text;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No process has this id or a higher one (`PID_MAX_LIMIT` of include/linux/threads.h, Linux 6.1).
const ABOVE_ALL: u32 = 1 << 22;

/// What a process calls itself: the inode of its pid namespace, 0 where it does not know it, and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Said {
    pub(in crate::engine) namespace: u64,
    pub(in crate::engine) pid: u32,
}

/// The process that a ring belongs to.
#[derive(Debug)]
pub(in crate::engine) struct Owner {
    said: Said,
    /// Its id here. One of another namespace that has ended has none, and gets one that no process has.
    pub(in crate::engine) pid: u32,
    found: bool,
    /// The ids here of its threads, by those that it knows; empty where they are the same.
    tids: HashMap<u32, u32>,
    is_foreign: bool,
}

impl Owner {
    /// Looks for the process.
    pub(in crate::engine) fn find(said: Said) -> Owner {
        let is_foreign = said.namespace != 0 && said.namespace != namespace_of("self");
        let pid = if is_foreign { find_foreign(said) } else { Some(said.pid) };
        let nobody = ABOVE_ALL.saturating_add(said.pid % ABOVE_ALL);
        Owner { said, pid: pid.unwrap_or(nobody), found: pid.is_some(), tids: HashMap::new(), is_foreign }
    }

    /// What the process calls itself.
    pub(in crate::engine) fn said(&self) -> Said {
        self.said
    }

    /// Whether the process is still there.
    pub(in crate::engine) fn is_alive(&self) -> bool {
        self.found && directory(self.pid).exists()
    }

    /// The id here of the process's parent, which it knows by another id.
    pub(in crate::engine) fn parent(&self, said: u32) -> u32 {
        let of_status = || number_of(&status_of(&directory(self.pid))?, "PPid:");
        if self.is_foreign { of_status().unwrap_or(0) } else { said }
    }

    /// The id here of a thread.
    pub(in crate::engine) fn tid(&mut self, said: u32) -> u32 {
        match said == self.said.pid {
            true => self.pid,
            false if self.is_foreign => {
                let pid = self.pid;
                *self.tids.entry(said).or_insert_with(|| find_thread(pid, said).unwrap_or(said))
            }
            false => said,
        }
    }

    /// A thread has ended; another one may get its id.
    pub(in crate::engine) fn forget(&mut self, said: u32) {
        self.tids.remove(&said);
    }
}

fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// The pid namespace of a process, which must be one that this process may look at; else 0.
fn namespace_of(process: &str) -> u64 {
    fs::metadata(format!("/proc/{process}/ns/pid")).map_or(0, |metadata| metadata.ino())
}

/// The id here of a process of another namespace.
fn find_foreign(said: Said) -> Option<u32> {
    let is_known_as_said = |pid: &u32| innermost_id(&directory(*pid)) == Some(said.pid);
    numbered(Path::new("/proc")).filter(is_known_as_said).find(|pid| namespace_of(&pid.to_string()) == said.namespace)
}

/// The id here of a thread that its process knows by another one.
fn find_thread(pid: u32, said: u32) -> Option<u32> {
    let tasks = directory(pid).join("task");
    numbered(&tasks).find(|tid| innermost_id(&tasks.join(tid.to_string())) == Some(said))
}

/// The entries of a directory whose names are numbers.
fn numbered(directory: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn status_of(directory: &Path) -> Option<String> {
    proc_text::read(directory.join("status")).ok()
}

/// The id of a process or thread in its own pid namespace, from its directory in `/proc`.
fn innermost_id(directory: &Path) -> Option<u32> {
    number_of(&status_of(directory)?, "NSpid:")
}

/// The last number of a line of `/proc/PID/status`: of `NSpid:` it is the id in the innermost namespace
/// (proc_pid_status(5)).
fn number_of(status: &str, field: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix(field))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_this_namespace_is_what_it_says() {
        let namespace = namespace_of("self");
        let pid = std::process::id();
        for namespace in [namespace, 0] {
            let mut owner = Owner::find(Said { namespace, pid });
            assert_eq!((owner.pid, owner.is_alive()), (pid, true));
            assert_eq!((owner.tid(pid), owner.tid(7), owner.parent(5)), (pid, 7, 5));
        }
    }

    #[test]
    fn a_process_that_is_nowhere_has_an_id_that_no_process_has() {
        let mut owner = Owner::find(Said { namespace: 1, pid: 7 });
        assert_eq!((owner.pid, owner.is_alive()), (ABOVE_ALL + 7, false));
        assert_eq!((owner.tid(7), owner.tid(8), owner.parent(1)), (ABOVE_ALL + 7, 8, 0));
    }

    #[test]
    fn the_innermost_id_is_the_last_one() {
        let status = "Name:\tpython3\nPPid:\t12\nNSpid:\t700\t30\t4\nThreads:\t1\n";
        assert_eq!(number_of(status, "NSpid:"), Some(4));
        assert_eq!(number_of(status, "PPid:"), Some(12));
        assert_eq!(number_of("NSpid:\n", "NSpid:"), None);
        assert_eq!(number_of(status, "NStgid:"), None);
    }
}
