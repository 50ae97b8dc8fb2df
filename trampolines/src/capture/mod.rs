//! Samples from inside: a signal handler in each thread, and the ring that it writes to.
//!
//! - `start` is called in a process that is to be sampled.
//! - [`interpose`] finds every thread when it starts, and every fork.
//! - `heartbeat` says whether there is still somebody who wants samples.
//! - `members` are the threads that ran already when the session began.
//! - `driver` brings the signals, `pace` weighs them, `handler` takes the samples.
//! - `relink` has the calls of a program that runs already come by [`interpose`], [`program_action`] and [`writes`].
//! - `stack` and `links` know what has changed since a thread's sample before.
//! - `scopes` finds the labels of frames, and says in the ring what they are; `arguments` those that arguments of functions give.
//! - `task` finds the task that runs, and its name; `awaiters` knows which frames await it.
//! - `outside` says for whom each moment is, where somebody outside takes the samples and all the others are not there.
//! - `memory` reads what may not be there; `faults` ends a read that was thought to be safe and is not.
//! - [`program_action`] is what the program itself wants done about the signals; [`writes`] go on that one cuts short.
//!
//! Nothing that a handler calls takes a lock, allocates, or leaves errno changed.

mod arguments;
mod awaiters;
mod driver;
mod faults;
mod handler;
mod heartbeat;
pub mod interpose;
mod links;
pub(crate) mod members;
pub mod memory;
pub(crate) mod outside;
mod pace;
pub mod program_action;
pub(crate) mod relink;
mod scopes;
mod stack;
mod task;
mod thread;
pub mod writes;

pub use thread::Main;

use crate::lock::Replaced;
use crate::python::Sampled;
use crate::ring::{self, RingWriter};
use crate::sys::{self, PathText, Refused, Text};
use crate::wire::{Driver, Mode, RingRecord, RingRecordKind, SETTINGS_FILE, Settings, ThreadRecord};
use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use driver::ThreadDriver;
pub(crate) use heartbeat::Heartbeat;
use thread::SampledThread;

/// The signal. By default it is ignored, so that one that arrives where the handler is not, as in a program that was just
/// executed, does nothing; and it is no real-time signal, so that however many are held back, one is delivered. Sockets
/// send it for urgent data, which next to no program asks for.
pub(crate) const SIGNAL: i32 = libc::SIGURG;

/// What the process was asked for, and what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capture {
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) sampled: &'static Sampled,
}

/// The settings of a session, if its processes are sampled from inside.
pub(crate) fn settings_of(session: &PathText) -> Option<Settings> {
    let mut path = *session;
    path.push(b"/");
    path.push(SETTINGS_FILE.as_bytes());
    let mut bytes = [0; size_of::<Settings>() + 1];
    Settings::from_bytes(sys::read(path.as_c(), &mut bytes).ok()?)
}

pub(crate) static CAPTURE: Replaced<Capture> = Replaced::new();

/// The process's ring: its base address, and which fork it belongs to.
static RING: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static RING_GENERATION: AtomicU32 = AtomicU32::new(0);
/// The token of the ring that was made last: in the child of a fork that is its parent's until it makes its own.
static RING_TOKEN: AtomicU64 = AtomicU64::new(0);

/// Which session of this process it is.
static SESSION: AtomicU32 = AtomicU32::new(0);
/// How many threads are sampled in it.
static SAMPLED: AtomicU32 = AtomicU32::new(0);
/// How many threads are joining or leaving it just now.
static MOVING: AtomicU32 = AtomicU32::new(0);

/// As long as it is there, the ring is not unmapped.
struct Moving;

