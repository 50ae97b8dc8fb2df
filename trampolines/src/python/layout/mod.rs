//! Where CPython keeps what the hook reads: one file per version.
//!
//! Offsets are in bytes from the start of the structure, for builds with the global interpreter lock on 64-bit machines.
//! The code object's and the thread's offsets are only used after [`super::check`] found them right in the running
//! interpreter; those of the frame cannot be checked before the first frame is there.

mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod v3_9;

use crate::wire::LineTableFormat;
use core::ffi::CStr;

/// One version's layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The interpreter's frame, the second argument of the hook.
    pub frame: Frame,
    /// `PyCodeObject`.
    pub code: Code,
    /// The thread's budget of C recursion, in the versions that count it.
    pub c_recursion: Option<Recursion>,
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

/// `PyCodeObject`.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `co_filename`.
    pub filename: u16,
    /// `co_name`.
    pub name: u16,
    /// `co_qualname`, from 3.11 on.
    pub qualname: Option<u16>,
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
