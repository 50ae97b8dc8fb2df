//! Samples taken by the targets themselves: a signal handler in each thread, which writes to its process's ring.
//!
//! One thread finds the rings, reads them, and puts the samples together.

mod assembler;
mod records;
mod replay;
mod rings;

use super::Found;
use crate::error::Error;
use crate::recorder::Recorded;
use crate::recording::{Event, now};
use assembler::{Assembler, Sampled};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pronk_trampolines::wire::Mode;
use rings::{Ring, RingDirectory};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the reader sleeps between two looks at the rings, in milliseconds. A ring has room for a second or more.
const ROUND_MS: u16 = 10;
/// The most records of one ring that are read in a round, so that one process cannot keep the others waiting.
const MOST_RECORDS: usize = 100_000;

/// The thread that reads rings.
#[derive(Debug)]
pub(crate) struct Engine {
    mode: Mode,
    /// Closed to stop.
    stop: PipeWriter,
    reader: JoinHandle<Read>,
}

/// What the thread has read.
type Read = (Recorded, Option<Duration>);

impl Engine {
    /// Starts to read the rings in a directory.
    ///
    /// # Errors
    /// When there are no more threads or files.
    pub(crate) fn start(rings: PathBuf, mode: Mode) -> Result<Engine, Error> {
        let (stopped, stop) = io::pipe().map_err(Error::system("pipe"))?;
        let reader = thread::Builder::new()
            .name("pronk-read".into())
            .spawn(move || read(RingDirectory::new(rings), &stopped))
            .map_err(Error::system("pthread_create"))?;
        Ok(Engine { mode, stop, reader })
    }

    /// Has the targets stop, and reads what they have written.
    ///
    /// # Errors
    /// [`Error::Thread`] when the thread has panicked.
    pub(crate) fn stop(self) -> Result<Found, Error> {
        drop(self.stop);
        let (recorded, cpu_time) = self.reader.join().map_err(|_| Error::Thread("reading"))?;
        let event = match self.mode {
            Mode::Cpu => Event::TaskClock,
            Mode::Wall => Event::Wall,
            Mode::Gil => Event::Gil,
        };
        // A signal that comes while the thread is in the kernel is a sample of the system call, whatever brings it.
        Ok(Found { event, kernel: true, cpu_time: cpu_time.filter(|_| self.mode == Mode::Cpu), recorded })
    }
}

/// A ring that is being read.
struct Open {
    ring: Ring,
    process: Sampled,
}

/// Reads rings until it is told to stop.
fn read(mut directory: RingDirectory, stopped: &PipeReader) -> Read {
    let mut assembler = Assembler::new();
    let mut open: Vec<Open> = Vec::new();
    let mut contents = Vec::new();
    loop {
        let stopping = wait(stopped);
        if stopping {
            // What is written from now on is none of ours; what was begun is finished in a moment.
            open.iter().for_each(|open| open.ring.header().stop.store(1, Ordering::Relaxed));
        }
        let (new, problems) = directory.new_rings();
        assembler.notes.extend(problems);
        for ring in new {
            if stopping {
                ring.header().stop.store(1, Ordering::Relaxed);
            }
            begin(ring, &mut open, &mut assembler, &mut contents);
        }
        open.retain_mut(|open| {
            let was_over = is_over(open);
            let went_on = drain(open, &mut assembler, &mut contents);
            assembler.look_up_names(&mut open.process, now());
            let ended = !went_on || was_over;
            if ended {
                assembler.end(&open.ring);
                open.ring.remove();
            }
            !ended
        });
        if stopping {
            open.iter().for_each(|open| assembler.end(&open.ring));
            return assembler.finish();
        }
    }
}

/// Begins to read a ring. One of the same process that was made before belongs to an image that is gone.
fn begin(ring: Ring, open: &mut Vec<Open>, assembler: &mut Assembler, contents: &mut Vec<u8>) {
    let (pid, from) = (ring.header().pid, ring.header().forked_from);
    let is_fork = from != 0 && open.iter().any(|open| open.process.token.0 == from && open.process.pid != pid);
    open.retain_mut(|open| {
        let is_gone = open.process.pid == pid;
        if is_gone {
            drain(open, assembler, contents);
            assembler.end(&open.ring);
            open.ring.remove();
        }
        !is_gone
    });
    let process = assembler.begin(&ring, is_fork);
    open.push(Open { ring, process });
}

/// Whether a ring's process is gone, and so writes no more.
fn is_over(open: &Open) -> bool {
    !Path::new(&format!("/proc/{}", open.process.pid)).exists()
}

/// Reads what is finished in a ring. Whether it can be read on.
fn drain(open: &mut Open, assembler: &mut Assembler, contents: &mut Vec<u8>) -> bool {
    for _ in 0..MOST_RECORDS {
        match open.ring.read(contents) {
            Ok(Some(kind)) => assembler.record(&mut open.process, kind, contents),
            Ok(None) => return true,
            Err(_) => {
                assembler
                    .notes
                    .push(format!("the ring of process {} is damaged; its samples end there", open.process.pid));
                return false;
            }
        }
    }
    true
}

/// Waits for the next round. Returns whether to stop.
fn wait(stopped: &PipeReader) -> bool {
    let mut files = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    // An interrupted wait is as good as one that is over.
    let _ = poll(&mut files, PollTimeout::from(ROUND_MS));
    files[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}
