//! Stubs that are on in windows: the signal handler takes the hook in and out.
//!
//! CPython keeps an interpreter's evaluator in one word, and reads it whenever it is about to run a frame. Who holds the
//! interpreter's lock can write it at any moment, and that is all that a window takes: frames that run meanwhile go on as they
//! are. So it is the handler that opens and closes windows, of the thread that holds the lock when it is interrupted.
//! [`super::governor`] decides when.
//!
//! Stubs that are always on are one window, which the handler closes when the session has ended. It is one or the other in all
//! interpreters of a process.
//!
//! In each window stubs count in one of the interpreter's lanes, drawn at random, and before it, while the program settles down, in one
//! that is for that. Lanes are mapped by the first call of the first
//! window, on the hook's slow path; the child of a fork, whose gate is closed, gets its own in the same way.
//!
//! # Safety
//! What is not atomic here belongs to the thread that holds the interpreter's lock, and is changed in its handler, which does
//! not interrupt itself, or before the handler can find it.

use super::governor::{Governor, Step};
use super::hook_words::HookWords;
use super::layout::INTERPRETER_OF_THREAD;
use super::symbols::{EvalFrame, Object, Symbols};
use crate::capture::memory::{Guarded, Memory, Straight};
use crate::stub::Counters;
use crate::sys::{self, Refused};
use crate::wire::{GROUPS, KINDS, LaneHead, MOST_LANES, SETTLING};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// How many interpreters can have windows at a time.
pub const MOST: usize = MOST_LANES / GROUPS;
/// How far into an interpreter its evaluator is looked for, in words. The versions have it between the 171st and the 1066th.
const LOOKED_THROUGH: usize = 2048;

/// The windows of one interpreter.
#[derive(Debug)]
pub struct Windows {
    /// CPython's address of it; null while there is none.
    interpreter: AtomicPtr<Object>,
    /// Where it keeps its evaluator.
    evaluator: AtomicPtr<AtomicPtr<c_void>>,
    /// What is there while stubs are on.
    hook: AtomicPtr<c_void>,
    /// What is there while they are off.
    off: AtomicPtr<c_void>,
    /// Where stubs count: a lane for each group.
    lanes: [AtomicPtr<LaneHead>; GROUPS],
    /// The group that stubs count in, or will.
    group: AtomicUsize,
    /// How many threads are so deep that stubs are stopped.
    deep: AtomicU32,
    /// Whether stubs are on.
    open: AtomicBool,
    /// The process that all this belongs to, as [`sys::fork_generation`] has it.
    generation: AtomicU32,
    state: UnsafeCell<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    governor: Governor,
    costs_ps: [u32; KINDS],
    /// How long stubs were off before there were lanes.
    before_ns: u64,
}

// SAFETY: see the module's comment.
unsafe impl Sync for Windows {}

static WINDOWS: [Windows; MOST] = [const { Windows::new() }; MOST];
/// Whether any interpreter has windows that open and close, or had.
static ANY: AtomicBool = AtomicBool::new(false);
/// Whether there are to be no more windows.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Whether any interpreter has windows that open and close, or had.
pub fn are_there() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// Whether there are to be no more windows.
pub fn are_over() -> bool {
    ENDED.load(Ordering::Relaxed)
}

/// The windows, where they open and close, of the interpreter that has a place among those that are known.
pub fn of_place(place: usize) -> Option<&'static Windows> {
    WINDOWS.get(place).filter(|windows| are_there() && !windows.interpreter.load(Ordering::Acquire).is_null())
}

/// The windows of an interpreter.
pub fn of_interpreter(interpreter: *mut Object) -> Option<&'static Windows> {
    let windows = || WINDOWS.iter().find(|windows| windows.interpreter.load(Ordering::Acquire) == interpreter);
    if interpreter.is_null() { None } else { windows() }
}

/// The windows of the interpreter that a state of the calling thread belongs to.
fn of_state(state: u64) -> Option<&'static Windows> {
    // SAFETY: the state is the calling thread's own, and so is there.
    let interpreter = unsafe { Straight.word(state.wrapping_add(INTERPRETER_OF_THREAD)) }?;
    of_interpreter(ptr::with_exposed_provenance_mut(interpreter as usize))
}

/// The calling thread, whose newest state is given, has run for a while since its signal before. Opens and closes windows if it
/// holds the interpreter's lock with it. Returns whether stubs were on.
pub fn tick(state: u64, holds_lock: bool, ran_ns: u64, random: u64) -> bool {
    of_state(state).is_some_and(|windows| match holds_lock {
        true => windows.tick(ran_ns, random),
        false => windows.is_open(),
    })
}

/// Has there be no more windows, seen by a thread whose newest state is given.
pub fn end(state: u64) {
    ENDED.store(true, Ordering::Relaxed);
    if let Some(windows) = of_state(state) {
        windows.close();
    }
}

