//! A recording that grows step by step, and what is counted and saved of it.

use super::*;
use crate::view::{View, ViewOptions};
use pronk_sampler::recording::{
    CodeId, Context, ContextId, Event, Losses, Process, ProcessId, PythonCode, StackId, StackTable, Task, TaskRoot,
    ThreadId,
};
use pronk_trampolines::wire::LineTableFormat;
use std::time::SystemTime;

/// A program whose recording grows as is said.
struct Program {
    session: tempfile::TempDir,
    stacks: StackTable,
    handed: usize,
    steps: u64,
}

impl Program {
    fn new() -> Program {
        Program { session: tempfile::tempdir().unwrap(), stacks: StackTable::default(), handed: 0, steps: 0 }
    }

    fn recording(&self) -> Recording {
        Recording {
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
            session: self.session.path().to_owned(),
            counts: self.session.path().to_owned(),
        }
    }

    /// A stack of functions, the root first.
    fn stack(&mut self, functions: &[u32]) -> StackId {
        let mut stack = None;
        for &function in functions {
            stack = Some(self.stacks.push(stack, Frame::Python(CodeId(function), None)));
        }
        stack.unwrap()
    }

    /// A second in which these samples were taken.
    fn second(&mut self, samples: &[(StackId, Option<u32>, u32)]) -> Growth {
        let time = MonotonicNs(self.steps * 1_000_000_000 + 1);
        let sample = |&(stack, context, weight): &(StackId, Option<u32>, u32)| Sample {
            thread: ThreadId(0),
            time,
            stack: Some(stack),
            context: context.map(ContextId),
            weight,
            in_window: false,
        };
        self.steps += 1;
        let new = (self.handed..self.stacks.len()).map(|id| self.stacks.get(StackId(id as u32))).collect();
        self.handed = self.stacks.len();
        Growth {
            until: MonotonicNs(self.steps * 1_000_000_000),
            processes: Vec::new(),
            threads: Vec::new(),
            mappings: Vec::new(),
            codes: Vec::new(),
            stacks: new,
            contexts: Vec::new(),
            samples: samples.iter().map(sample).collect(),
            losses: Losses::default(),
            cpu_time: Duration::from_millis(self.steps * 500),
        }
    }
}

fn code(qualname: &str) -> PythonCode {
    PythonCode {
        module: "shop".into(),
        qualname: qualname.into(),
        file: "/srv/shop.py".into(),
        first_line: 3,
        line_table_format: LineTableFormat::None,
        line_table: Vec::new(),
    }
}

fn process() -> Process {
    Process {
        pid: 7,
        parent: None,
        name: "python3".into(),
        executable: None,
        started: MonotonicNs(0),
        ended: None,
        registries: Vec::new(),
        python: Some(0x030c_01f0),
    }
}

/// What the first growth of a program has.
fn begins(mut growth: Growth) -> Growth {
    growth.processes = vec![(ProcessId(0), process())];
    growth.threads = vec![(ThreadId(0), Thread { process: ProcessId(0), tid: 7, name: "main".into(), main: true })];
    growth.codes = ["main", "serve", "fib"].map(code).into();
    let task = Task { name: "Task-3".into(), root: Some(TaskRoot::Code(CodeId(1))), below: 0, awaiters: None };
    growth.contexts = vec![
        Context { labels: vec![("tenant".into(), "a".into())], task: Some(task) },
        Context { labels: vec![("tenant".into(), "b".into())], task: None },
    ];
    growth
}

fn seen(live: &Live, of: Of, label: &str) -> (u64, u64) {
    let function = live.functions().iter().position(|function| function.label.starts_with(label)).unwrap();
    let seen = live.counts().seen(of, function as u32);
    (seen.now, seen.so_far)
}

