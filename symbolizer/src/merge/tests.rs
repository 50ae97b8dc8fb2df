//! Recordings built by hand, and the profiles that become of them.

use super::*;
use crate::profile::{Counting, NativeFrames, ProcessId, PythonSupport, ThreadId};
use crate::testing::{RegistryBytes, run};
use crate::view::{View, ViewOptions};
use object::{Object, ObjectSymbol};
use pronk_sampler::recording::{
    Address, Code, CodeId, Frame, HandlerTimes, Losses, MappedFile, MappedObject, Mapping, MappingId, MonotonicNs,
    Process, PythonCode, StackTable, Thread,
};
use pronk_trampolines::wire::{CodeKind, LineTableFormat, Status, Token};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const PARENT: Token = Token(0xaaa);
const CHILD: Token = Token(0xbbb);
const REFUSED: Token = Token(0xccc);

const STUBS: MappingId = MappingId(0);
const HOOK: MappingId = MappingId(1);
const CHILD_STUBS: MappingId = MappingId(2);
const INTERPRETER: MappingId = MappingId(3);
const LIBC: MappingId = MappingId(4);
const GONE: MappingId = MappingId(5);
const GENERATED: MappingId = MappingId(6);

/// A library that has the evaluator's name is an interpreter's.
const INTERPRETER_SOURCE: &str = "
int _PyEval_EvalFrameDefault(int x) { return x * 2; }
int list_sort(int x) { return x * 3; }
int PyObject_RichCompare(int x) { return x * 4; }
int Py_BytesMain(int x) { return x * 5; }
";

const KALLSYMS: &str = "ffffffff81000000 T _stext\nffffffff81001000 T asm_exc_page_fault\n\
    ffffffff81002000 T _etext\nffffffffc0000000 t ext4_read\t[ext4]\n";

fn at(address: u64) -> Code {
    Code::At(Address(address))
}

fn after(address: u64) -> Code {
    Code::ReturnTo(Address(address))
}

/// A session's directory with what a recording refers to.
struct Session {
    directory: TempDir,
    interpreter: PathBuf,
}