impl Windows {
    const fn new() -> Windows {
        let state = State { governor: Governor::new(0), costs_ps: [0; KINDS], before_ns: 0 };
        Windows {
            interpreter: AtomicPtr::new(ptr::null_mut()),
            evaluator: AtomicPtr::new(ptr::null_mut()),
            hook: AtomicPtr::new(ptr::null_mut()),
            off: AtomicPtr::new(ptr::null_mut()),
            lanes: [const { AtomicPtr::new(ptr::null_mut()) }; GROUPS],
            group: AtomicUsize::new(SETTLING),
            deep: AtomicU32::new(0),
            open: AtomicBool::new(false),
            generation: AtomicU32::new(0),
            state: UnsafeCell::new(state),
        }
    }

    /// Whether stubs are on.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether all this is still as the process had it that this one was forked from.
    fn is_parents(&self) -> bool {
        self.generation.load(Ordering::Relaxed) != sys::fork_generation()
    }

    /// So many threads are so deep that stubs are stopped. Where it is none any more, they are on if a window is open.
    pub fn set_deep(&self, deep: u32) {
        self.deep.store(deep, Ordering::Relaxed);
        self.enforce();
    }

    /// Has there be none any more.
    pub fn forget(&self) {
        self.close();
        self.interpreter.store(ptr::null_mut(), Ordering::Release);
    }

