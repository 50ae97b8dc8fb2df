//! CPython 3.11: `_PyInterpreterFrame` in Include/internal/pycore_frame.h and `_PyCode_DEF` in Include/cpython/code.h of 3.11.7.

use super::{
    Arguments, Attributes, Awaits, Border, Captured, Chunks, Code, CurrentTask, Frame, Function, FunctionFields,
    GeneratorFrame, Instruction, Int, Layout, Links, Newest, Sign, Tasks, Text, ValueStack,
};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 32, code_is_tagged: false, globals: 8 },
    code: Code {
        filename: 112,
        name: 120,
        qualname: Some(128),
        flags: 48,
        first_line: 72,
        line_table: 136,
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep657,
        extra: 176,
        bytecode: 184,
    },
    links: Links {
        newest: Newest::CFrame { at: 56, frame: 8, previous: 16 },
        previous: 48,
        instruction: Instruction::Pointer(56),
        border: Border::Flag(68),
        function: Some(Function { at: 0, module: 104 }),
        chunks: Some(Chunks { newest: 296, top: 304, limit: 312, spare: None }),
        thread_id: Some(152),
    },
    context: 224,
    tasks: Tasks {
        current: CurrentTask::InDictionary,
        frame: GeneratorFrame::Within(80),
        attributes: Attributes::Before { distance: 32, tag: 0 },
    },
    int: Int::Sized,
    awaits: Awaits {
        // `FRAME_SUSPENDED`.
        sign: Sign::Resume(-1),
        stack: ValueStack::Within { start: 72, count: 64 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 24,
    },
    arguments: Arguments { values: 72, count: 56, keyword_only: 64, names: 96, captured: Captured::InPlace(104) },
    shared_keys: 872,
    text: Text { ascii: 48, compact: 72 },
    c_recursion: None,
};
