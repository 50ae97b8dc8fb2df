//! Each call that goes through a stub is counted, once: in every kind of callable, in threads, forks and interpreters, and
//! in a program that is killed.

mod common;

use common::python::fixture;
use common::signal::{Program, Sampled, last_name, on_each_version};
use common::{Place, text};
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::Counting;
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;

/// Runs a program of these tests with stubs, under each engine that there is leave to use here.
fn on_each_engine(interpreter: &Interpreter, program: &str, test: impl Fn(&Sampled)) {
    let program = Program::at(interpreter, fixture("counts").join(program), &[]);
    test(&program.sampled_by("signal", &["--stubs", "full"]));
    if Place::for_recording().is_some() {
        test(&program.sampled_by("perf", &[]));
    }
}

/// How often the program's own functions of a name were called, by the part of the name behind the last dot.
fn calls(sampled: &Sampled, name: &str) -> u64 {
    let profile = &sampled.profile;
    let string = |id: pronk_symbolizer::profile::StringId| profile.strings[id.index()].as_str();
    let counted = profile.calls.iter().filter(|calls| {
        let function = &profile.functions[calls.function.index()];
        let is_ours = function.file.is_some_and(|file| string(file).contains("tests/counts/"));
        last_name(string(function.name)) == name && is_ours
    });
    counted.map(|calls| calls.count).sum()
}

fn assert_exact(sampled: &Sampled) {
    let quality = &sampled.profile.quality;
    assert_eq!(quality.counting, Counting::Exact, "{}: {quality:#?}", sampled.who);
}

fn assert_calls(sampled: &Sampled, expected: &[(&str, u64)]) {
    for (name, times) in expected {
        assert_eq!(calls(sampled, name), *times, "{}: {name}", sampled.who);
    }
}

#[test]
fn each_kind_of_callable_is_counted() {
    on_each_version(|interpreter| {
        on_each_engine(interpreter, "kinds.py", |sampled| {
            let entries: HashMap<String, u64> = serde_json::from_str(&sampled.stdout()).unwrap();
            assert!(entries.len() > 30, "{entries:?}");
            let counted: HashMap<String, u64> =
                entries.keys().map(|name| (name.clone(), calls(sampled, name))).collect();
            let wrong: Vec<_> = entries
                .iter()
                .filter(|(name, times)| counted[*name] != **times && !is_led_round(interpreter, name))
                .map(|(name, times)| format!("{name}: {} instead of {times}", counted[name]))
                .collect();
            assert!(wrong.is_empty(), "{}:\n{}", sampled.who, wrong.join("\n"));
            if is_led_round(interpreter, "__init__") {
                let times = counted["__init__"];
                assert!((1..100).contains(&times), "{}: {times} of 500 before it is specialized", sampled.who);
            }
            assert_exact(sampled);
            assert_marked(interpreter, sampled);
        });
    });
}

/// 3.13 runs `__init__` without asking for a hook once it has specialized the call (`CALL_ALLOC_AND_ENTER_INIT`,
/// Python/bytecodes.c).
fn is_led_round(interpreter: &Interpreter, name: &str) -> bool {
    name == "__init__" && interpreter.python.minor == 13
}

/// Generators and coroutines are marked as such, and so is what may have had more calls. Nothing else is.
fn assert_marked(interpreter: &Interpreter, sampled: &Sampled) {
    const RESUME: [&str; 9] =
        ["generator", "<genexpr>", "catches", "pause", "coroutine", "many_values", "consumes", "task", "run_tasks"];
    let profile = &sampled.profile;
    for calls in &profile.calls {
        let function = &profile.functions[calls.function.index()];
        let name = profile.strings[function.name.index()].as_str();
        if function.file.is_some_and(|file| profile.strings[file.index()].ends_with("kinds.py")) {
            let expected = (RESUME.contains(&last_name(name)), is_led_round(interpreter, last_name(name)));
            assert_eq!((calls.resumes, calls.at_least), expected, "{}: {name}", sampled.who);
        }
    }
}

