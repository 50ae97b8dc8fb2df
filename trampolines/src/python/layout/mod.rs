//! Where CPython keeps what the hook reads: one file per version.
//!
//! Offsets are in bytes from the start of the structure, for builds with the global interpreter lock on 64-bit machines.
//! The code object's and the thread's offsets are only used after `super::check` found them right in the running
//! interpreter; those of the frame cannot be checked before the first frame is there.

mod awaits;
mod runtime;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod v3_9;

pub use awaits::{Awaits, FunctionFields, STATE_BEFORE_FRAME, Sign, ValueStack};
pub use runtime::{
    COOKIE, DebugOffsets, Fields, GIL_HOLDER, GIL_LOCKED, Gil, INTERPRETER_OF_THREAD, Published, Source,
};

use crate::wire::{KINDS, LineTableFormat};
use core::ffi::CStr;

/// One version's layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The interpreter's frame, the second argument of the hook.
    pub frame: Frame,
    /// `PyCodeObject`.
    pub code: Code,
    /// How frames hang together.
    pub links: Links,
    /// `context` in `PyThreadState`: the context that runs (PEP 567).
    pub context: u16,
    /// What leads to the tasks of asyncio.
    pub tasks: Tasks,
    /// `PyLongObject`.
    pub int: Int,
    /// What leads from a task to those that await it.
    pub awaits: Awaits,
    /// What leads from a frame to the arguments of its function.
    pub arguments: Arguments,
    /// `PyUnicodeObject`.
    pub text: Text,
    /// `ht_cached_keys` of `PyHeapTypeObject` (Include/cpython/object.h): the keys that a class's instances share.
    pub cached_keys: u16,
    /// The variables of a frame.
    pub variables: Variables,
    /// What leads from `_PyRuntime` to threads.
    pub runtime: Source,
    /// The thread's budget of C recursion, in the versions that count it.
    pub c_recursion: Option<Recursion>,
    /// What a stub that is entered costs, by [`FunctionKind`](crate::wire::FunctionKind), in nanoseconds: measured with
    /// `bench/overhead/stubs.py` on an AMD EPYC and an Intel Xeon, where `CALLS` of `costs.rs` took 2,400 and 1,960 ns; the mean of
    /// both, as if it were the first.
    pub stub_costs_ns: [u16; KINDS],
}

/// The variables of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Variables {
    /// `localsplus` in the frame (`f_localsplus` up to 3.10): the values, an address each.
    pub start: u16,
    /// `f_locals` in the frame: the dictionary of a class's body or of a module.
    pub dictionary: u8,
    /// Their names.
    pub names: VariableNames,
}

/// Where a code object has the names of variables, in tuples.
#[derive(Clone, Copy, Debug)]
pub enum VariableNames {
    /// In three: of its own variables, of those of them that are in cells, and of those of functions around it.
    Apart {
        /// `co_varnames`.
        own: u16,
        /// `co_cellvars`.
        cells: u16,
        /// `co_freevars`.
        free: u16,
        /// `co_nlocals`, an int.
        own_count: u16,
    },
    /// In one.
    Together {
        /// `co_localsplusnames`.
        names: u16,
        /// `co_localspluskinds`, a bytes object with a byte for each.
        kinds: u16,
        /// `co_nlocalsplus`, an int.
        count: u16,
    },
}

/// `PyFrameObject` up to 3.10, `_PyInterpreterFrame` from 3.11 on.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The code object.
    pub code: u8,
    /// Whether the low two bits of that word are a tag (`_PyStackRef`).
    pub code_is_tagged: bool,
    /// The dictionary of globals.
    pub globals: u8,
}

