//! What the tests of several modules use.

use crate::profile::{self, Calls, Category, Context, ContextId, FunctionId, Profile, Sample, StackId, Task};
use crate::tables::{FunctionText, Tables};
use pronk_trampolines::wire::{COUNTS_MAGIC, COUNTS_VERSION, CountsHeader, HEAD_COUNTERS, NO_COUNTER, lane_at};
use pronk_trampolines::wire::{FunctionRecord, Header, MAGIC, RecordHeader, RecordKind, Status, Token, VERSION};
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a tool, and fails with its words if it fails.
pub fn run(tool: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(tool).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} is needed for this test: {error}"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The bytes of a registry, built field by field.
pub struct RegistryBytes(pub Vec<u8>);

impl RegistryBytes {
    /// A registry without functions.
    pub fn new(token: Token, pid: u32, status: Status, created_ns: u64) -> RegistryBytes {
        let mut registry = RegistryBytes(vec![0; size_of::<Header>()]);
        registry.set(offset_of!(Header, magic), &MAGIC);
        registry.set(offset_of!(Header, version), &VERSION.to_ne_bytes());
        registry.set(offset_of!(Header, header_size), &(size_of::<Header>() as u32).to_ne_bytes());
        registry.set(offset_of!(Header, token), &token.0.to_ne_bytes());
        registry.set(offset_of!(Header, pid), &pid.to_ne_bytes());
        registry.set(offset_of!(Header, status), &(status as u32).to_ne_bytes());
        registry.set(offset_of!(Header, created_ns), &created_ns.to_ne_bytes());
        registry.set(offset_of!(Header, python_hexversion), &0x030c_01f0u32.to_ne_bytes());
        registry.set(offset_of!(Header, stub_size), &64u32.to_ne_bytes());
        registry
    }

    /// Overwrites bytes.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Sets the message.
    pub fn message(mut self, message: &str) -> RegistryBytes {
        self.set(offset_of!(Header, message), message.as_bytes());
        self
    }

    /// Adds a function of which only the name matters, with a counter: the first that a function can have is 1 here.
    pub fn counted(self, name: &str, counter: u32, resumes: bool) -> RegistryBytes {
        let body = self.0.len() + size_of::<RecordHeader>();
        let mut registry = self.function(0x1000 + 64 * u64::from(counter), "", name, "", 0);
        registry.set(body + offset_of!(FunctionRecord, counter), &place(counter).to_ne_bytes());
        registry.set(body + offset_of!(FunctionRecord, kind), &u32::from(resumes).to_ne_bytes());
        registry
    }

    /// Adds a function.
    pub fn function(mut self, stub: u64, module: &str, qualname: &str, file: &str, first_line: u32) -> RegistryBytes {
        let texts = [module, qualname, file];
        let length: usize = texts.iter().map(|text| text.len()).sum();
        let size = (size_of::<RecordHeader>() + size_of::<FunctionRecord>() + length).next_multiple_of(8);
        let begin = self.0.len();
        self.0.resize(begin + size, 0);
        self.set(begin + offset_of!(RecordHeader, size), &(size as u32).to_ne_bytes());
        self.set(begin + offset_of!(RecordHeader, kind), &(RecordKind::Function as u32).to_ne_bytes());
        let body = begin + size_of::<RecordHeader>();
        self.set(body + offset_of!(FunctionRecord, stub), &stub.to_ne_bytes());
        self.set(body + offset_of!(FunctionRecord, first_line), &first_line.to_ne_bytes());
        for (field, text) in [
            (offset_of!(FunctionRecord, module_size), module),
            (offset_of!(FunctionRecord, qualname_size), qualname),
            (offset_of!(FunctionRecord, file_size), file),
        ] {
            self.set(body + field, &(text.len() as u32).to_ne_bytes());
        }
        self.set(body + size_of::<FunctionRecord>(), texts.concat().as_bytes());
        let used = (self.0.len() - size_of::<Header>()) as u64;
        self.set(offset_of!(Header, used), &used.to_ne_bytes());
        self
    }

    /// Writes the registry where a session keeps it.
    pub fn write(&self, session: &Path, token: Token) -> PathBuf {
        let path = session.join(format!("{token}.registry"));
        std::fs::write(&path, &self.0).unwrap();
        path
    }
}

/// Where a counter is in a lane: the first, which is nobody's, at its beginning, and the others behind its head.
fn place(counter: u32) -> u32 {
    if counter == NO_COUNTER { NO_COUNTER } else { HEAD_COUNTERS + counter - 1 }
}

/// A file of counts with what each lane has in its counters, from the first on, which is nobody's.
pub fn counts_bytes(token: Token, parent: Option<(Token, u32)>, lanes: &[&[u64]]) -> Vec<u8> {
    let counters = place(lanes.iter().map(|lane| lane.len() as u32).max().unwrap_or(1).max(1));
    let mut bytes = vec![0; lane_at(lanes.len()) as usize];
    let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    set(offset_of!(CountsHeader, magic), &COUNTS_MAGIC);
    set(offset_of!(CountsHeader, version), &COUNTS_VERSION.to_ne_bytes());
    set(offset_of!(CountsHeader, lanes), &(lanes.len() as u32).to_ne_bytes());
    set(offset_of!(CountsHeader, counters), &counters.to_ne_bytes());
    set(offset_of!(CountsHeader, groups), &1_u32.to_ne_bytes());
    set(offset_of!(CountsHeader, token), &token.0.to_ne_bytes());
    set(offset_of!(CountsHeader, pid), &7_u32.to_ne_bytes());
    if let Some((parent, inherited)) = parent {
        set(offset_of!(CountsHeader, parent), &parent.0.to_ne_bytes());
        set(offset_of!(CountsHeader, inherited), &place(inherited).to_ne_bytes());
    }
    for (lane, counters) in lanes.iter().enumerate() {
        for (at, counter) in counters.iter().enumerate() {
            set(lane_at(lane) as usize + 8 * place(at as u32) as usize, &counter.to_ne_bytes());
        }
    }
    bytes
}