#[test]
fn threads_lose_no_call() {
    on_each_version(|interpreter| {
        on_each_engine(interpreter, "threads.py", |sampled| {
            assert!(sampled.output.status.success());
            assert_calls(sampled, &[("shared", 160_000), ("call", 8)]);
            assert_exact(sampled);
        });
    });
}

#[test]
fn each_process_counts_its_own_calls() {
    on_each_version(|interpreter| {
        on_each_engine(interpreter, "forks.py", |sampled| {
            assert!(sampled.output.status.success(), "{}", text(&sampled.output.stderr));
            let (shared, unknown) = if cfg!(target_arch = "x86_64") { (20_000, 8) } else { (0, 0) };
            let expected = [
                ("shared", 1_243 + shared),
                ("childs", 136),
                ("grandchilds", 6),
                ("parents", 7),
                ("unknown_to_c", unknown),
            ];
            assert_calls(sampled, &expected);
            assert_exact(sampled);
        });
    });
}

#[test]
fn what_was_counted_outlives_the_program() {
    on_each_version(|interpreter| {
        on_each_engine(interpreter, "killed.py", |sampled| {
            assert_eq!(sampled.output.status.signal(), Some(libc::SIGKILL), "{}", text(&sampled.output.stderr));
            assert_calls(sampled, &[("work", 12_345)]);
            assert_exact(sampled);
        });
    });
}

#[test]
fn interpreters_with_locks_of_their_own_lose_no_call() {
    on_each_version(|interpreter| {
        // PEP 684.
        if interpreter.python.minor < 12 {
            return;
        }
        on_each_engine(interpreter, "interpreters.py", |sampled| {
            assert!(sampled.output.status.success(), "{}", text(&sampled.output.stderr));
            assert_calls(sampled, &[("shared", 400_000), ("work", 4)]);
            // Up to 3.12 its code object is one that all interpreters share.
            let split = calls_in(sampled, "posixpath", "split");
            assert!((400_000..400_100).contains(&split), "{}: {split}", sampled.who);
            assert_exact(sampled);
        });
    });
}

/// How often a function of a module was called.
fn calls_in(sampled: &Sampled, module: &str, name: &str) -> u64 {
    let profile = &sampled.profile;
    let wanted = format!("{module}.{name}");
    let named = profile
        .calls
        .iter()
        .filter(|calls| profile.strings[profile.functions[calls.function.index()].name.index()] == wanted);
    named.map(|calls| calls.count).sum()
}

#[test]
fn calls_that_are_missing_are_said_to_be() {
    on_each_version(|interpreter| {
        // Before, a recursion needs as much of the C stack without stubs.
        if interpreter.python.minor < 11 {
            return;
        }
        on_each_engine(interpreter, "deep.py", |sampled| {
            assert!(sampled.output.status.success(), "{}", text(&sampled.output.stderr));
            let times = calls(sampled, "down");
            assert!((1..60_001).contains(&times), "{}: {times}", sampled.who);
            let quality = &sampled.profile.quality;
            assert_eq!((quality.counting, quality.deep_stops > 0), (Counting::Incomplete, true), "{}", sampled.who);
            let said = text(&sampled.output.stderr);
            assert!(said.contains("were counted; some are missing (pronk report --calls)"), "{said}");
        });
    });
}

#[test]
fn nothing_is_counted_without_stubs() {
    on_each_version(|interpreter| {
        let program = Program::at(interpreter, fixture("counts").join("threads.py"), &[]);
        let sampled = program.sampled(&["--stubs", "off"]);
        assert_eq!((sampled.profile.quality.counting, sampled.profile.calls.len()), (Counting::Not, 0));
        assert!(!text(&sampled.output.stderr).contains("were counted"), "{}", sampled.who);
    });
}
