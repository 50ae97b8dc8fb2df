//! CPython 3.12: `_PyInterpreterFrame` in Include/internal/pycore_frame.h, `_PyCode_DEF` in Include/cpython/code.h and `struct _ts` in
//! Include/cpython/pystate.h of 3.12.1.

use super::{
    Arguments, Attributes, Awaits, Border, Chunks, Code, CurrentTask, Fields, Frame, Function, FunctionFields,
    GeneratorFrame, Gil, Instruction, Int, Layout, Links, Newest, Recursion, Sign, Source, Tasks, Text, ValueStack,
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
    runtime: Source::Fixed(Fields {
        interpreters: 40,
        id: 8,
        next: 0,
        threads: 72,
        modules: 944,
        system: 352,
        gil: Gil::OfInterpreter(384),
        next_thread: 8,
        thread_id: 136,
        native_id: Some(144),
    }),
    c_recursion: Some(Recursion { remaining: 36, python_limit: 32 }),
    stub_costs_ns: [21, 9, 180],
};