/// A small profile. Its stacks, the root first:
///
/// ```text
/// main:2 shop.fib:11 shop.fib:11 shop.fib:12  2 samples, tenant=a, Task-1 of shop.serve
/// main shop.sort (call) list_sort compare    3 samples, tenant=b, Task-12 of shop.serve
/// main shop.sort (gap) inflate               1 sample
/// (truncated) main page_fault                1 sample, other thread, route=/x, tenant=a, task cleaner
/// machinery only                             1 sample, other thread
/// no stack                                   1 sample, other thread
/// ```
pub fn profile() -> Profile {
    let mut tables = Tables::new();
    let mut python = |name: &str, file: &str, first_line: u32, line: Option<u32>| {
        let (file, first_line) = (Some(file), Some(first_line));
        let text = FunctionText { name, file, first_line, binary: None, category: Category::Python };
        let function = tables.function(text);
        tables.frame(function, line, false)
    };
    let main = python("__main__.<module>", "/srv/app/shop.py", 1, Some(2));
    let calling_fib = python("shop.fib", "/srv/app/shop.py", 10, Some(11));
    let fib = python("shop.fib", "/srv/app/shop.py", 10, Some(12));
    let sort = python("shop.sort;er\n", "<string>", 1, None);
    let mut frame = |name: &str, binary: Option<&str>, category| {
        let text = FunctionText { name, file: None, first_line: None, binary, category };
        let function = tables.function(text);
        tables.frame(function, None, false)
    };
    let call = frame("PyObject_Vectorcall", Some("python3.12"), Category::Interpreter);
    let list_sort = frame("list_sort", Some("python3.12"), Category::Native);
    let compare = frame("PyObject_RichCompare", Some("python3.12"), Category::Interpreter);
    let gap = frame(crate::names::FRAMES_MISSING, None, Category::Missing);
    let truncated = frame(crate::names::STACK_TRUNCATED, None, Category::Missing);
    let inflate = frame("libz.so.1+0x1230", Some("libz.so.1"), Category::Native);
    let fault = frame("page_fault", Some("[kernel]"), Category::Kernel);
    let mut stack = |frames: &[profile::FrameId]| {
        let stack = frames.iter().fold(None, |below, &frame| Some(tables.stack(below, frame)));
        stack.unwrap()
    };
    let stacks: [(u32, Option<StackId>); 6] = [
        (2, Some(stack(&[main, calling_fib, calling_fib, fib]))),
        (3, Some(stack(&[main, sort, call, list_sort, compare]))),
        (1, Some(stack(&[main, sort, gap, inflate]))),
        (1, Some(stack(&[truncated, main, fault]))),
        (1, Some(stack(&[call]))),
        (1, None),
    ];
    let [name, main_name, other_name] = ["python3", "MainThread", "worker"].map(|name| tables.string(name));
    let process = profile::ProcessId(0);
    let samples = stacks.into_iter().enumerate().map(|(index, (weight, stack))| {
        let thread = profile::ThreadId(u32::from(index > 2));
        let context = [Some(0), Some(1), None, Some(2), None, None][index].map(ContextId);
        Sample { thread, time_ns: index as u64 * 1000, stack, context, weight, in_window: false }
    });
    let samples = samples.collect();
    let mut text = |text: &str| tables.string(text);
    let [tenant, route] = ["tenant", "route"].map(&mut text);
    let mut task = |name, root| Some(Task { name: text(name), root: text(root), below: 0, awaiters: None });
    let tasks = [task("Task-1", "shop.serve"), task("Task-12", "shop.serve"), task("cleaner", "")];
    let [a, b, x] = ["a", "b", "/x"].map(text);
    let labels = [vec![(tenant, a)], vec![(tenant, b)], vec![(route, x), (tenant, a)]];
    let contexts = labels.into_iter().zip(tasks).map(|(labels, task)| Context { labels, task }).collect();
    let idle =
        FunctionText { name: "shop.idle", file: None, first_line: None, binary: None, category: Category::Python };
    let idle = tables.function(idle);
    let (strings, functions, frames, stacks) = tables.finish();
    Profile {
        meta: profile::Meta { pronk_version: "0.1.0".to_owned(), frequency: 999, ..Default::default() },
        quality: profile::Quality { samples: 9, achieved_hz: Some(998.5), ..Default::default() },
        strings,
        processes: vec![profile::Process {
            pid: 7,
            parent: None,
            name,
            python: profile::PythonSupport::Stubs("3.12.1".to_owned()),
        }],
        threads: vec![
            profile::Thread { process, tid: 7, name: main_name, main: true },
            profile::Thread { process, tid: 8, name: other_name, main: false },
        ],
        functions,
        frames,
        stacks,
        contexts,
        samples,
        calls: vec![
            Calls {
                function: FunctionId(1),
                count: 1_000,
                error: None,
                cost_ns: 20_000,
                resumes: false,
                at_least: true,
            },
            Calls { function: idle, count: 25_000, error: None, cost_ns: 500_000, resumes: true, at_least: false },
        ],
    }
}
