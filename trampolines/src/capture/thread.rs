//! What a sampled thread keeps: its driver, its clocks, and what its last sample looked like.

use super::CAPTURE;
use super::awaiters::KeptAwaiters;
use super::driver::ThreadDriver;
use super::links::{KeptLinks, MOST_LINKS};
use super::scopes::SaidLabels;
use super::stack::{KEPT_SIZE, KeptStack};
use crate::python::{Anchors, Link, TEXT_SIZE};
use crate::stub::thread;
use crate::sys::{self, Refused, Text};
use crate::wire::{LONGEST_TASK_NAME, MOST_AWAITERS};
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

/// A thread's main function, for pthread_create(3).
pub type Main = extern "C" fn(*mut c_void) -> *mut c_void;

/// A sampled thread. It has memory of its own, from before the thread starts until it ends.
#[derive(Debug)]
#[repr(C)]
pub struct SampledThread {
    /// The thread's main function and its argument, until it is called.
    pub main: Option<(Main, *mut c_void)>,
    /// The thread's id.
    pub tid: i32,
    /// Whether it is the process's first thread.
    pub is_main: bool,
    /// The process that it belongs to, as [`sys::fork_generation`] has it.
    pub generation: u32,
    /// The session that it is part of: a number that each session of a process has of its own.
    pub session: u32,
    /// Its place among those that ran already when the session began; [`super::members::NOBODY`] if it has none.
    pub member: u32,
    /// What brings its signals; `None` once it has ended.
    pub driver: Option<ThreadDriver>,
    /// When and how often.
    pub pace: Pace,
    /// The thread's stack: its lowest address, and the address behind its highest.
    pub stack_bounds: (u64, u64),
    /// What the last sample had of the stack.
    pub stack: KeptStack,
    /// The links that the last sample had.
    pub links: KeptLinks,
    /// Proof that the older of them are still the same.
    pub anchors: Anchors,
    /// The number of samples so far.
    pub sequence: u32,
    /// How long the handler ran for the last sample, in nanoseconds.
    pub handler_ns: u32,
    /// How often the sample that is due was found torn.
    pub retakes: u32,
    /// The name of the task that the last sample with a task had.
    pub task_name: Text<{ LONGEST_TASK_NAME + 1 }>,
    /// What samples had lately from context variables and from arguments.
    pub said_labels: SaidLabels,
    /// The frames that await the task of the last sample with an awaited task.
    pub awaiters: KeptAwaiters,
    /// Room for the texts of code objects.
    pub texts: MaybeUninit<[u8; TEXT_SIZE]>,
}

/// A thread's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// The time of the mode's clock at which the thread began to be sampled, in nanoseconds.
    pub started_ns: u64,
    /// The periods that have been accounted for.
    pub accounted: u64,
    /// The thread's CPU time at the last signal, in nanoseconds.
    pub last_cpu_ns: u64,
    /// The thread's CPU time when periods were last accounted for, in nanoseconds.
    pub sampled_cpu_ns: u64,
    /// Signals since the timer was last set.
    pub ticks: u32,
    /// Signals since the thread last ran for a while.
    pub idle_ticks: u32,
    /// The timer's interval while the thread is idle, in periods; 1 when it is not, 0 when the timer rests.
    pub stretched: u32,
    /// No sample is taken before this time: CLOCK_MONOTONIC, nanoseconds.
    pub not_before_ns: u64,
    /// The state of a random number generator; never 0.
    pub random: u64,
}

const STRUCTURE: usize = size_of::<SampledThread>().next_multiple_of(4096);
const LINKS: usize = MOST_LINKS * size_of::<Link>();
const AWAITERS: usize = MOST_AWAITERS * size_of::<Link>();
const WHOLE: usize = STRUCTURE + KEPT_SIZE + 2 * LINKS + 2 * AWAITERS;

