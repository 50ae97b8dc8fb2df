//! For whom each moment is, said in the ring where somebody outside takes the samples.
//!
//! A sample from outside has the addresses of its frames, in their stub records. What holds for a frame, and for the context
//! that a thread runs in, is said here when it changes, with the time. No handler, no timer, and no signal is needed for it.
//!
//! All functions but `start` are called with the interpreter's lock held, and do nothing where samples are taken inside.
//! A ring that is full costs labels, never the program's time: see [`ForgetRecord`].

use super::task::{self, RunningTask};
use super::{Capture, make_ring, ring};
use crate::context::Said as Scope;
use crate::lock::Once;
use crate::python::{Chain, Link, SCOPES, Sampled, follow_task_names};
use crate::ring::{RingWriter, Room};
use crate::stub::thread::{self, SAID_TASKS, Said};
use crate::sys::{self, KeepErrno};
use crate::wire::{
    AS_THE_THREAD, ClosedRecord, EndedRecord, ForgetRecord, InheritsRecord, Mode, NO_TASK, NOT_RESTORED, OpenedRecord,
    RingRecord, RingRecordKind, Settings, TaskRecord,
};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

static OUTSIDE: Once<Capture> = Once::new();
/// How often a moment found no room.
static LOSSES: AtomicU64 = AtomicU64::new(0);
/// The process in which no ring could be made.
static RINGLESS: AtomicU32 = AtomicU32::new(0);
/// How often a running task was looked for while it was not known where a thread's state has it.
static SEARCHES: AtomicU32 = AtomicU32::new(0);
/// So many searches are made, and then every so many-th: each one takes some hundred system calls.
const SEARCHES_AT_ONCE: u32 = 64;
const SEARCH_EACH: u32 = 256;
/// What the thread's context inherits has to be said again.
const UNKNOWN: u64 = u64::MAX;

/// Has this process say for whom its moments are. Its ring is made when there is something to say.
pub(crate) fn start(settings: Settings, sampled: &'static Sampled) {
    OUTSIDE.set(Capture { settings, mode: Mode::default(), sampled });
}

/// What is known of this process, if its samples are taken outside.
pub(crate) fn capture() -> Option<&'static Capture> {
    OUTSIDE.get()
}

/// A scope was opened on a frame of a function with a stub; both are 0 where it is only inherited.
pub(crate) fn opened(scope: &Scope<'_>, frame: u64, stub: u64) -> bool {
    let record =
        OpenedRecord { time_ns: sys::monotonic_ns(), frame, stub, serial: scope.serial, inherits: scope.inherits };
    say(RingRecordKind::Opened, record, scope.labels)
}

/// A scope was closed by the thread of a state, and its context inherits the scope `restored` again, if that was it.
pub(crate) fn closed(state: u64, serial: u64, restored: Option<u64>) {
    if capture().is_none() {
        return;
    }
    // SAFETY: a thread's words are its own.
    let said = unsafe { &mut (*thread::words()).said };
    if let Some(restored) = restored.filter(|_| said.state == state && said.inherits == serial) {
        said.inherits = restored;
    }
    let restored = restored.unwrap_or(NOT_RESTORED);
    say(RingRecordKind::Closed, ClosedRecord { time_ns: sys::monotonic_ns(), serial, state, restored }, &[]);
}

/// A scope has ended: nobody inherits it any more.
pub(crate) fn ended(serial: u64) {
    if capture().is_some() {
        say(RingRecordKind::Ended, EndedRecord { time_ns: sys::monotonic_ns(), serial }, &[]);
    }
}

/// What was said of the scope that the context of the calling thread's state inherits; `None` if nothing was.
pub(crate) fn inherited(state: u64) -> Option<u64> {
    // SAFETY: a thread's words are its own.
    let said = unsafe { &(*thread::words()).said };
    let is_known = said.state == state && said.losses == LOSSES.load(Ordering::Relaxed) && said.inherits != UNKNOWN;
    is_known.then_some(said.inherits)
}

/// The calling thread, by its state, goes over to a context that inherits a scope, or 0.
pub(crate) fn goes_over(state: u64, serial: u64) {
    let losses = LOSSES.load(Ordering::Relaxed);
    // SAFETY: a thread's words are its own.
    let said = unsafe { &mut (*thread::words()).said };
    let is_known = said.state == state && said.losses == losses && said.inherits == serial;
    let is_nothing = said.state == 0 && serial == 0;
    if is_known || is_nothing || capture().is_none() {
        return;
    }
    forget(said, state, losses);
    said.inherits = serial;
    say(RingRecordKind::Inherits, InheritsRecord { time_ns: sys::monotonic_ns(), state, serial }, &[]);
}

