//! CPython 3.13: `_PyInterpreterFrame` in Include/internal/pycore_frame.h, `_PyCode_DEF` in Include/cpython/code.h and `struct _ts` in
//! Include/cpython/pystate.h of 3.13.0.

use super::{
    Arguments, Attributes, Awaits, Border, Chunks, Code, CurrentTask, Frame, Function, FunctionFields, GeneratorFrame,
    Instruction, Int, Layout, Links, Newest, Published, Recursion, Sign, Source, Tasks, Text, ValueStack,
    VariableNames, Variables,
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
        extra: 192,
        bytecode: 200,
    },
    links: Links {
        newest: Newest::Frame(72),
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
        attributes: Attributes::Within,
    },
    int: Int::Tagged,
    awaits: Awaits {
        // `FRAME_SUSPENDED_YIELD_FROM`.
        sign: Sign::State(-1, -1),
        over: 1,
        stack: ValueStack::Within { start: 72, count: 64 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 24,
    },
    arguments: Arguments { count: 52, keyword_only: 60 },
    text: Text { ascii: 40, compact: 56 },
    cached_keys: 880,
    variables: Variables {
        start: 72,
        dictionary: 40,
        names: VariableNames::Together { names: 96, kinds: 104, count: 72 },
    },
    runtime: Source::Published(Published {
        modules: 11,
        system: 12,
        gil: 14,
        thread: 19,
        thread_id: 24,
        frame: 28,
        code: 34,
    }),
    c_recursion: Some(Recursion { remaining: 52, python_limit: 48 }),
    stub_costs_ns: [22, 9, 177],
};
