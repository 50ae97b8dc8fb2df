//! What leads from a task of asyncio to those that await it, and through their suspended coroutines.

/// How to follow who awaits whom.
#[derive(Clone, Copy, Debug)]
pub struct Awaits {
    /// How a generator or a coroutine says that it waits for another object (`_PyGen_yf`, Objects/genobject.c).
    pub sign: Sign,
    /// The lowest state of a generator that is over, in versions in which it has one (`gi_frame_state`).
    pub over: i8,
    /// Where in its frame that object is.
    pub stack: ValueStack,
    /// `PyFunctionObject` (Include/cpython/funcobject.h).
    pub function: FunctionFields,
    /// Where the items of a tuple begin (Include/cpython/tupleobject.h).
    pub items: u8,
}

/// How a generator says that it is suspended because it waits for another object.
#[derive(Clone, Copy, Debug)]
pub enum Sign {
    /// The next opcode is `YIELD_FROM`; the bytecode is a bytes object, at this offset in the code object.
    Opcode(u8),
    /// Its state is this, and the next instruction, which is `RESUME`, says so in its argument.
    Resume(i8),
    /// Its state is one of those from the first to the last.
    State(i8, i8),
}

/// How far before a generator's frame its state is, from 3.11 on (`gi_frame_state`, a byte).
pub const STATE_BEFORE_FRAME: u64 = 5;

/// Where in a frame the stack of values ends.
#[derive(Clone, Copy, Debug)]
pub enum ValueStack {
    /// The address behind the newest value is at `top`; what is awaited is so many bytes before.
    Top {
        /// In the frame.
        top: u8,
        /// In bytes.
        before: u8,
    },
    /// The address of the oldest value is at `start`, and the number of values, an int, at `count`.
    Outside {
        /// In the frame.
        start: u8,
        /// In the frame.
        count: u8,
    },
    /// The oldest value is at `start`, and the number of values, an int, at `count`.
    Within {
        /// In the frame.
        start: u8,
        /// In the frame.
        count: u8,
    },
}

/// Fields of a function object.
#[derive(Clone, Copy, Debug)]
pub struct FunctionFields {
    /// `__qualname__`.
    pub qualname: u8,
    /// `__module__`.
    pub module: u8,
    /// `__closure__`.
    pub closure: u8,
}
