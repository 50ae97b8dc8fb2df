//! `_pronk`: the built-in module on which the Python package `pronk` stands in a sampled process.
//!
//! - [`module`]: its definition: what Python sees.
//! - [`label`]: `_pronk.label`, whose `with` block is a scope ([`crate::context`]) of the frame that has the block.
//! - [`task`]: `_pronk.task`, for tasks of other libraries than asyncio.
//! - [`values`]: what labels can have for values.
//! - [`blocks`]: which frame that is.
//! - [`inherited`]: what a task starts with: the scopes that were around where its `contextvars.Context` was copied.
//!
//! - [`moments`], [`runs`]: where somebody outside takes the samples, when scopes open and close, and when a thread goes over
//!   to another context.
//!
//! What a sample has is read in the signal handler: the scopes of the frames on the stack, and the inherited one. Nobody
//! asks the program.

mod blocks;
mod inherited;
mod label;
mod module;
mod moments;
mod runs;
mod task;
mod values;

pub use inherited::Variable;

use super::inittab::Initialize;
use super::layout::Layout;
use super::links::Walker;
use super::symbols::{LabelSymbols, Object, Symbols};
use crate::capture::memory::{Memory, Straight};
use crate::context::{ScopeNumber, Scopes};
use crate::lock::{Lock, Once};
use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};
use inherited::ContextVariables;

/// The scopes of this process.
pub static SCOPES: Scopes = Scopes::new();

/// What labels need of the interpreter, in a process that is sampled.
static PYTHON: Once<Python> = Once::new();

#[derive(Debug)]
struct Python {
    symbols: Symbols,
    labels: LabelSymbols,
    walker: Walker,
    minor: u8,
}

/// How context variables are read, once that was found to be right.
static CONTEXT_VARIABLES: Once<ContextVariables> = Once::new();

/// Has labels be there in this process. Without them programs run as if the process were not sampled.
pub fn prepare(symbols: &Symbols, walker: Walker, minor: u8) {
    if let Ok(labels) = LabelSymbols::load() {
        PYTHON.set(Python { symbols: *symbols, labels, walker, minor });
    }
}

/// The module, where labels were prepared.
pub fn module() -> Option<(&'static CStr, Initialize)> {
    PYTHON.get().map(|_| (c"_pronk", module::initialize as Initialize))
}

/// Finds out how context variables are read, if that is not known yet.
///
/// # Safety
/// The lock of an interpreter is held, and no error is set.
pub unsafe fn learn_context_variables() {
    if let (Some(python), None) = (PYTHON.get(), CONTEXT_VARIABLES.get()) {
        // SAFETY: as promised by the caller.
        let learned = unsafe { ContextVariables::learn(&python.symbols, &python.labels, python.walker.layout) };
        if let Some(learned) = learned {
            CONTEXT_VARIABLES.set(learned);
        }
    }
}

/// Whether a type is that of context variables.
pub fn is_variable(kind: Option<u64>) -> bool {
    PYTHON.get().is_some_and(|python| kind == Some(python.labels.variable_type as u64))
}

/// The address of the value that a context variable has in a thread, by the thread's state.
///
/// # Safety
/// The state is the calling thread's, which may be in a signal handler, and `memory` suits that.
pub unsafe fn value_of(memory: &impl Memory, layout: &Layout, state: u64, variable: Variable) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { CONTEXT_VARIABLES.get()?.of_thread(memory, layout, state)?.value(memory, variable) }
}

/// What each interpreter that has imported the module keeps for it. Those that have ended are overwritten.
static INTERPRETERS: Lock<()> = Lock::new((), |_| ());
static ALL: [Interpreter; MOST_INTERPRETERS] = [const { Interpreter::new() }; MOST_INTERPRETERS];
/// In more interpreters than this, labels are of no effect.
const MOST_INTERPRETERS: usize = 64;

/// An interpreter that has imported the module.
#[derive(Debug)]
struct Interpreter {
    address: AtomicU64,
    /// `_pronk.label`. It keeps the variable.
    label: AtomicU64,
    variable: AtomicU64,
    hash: AtomicU64,
}

impl Interpreter {
    const fn new() -> Interpreter {
        Interpreter {
            address: AtomicU64::new(0),
            label: AtomicU64::new(0),
            variable: AtomicU64::new(0),
            hash: AtomicU64::new(0),
        }
    }

    fn is_at(&self, address: u64) -> bool {
        self.address.load(Ordering::Relaxed) == address
    }

    fn label_type(&self) -> *mut Object {
        self.label.load(Ordering::Relaxed) as *mut Object
    }

    fn variable(&self) -> *mut Object {
        self.variable.load(Ordering::Relaxed) as *mut Object
    }

    /// Keeps what the interpreter at an address has made. Whether there was room.
    fn keep(address: u64, label: u64, variable: u64, hash: u64) -> bool {
        INTERPRETERS.with(|()| {
            let of = |is: fn(&Interpreter, u64) -> bool, what| ALL.iter().find(|one| is(one, what));
            let same = of(|one, label| one.label.load(Ordering::Relaxed) == label, label)
                .or_else(|| of(|one, address| one.address.load(Ordering::Relaxed) == address, address))
                .or_else(|| of(|one, _| one.address.load(Ordering::Relaxed) == 0, 0));
            let Some(one) = same else { return false };
            one.hash.store(hash, Ordering::Relaxed);
            one.variable.store(variable, Ordering::Relaxed);
            one.label.store(label, Ordering::Relaxed);
            one.address.store(address, Ordering::Release);
            true
        })
    }

    fn find(wanted: impl Fn(&Interpreter) -> bool) -> Option<&'static Interpreter> {
        Interpreter::all().find(|one| wanted(one))
    }

    fn all() -> impl Iterator<Item = &'static Interpreter> {
        ALL.iter().take_while(|one| one.address.load(Ordering::Acquire) != 0)
    }
}

/// The scope that was around where the context was made that a thread runs in.
///
/// # Safety
/// The state is the calling thread's, which may be in a signal handler, and `memory` suits that.
pub unsafe fn inherited_scope(memory: &impl Memory, layout: &Layout, state: u64) -> Option<ScopeNumber> {
    CONTEXT_VARIABLES.get()?;
    // SAFETY: as promised by the caller.
    unsafe { inherited_in(memory, memory.word(state.wrapping_add(layout.context.into()))?) }
}

/// The serial number of that scope, or 0.
///
/// # Safety
/// The state is the calling thread's, which holds the interpreter's lock.
pub unsafe fn inherited_serial(layout: &Layout, state: u64) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { inherited_scope(&Straight, layout, state) }.map_or(0, |number| SCOPES.serial(number))
}

/// The scope that was around where a context was made, whose address may be 0.
///
/// # Safety
/// As for [`inherited_scope`].
unsafe fn inherited_in(memory: &impl Memory, context: u64) -> Option<ScopeNumber> {
    // SAFETY: as promised by the caller.
    let context = unsafe { CONTEXT_VARIABLES.get()?.of_context(memory, context)? };
    Interpreter::all().find_map(|one| {
        let (address, hash) = (one.variable.load(Ordering::Relaxed), one.hash.load(Ordering::Relaxed));
        // SAFETY: as above.
        let object = unsafe { context.value(memory, Variable { address, hash }) }?;
        // SAFETY: a value is an object, and those are larger than the field is far; what is read is looked up.
        let number = unsafe { memory.number(object.wrapping_add(label::NUMBER as u64)) }?;
        ScopeNumber::from_raw(number.cast_unsigned()).filter(|number| SCOPES.object(*number) == object)
    })
}
