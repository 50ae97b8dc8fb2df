//! CPython 3.10: `PyFrameObject` and `PyCodeObject` in Include/cpython/{frameobject,code}.h of 3.10.13.

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
        line_table_attribute: c"co_linetable",
        line_table_format: LineTableFormat::Pep626,
        extra: 144,
        bytecode: 0,
    },
    links: Links {
        newest: Newest::Frame(24),
        previous: 24,
        instruction: Instruction::Units(96),
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
        // `f_stackdepth` is negative while the frame runs.
        sign: Sign::Opcode(48),
        over: 1,
        stack: ValueStack::Outside { start: 64, count: 80 },
        function: FunctionFields { qualname: 40, module: 104, closure: 72 },
        items: 24,
    },
    arguments: Arguments { count: 16, keyword_only: 24 },
    text: Text { ascii: 48, compact: 72 },
    cached_keys: 872,
    variables: Variables {
        start: 352,
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
    stub_costs_ns: [2, 3, 3],
};
