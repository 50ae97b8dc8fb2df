//! CPython 3.9: `PyFrameObject` and `PyCodeObject` in Include/cpython/{frameobject,code}.h of 3.9.18.

use super::{
    Arguments, Attributes, Awaits, Border, Code, CurrentTask, Fields, Frame, FunctionFields, GeneratorFrame, Gil,
    Instruction, Int, Layout, Links, Newest, Sign, Source, Tasks, Text, ValueStack, VariableNames, Variables,
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
        over: 1,
        stack: ValueStack::Top { top: 72, before: 8 },
        function: FunctionFields { qualname: 104, module: 88, closure: 48 },
        items: 24,
    },
    arguments: Arguments { count: 16, keyword_only: 24 },
    text: Text { ascii: 48, compact: 72 },
    cached_keys: 864,
    variables: Variables {
        start: 360,
        dictionary: 56,
        names: VariableNames::Apart { own: 72, cells: 88, free: 80, own_count: 28 },
    },
    runtime: Source::Fixed(Fields {
        interpreters: 32,
        id: 24,
        next: 0,
        threads: 8,
        modules: 856,
        system: 872,
        gil: Gil::OfRuntime(352),
        next_thread: 8,
        thread_id: 176,
        native_id: None,
    }),
    c_recursion: None,
    stub_costs_ns: [2, 2, 3],
};
