//! All threads of a process, stopped for a moment.

use super::kernel;
use crate::target::Target;
use crate::target::stop::{NotStopped, Stopped};
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long a thread may take to stop, and how long all of them together.
const OF_THREAD: Duration = Duration::from_millis(100);
const OF_ALL: Duration = Duration::from_millis(400);
/// The most threads that are stopped.
const MOST_THREADS: usize = 1 << 14;

/// Threads that are stopped. They go on when this is dropped.
#[derive(Debug)]
pub(super) struct Paused {
    since: Instant,
    threads: HashMap<u32, Stopped>,
}

/// Why the process is not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPaused {
    /// It is stopped already, by a signal such as SIGSTOP.
    ByJobControl,
    /// The kernel refuses, or another process traces it.
    Refused(Errno),
}

impl Paused {
    /// Stops the threads of a process, as far as they stop in time.
    ///
    /// # Errors
    /// When none can be stopped.
    pub(super) fn new(target: &Target) -> Result<Paused, NotPaused> {
        let mut paused = Paused { since: Instant::now(), threads: HashMap::new() };
        let mut tried = HashSet::new();
        // Threads that run may start others meanwhile.
        loop {
            let new: Vec<u32> = target.threads().into_iter().filter(|tid| !tried.contains(tid)).collect();
            if new.is_empty() {
                break;
            }
            for tid in new {
                let left = OF_ALL.saturating_sub(paused.since.elapsed());
                tried.insert(tid);
                if left.is_zero() || tried.len() > MOST_THREADS || kernel::cannot_be_stopped(target, tid) {
                    continue;
                }
                match Stopped::within(tid, left.min(OF_THREAD)) {
                    Ok(stopped) => {
                        paused.threads.insert(tid, stopped);
                    }
                    Err(NotStopped::Ended | NotStopped::Busy) => {}
                    Err(NotStopped::ByJobControl) => return Err(NotPaused::ByJobControl),
                    Err(NotStopped::Refused(errno)) if paused.threads.is_empty() => {
                        return Err(NotPaused::Refused(errno));
                    }
                    Err(NotStopped::Refused(_)) => {}
                }
            }
        }
        Ok(paused)
    }

    /// A thread, if it is stopped.
    pub(super) fn thread(&self, tid: u32) -> Option<&Stopped> {
        self.threads.get(&tid)
    }

    /// Lets the threads go on; how long they were stopped, from the first one on.
    pub(super) fn end(self) -> Duration {
        let Paused { since, threads } = self;
        drop(threads);
        since.elapsed()
    }
}
