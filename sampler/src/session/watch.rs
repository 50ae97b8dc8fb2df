//! A session that is watched while it runs.

use super::{Session, wait};
use crate::error::Error;
use crate::growth::Growth;
use crate::recording::{Recording, now};
use crate::subject::{State, Subject};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::Instant;

/// What has happened in a session that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Whether the command or the process has ended.
    pub is_over: bool,
    /// How the command ended, if it has.
    pub exit: Option<ExitStatus>,
    /// Whether somebody has sent a signal that asks this process to end, which the command has got, too; or the terminal is
    /// gone.
    pub asked_to_end: bool,
}

impl Session {
    /// Waits until there is something to read in `input`, or the command ends, or a signal comes, or it is `until`. Hands on
    /// signals.
    ///
    /// # Errors
    /// When the system refuses to tell.
    pub fn watch(&mut self, input: BorrowedFd<'_>, until: Instant) -> Result<Watched, Error> {
        let mut files = vec![PollFd::new(self.signals.fd(), PollFlags::POLLIN), PollFd::new(input, PollFlags::POLLIN)];
        // What has ended would be readable for good.
        let end = if let State::Running = self.subject.look()? { self.subject.ended() } else { None };
        files.extend(end.map(|end| PollFd::new(end, PollFlags::POLLIN)));
        let left = until.saturating_duration_since(Instant::now());
        let left = [left].into_iter().chain(self.subject.longest_wait()).min();
        wait(&mut files, left, PollTimeout::MAX)?;
        let is_gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let input_is_gone = files[1].revents().is_some_and(|events| events.intersects(is_gone));
        let asked_to_end = self.take_signals() || input_is_gone;
        let (is_over, exit) = match self.subject.look()? {
            State::Running => (false, None),
            State::Ended(exit) => (true, exit),
        };
        Ok(Watched { is_over, exit, asked_to_end })
    }

    /// Takes the signals that are there. Whether one of them asks this process to end.
    fn take_signals(&mut self) -> bool {
        let mut asked_to_end = false;
        while let Some(received) = self.signals.next() {
            self.subject.take(received);
            asked_to_end |= [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP].contains(&received.signal);
        }
        asked_to_end
    }

    /// What was recorded since this was asked before; `None` while it is not there yet. Samples that are handed over are not
    /// in what [`Session::record`] returns, which has everything else.
    pub fn growth(&mut self) -> Option<Growth> {
        self.engine.as_mut()?.tap().growth()
    }

    /// [`Session::record`] without waiting: samples no more, and the command goes on.
    ///
    /// # Errors
    /// When the system refuses to tell about the command, or a thread of the profiler's failed.
    pub fn stop(&mut self) -> Result<Recording, Error> {
        let exit = match self.subject.look()? {
            State::Running => None,
            State::Ended(exit) => exit,
        };
        self.finish(exit)
    }

    /// A recording of this session in which there is nothing yet, for growths to be put in.
    pub fn nothing_yet(&self) -> Recording {
        let mut recording = self.recording(None, now(), None);
        if let Some(engine) = &self.engine {
            recording.event = engine.event();
            recording.losses.kernel_excluded = !engine.kernel();
        }
        recording
    }

    /// Interrupts the command, as a terminal does. A process that ran before is left alone.
    pub fn interrupt(&self) {
        if let Subject::Command(child) = &self.subject {
            child.signal(libc::SIGINT);
        }
    }
}
