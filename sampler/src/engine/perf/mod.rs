//! Samples taken by the kernel: one perf event for each processor, inherited by every thread and process.
//!
//! One thread empties the ring buffers into a queue and does nothing else, so that the buffers have room; another one
//! puts the records in order and unwinds the samples.

pub(crate) mod contexts;
pub(crate) mod events;
mod moments;
mod queue;
pub(crate) mod records;
mod ring;
pub(crate) mod timeline;

use super::Found;
use crate::error::Error;
use crate::growth::{self, Asked, Tap};
use crate::recorder::{Recorded, Recorder};
use crate::recording::{Event, MonotonicNs, now};
use contexts::Rings;
use events::{Opened, Sampling};
use linux_perf_event_reader::RawData;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use queue::{CloseOnDrop, Order, Queue, Round};
use records::{Kind, Record, RecordReader};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the reader of the ring buffers sleeps at most, in milliseconds. Records wait two rounds to be put in
/// order, and what they tell of a process is best looked at while that lives.
const ROUND_MS: u16 = 20;

/// Events that sample, and the threads that deal with what they find.
#[derive(Debug)]
pub(crate) struct Engine {
    sampling: Sampling,
    /// Closed to stop.
    stop: PipeWriter,
    drainer: JoinHandle<Totals>,
    unwinder: JoinHandle<Recorded>,
    pub(super) tap: Tap,
}

impl Engine {
    /// Opens events for a process that has yet to call `execve`, and starts the threads. `rings` is the directory in which
    /// processes say for whom their samples are.
    ///
    /// # Errors
    /// When the kernel refuses events, buffers or threads.
    pub(crate) fn start(pid: i32, children: bool, frequency: u32, rings: Option<PathBuf>) -> Result<Engine, Error> {
        let (sampling, opened) = events::open(pid, children, frequency)?;
        let (stopped, stop) = io::pipe().map_err(Error::system("pipe"))?;
        let queue = Arc::new(Queue::default());
        let spawn_failed = Error::system("pthread_create");
        let for_drainer = queue.clone();
        let (tap, asked) = growth::tap();
        let drainer = thread::Builder::new()
            .name("pronk-drain".into())
            .spawn(move || drain(opened, RecordReader::new(sampling.kernel), &for_drainer, &stopped))
            .map_err(spawn_failed)?;
        let unwinder = thread::Builder::new()
            .name("pronk-unwind".into())
            .spawn(move || unwind(&queue, rings.map(Rings::new), asked))
            .map_err(Error::system("pthread_create"))?;
        Ok(Engine { sampling, stop, drainer, unwinder, tap })
    }

    /// What causes its samples.
    pub(super) fn event(&self) -> Event {
        self.sampling.event.into()
    }

    /// Whether time in the kernel is sampled.
    pub(super) fn kernel(&self) -> bool {
        self.sampling.kernel
    }

    /// Stops to sample, and waits until all that was sampled is unwound.
    ///
    /// # Errors
    /// [`Error::Thread`] when a thread has panicked.
    pub(crate) fn stop(self) -> Result<Found, Error> {
        let (event, kernel) = (self.event(), self.kernel());
        drop(self.stop);
        let Totals { cpu_time, lost } = self.drainer.join().map_err(|_| Error::Thread("reading"))?;
        let mut recorded = self.unwinder.join().map_err(|_| Error::Thread("unwinding"))?;
        recorded.samples.splice(..0, self.tap.untaken());
        // The kernel announces losses when there is room again, which may be never.
        recorded.losses.lost = recorded.losses.lost.max(lost);
        Ok(Found { event, kernel, cpu_time, recorded })
    }
}

/// What the events have counted.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// The CPU time of what was sampled: an event of a thread's and a processor's runs while the thread runs there.
    cpu_time: Option<Duration>,
    /// Records that were lost, as far as the kernel tells.
    lost: u64,
}