impl Session {
    fn new() -> Session {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("interpreter.c"), INTERPRETER_SOURCE).unwrap();
        run("gcc", &["-shared", "-fPIC", "-O1", "-o", "libpython3.so", "interpreter.c"], path);
        fs::write(path.join("kallsyms"), KALLSYMS).unwrap();
        RegistryBytes::new(PARENT, 7, Status::Running, 100)
            .function(0x10000, "__main__", "<module>", "/srv/shop.py", 1)
            .function(0x10040, "shop", "total", "/srv/shop.py", 10)
            .function(0x10080, "shop", "total", "/srv/shop.py", 10)
            .write(path, PARENT);
        RegistryBytes::new(CHILD, 8, Status::Running, 2_000)
            .function(0x10000, "child", "work", "/srv/child.py", 3)
            .write(path, CHILD);
        RegistryBytes::new(REFUSED, 9, Status::Refused, 3_000).message("PyPy is not CPython").write(path, REFUSED);
        let interpreter = path.join("libpython3.so");
        Session { directory, interpreter }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a function of the interpreter is in the process: its file is mapped at 0x400000 from offset 0 on, and its code
    /// is in the file where it is in memory.
    fn interpreter_code(&self, function: &str) -> u64 {
        let bytes = fs::read(&self.interpreter).unwrap();
        let elf = object::File::parse(bytes.as_slice()).unwrap();
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(function)).unwrap();
        0x40_0000 + symbol.address()
    }

    fn recording(&self) -> Recording {
        let file = |path: &str, found: Option<&Path>| {
            let (path, found) = (path.into(), found.map(Path::to_owned));
            MappedObject::File(MappedFile { path, found, device: 0, inode: 0, build_id: None })
        };
        let mapping = |start: u64, file_offset, object| {
            let (start, end) = (Address(start), Address(start + 0x10_0000));
            Mapping { start, end, file_offset, object }
        };
        let process = |pid, parent: Option<u32>, started, registries: &[Token]| Process {
            pid,
            parent: parent.map(recording::ProcessId),
            name: format!("python{pid}"),
            executable: None,
            started: MonotonicNs(started),
            ended: None,
            registries: registries.to_vec(),
            python: None,
        };
        let thread =
            |process, tid| Thread { process: recording::ProcessId(process), tid, name: "t".into(), main: true };
        Recording {
            started: MonotonicNs(1_000),
            ended: MonotonicNs(9_000),
            started_at: SystemTime::UNIX_EPOCH,
            event: Event::CpuClock,
            frequency: 999,
            processes: vec![
                process(7, None, 50, &[PARENT]),
                process(8, Some(0), 1_500, &[PARENT, CHILD]),
                process(9, Some(0), 2_500, &[]),
                process(10, Some(2), 4_000, &[]),
                process(10, Some(3), 5_000, &[]),
            ],
            threads: vec![thread(0, 7), thread(1, 8)],
            mappings: vec![
                mapping(0x10000, 0, MappedObject::Ours(CodeKind::Stubs, PARENT)),
                mapping(0x20_0000, 0, MappedObject::Ours(CodeKind::Hook, PARENT)),
                mapping(0x10000, 0, MappedObject::Ours(CodeKind::Stubs, CHILD)),
                mapping(0x40_0000, 0, file("/usr/lib/libpython3.so", Some(&self.interpreter))),
                mapping(0x60_0000, 0x1000, file("/lib/libc.so.6", None)),
                mapping(0x80_0000, 0x2000, file("/opt/fast.so (deleted)", None)),
                mapping(0xa0_0000, 0, MappedObject::Anonymous("//anon".to_owned())),
            ],
            codes: Vec::new(),
            notes: Vec::new(),
            stacks: StackTable::default(),
            contexts: Default::default(),
            samples: Vec::new(),
            losses: Losses::default(),
            exit: None,
            session: self.path().to_owned(),
            counts: self.path().to_owned(),
        }
    }

    fn symbolize(&self, recording: &Recording) -> Profile {
        let profile =
            symbolize_with(recording, Meta::default(), Path::new("/nonexistent"), &self.path().join("kallsyms"));
        profile.validate().unwrap();
        profile
    }
}

fn sample(recording: &mut Recording, thread: u32, time: u64, frames: &[Frame]) {
    let stack = frames.iter().fold(None, |below, &frame| Some(recording.stacks.push(below, frame)));
    let thread = recording::ThreadId(thread);
    recording.samples.push(recording::Sample {
        thread,
        time: MonotonicNs(time),
        stack,
        context: None,
        weight: 1,
        in_window: false,
    });
}

fn folded(profile: &Profile, native: NativeFrames) -> Vec<String> {
    let view = View::new(profile, &ViewOptions { native: Some(native), ..Default::default() });
    view.folded().iter().map(|(stack, count)| format!("{stack} {count}")).collect()
}

