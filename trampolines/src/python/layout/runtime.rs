//! What leads from `_PyRuntime` to the interpreters of a process and to their threads, for who reads it from outside.
//!
//! Sources: `struct pyruntimestate` of Include/internal/pycore_runtime.h, `PyInterpreterState` of
//! Include/internal/pycore_interp.h, `struct _gil_runtime_state` of Include/internal/pycore_gil.h, and `PyThreadState`. From 3.13
//! on `_PyRuntime` begins with a table of most of it, `_Py_DebugOffsets` (Include/internal/pycore_runtime.h, from 3.14 on
//! pycore_debug_offsets.h).

use super::{Instruction, Layout, Links, Newest};

/// Where a version says where these fields are.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// They are known.
    Fixed(Fields),
    /// The process has a table of them.
    Published(Published),
}

/// Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `interpreters.head` in `_PyRuntime`.
    pub interpreters: u64,
    /// `id` in `PyInterpreterState`.
    pub id: u64,
    /// `next` in `PyInterpreterState`.
    pub next: u64,
    /// `threads.head` (`tstate_head` up to 3.10) in `PyInterpreterState`.
    pub threads: u64,
    /// `sys.modules` in `PyInterpreterState`.
    pub modules: u64,
    /// `sysdict` in `PyInterpreterState`: what is in the module `sys`.
    pub system: u64,
    /// The interpreter's lock.
    pub gil: Gil,
    /// `next` in `PyThreadState`.
    pub next_thread: u64,
    /// `thread_id` in `PyThreadState`: what `pthread_self` gives in the thread.
    pub thread_id: u64,
    /// `native_thread_id` in `PyThreadState`: what `gettid` gives in it. From 3.11 on.
    pub native_id: Option<u64>,
}

/// Where `struct _gil_runtime_state` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gil {
    /// In `_PyRuntime`, at this offset.
    OfRuntime(u64),
    /// Its address is in `PyInterpreterState`, at this offset.
    OfInterpreter(u64),
}

/// `last_holder` in `struct _gil_runtime_state`, the thread's state; `locked`, an int, in all versions.
pub const GIL_HOLDER: u64 = 8;
/// See [`GIL_HOLDER`].
pub const GIL_LOCKED: u64 = 16;
/// `interp` in `PyThreadState`, in all versions.
pub const INTERPRETER_OF_THREAD: u64 = 16;

/// Which words of `_Py_DebugOffsets` have what: numbers of words of 8 bytes from its start.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// `interpreter_state.imports_modules`.
    pub modules: u8,
    /// `interpreter_state.sysdict`.
    pub system: u8,
    /// `interpreter_state.ceval_gil`.
    pub gil: u8,
    /// `thread_state.size`, with which that part begins.
    pub thread: u8,
    /// `thread_state.thread_id`, before `native_thread_id`.
    pub thread_id: u8,
    /// `interpreter_frame.size`, with which that part begins.
    pub frame: u8,
    /// `code_object.size`, with which that part begins.
    pub code: u8,
}

/// The words of `_Py_DebugOffsets` that are looked at.
pub type DebugOffsets = [u64; 64];
/// What it begins with.
pub const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
/// `interpreters_head` of `_PyRuntime`, and `id`, `next` and `threads_head` of interpreters.
const INTERPRETERS: u8 = 5;
const ID: u8 = 7;
const NEXT: u8 = 8;
const THREADS: u8 = 9;
/// More than any of these offsets.
const LARGEST: u64 = 1 << 20;

impl Published {
    /// The fields, if the table agrees with a layout in all that the two have in common.
    pub fn fields(&self, words: &DebugOffsets, layout: &Layout) -> Option<Fields> {
        let word = |at: u8| words.get(usize::from(at)).copied().filter(|offset| *offset < LARGEST);
        let is = |part: u8, number: u8, offset: u64| word(part.checked_add(number)?).map(|word| word == offset);
        let Links { newest: Newest::Frame(newest), instruction: Instruction::Pointer(instruction), previous, .. } =
            layout.links
        else {
            return None;
        };
        let code = &layout.code;
        let agrees = [
            is(self.thread, 3, INTERPRETER_OF_THREAD)?,
            is(self.thread, 4, newest.into())?,
            is(self.frame, 1, previous.into())?,
            is(self.frame, 2, layout.frame.code.into())?,
            is(self.frame, 3, instruction.into())?,
            is(self.frame, 4, layout.variables.start.into())?,
            is(self.code, 1, code.filename.into())?,
            is(self.code, 2, code.name.into())?,
            is(self.code, 3, code.qualname?.into())?,
            is(self.code, 4, code.line_table.into())?,
            is(self.code, 5, code.first_line.into())?,
            is(self.code, 9, code.bytecode.into())?,
        ];
        if agrees.contains(&false) {
            return None;
        }
        Some(Fields {
            interpreters: word(INTERPRETERS)?,
            id: word(ID)?,
            next: word(NEXT)?,
            threads: word(THREADS)?,
            modules: word(self.modules)?,
            system: word(self.system)?,
            gil: Gil::OfInterpreter(word(self.gil)?),
            next_thread: word(self.thread.checked_add(2)?)?,
            thread_id: word(self.thread_id)?,
            native_id: Some(word(self.thread_id.checked_add(1)?)?),
        })
    }
}
