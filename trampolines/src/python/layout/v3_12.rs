//! CPython 3.12: `_PyInterpreterFrame` in Include/internal/pycore_frame.h, `_PyCode_DEF` in Include/cpython/code.h and `struct _ts` in
//! Include/cpython/pystate.h of 3.12.1.

use super::{Code, Frame, Layout, Recursion};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 0, code_is_tagged: false, globals: 24 },
    code: Code {
        filename: 112,
        name: 120,
        qualname: Some(128),
        first_line: 68,
        line_table: 136,
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep657,
        extra: 184,
    },
    c_recursion: Some(Recursion { remaining: 36, python_limit: 32 }),
};