/// How a thread's frames hang together, and where each one is in its code.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// Where `PyThreadState` keeps the newest frame.
    pub newest: Newest,
    /// The next older frame, in the frame.
    pub previous: u8,
    /// The instruction that the frame is at.
    pub instruction: Instruction,
    /// Where a call of the evaluator ends in the chain.
    pub border: Border,
    /// The function object, in the frame, and the module's name in that. From 3.11 on.
    pub function: Option<Function>,
    /// The stack that the thread's frames lie on. From 3.11 on.
    pub chunks: Option<Chunks>,
    /// `thread_id`, what `pthread_self` gives in the thread, in `PyThreadState`. Up to 3.11, where which thread holds the
    /// interpreter's lock is all that can be asked for.
    pub thread_id: Option<u16>,
}

/// The stack that a thread's frames lie on, in `PyThreadState`: it is made of chunks (`_PyStackChunk`).
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    /// `datastack_chunk`: the newest chunk.
    pub newest: u16,
    /// `datastack_top`: where the next frame goes.
    pub top: u16,
    /// `datastack_limit`: where the newest chunk ends.
    pub limit: u16,
    /// `datastack_cached_chunk`, in versions that keep a chunk that was given up last.
    pub spare: Option<u16>,
}

/// Where `PyThreadState` keeps the newest frame.
#[derive(Clone, Copy, Debug)]
pub enum Newest {
    /// At this offset.
    Frame(u8),
    /// In the `_PyCFrame` whose address is at `at`. In that, the frame is at `frame`, and the `_PyCFrame` of the call of the
    /// evaluator before at `previous`.
    CFrame {
        /// In `PyThreadState`.
        at: u8,
        /// In `_PyCFrame`.
        frame: u8,
        /// In `_PyCFrame`.
        previous: u8,
    },
}

/// How a frame says which instruction it is at. Each has its offset in the frame.
#[derive(Clone, Copy, Debug)]
pub enum Instruction {
    /// An int: bytes from the start of the bytecode.
    Bytes(u8),
    /// An int: code units, of two bytes each.
    Units(u8),
    /// An address in the code object.
    Pointer(u8),
}

/// How the chain says where a call of the evaluator ends.
#[derive(Clone, Copy, Debug)]
pub enum Border {
    /// Every frame has a call of its own.
    Everywhere,
    /// A byte in the oldest frame of each call is not 0 (`is_entry`).
    Flag(u8),
    /// A frame of CPython's own, in the evaluator's native frame, follows the oldest frame of each call. Its owner, a byte,
    /// is at least [`OWNED_BY_EVALUATOR`].
    Frame(u8),
}

/// `FRAME_OWNED_BY_CSTACK` of 3.12 and 3.13, `FRAME_OWNED_BY_INTERPRETER` from 3.14 on.
pub const OWNED_BY_EVALUATOR: u8 = 3;

/// Where the name of the module of a frame's function is.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The function object, in the frame.
    pub at: u8,
    /// `__module__`, in the function object (Include/cpython/funcobject.h).
    pub module: u8,
}

/// What leads to the tasks of asyncio.
#[derive(Clone, Copy, Debug)]
pub struct Tasks {
    /// Where the task is that runs.
    pub current: CurrentTask,
    /// Where a coroutine has its frame.
    pub frame: GeneratorFrame,
    /// Where a task of a class that is written in Python has its attributes.
    pub attributes: Attributes,
}

/// Where an instance of a class has the values of its attributes.
#[derive(Clone, Copy, Debug)]
pub enum Attributes {
    /// In a dictionary, whose place the class knows.
    InDictionary,
    /// Where a word leads that lies so many bytes before the object; what is added to it (Include/internal/pycore_object.h,
    /// `_PyObject_ValuesPointer` of 3.11, `_PyDictOrValues_GetValues` of 3.12).
    Before {
        /// In bytes.
        distance: u8,
        /// In bytes.
        tag: u8,
    },
    /// Behind its other fields, in the object (`_PyObject_InlineValues`, 3.13).
    Within,
}

/// Where asyncio keeps the task that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentTask {
    /// In `asyncio.tasks._current_tasks`, a dictionary with a task for each loop.
    InDictionary,
    /// In `asyncio_running_task` of the thread's state.
    InThreadState,
}

