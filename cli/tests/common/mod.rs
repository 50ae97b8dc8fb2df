//! What the tests share: running pronk, waiting without guessing, and a profile whose every number is known.

#![allow(dead_code, reason = "no test uses all of it")]

pub mod python;
pub mod reading;
pub mod running;
pub mod signal;
pub mod tmux;

use pronk_symbolizer::file;
use pronk_symbolizer::profile::*;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory for a test's files, in which pronk runs.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        heed_interrupts();
        Place(tempfile::Builder::new().prefix("place").tempdir().unwrap())
    }

    /// A place for a test that records. `None`, said loudly, where this machine does not permit that.
    pub fn for_recording() -> Option<Place> {
        static DOCTOR: OnceLock<Output> = OnceLock::new();
        let doctor = DOCTOR.get_or_init(|| run(&mut Place::new().pronk(["doctor"])));
        if doctor.status.success() {
            return Some(Place::new());
        }
        eprintln!("SKIPPED: nothing can be recorded here; `pronk doctor` says:\n{}", text(&doctor.stdout));
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names of its files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// pronk, about to run here.
    pub fn pronk(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pronk"));
        command.args(arguments).current_dir(self.path());
        command
    }

    /// `pronk record -- COMMAND`, about to run here.
    pub fn record(&self, command: &[&str]) -> Command {
        self.pronk(["record", "--"].iter().chain(command))
    }

    /// The same with a script for the shell as the command.
    pub fn record_shell(&self, script: &str) -> Command {
        self.record(&["/bin/sh", "-c", script])
    }

    /// A profile in a file here.
    pub fn profile(&self, profile: &Profile) -> PathBuf {
        let mut bytes = Vec::new();
        file::write(profile, &mut bytes).unwrap();
        let path = self.file("test.pronk");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Lets the test's children be interrupted, as programs that are started from a terminal are: a shell without job
/// control starts what is in the background with SIGINT and SIGQUIT ignored (POSIX, "Asynchronous Lists"), and nohup(1) does so
/// with SIGHUP.
fn heed_interrupts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: the default action is set; the test itself has no handlers.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    });
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until there is an answer.
pub fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Compares a text with a golden file; with `PRONK_BLESS=1` in the environment, writes it.
pub fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("PRONK_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{name} is not as expected; if it should be, run the test with PRONK_BLESS=1\n--- expected\n{expected}\n--- actual\n{actual}"
    );
}

/// A profile by hand: tables are filled as rows are named.
#[derive(Default)]
pub struct Builder(pub Profile);

impl Builder {
    pub fn string(&mut self, text: &str) -> StringId {
        let strings = &mut self.0.strings;
        let position = strings.iter().position(|known| known == text).unwrap_or_else(|| {
            strings.push(text.to_owned());
            strings.len() - 1
        });
        StringId(position as u32)
    }

    pub fn thread(&mut self, process: ProcessId, tid: u32, name: &str) -> ThreadId {
        let name = self.string(name);
        let main = self.0.processes[process.index()].pid == tid;
        self.0.threads.push(Thread { process, tid, name, main });
        ThreadId(self.0.threads.len() as u32 - 1)
    }

    pub fn process(&mut self, pid: u32, parent: Option<ProcessId>, name: &str, python: PythonSupport) -> ProcessId {
        let name = self.string(name);
        self.0.processes.push(Process { pid, parent, name, python });
        ProcessId(self.0.processes.len() as u32 - 1)
    }

    pub fn frame(&mut self, category: Category, name: &str, place: &str, line: Option<u32>) -> FrameId {
        let name = self.string(name);
        let place = (!place.is_empty()).then(|| self.string(place));
        let (file, binary) = match category {
            Category::Python => (place, None),
            _ => (None, place),
        };
        self.0.functions.push(Function { name, file, first_line: line, binary, category });
        let function = FunctionId(self.0.functions.len() as u32 - 1);
        self.0.frames.push(Frame { function, line, inlined: false });
        FrameId(self.0.frames.len() as u32 - 1)
    }

    /// A frame of a function that is there already, on a line.
    pub fn on_line(&mut self, frame: FrameId, line: Option<u32>) -> FrameId {
        self.0.frames.push(Frame { line, ..self.0.frames[frame.index()] });
        FrameId(self.0.frames.len() as u32 - 1)
    }

