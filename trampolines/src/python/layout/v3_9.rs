//! CPython 3.9: `PyFrameObject` and `PyCodeObject` in Include/cpython/{frameobject,code}.h of 3.9.18.

use super::{
    Arguments, Attributes, Awaits, Border, Captured, Code, CurrentTask, Frame, FunctionFields, GeneratorFrame,
    Instruction, Int, Layout, Links, Newest, Sign, Tasks, Text, ValueStack,
};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 32, code_is_tagged: false, globals: 48 },
    code: Code {
        filename: 104,
        name: 112,
        qualname: None,
        flags: 36,
        first_line: 40,
        line_table: 120,
        line_table_attribute: c"co_lnotab",
        line_table_format: LineTableFormat::Lnotab,
        extra: 144,
        bytecode: 0,
    },
    links: Links {
        newest: Newest::Frame(24),
        previous: 24,
        instruction: Instruction::Bytes(104),
        border: Border::Everywhere,
        function: None,
        chunks: None,
        thread_id: Some(176),
    },
    context: 240,
    tasks: Tasks {
        current: CurrentTask::InDictionary,
        frame: GeneratorFrame::Pointer(16),
        attributes: Attributes::InDictionary,
    },
    int: Int::Sized,
    awaits: Awaits {
        // `f_stacktop` is null while the frame runs.
        sign: Sign::Opcode(48),
        stack: ValueStack::Top { top: 72, before: 8 },
        function: FunctionFields { qualname: 104, module: 88, closure: 48 },
        items: 24,
    },
    arguments: Arguments {
        values: 360,
        count: 16,
        keyword_only: 24,
        names: 72,
        captured: Captured::Behind { variables: 28, names: 88 },
    },
    shared_keys: 864,
    text: Text { ascii: 48, compact: 72 },
    c_recursion: None,
};