/// Empties the ring buffers until it is told to stop.
fn drain(mut opened: Vec<Opened>, reader: RecordReader, queue: &Queue, stopped: &PipeReader) -> Totals {
    let _close = CloseOnDrop(queue);
    // Events whose processes have all ended are readable for good: those are not waited for any more.
    let mut ended = vec![false; opened.len()];
    let mut last_round = MonotonicNs(0);
    loop {
        let stopping = wait(&opened, &mut ended, stopped);
        if stopping {
            for event in &mut opened {
                // Disabling an event disables those that children inherited from it.
                let _ = event.counter.disable();
            }
        }
        let this_round = now();
        let mut records = Vec::new();
        for event in &mut opened {
            let take = |kind, misc, body: RawData| records.extend(reader.read(kind, misc, body));
            if event.ring.drain(take).is_err() {
                records.push(Record { time: this_round.0, kind: Kind::Malformed });
            }
        }
        // A record is written at most moments after its time: what is older than the round before is complete.
        queue.push(Round { records, complete_until: last_round.0 });
        last_round = this_round;
        if stopping {
            return totals(&opened);
        }
    }
}

/// Waits until a ring buffer is filled to its mark, or for the next round. Returns whether to stop.
fn wait(opened: &[Opened], ended: &mut [bool], stopped: &PipeReader) -> bool {
    let live = opened.iter().enumerate().filter(|(index, _)| ended.get(*index) == Some(&false));
    let (indices, mut files): (Vec<usize>, Vec<PollFd>) =
        live.map(|(index, event)| (index, PollFd::new(fd(event), PollFlags::POLLIN))).unzip();
    files.push(PollFd::new(stopped.as_fd(), PollFlags::POLLIN));
    // An interrupted wait is as good as one that is over.
    let _ = poll(&mut files, PollTimeout::from(ROUND_MS));
    let has = |file: &PollFd, flag| file.revents().is_some_and(|events| events.intersects(flag));
    for (index, file) in indices.into_iter().zip(&files) {
        if has(file, PollFlags::POLLHUP | PollFlags::POLLERR) {
            ended[index] = true;
        }
    }
    files.last().is_some_and(|file| has(file, PollFlags::POLLHUP))
}

fn fd(event: &Opened) -> BorrowedFd<'_> {
    // SAFETY: the counter owns the file and lives as long as the borrow.
    unsafe { BorrowedFd::borrow_raw(event.counter.as_raw_fd()) }
}

fn totals(opened: &[Opened]) -> Totals {
    let mut totals = Totals { cpu_time: Some(Duration::ZERO), lost: 0 };
    for event in opened {
        // The count, the time enabled, the time running, what was lost (perf_event_open(2), "Reading results").
        let mut bytes = [0; 32];
        let words = nix::unistd::read(fd(event), &mut bytes).unwrap_or(0) / 8;
        let word = |index: usize| bytes.chunks_exact(8).take(words).nth(index)?.first_chunk().copied();
        let running = word(2).map(|word| Duration::from_nanos(u64::from_ne_bytes(word)));
        totals.cpu_time = totals.cpu_time.zip(running).and_then(|(sum, running)| sum.checked_add(running));
        totals.lost = totals.lost.saturating_add(word(3).map_or(0, u64::from_ne_bytes));
    }
    totals
}

/// Deals with records as they come, until there are no more.
fn unwind(queue: &Queue, rings: Option<Rings>, mut asked: Asked) -> Recorded {
    let _close = CloseOnDrop(queue);
    let mut recorder = Recorder::new(rings);
    let mut order = Order::default();
    while let Some(round) = queue.pop() {
        // What the round's samples need was said before they were taken, and so is there now.
        recorder.read_rings();
        let complete_until = round.complete_until;
        for record in order.add(round) {
            recorder.record(record);
        }
        recorder.go_on(complete_until);
        asked.answer(|| Some(recorder.so_far(MonotonicNs(complete_until))));
    }
    for record in order.finish() {
        recorder.record(record);
    }
    recorder.finish()
}
