//! Finds the CPython interpreters of this machine.

pub use pronk_overhead::interpreter::{Interpreter, Python};

use anyhow::Result;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// Names the interpreters to use, separated by colons; without it they are looked for.
pub const PYTHONS_ENV: &str = "PRONK_TEST_PYTHONS";

/// Set to 1, it makes a version of CPython that is not found a failure of the tests.
pub const REQUIRE_ALL_ENV: &str = "PRONK_TEST_REQUIRE_ALL";

/// The minor versions of CPython 3 that pronk is for.
pub const MINOR_VERSIONS: std::ops::RangeInclusive<u32> = 9..=15;

fn is_supported(Interpreter { python, .. }: &Interpreter) -> bool {
    python.implementation == "cpython" && !python.free_threaded && MINOR_VERSIONS.contains(&python.minor)
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
    found.retain(is_supported);
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
    for interpreter in found.filter(is_supported) {
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
}
