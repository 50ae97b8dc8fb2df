//! CPython 3.11: `_PyInterpreterFrame` in Include/internal/pycore_frame.h and `_PyCode_DEF` in Include/cpython/code.h of 3.11.7.

use super::{Code, Frame, Layout};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 32, code_is_tagged: false, globals: 8 },
    code: Code {
        filename: 112,
        name: 120,
        qualname: Some(128),
        first_line: 72,
        line_table: 136,
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep657,
        extra: 176,
    },
    c_recursion: None,
};