impl Moving {
    fn new() -> Moving {
        MOVING.fetch_add(1, Ordering::SeqCst);
        Moving
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        MOVING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether no thread is joining or leaving the session just now.
pub(crate) fn is_still() -> bool {
    MOVING.load(Ordering::SeqCst) == 0
}

/// How many threads are sampled in this session.
pub(crate) fn sampled_threads() -> u32 {
    SAMPLED.load(Ordering::SeqCst)
}

/// One thread fewer, whatever became of it.
pub(crate) fn one_fewer() {
    SAMPLED.fetch_sub(1, Ordering::SeqCst);
}

/// Starts to sample this process, by its calling thread, which is the only one.
///
/// # Errors
/// When there is no memory, or the kernel gives no timer.
pub(crate) fn start(settings: Settings, sampled: &'static Sampled) -> Result<(), Refused> {
    begin(settings, sampled)?;
    let thread = SampledThread::allocate(None)?;
    begin_thread(thread, sys::thread_stack().unwrap_or_default());
    Ok(())
}

/// Has there be a session, which no thread is part of yet.
///
/// # Errors
/// When there is no memory.
pub(crate) fn begin(settings: Settings, sampled: &'static Sampled) -> Result<(), Refused> {
    let mode = Mode::from_raw(settings.mode).unwrap_or_default();
    // SAFETY: sessions of a process begin one after the other. Who used the one before the last did so in a signal handler,
    // of a thread that has left it since, or for a moment with the interpreter's lock, which was given up since.
    unsafe { CAPTURE.set(Capture { settings, mode, sampled }) };
    let Some(capture) = CAPTURE.get() else { return Ok(()) };
    RING_TOKEN.store(0, Ordering::Relaxed);
    SESSION.fetch_add(1, Ordering::Relaxed);
    SAMPLED.store(0, Ordering::SeqCst);
    make_ring(capture)?;
    handler::install()?;
    interpose::follow_forks();
    if let Some(ring) = ring() {
        write_mappings(&ring);
    }
    Ok(())
}

/// Has there be no session any more. `is_unused` says that no thread is part of it; where that is not certain, the ring stays
/// mapped.
///
/// # Safety
/// What `is_unused` says is true.
pub(crate) unsafe fn finish(is_unused: bool) {
    let ring = ring().filter(|_| is_unused);
    handler::remove();
    CAPTURE.clear();
    thread::free_spares();
    RING.store(core::ptr::null_mut(), Ordering::Release);
    if let Some(ring) = ring {
        // SAFETY: as promised by the caller.
        unsafe { ring::unmap(ring) };
    }
}

impl Capture {
    /// The directory for rings.
    fn ring_directory(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.settings.ring_directory).unwrap_or_default()
    }

    /// The perf event that drives threads, if one is to: its period, and whether it has the kernel's part of stacks.
    fn event(&self) -> Option<(u64, bool)> {
        let perf = Driver::from_raw(self.settings.driver) == Some(Driver::PerfEvent) && self.mode != Mode::Wall;
        perf.then_some((self.settings.period_ns, self.settings.kernel != 0))
    }
}

/// What this process was asked for, wherever its samples are taken.
pub(crate) fn any() -> Option<&'static Capture> {
    CAPTURE.get().or_else(outside::capture)
}

/// Whether this process is sampled from inside, and somebody still wants that: nobody does whose directory for rings is gone, though
/// the child of a fork may not have been told.
pub(crate) fn is_on() -> bool {
    let is_stopped = |ring: RingWriter| ring.header().stop.load(Ordering::Relaxed) != 0;
    CAPTURE.get().is_some_and(|capture| !ring().is_some_and(is_stopped) && sys::exists(capture.ring_directory()))
}

/// Whether somebody may want what this process does: nothing is known of those that are not sampled from inside.
pub(crate) fn may_be_on() -> bool {
    CAPTURE.get().is_none() || is_on()
}

/// Has no more samples be taken.
pub(crate) fn stop() {
    if let Some(ring) = ring() {
        ring.header().stop.store(1, Ordering::SeqCst);
    }
}

/// How long the profiler's heartbeat may stand still, in nanoseconds: then samples end for good.
const LONGEST_SILENCE_NS: u64 = 10_000_000_000;

static HEARTBEAT: Heartbeat = Heartbeat::new();

/// Whether somebody wants the samples of a ring, at a time.
fn is_wanted(ring: &RingWriter, now_ns: u64) -> bool {
    let header = ring.header();
    if HEARTBEAT.silence_ns(header.heartbeat.load(Ordering::Relaxed), now_ns) > LONGEST_SILENCE_NS {
        header.stop.store(1, Ordering::Relaxed);
    }
    header.stop.load(Ordering::Relaxed) == 0
}

/// Whether this process has no ring, or nobody wants samples any more.
fn is_stopping() -> bool {
    ring().is_none_or(|ring| ring.header().stop.load(Ordering::Relaxed) != 0)
}

/// The ring of this very process.
pub(crate) fn ring() -> Option<RingWriter> {
    let base = NonNull::new(RING.load(Ordering::Acquire))?;
    let capacity = any()?.settings.ring_size;
    let ours = RING_GENERATION.load(Ordering::Relaxed) == sys::fork_generation();
    // SAFETY: the ring stays mapped in the process that has made it.
    ours.then(|| unsafe { RingWriter::new(base, capacity) })
}

fn make_ring(capture: &Capture) -> Result<(), Refused> {
    let identity = ring::Identity {
        python_hexversion: capture.sampled.hexversion,
        evaluator: capture.sampled.walker.evaluator,
        forked_from: RING_TOKEN.load(Ordering::Relaxed),
    };
    let (writer, token) = ring::create(capture.ring_directory(), capture.settings.ring_size, &identity)?;
    RING_TOKEN.store(token.0, Ordering::Relaxed);
    RING_GENERATION.store(sys::fork_generation(), Ordering::Relaxed);
    HEARTBEAT.forget();
    RING.store(writer.base().as_ptr(), Ordering::Release);
    Ok(())
}

