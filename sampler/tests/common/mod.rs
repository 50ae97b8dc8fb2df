//! Runs small C programs under a session, and names what their samples hold.
#![allow(dead_code, reason = "each test file uses a part of it")]

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use pronk_sampler::recording::{Code, Frame, MappedObject, Recording, Sample};
use pronk_sampler::{EngineChoice, Error, Mode, Request, Session, SessionDirectory, Stubs};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A process runs one session at a time. It heeds interrupts, as one that is started from a terminal does: a shell
/// without job control starts what is in the background with SIGINT and SIGQUIT ignored (POSIX, "Asynchronous Lists").
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: the default action is set, while no session has its own.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    alone
}

/// A compiled program, in a directory that goes with it.
pub struct Program {
    pub place: tempfile::TempDir,
    pub path: PathBuf,
}

/// Compiles a program of `tests/programs`.
pub fn compile(name: &str, flags: &[&str]) -> Program {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-O2",
        "-fomit-frame-pointer",
        "-fno-optimize-sibling-calls",
        "-pthread",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Werror",
    ]);
    let done = gcc.args(flags).arg("-o").arg(&path).arg(source).status().expect("these tests need gcc");
    assert!(done.success(), "{name} does not compile");
    Program { place, path }
}

impl Program {
    /// The command that runs it.
    pub fn command(&self, arguments: &[&str]) -> Vec<OsString> {
        let arguments = arguments.iter().map(OsString::from);
        std::iter::once(self.path.clone().into()).chain(arguments).collect()
    }

    /// Records a run of it.
    pub fn record(&self, arguments: &[&str]) -> Recording {
        record(self.command(arguments))
    }
}

pub fn request(command: Vec<OsString>) -> Request {
    Request {
        command,
        frequency: 999,
        engine: EngineChoice::Perf,
        mode: Mode::Cpu,
        kernel: false,
        await_chains: false,
        duration: None,
        stubs: Stubs::Off,
        label_variables: Vec::new(),
        label_arguments: Vec::new(),
        label_spans: false,
        children: true,
        streams: Default::default(),
    }
}

pub fn start(request: Request) -> Result<Session, Error> {
    Session::start(request, SessionDirectory::create(b"").unwrap())
}

/// Records a whole run of a command.
pub fn record(command: Vec<OsString>) -> Recording {
    let _alone = alone();
    let mut session = start(request(command)).unwrap();
    session.record().unwrap()
}

/// Waits for something that another process does.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Gives names to the native frames of a recording, from the symbols of the files.
#[derive(Default)]
pub struct Names {
    files: RefCell<HashMap<PathBuf, Option<Rc<Symbols>>>>,
}

struct Symbols {
    /// Offset in the file, size, address.
    segments: Vec<(u64, u64, u64)>,
    functions: BTreeMap<u64, (u64, String)>,
}

impl Names {
    /// What a sample's frames are called, from the newest to the root.
    pub fn of(&self, recording: &Recording, sample: &Sample) -> Vec<String> {
        let frames = sample.stack.into_iter().flat_map(|stack| recording.stacks.frames(stack));
        frames.map(|frame| self.name(recording, frame)).collect()
    }

    pub fn name(&self, recording: &Recording, frame: Frame) -> String {
        match frame {
            Frame::Kernel(_) => "[kernel]".into(),
            Frame::Gap => "[gap]".into(),
            Frame::Truncated => "[truncated]".into(),
            Frame::Unmapped(code) => format!("[unmapped {:x}]", code.lookup().0),
            Frame::Stub(mapping, address) => {
                format!("stub{}", (address.0 - recording.mappings[mapping.index()].start.0) / 64)
            }
            Frame::Python(code, _) => recording.codes[code.index()].qualname.clone(),
            Frame::Native(mapping, code) => {
                let mapping = &recording.mappings[mapping.index()];
                match &mapping.object {
                    MappedObject::File(file) => {
                        let offset = code.lookup().0 - mapping.start.0 + mapping.file_offset;
                        let path = file.found.clone().unwrap_or_else(|| file.path.clone());
                        self.function(&path, offset).unwrap_or_else(|| format!("{}+{offset:x}", path.display()))
                    }
                    other => format!("[{other:?}]"),
                }
            }
        }
    }

    fn function(&self, path: &Path, offset: u64) -> Option<String> {
        let mut files = self.files.borrow_mut();
        let symbols = files.entry(path.to_owned()).or_insert_with(|| Symbols::read(path).map(Rc::new)).clone()?;
        let segment = symbols.segments.iter().find(|(start, size, _)| (*start..start + size).contains(&offset))?;
        let address = offset - segment.0 + segment.2;
        let (start, (size, name)) = symbols.functions.range(..=address).next_back()?;
        (address < start + size).then(|| name.clone())
    }
}

impl Symbols {
    fn read(path: &Path) -> Option<Symbols> {
        let bytes = std::fs::read(path).ok()?;
        let file = object::File::parse(&*bytes).ok()?;
        let segments = file.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (offset, size, segment.address())
        });
        let symbols = file.symbols().chain(file.dynamic_symbols());
        let functions = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let functions =
            functions.filter_map(|symbol| Some((symbol.address(), (symbol.size(), symbol.name().ok()?.to_owned()))));
        Some(Symbols { segments: segments.collect(), functions: functions.collect() })
    }
}

/// The samples of threads whose name is given.
pub fn samples_of<'r>(recording: &'r Recording, thread: &str) -> Vec<&'r Sample> {
    let of_thread = |sample: &&Sample| recording.threads[sample.thread.index()].name == thread;
    recording.samples.iter().filter(of_thread).collect()
}

/// How many of the stacks hold these frames, one right after the other, from the newest to the root.
pub fn holding(stacks: &[Vec<String>], chain: &[&str]) -> usize {
    let holds = |stack: &&Vec<String>| stack.windows(chain.len()).any(|window| window == chain);
    stacks.iter().filter(holds).count()
}

/// Checks that nearly all of the stacks hold these frames: a few samples fall into start and end of the program.
pub fn nearly_all_hold(stacks: &[Vec<String>], chain: &[&str], at_least: usize) {
    let count = holding(stacks, chain);
    let odd = stacks.iter().filter(|stack| !stack.windows(chain.len()).any(|window| window == chain)).take(5);
    assert!(
        stacks.len() >= at_least && count * 100 >= stacks.len() * 95,
        "{count} of {} stacks hold {chain:?}, others are {:#?}",
        stacks.len(),
        odd.collect::<Vec<_>>()
    );
}

/// Where a frame stands, as a number.
pub fn address(code: Code) -> u64 {
    code.lookup().0
}
