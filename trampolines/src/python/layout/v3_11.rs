//! CPython 3.11: `_PyInterpreterFrame` in Include/internal/pycore_frame.h and `_PyCode_DEF` in Include/cpython/code.h of 3.11.7.

use super::{
    Arguments, Attributes, Awaits, Border, Chunks, Code, CurrentTask, Fields, Frame, Function, FunctionFields,
    GeneratorFrame, Gil, Instruction, Int, Layout, Links, Newest, Sign, Source, Tasks, Text, ValueStack, VariableNames,
    Variables,
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
        over: 1,
        stack: ValueStack::Within { start: 72, count: 64 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 24,
    },
    arguments: Arguments { count: 56, keyword_only: 64 },
    text: Text { ascii: 48, compact: 72 },
    cached_keys: 872,
    variables: Variables {
        start: 72,
        dictionary: 24,
        names: VariableNames::Together { names: 96, kinds: 104, count: 76 },
    },
    runtime: Source::Fixed(Fields {
        interpreters: 40,
        id: 48,
        next: 0,
        threads: 16,
        modules: 888,
        system: 904,
        gil: Gil::OfRuntime(360),
        next_thread: 8,
        thread_id: 152,
        native_id: Some(160),
    }),
    c_recursion: None,
    stub_costs_ns: [14, 2, 15],
};