#[test]
fn native_and_python_frames_become_one_stack() {
    let session = Session::new();
    let mut recording = session.recording();
    let code = |function| session.interpreter_code(function);
    // A return address is behind the call: here, the first byte behind the whole function.
    let evaluator = Frame::Native(INTERPRETER, after(code("_PyEval_EvalFrameDefault") + 1));
    let hook = Frame::Native(HOOK, after(0x20_0010));
    let root = [
        Frame::Native(LIBC, after(0x60_0101)),
        Frame::Native(LIBC, after(0x60_0201)),
        Frame::Native(INTERPRETER, after(code("Py_BytesMain") + 4)),
        hook,
        Frame::Stub(STUBS, Address(0x10000)),
        evaluator,
        hook,
        Frame::Stub(STUBS, Address(0x10040)),
        evaluator,
    ];
    let sorting = [
        Frame::Native(INTERPRETER, after(code("list_sort") + 4)),
        Frame::Native(INTERPRETER, at(code("PyObject_RichCompare"))),
    ];
    sample(&mut recording, 0, 1_500, &[&root[..], &sorting].concat());
    let memory = [Frame::Native(LIBC, at(0x60_0101)), Frame::Kernel(at(0xffff_ffff_8100_1010))];
    sample(&mut recording, 0, 1_600, &[&root[..], &memory].concat());
    let profile = session.symbolize(&recording);

    let python = "__main__.<module> (shop.py:1);shop.total (shop.py:10)";
    let expected = [
        format!("{python};libc.so.6+0x1101;asm_exc_page_fault [kernel] 1"),
        format!("{python};list_sort (libpython3.so) 1"),
    ];
    assert_eq!(folded(&profile, NativeFrames::Extensions), expected);
    assert_eq!(folded(&profile, NativeFrames::Python), [format!("{python} 2")]);
    let all = "libc.so.6+0x1100;libc.so.6+0x1200;Py_BytesMain (libpython3.so);[hook];__main__.<module> (shop.py:1);\
        _PyEval_EvalFrameDefault (libpython3.so);[hook];shop.total (shop.py:10);_PyEval_EvalFrameDefault (libpython3.so);";
    let expected = [
        format!("{all}libc.so.6+0x1101;asm_exc_page_fault [kernel] 1"),
        format!("{all}list_sort (libpython3.so);PyObject_RichCompare (libpython3.so) 1"),
    ];
    assert_eq!(folded(&profile, NativeFrames::All), expected);
    assert_eq!(profile.quality.unresolved_frames, 3);
    assert_eq!((profile.samples[0].time_ns, profile.samples[1].time_ns), (500, 600));
}

#[test]
fn what_is_missing_is_marked() {
    let session = Session::new();
    let mut recording = session.recording();
    let main = Frame::Stub(STUBS, Address(0x10000));
    sample(&mut recording, 0, 1_000, &[Frame::Truncated, main, Frame::Gap, Frame::Native(GONE, at(0x80_0040))]);
    sample(&mut recording, 0, 1_001, &[main, Frame::Native(GENERATED, at(0xa0_0123)), Frame::Unmapped(at(5))]);
    sample(&mut recording, 0, 1_002, &[main, Frame::Stub(STUBS, Address(0x10fc0))]);
    sample(&mut recording, 0, 1_003, &[Frame::Kernel(at(0x1000))]);
    sample(&mut recording, 0, 1_004, &[]);
    let profile = session.symbolize(&recording);
    let expected = [
        "[kernel] 1",
        "[no stack] 1",
        "[stack truncated];__main__.<module> (shop.py:1);[frames missing];fast.so+0x2040 1",
        "__main__.<module> (shop.py:1);//anon+0x123;[unmapped] 1",
        "__main__.<module> (shop.py:1);[stub 0x10fc0] 1",
    ];
    assert_eq!(folded(&profile, NativeFrames::Extensions), expected);
    assert_eq!((profile.quality.unnamed_stubs, profile.quality.unresolved_frames), (1, 3));
}

#[test]
fn a_stub_is_named_by_the_registry_of_its_mapping() {
    let session = Session::new();
    let mut recording = session.recording();
    // The child runs functions of its own and such that its parent had seen before the fork, at the same address.
    let inherited = Frame::Stub(STUBS, Address(0x10000));
    let own = Frame::Stub(CHILD_STUBS, Address(0x10000));
    sample(&mut recording, 1, 3_000, &[inherited, own]);
    // Two stubs of one function (of two code objects, or of two interpreters) are one function.
    sample(&mut recording, 0, 2_000, &[Frame::Stub(STUBS, Address(0x10040))]);
    sample(&mut recording, 0, 2_500, &[Frame::Stub(STUBS, Address(0x10080))]);
    let profile = session.symbolize(&recording);
    let expected = ["__main__.<module> (shop.py:1);child.work (child.py:3) 1", "shop.total (shop.py:10) 2"];
    assert_eq!(folded(&profile, NativeFrames::Extensions), expected);
    assert_eq!(profile.functions.len(), 3);
    let order: Vec<(ThreadId, u64)> = profile.samples.iter().map(|sample| (sample.thread, sample.time_ns)).collect();
    assert_eq!(order, [(ThreadId(0), 1_000), (ThreadId(0), 1_500), (ThreadId(1), 2_000)]);
}

