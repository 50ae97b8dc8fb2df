//! What a session profiles: a command that it has started, or a process that ran before.

use crate::attach::Attached;
use crate::error::Error;
use crate::launch::Child;
use crate::signals::Received;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::Duration;

/// What a session profiles.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A command, which gets the signals that are sent to the profiler.
    Command(Child),
    /// A process that ran before, and runs on: signals end the session.
    Process(Attached),
    /// One that the agent has left.
    Left(u32),
}

/// How it is with the subject.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It has ended, or the agent has left it; how it ended is only known of a command.
    Ended(Option<ExitStatus>),
}

/// How often the agent in a process must hear of the profiler.
const HEARTBEAT: Duration = Duration::from_millis(200);

impl Subject {
    /// The id of the first process.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Subject::Command(child) => child.pid().unsigned_abs(),
            Subject::Process(attached) => attached.pid(),
            Subject::Left(pid) => *pid,
        }
    }

    /// Becomes readable when the first process ends, where the kernel can tell.
    pub(crate) fn ended(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Subject::Command(child) => child.ended(),
            Subject::Process(attached) => attached.ended(),
            Subject::Left(_) => None,
        }
    }

    /// How long may pass until [`Subject::look`] must be called again.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        matches!(self, Subject::Process(_)).then_some(HEARTBEAT)
    }

    /// How it is now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn look(&mut self) -> Result<State, Error> {
        Ok(match self {
            Subject::Command(child) => match child.poll()? {
                Some(status) => State::Ended(Some(status)),
                None => State::Running,
            },
            Subject::Process(attached) => {
                attached.beat();
                if attached.is_sampled() { State::Running } else { State::Ended(None) }
            }
            Subject::Left(_) => State::Ended(None),
        })
    }

    /// Whether it is a command that this process has started.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self, Subject::Command(_))
    }

    /// Hands on a signal that the profiler got, to a command.
    pub(crate) fn hand_on(&self, received: Received) {
        if let Subject::Command(child) = self {
            // What the command itself sends to its parent is not meant for the command.
            if received.by_process && received.sender != child.pid() {
                child.signal(received.signal);
            }
        }
    }

    /// Interrupts a command, as a terminal does. A process that ran before is left alone.
    pub(crate) fn interrupt(&self) {
        if let Subject::Command(child) = self {
            child.signal(libc::SIGINT);
        }
    }

    /// Leaves a process that ran before. Returns what could not be taken back, in words.
    pub(crate) fn leave(&mut self) -> Option<String> {
        let pid = self.pid();
        match std::mem::replace(self, Subject::Left(pid)) {
            Subject::Process(attached) => attached.leave(),
            other => {
                *self = other;
                None
            }
        }
    }
}
