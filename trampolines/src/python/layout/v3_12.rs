//! CPython 3.12: `_PyInterpreterFrame` in Include/internal/pycore_frame.h, `_PyCode_DEF` in Include/cpython/code.h and `struct _ts` in
//! Include/cpython/pystate.h of 3.12.1.

use super::{
    Arguments, Attributes, Awaits, Border, Captured, Chunks, Code, CurrentTask, Frame, Function, FunctionFields,
    GeneratorFrame, Instruction, Int, Layout, Links, Newest, Recursion, Sign, Tasks, Text, ValueStack,
};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 0, code_is_tagged: false, globals: 24 },
    code: Code {
        filename: 112,
        name: 120,
        qualname: Some(128),
        flags: 48,
        first_line: 68,
        line_table: 136,
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep657,
        extra: 184,
        bytecode: 192,
    },
    links: Links {
        newest: Newest::CFrame { at: 56, frame: 0, previous: 8 },
        previous: 8,
        instruction: Instruction::Pointer(56),
        border: Border::Frame(70),
        function: Some(Function { at: 16, module: 104 }),
        chunks: Some(Chunks { newest: 232, top: 240, limit: 248, spare: None }),
        thread_id: None,
    },
    context: 208,
    tasks: Tasks {
        current: CurrentTask::InDictionary,
        frame: GeneratorFrame::Within(72),
        attributes: Attributes::Before { distance: 24, tag: 1 },
    },
    int: Int::Tagged,
    awaits: Awaits {
        // `FRAME_SUSPENDED`.
        sign: Sign::Resume(-1),
        stack: ValueStack::Within { start: 72, count: 64 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 24,
    },
    arguments: Arguments { values: 72, count: 52, keyword_only: 60, names: 96, captured: Captured::InPlace(104) },
    shared_keys: 880,
    text: Text { ascii: 40, compact: 56 },
    c_recursion: Some(Recursion { remaining: 36, python_limit: 32 }),
};