fn code(module: &str, qualname: &str, first_line: u32, line_table: &[u8]) -> PythonCode {
    PythonCode {
        module: module.to_owned(),
        qualname: qualname.to_owned(),
        file: "/srv/shop.py".to_owned(),
        first_line,
        line_table_format: LineTableFormat::Pep626,
        line_table: line_table.to_vec(),
    }
}

#[test]
fn a_python_frame_has_its_line_and_its_stubs_function() {
    let session = Session::new();
    let mut recording = session.recording();
    // The first four bytes of `total` are on line 11, the next two on line 13, and two more on none.
    let total = code("shop", "total", 10, &[4, 1, 2, 2, 2, 0x80]);
    recording.codes = vec![code("__main__", "<module>", 1, &[2, -1_i8 as u8, 2, 5]), total];
    let (main, total) = (CodeId(0), CodeId(1));
    for instruction in [None, Some(0), Some(2), Some(4), Some(6), Some(99)] {
        sample(&mut recording, 0, 2_000, &[Frame::Python(main, Some(2)), Frame::Python(total, instruction)]);
    }
    sample(&mut recording, 0, 2_001, &[Frame::Python(main, Some(0)), Frame::Stub(STUBS, Address(0x10040))]);
    sample(&mut recording, 0, 2_002, &[Frame::Python(CodeId(2), Some(0))]);
    let profile = session.symbolize(&recording);
    assert_eq!(profile.functions.len(), 3, "a function is one, by its stub or by its code");
    assert_eq!(profile.quality.unnamed_stubs, 1);
    let options = ViewOptions { lines: true, ..Default::default() };
    let folded: Vec<(String, u64)> = View::new(&profile, &options).folded().into_iter().collect();
    let main = "__main__.<module> (shop.py:5);shop.total";
    let expected = [
        ("[code 2]".to_owned(), 1),
        // Where a module begins there is no line, and a stub has none.
        ("__main__.<module> (shop.py);shop.total (shop.py)".to_owned(), 1),
        (format!("{main} (shop.py)"), 2),
        (format!("{main} (shop.py:10)"), 1),
        (format!("{main} (shop.py:11)"), 2),
        (format!("{main} (shop.py:13)"), 1),
    ];
    assert_eq!(folded, expected);
}

#[test]
fn processes_say_what_pronk_did_in_them() {
    let session = Session::new();
    let profile = session.symbolize(&session.recording());
    let refused = PythonSupport::Refused("PyPy is not CPython".to_owned());
    let python: Vec<_> = profile.processes.iter().map(|process| (process.pid, process.python.clone())).collect();
    let expected = [
        (7, PythonSupport::Stubs("3.12.1".to_owned())),
        (8, PythonSupport::Stubs("3.12.1".to_owned())),
        (9, refused.clone()),
        // A fork of the refused one, and then a program that it became.
        (10, refused),
        (10, PythonSupport::NotPython),
    ];
    assert_eq!(python, expected);
    assert_eq!(profile.processes[1].parent, Some(ProcessId(0)));
    assert_eq!(profile.strings[profile.processes[0].name.index()], "python7");
}

