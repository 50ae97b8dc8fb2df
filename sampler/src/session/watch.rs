//! A session that is watched while it runs.

use super::{Session, wait};
use crate::error::Error;
use crate::growth::Growth;
use crate::recording::{Recording, now};
use crate::subject::State;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::Instant;

/// What has happened in a session that is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Whether the command, or the process, has ended.
    pub has_ended: bool,
    /// How the command ended.
    pub status: Option<ExitStatus>,
    /// Whether somebody has sent a signal that asks this process to end, which the command has got, too; or the terminal is
    /// gone.
    pub asked_to_end: bool,
}

impl Session {
    /// Waits until there is something to read in `input`, if there is one, or the command ends, or a signal comes, or it is
    /// `until`. Hands on signals.
    ///
    /// # Errors
    /// When the system refuses to tell.
    pub fn watch(&mut self, input: Option<BorrowedFd<'_>>, until: Instant) -> Result<Watched, Error> {
        let mut files = vec![PollFd::new(self.signals.fd(), PollFlags::POLLIN)];
        files.extend(input.map(|input| PollFd::new(input, PollFlags::POLLIN)));
        // What has ended would be readable for good.
        let is_running = matches!(self.subject.look()?, State::Running);
        let end = if is_running { self.subject.ended() } else { None };
        files.extend(end.map(|end| PollFd::new(end, PollFlags::POLLIN)));
        let left = until.saturating_duration_since(Instant::now());
        let left = self.subject.longest_wait().map_or(left, |longest| left.min(longest));
        wait(&mut files, Some(left), PollTimeout::MAX)?;
        let is_gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let events_of_input = input.and_then(|_| files[1].revents());
        let input_is_gone = events_of_input.is_some_and(|events| events.intersects(is_gone));
        let asked_to_end = self.take_signals() || input_is_gone;
        let (has_ended, status) = match self.subject.look()? {
            State::Running => (false, None),
            State::Ended(status) => (true, status),
        };
        Ok(Watched { has_ended, status, asked_to_end })
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
            State::Ended(status) => status,
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

    /// Interrupts a command, as a terminal does. A process that ran before is left alone.
    pub fn interrupt(&self) {
        self.subject.interrupt();
    }
}