/// The memory of threads that have ended, for those that start: unmapping it interrupts every processor on which the process
/// runs, and was a third of what being sampled costs a thread that does next to nothing.
static SPARES: [AtomicPtr<u8>; MOST_SPARES] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST_SPARES];
const MOST_SPARES: usize = 16;

fn take_spare() -> Option<NonNull<u8>> {
    let filled = |place: &&AtomicPtr<u8>| !place.load(Ordering::Relaxed).is_null();
    SPARES.iter().filter(filled).find_map(|place| NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire)))
}

/// Keeps memory that nobody uses; whether there was room for it.
fn keep_spare(memory: NonNull<u8>) -> bool {
    let put = |place: &AtomicPtr<u8>| {
        place.compare_exchange(ptr::null_mut(), memory.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok()
    };
    SPARES.iter().any(put)
}

/// Gives the memory back that is kept for threads to come: a session ends.
pub fn free_spares() {
    while let Some(memory) = take_spare() {
        // SAFETY: it is one whole mapping of that size, and was kept since nobody uses it.
        unsafe { sys::unmap(memory, WHOLE) };
    }
}

impl SampledThread {
    /// Memory for a thread that is to start with a main function, or runs already.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn allocate(main: Option<(Main, *mut c_void)>) -> Result<NonNull<SampledThread>, Refused> {
        let memory = take_spare().map_or_else(|| sys::map_anonymous(WHOLE), Ok)?;
        let structure = memory.cast::<SampledThread>();
        // SAFETY: the mapping has room for the structure, the bytes and all arrays, one behind the other.
        unsafe {
            let bytes = memory.add(STRUCTURE);
            let links = bytes.add(KEPT_SIZE).cast::<Link>();
            let awaiters = links.add(2 * MOST_LINKS);
            structure.write(SampledThread {
                main,
                tid: 0,
                is_main: false,
                generation: 0,
                session: 0,
                member: super::members::NOBODY,
                driver: None,
                pace: Pace::default(),
                stack_bounds: (0, 0),
                stack: KeptStack::new(bytes),
                links: KeptLinks::new(links, links.add(MOST_LINKS)),
                anchors: Anchors::default(),
                sequence: 0,
                handler_ns: 0,
                retakes: 0,
                task_name: Text::new(),
                said_labels: SaidLabels::new(),
                awaiters: KeptAwaiters::new(awaiters, awaiters.add(MOST_AWAITERS)),
                texts: MaybeUninit::uninit(),
            });
        }
        Ok(structure)
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// Nobody uses it any more: the thread's handler can no longer find it.
    pub unsafe fn free(this: NonNull<SampledThread>) {
        // A session that has ended has given back what was kept.
        if CAPTURE.get().is_none() || !keep_spare(this.cast()) {
            // SAFETY: the structure is at the start of its mapping, which is of that size.
            unsafe { sys::unmap(this.cast(), WHOLE) };
        }
    }

    /// Notes which thread the calling one is.
    pub fn belong_to_caller(&mut self) {
        self.tid = sys::thread_id();
        self.is_main = self.tid as u32 == sys::process_id();
        self.generation = sys::fork_generation();
    }

    /// The calling thread's, if it is sampled.
    pub fn of_this_thread() -> Option<NonNull<SampledThread>> {
        // SAFETY: a thread's words are its own.
        NonNull::new(unsafe { (*thread::words()).sampled } as *mut SampledThread)
    }

    /// Makes this the calling thread's, or nobody's.
    pub fn set_of_this_thread(this: Option<NonNull<SampledThread>>) {
        // SAFETY: a thread's words are its own. The handler finds the thread's by this word, so it is written last.
        unsafe {
            let word = &raw mut (*thread::words()).sampled;
            word.write_volatile(this.map_or(0, |this| this.as_ptr() as usize));
        }
    }
}

impl Pace {
    /// A number that nothing follows (xorshift64: G. Marsaglia, "Xorshift RNGs", 2003).
    pub fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