#[test]
fn quality_says_what_went_wrong() {
    let session = Session::new();
    let mut recording = session.recording();
    recording.losses = Losses {
        lost: 1,
        throttled: 2,
        truncated: 3,
        gaps: 4,
        without_stack: 5,
        malformed: 6,
        retaken: 7,
        torn: 8,
        held_back: 9,
        unsampled_threads: 10,
        folded_values: 11,
        unrecorded_scopes: 12,
        handler: Some(HandlerTimes { p50_ns: 1_200, p99_ns: 3_400 }),
        kernel_excluded: true,
        sampled_for: Duration::from_secs(4),
        cpu_time: Some(Duration::from_millis(500)),
    };
    sample(&mut recording, 0, 1_000, &[Frame::Gap]);
    fs::write(session.path().join(format!("{}.registry", Token(0xddd))), b"PRONKREG").unwrap();
    let quality = session.symbolize(&recording).quality;
    assert_eq!((quality.samples, quality.achieved_hz), (1, Some(2.0)));
    assert_eq!((quality.lost, quality.throttled, quality.truncated), (1, 2, 3));
    assert_eq!((quality.gaps, quality.without_stack, quality.kernel_excluded), (4, 5, true));
    assert_eq!((quality.retaken, quality.torn, quality.held_back), (7, 8, 9));
    assert_eq!((quality.folded_values, quality.unrecorded_scopes), (11, 12));
    assert_eq!(quality.unsampled_threads, 10);
    assert_eq!((quality.handler_p50_ns, quality.handler_p99_ns), (Some(1_200), Some(3_400)));
    assert_eq!(quality.notes.len(), 3, "{:?}", quality.notes);
    assert!(quality.notes[0].contains("0000000000000ddd.registry: the registry is shorter than its header"));
    // There are stubs, and no counts of theirs.
    assert_eq!(
        (quality.counting, quality.notes[1].as_str()),
        (Counting::Incomplete, "calls in 2 processes were not counted")
    );
    assert_eq!(quality.notes[2], "6 records could not be read");
    // Samples of time that is no CPU time are not counted by it.
    recording.event = Event::Wall;
    assert_eq!(session.symbolize(&recording).quality.achieved_hz, None);
}

#[test]
fn nothing_recorded_is_an_empty_profile() {
    let session = Session::new();
    let recording = Recording { processes: vec![], threads: vec![], mappings: vec![], ..session.recording() };
    let profile = session.symbolize(&recording);
    assert_eq!((profile.samples.len(), profile.functions.len()), (0, 0));
}

#[test]
fn samples_keep_for_whom_they_were_taken() {
    let session = Session::new();
    let mut recording = session.recording();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    recording.codes.push(code("app", "serve", 1, &[]));
    let awaiters = Some(recording.stacks.push(None, Frame::Python(CodeId(0), None)));
    let task = recording::Task { name: "Task-1".to_owned(), root: Some(TaskRoot::Code(CodeId(0))), below: 3, awaiters };
    let labels = vec![label("route", "/x"), label("tenant", "a")];
    let id = recording.contexts.id(recording::Context { labels, task: Some(task) });
    for time in 2_000..2_003 {
        sample(&mut recording, 0, time, &[Frame::Gap]);
    }
    recording.samples[0].context = Some(id);
    recording.samples[1].context = Some(recording::ContextId(7));
    let profile = session.symbolize(&recording);
    let contexts: Vec<_> = profile.samples.iter().map(|sample| sample.context).collect();
    assert_eq!(contexts, [Some(profile::ContextId(0)), None, None], "one that is not there costs no sample");
    let text = |id: profile::StringId| profile.strings[id.index()].as_str();
    let [context] = &profile.contexts[..] else { panic!("{:?}", profile.contexts) };
    let labels: Vec<_> = context.labels.iter().map(|&(key, value)| (text(key), text(value))).collect();
    assert_eq!(labels, [("route", "/x"), ("tenant", "a")]);
    let task = context.task.unwrap();
    assert_eq!((text(task.name), text(task.root), task.below), ("Task-1", "app.serve", 3));
    let awaiter = profile.frames[profile.stacks[task.awaiters.unwrap().index()].frame.index()];
    assert_eq!(text(profile.functions[awaiter.function.index()].name), "app.serve");
}
