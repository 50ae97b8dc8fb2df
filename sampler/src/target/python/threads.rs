//! The interpreters of a process, and the states of their threads.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use pronk_trampolines::python::layout::{GIL_HOLDER, GIL_LOCKED, Gil, INTERPRETER_OF_THREAD};
use pronk_trampolines::python::{End, Link};
use std::collections::HashSet;

/// The most interpreters and threads that are looked at.
const MOST_INTERPRETERS: usize = 1 << 10;
const MOST_THREADS: usize = 1 << 14;
/// The most links of a thread.
pub(crate) const MOST_LINKS: usize = 1 << 16;

/// An interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) address: u64,
    pub(crate) id: i64,
    /// `sys.modules`.
    pub(crate) modules: u64,
}

/// What an interpreter knows of a thread.
#[derive(Clone, Debug)]
pub(crate) struct ThreadState {
    pub(crate) address: u64,
    pub(crate) interpreter: Interpreter,
    /// What `pthread_self` gives in the thread, which is what Python calls its identifier.
    pub(crate) identifier: u64,
    /// What `gettid` gives in it, where the interpreter knows it.
    pub(crate) native_id: Option<u64>,
    /// Whether it holds its interpreter's lock.
    pub(crate) holds_lock: bool,
}

/// The frames of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Newest first.
    pub(crate) links: Vec<Link>,
    pub(crate) end: End,
}

impl Python {
    /// The interpreters, the oldest first, which is the main one.
    pub(crate) fn interpreters<P: Pages>(&self, snapshot: &Snapshot<P>) -> Vec<Interpreter> {
        let fields = &self.fields;
        let first = snapshot.word(self.runtime.wrapping_add(fields.interpreters)).unwrap_or(0);
        let mut interpreters: Vec<Interpreter> = list(snapshot, first, fields.next, MOST_INTERPRETERS)
            .filter_map(|address| {
                let id = snapshot.word(address.wrapping_add(fields.id))?.cast_signed();
                let modules = snapshot.word(address.wrapping_add(fields.modules))?;
                Some(Interpreter { address, id, modules })
            })
            .collect();
        interpreters.reverse();
        interpreters
    }

    /// The states of an interpreter's threads, the oldest first.
    pub(crate) fn threads<P: Pages>(&self, snapshot: &Snapshot<P>, interpreter: &Interpreter) -> Vec<ThreadState> {
        let fields = &self.fields;
        let holder = self.lock_holder(snapshot, interpreter);
        let first = snapshot.word(interpreter.address.wrapping_add(fields.threads)).unwrap_or(0);
        let mut threads: Vec<ThreadState> = list(snapshot, first, fields.next_thread, MOST_THREADS)
            .filter_map(|address| {
                let field = |at: u64| snapshot.word(address.wrapping_add(at));
                let is_its = field(INTERPRETER_OF_THREAD)? == interpreter.address;
                let state = ThreadState {
                    address,
                    interpreter: *interpreter,
                    identifier: field(fields.thread_id)?,
                    native_id: fields.native_id.and_then(field),
                    holds_lock: holder == Some(address),
                };
                is_its.then_some(state)
            })
            .collect();
        threads.reverse();
        threads
    }

    /// The state of the thread that holds an interpreter's lock.
    fn lock_holder<P: Pages>(&self, snapshot: &Snapshot<P>, interpreter: &Interpreter) -> Option<u64> {
        let lock = match self.fields.gil {
            Gil::OfRuntime(at) => self.runtime.wrapping_add(at),
            Gil::OfInterpreter(at) => snapshot.word(interpreter.address.wrapping_add(at))?,
        };
        let is_locked = snapshot.number(lock.wrapping_add(GIL_LOCKED))? == 1;
        snapshot.word(lock.wrapping_add(GIL_HOLDER)).filter(|_| is_locked)
    }

    /// The frames of a thread, which is at an instruction if it is stopped.
    pub(crate) fn chain<P: Pages>(&self, snapshot: &Snapshot<P>, state: u64, pc: u64, room: &mut [Link]) -> Chain {
        // SAFETY: a snapshot takes any address.
        let walked = unsafe { self.walker.walk(snapshot, state, pc, None, room) };
        Chain { links: room[..walked.count.min(room.len())].to_vec(), end: walked.end }
    }
}

/// The elements of a list that are linked at an offset, each once.
fn list<P: Pages>(snapshot: &Snapshot<P>, first: u64, next: u64, most: usize) -> impl Iterator<Item = u64> {
    let mut seen = HashSet::new();
    std::iter::successors(Some(first), move |element| snapshot.word(element.wrapping_add(next)))
        .take_while(move |element| *element != 0 && seen.insert(*element))
        .take(most)
}
