//! A Python program does the same under `pronk record` as without: output, status, and all that it sees of itself.
//!
//! Each program in `unnoticed/` prints what it sees. What it prints under pronk must be what it prints without.

mod common;

use common::python::{fixture, interpreters, said_by_program};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

/// The environment of both runs: the same order of sets, and nothing left behind.
const ENVIRONMENT: [(&str, &str); 2] = [("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")];

/// The kernel samples from outside, and functions run through stubs.
const PERF: &[&str] = &["--engine", "perf"];
/// A handler in the program samples, without stubs.
const SIGNAL: &[&str] = &["--engine", "signal"];

/// A handler in the program samples, and takes stubs in and out all the time.
const WINDOWED: &[&str] = &["--budget", "10"];

/// Runs a Python program plain and under pronk.
fn twice(interpreter: &Interpreter, engine: &[&str], arguments: &[&str]) -> (Output, Output) {
    let place = Place::new();
    let mut command = vec![interpreter.path.clone().into_os_string()];
    command.extend(arguments.iter().map(Into::into));
    let plain = run(Command::new(&command[0])
        .args(&command[1..])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .envs(ENVIRONMENT));
    let mut pronk = place.record_to("out.pronk", engine, &command);
    let profiled = run(pronk.stdin(Stdio::null()).envs(ENVIRONMENT));
    assert!(place.file("out.pronk").exists(), "{interpreter} {arguments:?}: {}", text(&profiled.stderr));
    (plain, profiled)
}

/// A text without addresses, which differ each time.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result += "0x";
        result += part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
    }
    result
}

/// The first line in which two texts differ.
fn difference(plain: &str, profiled: &str) -> Option<String> {
    let (plain, profiled) = (without_addresses(plain), without_addresses(profiled));
    if plain == profiled {
        return None;
    }
    let (mut left, mut right) = (plain.lines(), profiled.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some("only the end of the last line differs".to_owned()),
            (left, right) if left != right => return Some(format!("  plain: {left:?}\n  pronk: {right:?}")),
            _ => {}
        }
    }
}

/// What is not the same in the two runs. A core dump is not compared: pronk leaves it to the program.
fn differences(interpreter: &Interpreter, engine: &[&str], arguments: &[&str]) -> Vec<String> {
    let (plain, profiled) = twice(interpreter, engine, arguments);
    let mut found = Vec::new();
    let ending = |output: &Output| (output.status.code(), output.status.signal());
    if ending(&plain) != ending(&profiled) {
        found.push(format!("status {} is {} under pronk", plain.status, profiled.status));
    }
    found.extend(difference(&text(&plain.stdout), &text(&profiled.stdout)));
    found.extend(difference(&said_by_program(&plain), &said_by_program(&profiled)));
    found.into_iter().map(|found| format!("{interpreter} {engine:?} {arguments:?}: {found}")).collect()
}

/// Runs a program with each set of arguments on each version in each way, and tells of every difference.
fn assert_unnoticed(program: &str, variants: &[&[&str]]) {
    assert_unnoticed_on(|_, _| true, program, variants);
}

