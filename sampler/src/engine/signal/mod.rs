//! Samples taken by the targets themselves: a signal handler in each thread, which writes to its process's ring.
//!
//! One thread finds the rings, reads them, and puts the samples together.

mod assembler;
mod awaits;
mod durations;
pub(super) mod owner;
pub(super) mod records;
mod replay;
pub(super) mod rings;
pub(super) mod scopes;
mod sources;

use super::Found;
use crate::error::Error;
use crate::growth::{self, Asked, Tap};
use crate::recorder::Recorded;
use crate::recording::{Event, now};
use assembler::{Assembler, Sampled};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pronk_trampolines::wire::{Mode, RingRecord};
use rings::{Ring, RingDirectory};
pub(super) use sources::Sources;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the reader sleeps between two looks at the rings, in milliseconds. A ring has room for a second or more.
const ROUND_MS: u16 = 10;

/// How long reading may take. A sample that carries little can have much put together anew: a program that wants to can fill its
/// ring with what takes hours.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Before it is the turn of another ring.
    turn: Duration,
    /// Before a ring is done whose process has made another one.
    ring: Duration,
    /// Before the end, once sampling has stopped.
    end: Duration,
}

impl Patience {
    const USUAL: Patience =
        Patience { turn: Duration::from_millis(100), ring: Duration::from_millis(500), end: Duration::from_secs(30) };
}

/// The thread that reads rings.
#[derive(Debug)]
pub(crate) struct Engine {
    mode: Mode,
    /// Closed to stop.
    stop: PipeWriter,
    reader: JoinHandle<Read>,
    pub(super) tap: Tap,
}

/// What the thread has read.
type Read = (Recorded, Option<Duration>);

impl Engine {
    /// Starts to read the rings in a directory, of processes that were asked for labels from these sources.
    ///
    /// # Errors
    /// When there are no more threads or files.
    pub(in crate::engine) fn start(rings: RingDirectory, mode: Mode, sources: Sources) -> Result<Engine, Error> {
        let (stopped, stop) = io::pipe().map_err(Error::system("pipe"))?;
        let (tap, asked) = growth::tap();
        let reader = thread::Builder::new()
            .name("pronk-read".into())
            .spawn(move || read(rings, Assembler::new(sources), &stopped, asked, Patience::USUAL))
            .map_err(Error::system("pthread_create"))?;
        Ok(Engine { mode, stop, reader, tap })
    }

    /// What causes its samples.
    pub(super) fn event(&self) -> Event {
        match self.mode {
            Mode::Cpu => Event::TaskClock,
            Mode::Wall => Event::Wall,
            Mode::Gil => Event::Gil,
        }
    }

    /// Whether time in the kernel is sampled. A signal that comes while the thread is in the kernel is a sample of the system
    /// call, whatever brings it.
    pub(super) fn kernel(&self) -> bool {
        true
    }

    /// Has the targets stop, and reads what they have written.
    ///
    /// # Errors
    /// [`Error::Thread`] when the thread has panicked.
    pub(crate) fn stop(self) -> Result<Found, Error> {
        let (event, kernel) = (self.event(), self.kernel());
        drop(self.stop);
        let (mut recorded, cpu_time) = self.reader.join().map_err(|_| Error::Thread("reading"))?;
        recorded.samples.splice(..0, self.tap.untaken());
        Ok(Found { event, kernel, cpu_time: cpu_time.filter(|_| self.mode == Mode::Cpu), recorded })
    }
}

/// A ring that is being read.
struct Open {
    ring: Ring,
    process: Sampled,
}

/// How far a ring was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// All that was there.
    Whole,
    /// Not all: it took too long.
    InPart,
    /// Up to where it contradicts itself.
    Damaged,
}

