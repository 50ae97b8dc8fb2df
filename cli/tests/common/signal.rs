//! What the tests of the signal engine share: a program plain and sampled, and the Python frames of each sample.

use super::python::{Folded, fixture, said_by_program};
use super::{Place, run, text};
use pronk_bench::interpreter::{Interpreter, interpreters_for_tests};
use pronk_symbolizer::profile::{Category, Profile, StackId, ThreadId};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};

/// How many programs run at once in one test binary.
const AT_ONCE: usize = 2;

/// The same order of sets each time, and nothing left behind.
const ENVIRONMENT: [(&str, &str); 2] = [("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")];

/// A directory with packages for each version, such as `3.12/greenlet`.
const PACKAGES_ENV: &str = "PRONK_TEST_PACKAGES";

/// One interpreter of each version that this machine has. The signal engine needs no permission.
pub fn interpreters() -> &'static [Interpreter] {
    static INTERPRETERS: OnceLock<Vec<Interpreter>> = OnceLock::new();
    INTERPRETERS.get_or_init(interpreters_for_tests)
}

/// Runs a test on each version, [`AT_ONCE`] of them at a time.
pub fn on_each_version(test: impl Fn(&Interpreter) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(interpreter) = interpreters().get(next.fetch_add(1, Ordering::Relaxed)) {
                    test(interpreter);
                }
            });
        }
    });
}

/// Leave to run a program, of which there are [`AT_ONCE`]. A program that has to share its processor is late, and so is pronk.
struct Turn;

static TURNS: Mutex<usize> = Mutex::new(AT_ONCE);
static TURN_ENDED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let turns = TURNS.lock().unwrap();
        *TURN_ENDED.wait_while(turns, |turns| *turns == 0).unwrap() -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.lock().unwrap() += 1;
        TURN_ENDED.notify_one();
    }
}

/// A Python program of these tests, with its arguments.
pub struct Program<'a> {
    interpreter: &'a Interpreter,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl<'a> Program<'a> {
    /// A program in `tests/signal/`.
    pub fn new(interpreter: &'a Interpreter, file: &str, arguments: &[&str]) -> Program<'a> {
        Program::at(interpreter, fixture("signal").join(file), arguments)
    }

    /// A program anywhere.
    pub fn at(interpreter: &'a Interpreter, file: PathBuf, arguments: &[&str]) -> Program<'a> {
        let mut command = vec![interpreter.path.clone().into(), file.into()];
        command.extend(arguments.iter().map(OsString::from));
        Program { interpreter, command, environment: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Program<'a> {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same with one more directory to import from.
    pub fn importing_from(mut self, directory: PathBuf) -> Program<'a> {
        let name = OsString::from("PYTHONPATH");
        let before = self.environment.iter().position(|(known, _)| *known == name);
        let before = before.map(|at| self.environment.swap_remove(at).1);
        let paths = before.iter().flat_map(std::env::split_paths).chain([directory]);
        let paths = std::env::join_paths(paths.collect::<Vec<_>>()).unwrap();
        self.environment.push((name, paths));
        self
    }

    /// The same with a package to import that is not CPython's. `None`, said loudly, where it is not there.
    pub fn with_package(self, package: &str) -> Option<Program<'a>> {
        let version = format!("3.{}", self.interpreter.python.minor);
        let directory = std::env::var_os(PACKAGES_ENV).map(|directory| PathBuf::from(directory).join(version));
        match directory.filter(|directory| directory.join(package).exists()) {
            Some(directory) => Some(self.importing_from(directory)),
            None => {
                // Not by eprintln!: the test harness would keep it to itself unless a test fails.
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "SKIPPED: no {package} for {} in {PACKAGES_ENV}", self.interpreter);
                None
            }
        }
    }

    fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.stdin(Stdio::null()).envs(ENVIRONMENT).envs(self.environment.iter().cloned())
    }

    /// Runs it without pronk.
    pub fn plain(&self) -> Output {
        let place = Place::new();
        let _turn = Turn::take();
        run(self.prepare(Command::new(&self.command[0]).args(&self.command[1..]).current_dir(place.path())))
    }

    /// Runs it under the signal engine.
    pub fn sampled(&self, options: &[&str]) -> Sampled {
        self.sampled_by("signal", options)
    }

    /// Runs it under an engine.
    pub fn sampled_by(&self, engine: &str, options: &[&str]) -> Sampled {
        let options = &[&["--engine", engine], options].concat();
        let (place, output) = self.record_to("x.pronk", options);
        assert!(place.file("x.pronk").exists(), "{self}: {}", text(&output.stderr));
        Sampled { profile: place.read_profile("x.pronk"), output, who: format!("{self} {}", options.join(" ")) }
    }

    /// Runs it under the signal engine, for collapsed stacks.
    pub fn folded(&self, options: &[&str]) -> (Folded, Output) {
        let (place, output) = self.record_to("x.folded", &[&["--engine", "signal"], options].concat());
        assert!(place.file("x.folded").exists(), "{self}: {}", text(&output.stderr));
        (place.folded("x.folded"), output)
    }

    fn record_to(&self, file: &str, options: &[&str]) -> (Place, Output) {
        let place = Place::new();
        let _turn = Turn::take();
        let output = run(self.prepare(&mut place.record_to(file, options, &self.command)));
        (place, output)
    }
}

