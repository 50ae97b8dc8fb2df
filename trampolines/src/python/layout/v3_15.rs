//! CPython 3.15: `_PyInterpreterFrame` in Include/internal/pycore_interpframe_structs.h and `_PyCode_DEF` in Include/cpython/code.h of
//! 3.15.2.

use super::{
    Arguments, Attributes, Awaits, Border, Chunks, Code, CurrentTask, Frame, Function, FunctionFields, GeneratorFrame,
    Instruction, Int, Layout, Links, Newest, Published, Sign, Source, Tasks, Text, ValueStack, VariableNames,
    Variables,
};
use crate::wire::LineTableFormat;

pub const LAYOUT: Layout = Layout {
    frame: Frame { code: 0, code_is_tagged: true, globals: 24 },
    code: Code {
        filename: 112,
        name: 120,
        qualname: Some(128),
        flags: 48,
        first_line: 68,
        line_table: 136,
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep657,
        extra: 200,
        bytecode: 208,
    },
    links: Links {
        newest: Newest::Frame(72),
        previous: 8,
        instruction: Instruction::Pointer(56),
        border: Border::Frame(74),
        function: Some(Function { at: 16, module: 104 }),
        chunks: Some(Chunks { newest: 256, top: 264, limit: 272, spare: Some(280) }),
        thread_id: None,
    },
    context: 232,
    tasks: Tasks {
        current: CurrentTask::InThreadState,
        frame: GeneratorFrame::Within(72),
        attributes: Attributes::Within,
    },
    int: Int::Tagged,
    awaits: Awaits {
        // `FRAME_SUSPENDED_YIELD_FROM` and `FRAME_SUSPENDED_YIELD_FROM_LOCKED`. Above what is awaited is an index, or null.
        sign: Sign::State(2, 3),
        over: 5,
        stack: ValueStack::Top { top: 64, before: 16 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 32,
    },
    arguments: Arguments { count: 52, keyword_only: 60 },
    text: Text { ascii: 40, compact: 56 },
    cached_keys: 888,
    variables: Variables {
        start: 80,
        dictionary: 40,
        names: VariableNames::Together { names: 96, kinds: 104, count: 72 },
    },
    runtime: Source::Published(Published {
        modules: 12,
        system: 13,
        gil: 15,
        thread: 22,
        thread_id: 30,
        frame: 39,
        code: 47,
    }),
    c_recursion: None,
    stub_costs_ns: [27, 11, 35],
};
