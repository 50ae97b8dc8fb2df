//! A profile that grows by hand, for the tests of the view's parts.

use pronk_sampler::Growth;
use pronk_sampler::recording::{
    CodeId, Context, ContextId, Event, Frame, LineTableFormat, Losses, MonotonicNs, Process, ProcessId, PythonCode,
    Recording, Sample, StackId, StackTable, Thread, ThreadId,
};
use pronk_symbolizer::live::Live;
use pronk_symbolizer::profile::NativeFrames;
use std::time::{Duration, SystemTime};

const SECOND: u64 = 1_000_000_000;

fn code(qualname: &str, file: &str) -> PythonCode {
    PythonCode {
        module: "shop".into(),
        qualname: qualname.into(),
        file: file.into(),
        first_line: 3,
        line_table_format: LineTableFormat::None,
        line_table: Vec::new(),
    }
}

fn growth(until: u64, cpu_time: Duration) -> Growth {
    Growth {
        until: MonotonicNs(until * SECOND),
        processes: Vec::new(),
        threads: Vec::new(),
        mappings: Vec::new(),
        codes: Vec::new(),
        stacks: Vec::new(),
        contexts: Vec::new(),
        samples: Vec::new(),
        losses: Losses { lost: 2, torn: 1, ..Losses::default() },
        cpu_time,
    }
}

/// A program that calls `fib` from `serve` from `main`, and then `pack` from `main`, at 100 Hz: in 20 seconds 1,000 samples, and
/// in the last five of them 200.
pub fn live() -> Live {
    let recording = Recording {
        started: MonotonicNs(0),
        ended: MonotonicNs(0),
        started_at: SystemTime::UNIX_EPOCH,
        event: Event::TaskClock,
        frequency: 100,
        processes: Vec::new(),
        threads: Vec::new(),
        mappings: Vec::new(),
        codes: Vec::new(),
        stacks: StackTable::default(),
        contexts: Default::default(),
        samples: Vec::new(),
        losses: Losses::default(),
        notes: Vec::new(),
        exit: None,
        session: std::env::temp_dir(),
        counts: std::env::temp_dir(),
    };
    let mut live = Live::new(recording, NativeFrames::Extensions);
    let process = Process {
        pid: 7,
        parent: None,
        name: "python3".into(),
        executable: None,
        started: MonotonicNs(0),
        ended: None,
        registries: Vec::new(),
        python: Some(0x030c_01f0),
    };
    let thread = |tid, name: &str| Thread { process: ProcessId(0), tid, name: name.into(), main: tid == 7 };
    let label = |value: &str| Context { labels: vec![("tenant".into(), value.into())], task: None };
    let frame = |code| Frame::Python(CodeId(code), None);
    let sample = |second: u64, thread, stack, context: Option<u32>, weight| Sample {
        thread: ThreadId(thread),
        time: MonotonicNs(second * SECOND),
        stack: Some(StackId(stack)),
        context: context.map(ContextId),
        weight,
        in_window: false,
    };
    // The stacks: main, main serve, main serve fib, main serve fib fib, main pack.
    let stacks = [(None, 0), (Some(0), 1), (Some(1), 2), (Some(2), 2), (Some(0), 3)];
    live.grow(Growth {
        processes: vec![(ProcessId(0), process)],
        threads: vec![(ThreadId(0), thread(7, "python3")), (ThreadId(1), thread(8, "worker"))],
        codes: vec![
            code("main", "/srv/shop.py"),
            code("serve", "/srv/shop.py"),
            code("fib", "/srv/lib/numbers.py"),
            code("pack", "/srv/lib/packing.py"),
        ],
        stacks: stacks.iter().map(|&(below, code)| (below.map(StackId), frame(code))).collect(),
        contexts: vec![label("acme"), label("b & w")],
        samples: vec![
            sample(1, 0, 0, None, 50),
            sample(1, 0, 1, Some(0), 150),
            sample(2, 0, 3, Some(0), 500),
            sample(3, 1, 4, Some(1), 100),
        ],
        ..growth(15, Duration::from_secs(8))
    });
    live.grow(Growth {
        samples: vec![sample(16, 1, 4, Some(1), 150), sample(17, 0, 2, None, 50)],
        ..growth(20, Duration::from_secs(10))
    });
    live
}