/// Begins to sample the calling thread, whose stack reaches from the one address to below the other.
pub(crate) fn begin_thread(thread: NonNull<SampledThread>, (low, high): (usize, usize)) {
    let _moving = Moving::new();
    let wanted = |ring: &RingWriter| ring.header().stop.load(Ordering::SeqCst) == 0;
    let (Some(capture), Some(ring)) = (CAPTURE.get(), ring().filter(wanted)) else {
        // SAFETY: the thread has never been anybody's.
        unsafe { SampledThread::free(thread) };
        return;
    };
    let Ok(driver) = ThreadDriver::create(SIGNAL) else {
        ring.header().unsampled_threads.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the thread has never been anybody's.
        unsafe { SampledThread::free(thread) };
        return;
    };
    // SAFETY: nobody else has the thread's memory yet.
    let sampled = unsafe { &mut *thread.as_ptr() };
    sampled.belong_to_caller();
    sampled.session = SESSION.load(Ordering::Relaxed);
    sampled.stack_bounds = (low as u64, high as u64);
    sampled.driver = Some(driver);
    sampled.start_pace(capture);
    say_thread(&ring, RingRecordKind::ThreadStart);
    match sampled.member {
        members::NOBODY => interpose::end_with_thread(thread),
        _ => interpose::end_with_thread_in_handler(thread),
    }
    SAMPLED.fetch_add(1, Ordering::SeqCst);
    SampledThread::set_of_this_thread(Some(thread));
    sampled.start_driver(capture);
}

/// Ends the sampling of the calling thread.
pub(crate) fn end_thread(thread: NonNull<SampledThread>) {
    let _moving = Moving::new();
    SampledThread::set_of_this_thread(None);
    // SAFETY: the handler finds the thread no more.
    unsafe { (*thread.as_ptr()).stop_driver() };
    if let Some(ring) = ring() {
        say_thread(&ring, RingRecordKind::ThreadEnd);
    }
    // SAFETY: as above.
    let (member, session) = unsafe { ((*thread.as_ptr()).member, (*thread.as_ptr()).session) };
    // The place of a session before is another thread's by now.
    if session == SESSION.load(Ordering::Relaxed) {
        members::forget(member);
        one_fewer();
    }
    // SAFETY: as above.
    unsafe { SampledThread::free(thread) };
}

/// In the child of a fork: its only thread is sampled into a ring of its own, which is made with the first sample.
pub(crate) fn after_fork() {
    let Some(capture) = CAPTURE.get() else { return };
    capture.sampled.codes.clear();
    MOVING.store(0, Ordering::SeqCst);
    SAMPLED.store(0, Ordering::SeqCst);
    let Some(thread) = SampledThread::of_this_thread() else { return };
    SAMPLED.store(1, Ordering::SeqCst);
    // SAFETY: the calling thread's own, whose handler cannot run: the child has no timers yet, and no events.
    let sampled = unsafe { &mut *thread.as_ptr() };
    // The parent's timers do not exist here, and its mapping of the event does not either.
    sampled.driver = None;
    sampled.belong_to_caller();
    sampled.member = members::NOBODY;
    sampled.stack.forget();
    sampled.links.forget();
    sampled.anchors.forget();
    sampled.task_name = Text::new();
    sampled.awaiters.forget();
    sampled.sequence = 0;
    sampled.retakes = 0;
    if !capture.settings.followed.includes(sys::process_id()) {
        return;
    }
    let Ok(driver) = ThreadDriver::create(SIGNAL) else { return };
    sampled.driver = Some(driver);
    sampled.start_pace(capture);
    sampled.start_driver(capture);
}

/// The ring of this process, made if it is the child of a fork that has none yet.
pub(crate) fn own_ring(capture: &Capture) -> Option<RingWriter> {
    if let Some(ring) = ring() {
        return Some(ring);
    }
    make_ring(capture).ok()?;
    let ring = ring()?;
    say_thread(&ring, RingRecordKind::ThreadStart);
    Some(ring)
}

/// Says in the ring that the calling thread begins or ends.
fn say_thread(ring: &RingWriter, kind: RingRecordKind) {
    let size = size_of::<RingRecord>() + size_of::<ThreadRecord>();
    if let Some(mut room) = ring.reserve(size) {
        room.write_value(ThreadRecord {
            time_ns: sys::monotonic_ns(),
            cpu_ns: sys::thread_cpu_ns(),
            tid: sys::thread_id() as u32,
            reserved: 0,
            name: sys::thread_name(),
        });
        room.commit(kind);
    }
}

/// Copies the executable mappings of this process into the ring, for when it has ended before anybody looks.
pub(crate) fn write_mappings(ring: &RingWriter) {
    sys::each_executable_mapping(|lines| {
        let size = (size_of::<RingRecord>() + lines.len()).next_multiple_of(8);
        if let Some(mut room) = ring.reserve(size) {
            room.write(lines);
            room.commit(RingRecordKind::Mappings);
        }
    });
}

/// The process ends, by its calling thread: what it has mapped by now is said once more.
pub fn end() {
    if let Some(ring) = CAPTURE.get().and_then(|_| ring()) {
        write_mappings(&ring);
    }
    if let Some(thread) = SampledThread::of_this_thread() {
        end_thread(thread);
    }
}
