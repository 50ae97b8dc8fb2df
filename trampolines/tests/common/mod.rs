//! What the tests of the agent share: the agent itself, the interpreters of this machine, and libraries written in C.

#![allow(dead_code, reason = "no test uses all of it")]

#[path = "../../agent_build.rs"]
mod agent_build;

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The versions of CPython that the agent supports: 3.9 to 3.15.
pub const MINOR_VERSIONS: std::ops::RangeInclusive<u8> = 9..=15;

/// Names interpreters to test with, separated by colons, instead of those that are looked for.
const PYTHONS_ENV: &str = "PRONK_TEST_PYTHONS";
/// Set to 1, it makes a version of CPython that is not found a failure.
const REQUIRE_ALL_ENV: &str = "PRONK_TEST_REQUIRE_ALL";
/// Names an agent to test, instead of one that is built from the sources.
const AGENT_ENV: &str = "PRONK_AGENT";

/// An installed CPython 3.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// The executable.
    pub path: PathBuf,
    /// The minor and the micro version: `(13, 0)` for 3.13.0.
    pub version: (u8, u8),
}

impl Interpreter {
    /// Asks an executable what it is. `None` if it does not run, is no CPython 3, or is a free-threaded build.
    fn ask(path: &Path) -> Option<Interpreter> {
        let questions = "import sys; print(sys.executable, *sys.version_info[:3], sys.implementation.name, \
                         't' in sys.abiflags, sep='\\n')";
        let output = Command::new(path).args(["-I", "-S", "-c", questions]).output().ok()?;
        let answers = String::from_utf8(output.stdout).ok()?;
        match answers.lines().collect::<Vec<_>>()[..] {
            [executable, "3", minor, micro, "cpython", "False"] => {
                Some(Interpreter { path: executable.into(), version: (minor.parse().ok()?, micro.parse().ok()?) })
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CPython 3.{}.{} ({})", self.version.0, self.version.1, self.path.display())
    }
}

/// One interpreter for each supported version that this machine has. Says on stderr which versions it has not.
///
/// # Panics
/// When there is no interpreter at all, or one is missing and `PRONK_TEST_REQUIRE_ALL` is 1.
pub fn interpreters() -> Vec<Interpreter> {
    let candidates = match env::var_os(PYTHONS_ENV) {
        Some(paths) => env::split_paths(&paths).collect(),
        None => likely_interpreters(),
    };
    let mut found: Vec<Interpreter> = Vec::new();
    for interpreter in candidates.iter().filter_map(|path| Interpreter::ask(path)) {
        let minor = interpreter.version.0;
        if MINOR_VERSIONS.contains(&minor) && found.iter().all(|other| other.version.0 != minor) {
            found.push(interpreter);
        }
    }
    found.sort_by_key(|interpreter| interpreter.version);

    let missing: Vec<String> = MINOR_VERSIONS
        .filter(|&minor| found.iter().all(|interpreter| interpreter.version.0 != minor))
        .map(|minor| format!("3.{minor}"))
        .collect();
    if !missing.is_empty() {
        let message = format!(
            "SKIPPED: no interpreter for CPython {}. Name some in {PYTHONS_ENV}, separated by colons.",
            missing.join(", ")
        );
        assert!(env::var_os(REQUIRE_ALL_ENV).is_none_or(|value| value != "1"), "{message}");
        assert!(!found.is_empty(), "{message}");
        // Not by eprintln!: the test harness would keep it to itself unless a test fails.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{message}").unwrap();
    }
    found
}

/// Where interpreters usually are: `python3` of the search path, those of pyenv, and those that the project's own
/// script fetches.
fn likely_interpreters() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(home) = env::home_dir() {
        let entries = |directory: &str| {
            let directory = std::fs::read_dir(home.join(directory)).into_iter().flatten();
            let mut paths: Vec<PathBuf> = directory.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            paths
        };
        paths.extend(entries(".pyenv/versions").iter().map(|version| version.join("bin/python3")));
        paths.extend(entries(".cache/extra-pythons/bin"));
    }
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")) && path.is_file()
    });
    paths.push("python3".into());
    paths
}

/// The agent: built when it is first asked for, the way that the command builds the one it carries.
///
/// # Panics
/// When it cannot be built.
pub fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        if let Some(path) = env::var_os(AGENT_ENV) {
            return path.into();
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent");
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        agent_build::build_agent(env!("CARGO").as_ref(), package, None, &directory)
    })
}

/// Compiles C text to a shared library with the C compiler (`$CC`, else `cc`).
///
/// # Panics
/// When it cannot be compiled.
pub fn compile_library(source: &Path, library: &Path) {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([library, source])
        .arg("-ldl")
        .status()
        .unwrap_or_else(|error| panic!("{} runs: {error}", compiler.display()));
    assert!(status.success(), "{} is compiled: {status}", source.display());
}

/// The bytes of the one registry in a session's directory.
///
/// # Panics
/// When there is none, or more than one.
pub fn only_registry(session: &Path) -> Vec<u8> {
    let mut registries = std::fs::read_dir(session).unwrap().map(|entry| entry.unwrap().path());
    let registry = registries.next().expect("the session has a registry");
    assert!(registries.next().is_none(), "the session has one registry");
    std::fs::read(registry).unwrap()
}