/// A coroutine's frame is about to run, in the calling thread. `inherits` finds the scope that its context inherits.
///
/// # Safety
/// The state is the calling thread's, which holds the interpreter's lock; the frame and its code object are alive.
pub(crate) unsafe fn coroutine_runs(state: u64, frame: u64, code: u64, stub: u64, inherits: impl FnOnce() -> u64) {
    let Some(capture) = capture() else { return };
    // SAFETY: as promised by the caller.
    let task = unsafe { task_of(capture, state, frame, code) };
    // SAFETY: a thread's words are its own.
    let said = unsafe { &mut (*thread::words()).said };
    let losses = LOSSES.load(Ordering::Relaxed);
    forget(said, state, losses);
    match task {
        Some(task) => {
            let inherits = match inherits() {
                own if own == said.inherits => AS_THE_THREAD,
                own => own,
            };
            let name = task.name.as_bytes();
            let check = check_of(name, inherits);
            let newest = said.newest as usize % SAID_TASKS;
            if said.tasks.get(newest) == Some(&frame) && said.check == check {
                return;
            }
            let next = said.tasks.iter().position(|one| *one == frame).unwrap_or((newest + 1) % SAID_TASKS);
            if let Some(place) = said.tasks.get_mut(next) {
                *place = frame;
            }
            said.newest = next as u64;
            said.check = check;
            let (time_ns, name_size) = (sys::monotonic_ns(), name.len() as u64);
            let record = TaskRecord { time_ns, state, frame, stub, inherits, name_size };
            say(RingRecordKind::Task, record, name);
        }
        // It was a task's, and now another coroutine lies there that somebody awaits.
        None => {
            if let Some(place) = said.tasks.iter_mut().find(|one| **one == frame) {
                *place = 0;
                let (time_ns, inherits) = (sys::monotonic_ns(), AS_THE_THREAD);
                let record = TaskRecord { time_ns, state, frame, stub, inherits, name_size: NO_TASK };
                say(RingRecordKind::Task, record, &[]);
            }
        }
    }
}

/// Has nothing be known to have been said, if it was said of another state or there were losses since.
fn forget(said: &mut Said, state: u64, losses: u64) {
    if said.state != state || said.losses != losses {
        let inherits = if said.state == 0 { 0 } else { UNKNOWN };
        *said = Said { state, losses, inherits, tasks: [0; SAID_TASKS], newest: 0, check: 0 };
    }
}

/// The task that runs, if this is the frame of its coroutine.
///
/// # Safety
/// As for [`coroutine_runs`].
unsafe fn task_of(capture: &Capture, state: u64, frame: u64, code: u64) -> Option<RunningTask> {
    let Capture { sampled, .. } = capture;
    if sampled.tasks.is_to_be_searched(sampled.walker.layout) {
        let before = SEARCHES.fetch_add(1, Ordering::Relaxed);
        if before >= SEARCHES_AT_ONCE && !before.is_multiple_of(SEARCH_EACH) {
            return None;
        }
    }
    let link = [Link { address: frame, code, ..Link::default() }];
    // SAFETY: as promised by the caller: with the lock held nothing that is read changes or goes away. The type of tasks
    // belongs to a module, which stays.
    unsafe {
        let task = task::running(sampled, state, &Chain { known: &[], walked: &link })?;
        match sampled.tasks.task_type() {
            0 => {}
            kind => follow_task_names(kind),
        }
        Some(task)
    }
}

/// FNV-1a (G. Fowler, L. C. Noll, P. Vo, "The FNV Non-Cryptographic Hash Algorithm").
fn check_of(name: &[u8], inherits: u64) -> u64 {
    let bytes = name.iter().copied().chain(inherits.to_ne_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes a moment. Whether there was room for it.
fn say<T: Copy>(kind: RingRecordKind, record: T, text: &[u8]) -> bool {
    let Some(ring) = own_ring() else { return false };
    let header = ring.header();
    if header.stop.load(Ordering::Relaxed) != 0 {
        return false;
    }
    header.unrecorded_scopes.store(SCOPES.unrecorded(), Ordering::Relaxed);
    // What was missed is said before anything else.
    let since_ns = header.unsaid_since.load(Ordering::Relaxed);
    if since_ns != 0 {
        if !write(&ring, RingRecordKind::Forget, ForgetRecord { since_ns }, &[]) {
            return false;
        }
        header.unsaid_since.store(0, Ordering::Release);
    }
    let is_written = write(&ring, kind, record, text);
    if !is_written {
        LOSSES.fetch_add(1, Ordering::Relaxed);
        SCOPES.lose();
        header.unsaid_since.store(sys::monotonic_ns(), Ordering::Release);
    }
    is_written
}

fn write<T: Copy>(ring: &RingWriter, kind: RingRecordKind, record: T, text: &[u8]) -> bool {
    let head = size_of::<RingRecord>().wrapping_add(size_of::<T>());
    let room: Option<Room<'_>> = ring.reserve(head.wrapping_add(text.len()).next_multiple_of(8));
    let Some(mut room) = room else { return false };
    room.write_value(record);
    room.write(text);
    room.commit(kind);
    true
}

/// The ring of this very process, made with the first moment.
fn own_ring() -> Option<RingWriter> {
    let capture = capture()?;
    if let Some(ring) = ring() {
        return Some(ring);
    }
    let this_process = sys::fork_generation();
    if RINGLESS.load(Ordering::Relaxed) == this_process {
        return None;
    }
    let _errno = KeepErrno::new();
    if make_ring(capture).is_err() {
        RINGLESS.store(this_process, Ordering::Relaxed);
    }
    ring()
}
