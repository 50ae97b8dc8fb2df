//! What the signal handler needs to know of CPython.

use super::arguments::Arguments;
use super::awaits::Awaits;
use super::codes::Codes;
use super::current::Current;
use super::links::Walker;
use super::spans::Spans;
use super::switches::Switches;
use super::symbols::{Symbols, TypeSymbols};
use super::tasks::Tasks;
use super::variables::Variables;
use crate::capture::memory::{Guarded, Memory};
use crate::lock::Once;
use crate::sys::Refused;
use crate::wire::REGISTERS;
use core::ffi::c_int;

/// An interpreter whose threads are sampled.
#[derive(Debug)]
pub struct Sampled {
    /// `PY_VERSION_HEX`.
    pub hexversion: u32,
    /// Walks frame links.
    pub walker: Walker,
    /// The code objects that have numbers.
    pub codes: Codes,
    /// Where a thread's state is, once that was found.
    current: Once<Current>,
    /// The tasks that run in its threads.
    pub tasks: Tasks,
    /// The context variables whose values are labels.
    pub variables: Variables,
    /// The spans of OpenTelemetry.
    pub spans: Spans,
    /// The functions of which arguments are labels.
    pub arguments: Arguments,
    /// Who awaits them.
    pub awaits: Option<Awaits>,
    /// Whether code that exchanges stacks is in the process.
    switches: Switches,
    newest_thread: unsafe extern "C" fn() -> *mut core::ffi::c_void,
    is_initialized: unsafe extern "C" fn() -> c_int,
}

impl Sampled {
    /// Of the interpreter in this process.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(symbols: &Symbols, layout: &'static super::layout::Layout, hexversion: u32) -> Result<Sampled, Refused> {
        let types = TypeSymbols::load().ok();
        Ok(Sampled {
            hexversion,
            walker: Walker {
                layout,
                code_type: symbols.code_type as u64,
                evaluator: symbols.default_eval_frame as *const () as u64,
            },
            codes: Codes::new()?,
            current: Once::new(),
            tasks: Tasks::new(symbols),
            variables: Variables::default(),
            spans: Spans::default(),
            arguments: Arguments::new(types.map_or(0, |types| types.cell as u64)),
            awaits: types.map(Awaits::new),
            switches: Switches::new(),
            newest_thread: symbols.newest_thread,
            is_initialized: symbols.is_initialized,
        })
    }

    /// Forgets what belongs to a session: a new one begins.
    pub fn forget(&self) {
        self.codes.clear();
        self.variables.forget();
        self.arguments.forget();
    }

    /// Finds out where a thread's state is; until then no thread has one.
    ///
    /// # Safety
    /// The interpreter's lock is held.
    pub unsafe fn find_current(&self, symbols: &Symbols) {
        if self.current.get().is_none() {
            // SAFETY: as promised by the caller.
            self.current.set(unsafe { Current::find(symbols) });
        }
    }

    /// The addresses of the calling thread's states whose frames can be read: of the one that runs, and of the one that
    /// the thread has beside, whose frames are older (that of another interpreter, which has started this one). `is_main`
    /// says whether it is the process's first thread.
    pub fn thread_states(&self, is_main: bool) -> [Option<u64>; 2] {
        let Some(current) = self.current.get() else { return [None; 2] };
        // While an interpreter ends, it frees the states of threads that it has left behind, and those still have them. The
        // first thread's is there before the interpreter is initialized, too.
        // SAFETY: the function reads one variable (Python/pylifecycle.c).
        if !is_main && unsafe { (self.is_initialized)() } == 0 {
            return [None; 2];
        }
        let bound = current.bound() as u64;
        let running = self.running(current, bound);
        match (running, bound) {
            (0, 0) => [None; 2],
            (0, state) | (state, 0) => [Some(state), None],
            (running, bound) if running == bound => [Some(running), None],
            (running, bound) => [Some(running), Some(bound)],
        }
    }

    /// The state with which the calling thread holds the interpreter's lock; 0 if it does not, or if that is not known.
    fn running(&self, current: &Current, bound: u64) -> u64 {
        let Some(thread_id) = self.walker.layout.links.thread_id else { return current.attached() as u64 };
        // SAFETY: up to 3.11 the function reads one variable: the state that holds the lock (Python/pystate.c).
        let newest = unsafe { (self.newest_thread)() } as u64;
        if newest == 0 || newest == bound {
            return newest;
        }
        // SAFETY: the state may be another thread's, which ends: guarded reads take any address.
        let of = unsafe { Guarded.word(newest.wrapping_add(thread_id.into())) };
        // SAFETY: pthread_self has no preconditions.
        if of == Some(unsafe { libc::pthread_self() } as u64) { newest } else { 0 }
    }

    /// Whether the calling thread holds the interpreter's lock.
    pub fn holds_lock(&self) -> bool {
        self.current.get().is_some_and(|current| self.running(current, current.bound() as u64) != 0)
    }

    /// Whether the interrupted code may be exchanging the thread's stack for another one, so that not all that the
    /// interpreter's chain leads to is there.
    pub fn stack_may_be_switched(&self, registers: &[u64; REGISTERS]) -> bool {
        self.switches.may_be_switching(registers)
    }
}
