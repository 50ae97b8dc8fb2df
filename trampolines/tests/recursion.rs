//! A program recurses as deep under the agent as without it.
//!
//! What CPython's hook changes: every call takes C stack, and on 3.12 and 3.13 two of the thread's C recursion (which is
//! 1,500 in 3.12.0 - 3.12.2). `python/recursion.rs` says what the agent does about it.

mod common;

use pronk_bench::interpreter::interpreters_for_tests;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the script with the recursion limit raised to `limit`, under the agent if there is a session.
fn run(python: &Path, limit: u32, session: Option<&Path>) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recursion/recursion.py");
    let mut command = Command::new(python);
    command.arg(script).arg(limit.to_string());
    if let Some(session) = session {
        command.env("LD_PRELOAD", common::agent()).env("PRONK_SESSION", session);
    }
    command.output().unwrap()
}

#[test]
fn recursion_is_as_deep_as_without_stubs() {
    for interpreter in interpreters_for_tests() {
        // Up to 3.10 every Python call takes C stack anyway: 8 MiB are enough for this many.
        let limit = if interpreter.python.minor <= 10 { 8_000 } else { 20_000 };
        let session = tempfile::tempdir().unwrap();
        let plain = run(&interpreter.path, limit, None);
        let stubs = run(&interpreter.path, limit, Some(session.path()));
        assert!(plain.status.success(), "{interpreter} cannot run the script at all: {plain:?}");
        assert_eq!(stubs.status, plain.status, "{interpreter}: {}", String::from_utf8_lossy(&stubs.stderr));
        assert_eq!(String::from_utf8_lossy(&stubs.stdout), String::from_utf8_lossy(&plain.stdout), "{interpreter}");

        let registry = common::only_registry(session.path());
        let reader = pronk_trampolines::wire::Reader::new(&registry).unwrap();
        assert_eq!(reader.status(), Some(pronk_trampolines::wire::Status::Running), "{interpreter}");
        // The deep part of each descent is one stop.
        assert!((1..500).contains(&reader.deep_stops()), "{interpreter}: {} stops", reader.deep_stops());
    }
}