/// Reads rings until it is told to stop.
fn read(
    mut directory: RingDirectory,
    mut assembler: Assembler,
    stopped: &PipeReader,
    mut asked: Asked,
    patience: Patience,
) -> Read {
    let mut open: Vec<Open> = Vec::new();
    let mut contents = Vec::new();
    let mut stopped_at = None;
    loop {
        let stopping = wait(stopped);
        if stopping {
            // What is written from now on is none of ours; what was begun is finished in a moment.
            open.iter_mut().for_each(|open| open.ring.stop());
        }
        let (new, problems) = directory.new_rings();
        assembler.notes.extend(problems);
        for mut ring in new {
            if stopping {
                ring.stop();
            }
            begin(ring, &mut open, &mut assembler, &mut contents, patience);
        }
        let mut is_done = true;
        open.retain_mut(|open| {
            let was_over = !open.process.owner.is_alive();
            let drained = drain(open, &mut assembler, &mut contents, patience.turn);
            assembler.look_up_names(&mut open.process, now());
            let ended = drained == Drained::Damaged || (was_over && drained == Drained::Whole);
            if ended {
                end(open, &mut assembler, was_over);
            }
            is_done &= drained != Drained::InPart;
            !ended
        });
        let is_over = stopping && stopped_at.get_or_insert_with(Instant::now).elapsed() >= patience.end;
        if is_over && !is_done {
            assembler.notes.push("not all samples were read: reading them took too long".to_owned());
        }
        if is_over || (stopping && is_done) {
            open.iter_mut().for_each(|open| end(open, &mut assembler, false));
            return assembler.finish();
        }
        asked.answer(|| assembler.so_far(open.iter().map(|open| &open.ring), now()));
    }
}

/// Reads the rings in a directory to their ends, as when sampling stops, unless that takes longer than `longest`; each ring for
/// no longer than `turn` at a time.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_to_end(directory: std::path::PathBuf, turn: Duration, longest: Duration) -> Recorded {
    let (stopped, stop) = io::pipe().expect("a pipe");
    drop(stop);
    let (_tap, asked) = growth::tap();
    let rings = RingDirectory::new(directory, None);
    let patience = Patience { turn, ring: turn, end: longest };
    read(rings, Assembler::new(Sources::default()), &stopped, asked, patience).0
}

/// Begins to read a ring. One of the same process that was made before belongs to an image that is gone.
fn begin(ring: Ring, open: &mut Vec<Open>, assembler: &mut Assembler, contents: &mut Vec<u8>, patience: Patience) {
    let owner = ring.owner();
    let from = ring.header().forked_from;
    let is_same = |open: &Open| open.process.owner.said() == owner.said();
    let is_fork = from != 0 && open.iter().any(|open| open.process.token.0 == from && !is_same(open));
    open.retain_mut(|open| {
        let is_gone = is_same(open);
        if is_gone {
            drain(open, assembler, contents, patience.ring);
            end(open, assembler, true);
        }
        !is_gone
    });
    let process = assembler.begin(&ring, owner, is_fork);
    open.push(Open { ring, process });
}

/// Reads no more of a ring. `is_over` says that the process writes no more either.
fn end(open: &mut Open, assembler: &mut Assembler, is_over: bool) {
    open.ring.stop();
    assembler.end(&mut open.process, &open.ring, is_over);
    open.ring.remove();
}

/// Reads what is finished in a ring, and is there by now, a record at least, but for no longer than so: one process cannot keep
/// the others waiting.
fn drain(open: &mut Open, assembler: &mut Assembler, contents: &mut Vec<u8>, longest: Duration) -> Drained {
    open.ring.beat();
    let begun = Instant::now();
    let mut left = open.ring.unread();
    while left > 0 {
        match open.ring.read(contents) {
            Ok(Some(kind)) => {
                assembler.record(&mut open.process, kind, contents);
                left = left.saturating_sub((size_of::<RingRecord>() + contents.len()) as u64);
                if left > 0 && begun.elapsed() >= longest {
                    return Drained::InPart;
                }
            }
            Ok(None) => break,
            Err(_) => {
                let pid = open.process.owner.pid;
                assembler.notes.push(format!("the ring of process {pid} is damaged; its samples end there"));
                return Drained::Damaged;
            }
        }
    }
    Drained::Whole
}

/// Waits for the next round. Returns whether to stop.
fn wait(stopped: &PipeReader) -> bool {
    let mut files = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    // An interrupted wait is as good as one that is over.
    let _ = poll(&mut files, PollTimeout::from(ROUND_MS));
    files[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}