    /// Maps the lanes of all groups by `map` when a first window is open, and returns the one in which stubs count.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn map_lanes(&self, map: impl Fn(usize) -> Result<Counters, Refused>) -> Result<Counters, Refused> {
        // The child of a fork begins with stubs off: most of them run another program soon.
        if self.is_parents() {
            self.close();
            return Err(Refused { what: "a lane", errno: libc::ECHILD });
        }
        for (group, lane) in self.lanes.iter().enumerate() {
            lane.store(map(group)?.address() as *mut LaneHead, Ordering::Relaxed);
        }
        let mut lane = self.lane().ok_or(Refused { what: "a lane", errno: libc::ENOMEM })?;
        // SAFETY: the lane was mapped just now, and who holds the lock is alone with it.
        let head = unsafe { lane.as_mut() };
        head.windows = head.windows.wrapping_add(1);
        Ok(Counters::new(lane.cast()))
    }

    fn lane(&self) -> Option<NonNull<LaneHead>> {
        let lane = self.lanes.get(self.group.load(Ordering::Relaxed))?;
        NonNull::new(lane.load(Ordering::Relaxed))
    }

    fn words(&self) -> Option<&'static HookWords> {
        let place = WINDOWS.iter().position(|windows| ptr::eq(windows, self))?;
        HookWords::of(place)
    }

    fn tick(&self, ran_ns: u64, random: u64) -> bool {
        let was_open = self.is_open();
        // SAFETY: the calling thread holds the lock, and is in its handler.
        let state = unsafe { &mut *self.state.get() };
        if self.is_parents() {
            self.generation.store(sys::fork_generation(), Ordering::Relaxed);
            state.governor = state.governor.anew();
            state.before_ns = 0;
            self.deep.store(0, Ordering::Relaxed);
            self.close();
            return was_open;
        }
        // Until the first call of the first window there are no lanes.
        let mapped = self.words().is_some_and(|words| words.counters().is_some());
        let lane = self.lane().filter(|_| mapped);
        if let Some(mut lane) = lane {
            // SAFETY: the lane is mapped, and who holds the lock is alone with it.
            let head = unsafe { lane.as_mut() };
            head.before_ns = head.before_ns.wrapping_add(core::mem::take(&mut state.before_ns));
            let time_ns = if was_open { &mut head.on_ns } else { &mut head.off_ns };
            *time_ns = time_ns.wrapping_add(ran_ns);
        } else if was_open {
            // No frame has come by the hook since: stubs have cost nothing.
            self.enforce();
            return was_open;
        } else {
            state.before_ns = state.before_ns.wrapping_add(ran_ns);
        }
        let step = state.governor.run(ran_ns, state.cost_ps(lane), random);
        match step {
            _ if are_over() => self.close(),
            Step::Stay => {}
            Step::Open => {
                self.group.store(SETTLING, Ordering::Relaxed);
                if mapped {
                    self.turn(SETTLING);
                }
                state.governor.settle(state.cost_ps(self.lane().filter(|_| mapped)));
                self.open.store(true, Ordering::Relaxed);
            }
            Step::Next => {
                self.turn(group(random >> 16));
                state.governor.begin(state.cost_ps(self.lane()), random >> 32);
            }
            Step::Close => self.close(),
        }
        self.enforce();
        was_open
    }

    /// Has stubs count in the lane of a group.
    fn turn(&self, group: usize) {
        self.group.store(group, Ordering::Relaxed);
        if let (Some(mut lane), Some(words)) = (self.lane(), self.words()) {
            // SAFETY: as in `tick`.
            let head = unsafe { lane.as_mut() };
            head.windows = head.windows.wrapping_add(1);
            words.count_in(Counters::new(lane.cast()));
        }
    }

    /// Closes a window. A thread that does not hold the lock may do that as well, if its interpreter is this one.
    fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.enforce();
    }

    /// Puts the evaluator where it belongs, unless it is somebody else's.
    fn enforce(&self) {
        let on = self.is_open() && self.deep.load(Ordering::Relaxed) == 0;
        let (hook, off) = (self.hook.load(Ordering::Relaxed), self.off.load(Ordering::Relaxed));
        let (from, to) = if on { (off, hook) } else { (hook, off) };
        // SAFETY: it is a word of the interpreter, which is there as long as it has threads, and whoever calls this is one.
        let evaluator = unsafe { self.evaluator.load(Ordering::Relaxed).as_ref() };
        if let Some(evaluator) = evaluator {
            let _somebody_elses = evaluator.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// A group that windows are counted in, by lot.
const fn group(random: u64) -> usize {
    const { assert!(SETTLING == 0) };
    1 + random as usize % (GROUPS - 1)
}

impl State {
    /// What all calls have cost that are counted in a lane.
    fn cost_ps(&self, lane: Option<NonNull<LaneHead>>) -> u64 {
        // SAFETY: as in `Windows::tick`.
        lane.map_or(0, |lane| unsafe { lane.as_ref() }.cost_ps(&self.costs_ps))
    }
}

/// Has an interpreter have windows, with stubs off, within a budget; or if there is none, one that is open for good. `place` is the
/// one that it has among those that are known, `hook` its hook, and `off` what there is without.
///
/// Returns whether it was found where the interpreter keeps its evaluator.
///
/// # Safety
/// The interpreter's lock is held; `hook` and `off` are evaluators that stay, and `off` is the one that is set.
pub unsafe fn begin(
    symbols: &Symbols,
    place: usize,
    (interpreter, hook, off): (*mut Object, EvalFrame, EvalFrame),
    budget: Option<(u32, [u32; KINDS])>,
) -> bool {
    let Some(windows) = WINDOWS.get(place) else { return false };
    // SAFETY: as promised by the caller.
    let found = unsafe { find_evaluator(symbols, interpreter, hook, off) };
    let Some((evaluator, is_off)) = found else { return false };
    windows.interpreter.store(ptr::null_mut(), Ordering::Release);
    let (budget_ppm, costs_ps) = budget.unwrap_or_default();
    // SAFETY: no handler finds the windows, as they are no interpreter's just now.
    unsafe { *windows.state.get() = State { governor: Governor::new(budget_ppm), costs_ps, before_ns: 0 } };
    windows.generation.store(sys::fork_generation(), Ordering::Relaxed);
    windows.evaluator.store(evaluator, Ordering::Relaxed);
    windows.hook.store(hook as *mut c_void, Ordering::Relaxed);
    windows.off.store(is_off, Ordering::Relaxed);
    windows.open.store(budget.is_none(), Ordering::Relaxed);
    windows.deep.store(0, Ordering::Relaxed);
    windows.interpreter.store(interpreter, Ordering::Release);
    windows.enforce();
    ANY.fetch_or(budget.is_some(), Ordering::Relaxed);
    true
}

/// Looks for the word in which an interpreter keeps its evaluator: by having it keep another one for a moment. Also what is there
/// when it is the one that it was.
///
/// # Safety
/// As for [`begin`].
unsafe fn find_evaluator(
    symbols: &Symbols,
    interpreter: *mut Object,
    hook: EvalFrame,
    off: EvalFrame,
) -> Option<(*mut AtomicPtr<c_void>, *mut c_void)> {
    let wanted = hook as usize as u64;
    let address = |at: u64| (interpreter as u64).wrapping_add(at.wrapping_mul(8));
    // SAFETY: guarded reads take any address.
    let word = |at: u64| unsafe { Guarded.word(address(at)) };
    // SAFETY: as promised by the caller.
    let set = |evaluator| unsafe { (symbols.set_eval_frame)(interpreter, evaluator) };
    set(hook);
    let found = position_of(wanted, interpreter as u64);
    set(off);
    let at = found?;
    // It is the one if it does as it is told.
    let without = word(at)?;
    set(hook);
    let with = word(at);
    set(off);
    let is_it = with == Some(wanted) && without != wanted && word(at) == Some(without);
    let evaluator = ptr::with_exposed_provenance_mut::<AtomicPtr<c_void>>(address(at) as usize);
    is_it.then_some((evaluator, ptr::with_exposed_provenance_mut(without as usize)))
}

/// Which of the first words from an address on has a value, if just one does. A piece is read at a time: the stack may be small.
fn position_of(value: u64, address: u64) -> Option<u64> {
    const PIECE: usize = 64;
    let mut found = None;
    for piece in (0..LOOKED_THROUGH).step_by(PIECE) {
        let mut words = [[0_u8; 8]; PIECE];
        let from = address.wrapping_add(piece.wrapping_mul(8) as u64);
        // SAFETY: guarded reads take any address.
        if !unsafe { Guarded.fill(from, words.as_flattened_mut()) } {
            break;
        }
        for (at, _) in words.iter().enumerate().filter(|(_, word)| u64::from_ne_bytes(**word) == value) {
            if found.replace(piece.wrapping_add(at) as u64).is_some() {
                return None;
            }
        }
    }
    found
}
