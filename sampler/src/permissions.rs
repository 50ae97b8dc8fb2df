//! What this machine permits a profiler to do.

use crate::engine::perf::events::{self, Event, Request, Sampling};
use crate::limits;
use std::io;

/// What this machine permits, to this user. Nothing is left changed by finding out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// `kernel.perf_event_paranoid`; `None` when it cannot be read.
    pub paranoid: Option<i64>,
    /// Whether programs that this user starts can be sampled while they run in user space. Without this no profile can
    /// be made.
    pub user: Answer,
    /// Whether samples can have the kernel's part of the stack, and time in the kernel is seen.
    pub kernel: Answer,
    /// Whether the processor's counter of cycles can be used. Without it, the kernel's clock is.
    pub cycles: Answer,
    /// `kernel.perf_event_mlock_kb`: the memory per processor for ring buffers, in KiB.
    pub mlock_kb: Option<i64>,
    /// RLIMIT_MEMLOCK: what more may be locked, in bytes; `None` is no limit.
    pub memlock: Option<u64>,
    /// `kernel.perf_event_max_sample_rate`: the highest frequency, in samples per second.
    pub max_sample_rate: Option<i64>,
    /// `kernel.kptr_restrict`: whether the addresses of the kernel's functions can be read, and so be given names.
    pub kptr_restrict: Option<i64>,
    /// The processors that are online. Each needs an open file.
    pub processors: usize,
    /// RLIMIT_NOFILE: the files that may be open.
    pub open_files: u64,
}

/// Whether something is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Yes,
    /// It is not: why, and what to do about it if something can be done.
    No(String),
}

impl Answer {
    /// Whether it is possible.
    pub fn is_yes(&self) -> bool {
        *self == Answer::Yes
    }
}

/// Finds out what this machine permits.
pub fn probe() -> Permissions {
    let paranoid = limits::number("perf_event_paranoid");
    let cpus = limits::online_cpus();
    let attempt = |event, kernel| {
        let sampling = Sampling { event, kernel };
        // A process may sample itself exactly if it may sample its child (perf_event_open(2), "pid and cpu").
        let request = Request { pid: 0, children: true, frequency: 1, sampling, stack: 4096, watermark: 0 };
        request.open(*cpus.first().unwrap_or(&0)).map(drop)
    };
    Permissions {
        paranoid,
        user: answer(attempt(Event::CpuClock, false), |source| events::refused(source, cpus.len()).to_string()),
        kernel: answer(attempt(Event::CpuClock, true), |source| kernel_reason(&source, paranoid)),
        cycles: answer(attempt(Event::Cycles, false), |source| match source.raw_os_error() {
            Some(libc::ENOENT | libc::EOPNOTSUPP) => {
                "this machine has no counter of cycles, as most virtual machines; the kernel's clock is used".into()
            }
            _ => events::refused(source, cpus.len()).to_string(),
        }),
        mlock_kb: limits::number("perf_event_mlock_kb"),
        memlock: limits::memlock(),
        max_sample_rate: limits::number("perf_event_max_sample_rate"),
        kptr_restrict: limits::number("kptr_restrict"),
        processors: cpus.len(),
        open_files: limits::open_files(),
    }
}

fn answer(attempt: io::Result<()>, reason: impl FnOnce(io::Error) -> String) -> Answer {
    attempt.map_or_else(|source| Answer::No(reason(source)), |()| Answer::Yes)
}

fn kernel_reason(source: &io::Error, paranoid: Option<i64>) -> String {
    match paranoid {
        Some(level) if level > 1 => format!(
            "kernel.perf_event_paranoid is {level}: lower it (sysctl kernel.perf_event_paranoid=1) or give pronk the \
             capability CAP_PERFMON"
        ),
        _ => format!("the kernel says: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_has_a_reason() {
        let permissions = probe();
        for answer in [&permissions.user, &permissions.kernel, &permissions.cycles] {
            assert!(!matches!(answer, Answer::No(reason) if reason.is_empty()));
        }
        assert!(permissions.processors > 0);
        let reason = kernel_reason(&io::Error::from_raw_os_error(libc::EACCES), Some(2));
        assert!(reason.contains("perf_event_paranoid is 2") && reason.contains("=1"), "{reason}");
    }
}
