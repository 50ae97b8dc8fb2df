//! What the kernel says of a process's threads.

use super::system_calls;
use crate::proc_text;
use crate::target::Target;
use std::path::PathBuf;

/// A thread, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KernelThread {
    /// Its id here.
    pub(super) tid: u32,
    /// Its id in its own pid namespace, which is what the process itself knows (`NSpid` of proc_pid_status(5)).
    pub(super) own_tid: u32,
    pub(super) name: String,
    pub(super) waiting: Waiting,
}

/// What a thread does, as far as the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It is on a processor, or about to be.
    Runs,
    /// It waits, in a system call if that is known.
    In(Option<String>),
    /// It is stopped, by a signal such as SIGSTOP or by a debugger.
    Stopped,
}

/// The threads of a process, its first one at the front.
pub(super) fn threads(target: &Target) -> Vec<KernelThread> {
    target.threads().into_iter().map(|tid| thread(target, tid)).collect()
}

/// A thread of a process.
pub(super) fn thread(target: &Target, tid: u32) -> KernelThread {
    let directory = directory_of(target, tid);
    let read = |file| proc_text::read(directory.join(file)).unwrap_or_default();
    let status = read("status");
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let own_tid = field("NSpid:").split_ascii_whitespace().last().and_then(|tid| tid.parse().ok());
    let waiting = match field("State:").chars().next() {
        Some('R') => Waiting::Runs,
        Some('T' | 't') => Waiting::Stopped,
        _ => Waiting::In(system_call(&read("syscall"))),
    };
    KernelThread { tid, own_tid: own_tid.unwrap_or(tid), name: read("comm").trim_end_matches('\n').to_owned(), waiting }
}

/// Whether a thread waits where nothing can interrupt it, such as for a disk.
pub(super) fn cannot_be_stopped(target: &Target, tid: u32) -> bool {
    let stat = proc_text::read(directory_of(target, tid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'))
}

fn directory_of(target: &Target, tid: u32) -> PathBuf {
    target.directory().join("task").join(tid.to_string())
}

/// The name of the system call that a thread is in (proc_pid_syscall(5)).
fn system_call(text: &str) -> Option<String> {
    let number: i64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    let number = u64::try_from(number).ok()?;
    Some(system_calls::name(number).map_or_else(|| format!("system call {number}"), ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_calls_have_names() {
        assert_eq!(system_call(&format!("{} 0x1 0x2", libc::SYS_futex)), Some("futex".to_owned()));
        assert_eq!(system_call("9999 0x1"), Some("system call 9999".to_owned()));
        assert_eq!(system_call("running\n"), None);
        assert_eq!(system_call("-1 0x7ffc 0x7f00"), None);
        assert_eq!(system_call(""), None);
    }
}