impl std::fmt::Display for Program<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.command.join(OsStr::new(" ")).display())
    }
}

/// What a program did under the signal engine, and its profile.
pub struct Sampled {
    pub output: Output,
    pub profile: Profile,
    /// The command and pronk's options, for messages.
    pub who: String,
}

impl Sampled {
    /// What the program printed. It has to have ended well.
    pub fn stdout(&self) -> String {
        assert!(self.output.status.success(), "{}: {}", self.who, text(&self.output.stderr));
        text(&self.output.stdout)
    }

    /// Asserts that the program did as it did without pronk.
    pub fn assert_as(&self, plain: &Output) {
        let ending = |output: &Output| (output.status.code(), output.status.signal());
        let said = said_by_program(&self.output);
        assert_eq!(ending(&self.output), ending(plain), "{}: {said}", self.who);
        assert_eq!(text(&self.output.stdout), text(&plain.stdout), "{}: {said}", self.who);
        assert_eq!(said, text(&plain.stderr), "{}", self.who);
    }

    /// Asserts that no sample was lost, and that none was torn for good.
    pub fn assert_whole(&self) {
        let quality = &self.profile.quality;
        assert_eq!((quality.lost, quality.torn, quality.unnamed_stubs), (0, 0, 0), "{}: {quality:#?}", self.who);
    }

    /// The Python functions of each thread's samples, by time.
    pub fn timelines(&self) -> Vec<Vec<Names>> {
        let mut known = HashMap::new();
        let mut timelines = vec![Vec::new(); self.profile.threads.len()];
        for sample in &self.profile.samples {
            let names = known.entry(sample.stack).or_insert_with(|| self.names(sample.stack));
            timelines[sample.thread.index()].push(names.clone());
        }
        timelines
    }

    /// The Python functions of all samples: stacks of names without files.
    pub fn stacks(&self) -> Folded {
        let mut counts: HashMap<Names, u64> = HashMap::new();
        for names in self.timelines().into_iter().flatten() {
            *counts.entry(names).or_default() += 1;
        }
        Folded(counts.into_iter().map(|(names, count)| (names.to_vec(), count)).collect())
    }

    /// The threads that a native function was seen in.
    pub fn threads_with_native(&self, name: &str) -> Vec<ThreadId> {
        let mut threads: Vec<_> = self
            .profile
            .samples
            .iter()
            .filter(|sample| super::python::names(&self.profile, sample.stack).contains(&name))
            .map(|sample| sample.thread)
            .collect();
        threads.sort_unstable_by_key(|thread| thread.index());
        threads.dedup();
        threads
    }

    /// The Python functions of a stack.
    pub fn names(&self, stack: Option<StackId>) -> Names {
        let profile = &self.profile;
        let mut names = Vec::new();
        let mut next = stack;
        while let Some(id) = next {
            let stack = &profile.stacks[id.index()];
            let function = &profile.functions[profile.frames[stack.frame.index()].function.index()];
            if function.category == Category::Python {
                names.push(profile.strings[function.name.index()].clone());
            }
            next = stack.below;
        }
        names.reverse();
        names.into()
    }
}

/// The names of a stack's Python functions, from the root, such as `module.Class.method`.
pub type Names = std::sync::Arc<[String]>;

/// The part of a function's name behind the last dot. Before 3.11 a code object does not know its class, and a function
/// that ran through no stub has no more of a name than this.
pub fn last_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

impl Folded {
    /// Whether functions follow each other so in a stack, the caller first.
    pub fn has_calls(&self, functions: &[&str]) -> bool {
        self.0.iter().any(|(stack, _)| {
            let stack: Vec<&str> = stack.iter().map(|name| last_name(name)).collect();
            stack.windows(functions.len()).any(|calls| calls == functions)
        })
    }
}
