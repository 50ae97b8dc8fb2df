//! Finds the CPython interpreters of this machine.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the interpreters to use, separated by colons; without it they are looked for.
pub const PYTHONS_ENV: &str = "PRONK_TEST_PYTHONS";

/// Set to 1, it makes a version of CPython that is not found a failure of the tests.
pub const REQUIRE_ALL_ENV: &str = "PRONK_TEST_REQUIRE_ALL";

/// The minor versions of CPython 3 that pronk is for.
pub const MINOR_VERSIONS: std::ops::RangeInclusive<u32> = 9..=15;

/// What an interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The version, such as `3.13.0`.
    pub version: String,
    /// The version's middle number.
    pub minor: u32,
    /// The version's last number.
    pub micro: u32,
    /// `cpython` or another implementation.
    pub implementation: String,
    /// The compiler that built it.
    pub compiler: String,
    /// Whether it uses a shared libpython.
    pub shared: bool,
    /// Whether it is built without the global lock.
    pub free_threaded: bool,
}

/// An interpreter that can be run.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// The program.
    pub path: PathBuf,
    /// What it says of itself.
    pub python: Python,
}

#[derive(Deserialize)]
struct Answer {
    /// The program itself: what was asked may be a version manager's script.
    executable: PathBuf,
    #[serde(flatten)]
    python: Python,
}

const DESCRIBE: &str = "\
import json, platform, sys, sysconfig
maps = open('/proc/self/maps').read()
print(json.dumps({
    'executable': sys.executable,
    'version': platform.python_version(),
    'minor': sys.version_info[1],
    'micro': sys.version_info[2],
    'implementation': sys.implementation.name,
    'compiler': platform.python_compiler(),
    'shared': 'libpython3' in maps,
    'free_threaded': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
}))";

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPython {} ({})", self.python.version, self.path.display())
    }
}

impl Interpreter {
    /// Asks a program what it is.
    ///
    /// # Errors
    /// When it does not start, or does not answer as a Python does.
    pub fn ask(path: &Path) -> Result<Interpreter> {
        let output = Command::new(path)
            .args(["-I", "-c", DESCRIBE])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} does not start", path.display()))?;
        if !output.status.success() {
            bail!("{} ended with {}: it is not a Python that works", path.display(), output.status);
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} does not answer as Python 3 does", path.display()))?;
        Ok(Interpreter { path: answer.executable, python: answer.python })
    }

    fn is_supported(&self) -> bool {
        let python = &self.python;
        python.implementation == "cpython" && !python.free_threaded && MINOR_VERSIONS.contains(&python.minor)
    }
}

/// The interpreters to measure with: those that [`PYTHONS_ENV`] names, else the newest one of each supported version
/// that is found, from the oldest version to the newest.
///
/// # Errors
/// When an interpreter that is named does not work.
pub fn find() -> Result<Vec<Interpreter>> {
    match env::var_os(PYTHONS_ENV) {
        Some(named) => env::split_paths(&named).map(|path| Interpreter::ask(&path)).collect(),
        None => Ok(newest_of_each(candidates().iter().filter_map(|path| Interpreter::ask(path).ok()))),
    }
}

/// The interpreters to test with: those of [`find`] that pronk is for. Says on stderr which versions are missing.
///
/// # Panics
/// When an interpreter that is named does not work, when there is none at all, or when a version is missing and
/// [`REQUIRE_ALL_ENV`] is 1.
pub fn interpreters_for_tests() -> Vec<Interpreter> {
    let mut found = find().unwrap_or_else(|error| panic!("{PYTHONS_ENV}: {error:#}"));
    found.retain(Interpreter::is_supported);
    let missing = missing(&found);
    if !missing.is_empty() {
        let message =
            format!("SKIPPED: there is no CPython {missing} here. Name some in {PYTHONS_ENV}, separated by colons.");
        assert!(env::var_os(REQUIRE_ALL_ENV).is_none_or(|value| value != "1"), "{message}");
        assert!(!found.is_empty(), "{message}");
        // Not by eprintln!: the test harness would keep it to itself unless a test fails. Where stderr is closed, nobody
        // can be told.
        let _ = writeln!(std::io::stderr(), "{message}");
    }
    found
}

/// The supported versions that are not among the interpreters, in words.
fn missing(found: &[Interpreter]) -> String {
    let versions = MINOR_VERSIONS.filter(|&minor| found.iter().all(|interpreter| interpreter.python.minor != minor));
    versions.map(|minor| format!("3.{minor}")).collect::<Vec<_>>().join(", ")
}

fn newest_of_each(found: impl Iterator<Item = Interpreter>) -> Vec<Interpreter> {
    let mut newest: BTreeMap<u32, Interpreter> = BTreeMap::new();
    for interpreter in found.filter(Interpreter::is_supported) {
        match newest.get(&interpreter.python.minor) {
            Some(other) if other.python.micro >= interpreter.python.micro => {}
            _ => drop(newest.insert(interpreter.python.minor, interpreter)),
        }
    }
    newest.into_values().collect()
}

/// Every program that may be an interpreter: on the search path, of pyenv, and of `~/.cache/extra-pythons`.
fn candidates() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    if let Some(home) = env::var_os("HOME").map(PathBuf::from) {
        directories.push(home.join(".cache/extra-pythons/bin"));
        let pyenv = env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
        let versions = fs::read_dir(pyenv.join("versions")).into_iter().flatten().flatten();
        directories.extend(versions.map(|version| version.path().join("bin")));
    }
    let names: Vec<String> =
        MINOR_VERSIONS.map(|minor| format!("python3.{minor}")).chain(["python3".to_owned()]).collect();
    let mut found: Vec<PathBuf> = directories
        .iter()
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
        .filter(|path| path.is_file())
        .collect();
    let mut seen = std::collections::HashSet::new();
    // Links to the same program are asked once. Shims of version managers are scripts, and decide by name.
    found.retain(|path| fs::canonicalize(path).is_ok_and(|real| seen.insert(real)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(minor: u32, micro: u32) -> Interpreter {
        let python = Python {
            version: format!("3.{minor}.{micro}"),
            minor,
            micro,
            implementation: "cpython".into(),
            compiler: String::new(),
            shared: false,
            free_threaded: false,
        };
        Interpreter { path: PathBuf::new(), python }
    }

    #[test]
    fn of_each_version_the_newest_is_used() {
        let found = [interpreter(13, 1), interpreter(9, 18), interpreter(13, 4), interpreter(13, 0)];
        let versions: Vec<String> = newest_of_each(found.into_iter()).into_iter().map(|i| i.python.version).collect();
        assert_eq!(versions, ["3.9.18", "3.13.4"]);
    }

    #[test]
    fn other_implementations_and_versions_are_left_out() {
        let mut pypy = interpreter(10, 0);
        pypy.python.implementation = "pypy".into();
        let mut free_threaded = interpreter(14, 0);
        free_threaded.python.free_threaded = true;
        assert!(newest_of_each([pypy, free_threaded, interpreter(8, 9), interpreter(99, 0)].into_iter()).is_empty());
    }

    #[test]
    fn versions_that_are_missing_are_named() {
        let all: Vec<Interpreter> = MINOR_VERSIONS.map(|minor| interpreter(minor, 0)).collect();
        assert_eq!(missing(&all), "");
        assert_eq!(missing(&all[1..5]), "3.9, 3.14, 3.15");
    }

    #[test]
    fn what_is_no_python_is_told() {
        let error = Interpreter::ask(Path::new("/bin/true")).expect_err("true is not Python").to_string();
        assert!(error.contains("/bin/true"), "{error}");
    }
}
