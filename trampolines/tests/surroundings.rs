//! The agent in difficult surroundings: where CPython has its own evaluator, where files may not grow, and in a program
//! that starts its interpreter again and again.

mod common;

use pronk_bench::interpreter::{Interpreter, interpreters_for_tests};
use pronk_trampolines::wire::{Reader, Record};
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command under the agent.
fn under_agent(command: &mut Command, session: &Path) -> Output {
    command.env("LD_PRELOAD", common::agent()).env("PRONK_SESSION", session).output().unwrap()
}

/// Whether the one registry of a session names a function.
fn names(session: &Path, wanted: &str) -> bool {
    let registry = common::only_registry(session);
    let reader = Reader::new(&registry).unwrap();
    reader.records().any(|Record::Function { function, .. }| function.qualname == wanted.as_bytes())
}

#[test]
fn cpythons_own_support_for_perf_still_works() {
    let with_support = |interpreter: &&Interpreter| interpreter.python.minor >= 12;
    for interpreter in interpreters_for_tests().iter().filter(with_support) {
        for by_option in [false, true] {
            let session = tempfile::tempdir().unwrap();
            let mut command = Command::new(&interpreter.path);
            match by_option {
                true => command.args(["-X", "perf"]),
                false => command.env("PYTHONPERFSUPPORT", "1"),
            };
            command.args(["-c", "import os\ndef found(): print(os.getpid())\nfound()"]);
            let output = under_agent(&mut command, session.path());
            assert!(output.status.success(), "{interpreter}: {output:?}");
            let map = format!("/tmp/perf-{}.map", String::from_utf8(output.stdout).unwrap().trim());
            let names_for_perf = std::fs::read_to_string(&map).unwrap();
            std::fs::remove_file(&map).unwrap();
            assert!(names_for_perf.contains("py::found"), "{interpreter}: {names_for_perf}");
            assert!(names(session.path(), "found"), "{interpreter}");
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_ends_no_program() {
    // SIGXFSZ would: the agent writes its files before CPython ignores that signal.
    for interpreter in interpreters_for_tests() {
        for kib in [0, 8, 32, 64, 100] {
            let session = tempfile::tempdir().unwrap();
            let script = format!("ulimit -f {}; exec \"$0\" -c 'print(1 + 1)'", kib * 2);
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(script).arg(&interpreter.path);
            let output = under_agent(&mut command, session.path());
            assert!(output.status.success(), "{interpreter}, {kib} KiB: {output:?}");
            assert_eq!(output.stdout, b"2\n");
        }
    }
}

#[test]
fn an_interpreter_that_is_started_again_has_stubs_again() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surroundings");
    for interpreter in interpreters_for_tests() {
        let build = tempfile::tempdir().unwrap();
        let program = build.path().join("starts_again");
        let question = "import sys, sysconfig as s; v = s.get_config_var\n\
                        print(v('LDLIBRARY'), v('LIBDIR'), sys.base_prefix, sep='\\n')";
        let answers = Command::new(&interpreter.path).args(["-c", question]).output().unwrap();
        let answers = String::from_utf8(answers.stdout).unwrap();
        let [library, directory, prefix] = answers.lines().collect::<Vec<_>>()[..] else {
            panic!("{interpreter}: {answers}")
        };
        let library = Path::new(directory).join(library);
        if library.extension().is_none_or(|extension| extension != "so") || !library.exists() {
            // An interpreter without its shared library cannot be embedded.
            continue;
        }
        let compiled = Command::new("cc")
            .arg("-o")
            .args([&program, &sources.join("starts_again.c"), &library])
            .arg(format!("-Wl,-rpath,{directory}"))
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{interpreter}: {}", String::from_utf8_lossy(&compiled.stderr));

        let session = tempfile::tempdir().unwrap();
        let output = under_agent(Command::new(&program).env("PYTHONHOME", prefix), session.path());
        assert!(output.status.success(), "{interpreter}: {output:?}");
        // A code object takes two words more: its stub is in co_extra, where the fast path finds it.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "16\n16\n16\n", "{interpreter}");
    }
}