    /// For whom samples are: labels, and the name and the root of a task.
    pub fn context(&mut self, labels: &[(&str, &str)], task: Option<(&str, &str)>) -> ContextId {
        let labels = labels.iter().map(|(key, value)| (self.string(key), self.string(value))).collect();
        let task = task.map(|(name, root)| Task {
            name: self.string(name),
            root: self.string(root),
            below: 0,
            awaiters: None,
        });
        self.0.contexts.push(Context { labels, task });
        ContextId(self.0.contexts.len() as u32 - 1)
    }

    pub fn samples(&mut self, thread: ThreadId, frames: &[FrameId], count: u64) {
        self.samples_for(None, thread, frames, count);
    }

    pub fn samples_for(&mut self, context: Option<ContextId>, thread: ThreadId, frames: &[FrameId], count: u64) {
        let mut below = None;
        for &frame in frames {
            self.0.stacks.push(Stack { below, frame });
            below = Some(StackId(self.0.stacks.len() as u32 - 1));
        }
        let time_ns = self.0.samples.len() as u64 * 1_000_000;
        let weight = count.try_into().unwrap();
        self.0.samples.push(Sample { thread, time_ns, stack: below, context, weight, in_window: false });
        self.0.quality.samples += count;
    }
}

/// 1,000 samples: 600 in `burn`, 250 of a worker thread in zlib under it, 100 in the kernel, 49 in the interpreter
/// itself, and 1 without a stack. The main thread runs tasks, and the threads serve two tenants.
pub fn example() -> Profile {
    let mut builder = Builder::default();
    builder.0.meta = Meta {
        pronk_version: "0.1.0".into(),
        command: vec!["python3".into(), "app.py".into()],
        started_at_unix: 1_790_000_000,
        duration_ns: 1_250_000_000,
        frequency: 999,
        mode: Mode::Cpu,
        event: "cpu-clock".into(),
        engine: "perf".into(),
        driver: "perf engine: the kernel takes the samples".into(),
        await_chains: false,
        stubs: "full".into(),
        native: NativeFrames::Extensions,
        exit: "exit code 0".into(),
    };
    builder.0.quality.achieved_hz = Some(987.5);
    builder.0.quality.without_stack = 1;
    let process = builder.process(100, None, "python3", PythonSupport::Stubs("3.12.1".into()));
    builder.process(101, Some(process), "git", PythonSupport::NotPython);
    builder.process(102, Some(process), "python2", PythonSupport::Refused("its version is 2.7".into()));
    let main = builder.thread(process, 100, "python3");
    let worker = builder.thread(process, 105, "worker");
    let module = builder.frame(Category::Python, "__main__.<module>", "/srv/app.py", Some(1));
    let burn = builder.frame(Category::Python, "__main__.burn", "/srv/app.py", Some(10));
    let pack = builder.frame(Category::Python, "packing.Packer.pack", "/srv/lib/packing.py", Some(33));
    let eval = builder.frame(Category::Interpreter, "_PyEval_EvalFrameDefault", "libpython3.12.so.1.0", None);
    let deflate = builder.frame(Category::Native, "deflate<1, 2>", "libz.so.1", None);
    let read = builder.frame(Category::Kernel, "vfs_read", "[kernel]", None);
    let serving = builder.context(&[("tenant", "acme")], Some(("Task-7", "app.serve")));
    let packing = builder.context(&[("route", "GET /a;b"), ("tenant", "<b & w>")], None);
    let reading = builder.context(&[("tenant", "acme")], Some(("Task-12", "app.serve")));
    let cleaning = builder.context(&[], Some(("cleaner", "app.clean")));
    builder.samples_for(Some(serving), main, &[eval, module, eval, burn], 600);
    builder.samples_for(Some(packing), worker, &[eval, pack, eval, burn, deflate], 250);
    builder.samples_for(Some(reading), main, &[eval, module, read], 100);
    builder.samples_for(Some(cleaning), main, &[eval, module, eval], 49);
    builder.samples(main, &[], 1);
    for (sample, milliseconds) in builder.0.samples.iter_mut().zip([700, 700, 900, 1000, 1200]) {
        sample.time_ns = milliseconds * 1_000_000;
    }
    builder.0
}