#[test]
fn functions_are_counted_as_a_view_counts_them() {
    let mut program = Program::new();
    let mut live = Live::new(program.recording(), NativeFrames::Extensions);
    let (main, deep) = (program.stack(&[0]), program.stack(&[0, 1, 2, 2, 2]));
    live.grow(begins(program.second(&[(main, None, 30), (deep, Some(0), 50)])));
    let serve = program.stack(&[0, 1]);
    live.grow(program.second(&[(serve, Some(1), 20)]));
    for _ in 0..4 {
        live.grow(program.second(&[]));
    }
    // The first second is no longer one of the last five.
    assert_eq!((seen(&live, Of::Own, "shop.main"), seen(&live, Of::Total, "shop.main")), ((0, 30), (20, 100)));
    assert_eq!((seen(&live, Of::Own, "shop.serve"), seen(&live, Of::Total, "shop.serve")), ((20, 20), (20, 70)));
    assert_eq!((seen(&live, Of::Own, "shop.fib"), seen(&live, Of::Total, "shop.fib")), ((0, 50), (0, 50)));
    let profile = live.profile(Meta { native: NativeFrames::Extensions, ..Meta::default() });
    profile.validate().unwrap();
    let view = View::new(&profile, &ViewOptions::default());
    assert_eq!(view.functions().len(), 3);
    for count in view.functions() {
        let id = count.function.0;
        assert_eq!(live.counts().seen(Of::Own, id).so_far, count.self_samples);
        assert_eq!(live.counts().seen(Of::Total, id).so_far, count.total_samples);
        assert_eq!(live.functions()[id as usize].label, view.label(count.function));
    }
    assert_eq!(live.functions()[0].file, "/srv/shop.py");
}

#[test]
fn calls_have_two_ends() {
    let mut program = Program::new();
    let mut live = Live::new(program.recording(), NativeFrames::Python);
    let (deep, direct) = (program.stack(&[0, 1, 2, 2]), program.stack(&[0, 2]));
    live.grow(begins(program.second(&[(deep, None, 5), (direct, None, 2)])));
    let [main, serve, fib] = [0, 1, 2].map(FunctionId);
    let with_counts = |calls: &[(u32, FunctionId)]| {
        let mut calls: Vec<(FunctionId, u64)> =
            calls.iter().map(|&(call, function)| (function, live.counts().seen(Of::Call, call).so_far)).collect();
        calls.sort();
        calls
    };
    assert_eq!(with_counts(live.callers(fib)), [(main, 2), (serve, 5), (fib, 5)]);
    assert_eq!(with_counts(live.callees(fib)), [(fib, 5)]);
    assert_eq!(with_counts(live.callees(main)), [(serve, 5), (fib, 2)]);
    assert_eq!(with_counts(live.callers(main)), []);
}

#[test]
fn threads_tasks_and_labels_are_counted() {
    let mut program = Program::new();
    let mut live = Live::new(program.recording(), NativeFrames::Python);
    let main = program.stack(&[0]);
    live.grow(begins(program.second(&[(main, Some(0), 5), (main, Some(1), 3), (main, None, 2)])));
    let tasks: Vec<(&str, u64)> = live
        .tasks()
        .iter()
        .enumerate()
        .map(|(id, task)| (task.as_str(), live.counts().seen(Of::Task, id as u32).so_far))
        .collect();
    assert_eq!(tasks, [("(no task)", 5), ("shop.serve (Task-*)", 5)]);
    assert_eq!(live.label_keys(), ["tenant"]);
    let values: Vec<(&str, u64)> = live
        .label_values("tenant")
        .iter()
        .map(|(id, value)| (value.as_str(), live.counts().seen(Of::Label, *id).now))
        .collect();
    assert_eq!(values, [("a", 5), ("b", 3)]);
    assert_eq!((live.label_values("nothing").len(), live.threads()[0].tid), (0, 7));
    assert_eq!(live.counts().seen(Of::Thread, 0), Seen { now: 10, so_far: 10 });
}

#[test]
fn what_was_handed_over_last_is_not_counted_twice() {
    let mut program = Program::new();
    let mut live = Live::new(program.recording(), NativeFrames::Python);
    let main = program.stack(&[0]);
    live.grow(begins(program.second(&[(main, Some(0), 5)])));
    // The end: the recording with all tables, and the samples that are left.
    let mut whole = program.recording();
    let left =
        whole.grow(begins(Growth { stacks: vec![program.stacks.get(main)], ..program.second(&[(main, None, 3)]) }));
    whole.samples = left;
    live.finish(whole);
    assert_eq!(seen(&live, Of::Own, "shop.main"), (8, 8));
    assert_eq!(live.profile(Meta::default()).samples.iter().map(|sample| sample.weight).sum::<u32>(), 8);
}
