//! The interpreters of the process, and what became of the hook in each.

use super::symbols::{EvalFrame, Object};
use crate::lock::Lock;
use crate::wire::MOST_LANES;
use core::ptr::fn_addr_eq;

/// One interpreter of the process.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter {
    /// CPython's address of it.
    pub address: *mut Object,
    /// CPython's number of it, which tells it from an earlier one at the same address.
    pub id: i64,
    /// Our hook's code.
    pub hook: EvalFrame,
    /// The evaluator that was there before, which stubs call.
    pub next: EvalFrame,
    /// What became of the hook.
    pub state: State,
    /// How many threads are so deep that stubs are stopped.
    pub deep: u32,
    /// Its lane of counters, which no other interpreter has that is alive. [`keep`] chooses it.
    pub lane: usize,
}

/// What became of an interpreter's hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It leads frames to their stubs, by itself or because another hook calls it.
    Active,
    /// It was removed while another hook had it as its next, and hands every frame on.
    Passing,
    /// It is gone.
    Removed,
}

// SAFETY: addresses of code, and of an interpreter that is only compared.
unsafe impl Send for Interpreter {}

/// The most interpreters that are known at a time; more run without stubs. One that has ended is known until another
/// one is at its address.
const MOST_INTERPRETERS: usize = MOST_LANES;

type Table = [Option<Interpreter>; MOST_INTERPRETERS];

// In the child of a fork only the interpreter that forked goes on, and it was not changing its entry.
static INTERPRETERS: Lock<Table> = Lock::new([None; MOST_INTERPRETERS], |_| ());

/// Calls `action` with what is known of an interpreter.
pub fn with_interpreter<R>(address: *mut Object, action: impl FnOnce(&mut Interpreter) -> R) -> Option<R> {
    INTERPRETERS.with(|all| all.iter_mut().flatten().find(|one| one.address == address).map(action))
}

/// What is known of an interpreter by its address, unless that was an earlier one at the same address.
pub fn known(address: *mut Object, id: i64) -> Option<Interpreter> {
    INTERPRETERS.with(|all| {
        let slot = all.iter_mut().find(|slot| slot.is_some_and(|one| one.address == address))?;
        *slot = slot.filter(|one| one.id == id);
        *slot
    })
}

/// Keeps what is known of an interpreter, in place of what was, with the lane that it returns. `None` when there is no room.
pub fn keep(interpreter: Interpreter) -> Option<usize> {
    INTERPRETERS.with(|all| {
        let same = all.iter().position(|one| one.is_some_and(|one| one.address == interpreter.address));
        let lane = same.or_else(|| all.iter().position(|one| one.is_none()))?;
        *all.get_mut(lane)? = Some(Interpreter { lane, ..interpreter });
        Some(lane)
    })
}

/// Forgets an interpreter.
pub fn forget(address: *mut Object) {
    INTERPRETERS.with(|all| {
        let is_it = |slot: &&mut Option<Interpreter>| slot.is_some_and(|one| one.address == address);
        all.iter_mut().filter(is_it).for_each(|slot| *slot = None);
    });
}

impl Interpreter {
    /// Whether an evaluator is our hook of this interpreter.
    pub fn is_hook(&self, evaluator: EvalFrame) -> bool {
        fn_addr_eq(self.hook, evaluator)
    }

    /// Whether an evaluator is the one that our hook calls.
    pub fn is_next(&self, evaluator: EvalFrame) -> bool {
        fn_addr_eq(self.next, evaluator)
    }
}