/// Where a generator or a coroutine (`PyGenObject`, Include/cpython/genobject.h) has its frame.
#[derive(Clone, Copy, Debug)]
pub enum GeneratorFrame {
    /// Its address is at this offset.
    Pointer(u8),
    /// It lies within the object, from this offset on.
    Within(u8),
}

/// How a `PyLongObject` says how many digits it has, and its sign. The digits, of 30 bits each, follow from 24 on, the lowest
/// first.
#[derive(Clone, Copy, Debug)]
pub enum Int {
    /// By the size of the object, which is negative for a negative number (Include/cpython/longintrepr.h, up to 3.11).
    Sized,
    /// By `lv_tag`: the number times 8, and 2 for a negative one (the same file, from 3.12 on).
    Tagged,
}

/// `PyASCIIObject` and `PyCompactUnicodeObject` (Include/cpython/unicodeobject.h). In all versions the length is at 16, and
/// the lowest byte of the state is at 32.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Where the characters of pure ASCII begin.
    pub ascii: u8,
    /// Where other characters begin.
    pub compact: u8,
}

/// How many arguments a function has, in its code object. They come before all other [`Variables`].
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// `co_argcount` and `co_kwonlyargcount`, both ints.
    pub count: u8,
    /// See [`Arguments::count`].
    pub keyword_only: u8,
}

/// `PyCodeObject`.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `co_filename`.
    pub filename: u16,
    /// `co_name`.
    pub name: u16,
    /// `co_qualname`, from 3.11 on.
    pub qualname: Option<u16>,
    /// `co_flags`, an int.
    pub flags: u16,
    /// `co_firstlineno`, an int.
    pub first_line: u16,
    /// The line table, a bytes object.
    pub line_table: u16,
    /// What Python calls the line table.
    pub line_table_attribute: &'static CStr,
    /// How to read the line table.
    pub line_table_format: LineTableFormat,
    /// `co_extra`: null, or `{ Py_ssize_t ce_size; void *ce_extras[]; }` (Objects/codeobject.c, `_PyCodeObjectExtra`).
    pub extra: u16,
    /// `co_code_adaptive`, the bytecode, from 3.11 on; before, frames do not point into it.
    pub bytecode: u16,
}

/// How much C recursion a thread has left, in `PyThreadState`. Both are ints.
#[derive(Clone, Copy, Debug)]
pub struct Recursion {
    /// `c_recursion_remaining`.
    pub remaining: u8,
    /// `py_recursion_limit`, which the interpreter can be asked for: it tells whether the offsets are right.
    pub python_limit: u8,
}

/// The hook reaches these with offsets of 8 bits with a sign.
const fn fits_the_hook(layout: &Layout) -> bool {
    let recursion = match layout.c_recursion {
        Some(fields) => fields.remaining,
        None => 0,
    };
    layout.frame.code < 128 && recursion < 128
}

const _: () = {
    assert!(fits_the_hook(&v3_9::LAYOUT) && fits_the_hook(&v3_10::LAYOUT) && fits_the_hook(&v3_11::LAYOUT));
    assert!(fits_the_hook(&v3_12::LAYOUT) && fits_the_hook(&v3_13::LAYOUT) && fits_the_hook(&v3_14::LAYOUT));
    assert!(fits_the_hook(&v3_15::LAYOUT));
};

/// The layout of CPython 3.`minor`.
pub fn of(minor: u8) -> Option<&'static Layout> {
    Some(match minor {
        9 => &v3_9::LAYOUT,
        10 => &v3_10::LAYOUT,
        11 => &v3_11::LAYOUT,
        12 => &v3_12::LAYOUT,
        13 => &v3_13::LAYOUT,
        14 => &v3_14::LAYOUT,
        15 => &v3_15::LAYOUT,
        _ => return None,
    })
}