/// The same on those versions, by their minor number, and in those ways that are wanted.
fn assert_unnoticed_on(wanted: impl Fn(u32, &[&str]) -> bool, program: &str, variants: &[&[&str]]) {
    let Some(interpreters) = interpreters() else { return };
    let program = fixture(program);
    let mut found = Vec::new();
    let all = interpreters.iter().flat_map(|interpreter| [PERF, SIGNAL, WINDOWED].map(|engine| (interpreter, engine)));
    for (interpreter, engine) in all.filter(|(interpreter, engine)| wanted(interpreter.python.minor, engine)) {
        for variant in variants {
            found.extend(differences(interpreter, engine, &[&[program.to_str().unwrap()], *variant].concat()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn programs_end_as_without() {
    assert_unnoticed(
        "unnoticed/endings.py",
        &[
            &["uncaught_exception"],
            &["chained_exceptions"],
            &["syntax_error"],
            &["exit_with_3"],
            &["exit_with_text"],
            &["exit_at_once"],
            &["abort"],
            &["kill_itself"],
            &["interrupt_itself"],
            &["segmentation_fault"],
            &["bus_error"],
            &["faults_that_are_sent"],
            &["dump_traceback"],
            &["fork_and_wait"],
            &["fork_without_exec_and_fail"],
            &["execv"],
            &["recursion_error"],
        ],
    );
}

#[test]
fn threads_and_handlers_at_exit_are_as_without() {
    assert_unnoticed(
        "unnoticed/endings.py",
        &[&["threads"], &["thread_exits_by_itself"], &["thread_outlives_main"], &["handlers_at_exit"], &["unraisable"]],
    );
}

#[test]
fn daemon_threads_at_exit_are_as_without() {
    // CPython 3.10 has a fault of its own there: a daemon thread that waits for the interpreter's lock may get it once the
    // interpreter's state is gone (take_gil in Python/ceval_gil.h). Plain runs crash, too: 2 of 600 on a loaded machine.
    assert_unnoticed_on(|minor, _| minor != 10, "unnoticed/endings.py", &[&["daemons_at_exit"]]);
}

#[test]
fn recursion_is_as_deep_as_without() {
    assert_unnoticed("unnoticed/recursion.py", &[&[]]);
}

#[test]
fn deep_recursion_under_a_raised_limit_works() {
    let Some(interpreters) = interpreters() else { return };
    // Until 3.10 every call of a Python function takes C stack without pronk, too.
    for interpreter in interpreters.iter().filter(|interpreter| interpreter.python.minor >= 11) {
        let program = fixture("unnoticed/recursion.py");
        for engine in [PERF, SIGNAL] {
            let found = differences(interpreter, engine, &[program.to_str().unwrap(), "100000"]);
            assert!(found.is_empty(), "{}", found.join("\n"));
        }
    }
}

#[test]
fn tracing_is_as_without() {
    assert_unnoticed("unnoticed/tracing.py", &[&[]]);
}

#[test]
fn frames_and_locals_are_as_without() {
    assert_unnoticed("unnoticed/frames.py", &[&[]]);
}

#[test]
fn memory_and_objects_are_as_without() {
    // In a window a function can be seen for the first time, which takes it a block, at any moment.
    assert_unnoticed_on(|_, engine| engine != WINDOWED, "unnoticed/memory.py", &[&[]]);
}

#[test]
fn signals_are_as_without() {
    assert_unnoticed("unnoticed/signals.py", &[&[]]);
}

#[test]
fn the_surroundings_are_as_without() {
    assert_unnoticed("unnoticed/surroundings.py", &[&["a b", "--", "-F", ""]]);
}

#[test]
fn two_environment_variables_are_added() {
    let Some(interpreters) = interpreters() else { return };
    for interpreter in interpreters {
        let program = fixture("unnoticed/environment.py");
        let (plain, profiled) = twice(interpreter, SIGNAL, &[program.to_str().unwrap()]);
        let (plain, profiled) = (text(&plain.stdout), text(&profiled.stdout));
        let added: Vec<&str> = profiled.lines().filter(|name| !plain.lines().any(|line| line == *name)).collect();
        assert_eq!(added, ["LD_PRELOAD", "PRONK_SESSION"], "{interpreter}");
        assert_eq!(profiled.lines().count(), plain.lines().count() + 2, "{interpreter}");
    }
}

#[test]
fn a_hundred_megabytes_arrive_whole() {
    let Some(interpreters) = interpreters() else { return };
    let script = "import sys\nfor number in range(2000):\n    sys.stdout.write(('%d ' % number) * 13107 + '\\n')";
    for interpreter in interpreters {
        let (plain, profiled) = twice(interpreter, SIGNAL, &["-c", script]);
        assert!(plain.stdout.len() > 100_000_000, "{} bytes", plain.stdout.len());
        assert!(plain.stdout == profiled.stdout, "{interpreter}: the output differs");
    }
}

/// What a program can see of any evaluation function, by CPython's making, and of ours. Each one is here as it is, so
/// that one more is noticed, and one less.
///
/// - The size of a code object includes its co_extra (`code_sizeof` in `Objects/codeobject.c`): two words.
/// - On 3.11 and 3.12 a call that is not inlined leaves `f_lasti` at the instruction, and not at the end of its cache
///   (`CALL_PY_EXACT_ARGS` in `Python/ceval.c` and `Python/bytecodes.c`). The line is the same.
/// - From 3.12 to 3.14 a coroutine that awaits another one runs it within its own evaluation, without an exception at its
///   end, only if there is no evaluation function (`SEND` in `Python/bytecodes.c`). A trace function sees the
///   StopIteration, as it does up to 3.11.
#[test]
fn what_is_different_is_known() {
    let Some(interpreters) = interpreters() else { return };
    for interpreter in interpreters {
        let program = fixture("unnoticed/known_differences.py");
        let (plain, profiled) = twice(interpreter, PERF, &[program.to_str().unwrap()]);
        let (_, without_stubs) = twice(interpreter, &["--stubs", "off"], &[program.to_str().unwrap()]);
        assert_eq!(text(&without_stubs.stdout), text(&plain.stdout), "{interpreter}: without stubs nothing is");
        let value = |output: &Output, name: &str| {
            let said = text(&output.stdout);
            let line = said.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
            line.unwrap_or_else(|| panic!("{interpreter}: {}", text(&output.stderr)))
        };
        let number = |output: &Output, name: &str| value(output, name).parse::<i64>().unwrap();
        let minor = interpreter.python.minor;
        assert_eq!(number(&profiled, "size") - number(&plain, "size"), 16, "{interpreter}");
        let moved = number(&plain, "f_lasti") - number(&profiled, "f_lasti");
        let cache = [(11, 8), (12, 6)].iter().find(|(version, _)| *version == minor).map_or(0, |(_, bytes)| *bytes);
        assert_eq!(moved, cache, "{interpreter}");
        let stop = "('ask', 'StopIteration')";
        let expected = if (12..=14).contains(&minor) { format!("[{stop}, {stop}]") } else { format!("[{stop}]") };
        assert_eq!(value(&plain, "exceptions"), format!("[{stop}]"), "{interpreter}");
        assert_eq!(value(&profiled, "exceptions"), expected, "{interpreter}");
    }
}

/// Modules of CPython's own tests: of what the hook is in the middle of, quick, and with the same result each time.
const REGRESSION_TESTS: [&str; 8] = [
    "test_generators",
    "test_coroutines",
    "test_exceptions",
    "test_super",
    "test_call",
    "test_scope",
    "test_contextlib",
    "test_with",
];

/// The last lines of a run of CPython's tests, which say how many there were and what went wrong, without the time.
fn results(output: &Output) -> Vec<String> {
    let telling = ["FAIL:", "ERROR:", "OK", "FAILED", "Ran "];
    let said = text(&output.stderr);
    let lines = said.lines().filter(|line| telling.iter().any(|start| line.starts_with(start)));
    lines.map(|line| line.split(" in ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn cpythons_own_tests_have_the_same_results() {
    let Some(interpreters) = interpreters() else { return };
    let mut wrong = Vec::new();
    for interpreter in interpreters {
        let there = run(Command::new(&interpreter.path).args(["-c", "import test.support, test.test_call"]));
        if !there.status.success() {
            // Not by eprintln!: the test harness would keep it to itself unless a test fails.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "SKIPPED: {interpreter} comes without CPython's own tests");
            continue;
        }
        for module in REGRESSION_TESTS {
            let name = format!("test.{module}");
            for engine in [PERF, SIGNAL] {
                let (plain, profiled) = twice(interpreter, engine, &["-m", "unittest", &name]);
                let (expected, actual) = (results(&plain), results(&profiled));
                assert!(expected.iter().any(|line| line.starts_with("Ran ")), "{interpreter}: {}", text(&plain.stderr));
                if actual != expected || profiled.status != plain.status {
                    wrong.push(format!("{interpreter} {engine:?} {module}: {actual:?} instead of {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
