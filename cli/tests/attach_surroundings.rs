//! Processes to which the kernel, the C library or their files give less than usual, and those with several interpreters,
//! are attached to all the same, or it is said what is missing.

mod common;

use common::python::{Folded, fixture};
use common::running::Running;
use common::signal::{interpreters, on_each_version};
use common::{Place, run, text, until};
use pronk_bench::interpreter::Interpreter;
use serde_json::Value;
use std::process::{Command, Output};

/// One version has to do where the interpreter does not matter.
fn any_interpreter() -> &'static Interpreter {
    &interpreters()[interpreters().len() / 2]
}

fn recorded(place: &Place, running: &Running, options: &[&str]) -> (Folded, String) {
    let output = run(&mut running.record(place, options));
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    (place.folded("x.folded"), said)
}

fn dump(place: &Place, pid: u32, options: &[&str]) -> Output {
    run(&mut place.pronk(["dump", "--pid", &pid.to_string()].iter().chain(options)))
}

/// Whether a thread has a frame of a function, by its plain name.
fn runs(thread: &Value, function: &str) -> bool {
    let frames = thread["frames"].as_array().unwrap().iter();
    frames.filter_map(|frame| frame["function"].as_str()).any(|name| name.rsplit('.').next() == Some(function))
}

#[test]
fn every_interpreter_of_a_process_is_sampled() {
    on_each_version(|interpreter| {
        let mut running = Running::python(interpreter, "attach/interpreters.py", &["churn"]);
        let before = running.traces();
        let place = Place::new();
        // Up to 3.11 a thread is seen in an interpreter that it went into only while it runs there, which those that wait
        // for each other's lock seldom do.
        let functions = ["main", "in_busy", "in_idle", "in_short"];
        let surely = if interpreter.python.minor < 12 { &functions[..1] } else { &functions };
        for _ in 0..2 {
            let (folded, said) = recorded(&place, &running, &["--mode", "wall", "--duration", "1"]);
            for function in surely {
                assert!(folded.of(function) > 0, "{interpreter}, {function}: {said}{folded:#?}");
            }
            running.assert_left_as(&before);
            running.goes_on();
        }
        until("samples of all interpreters while they run", || {
            let (folded, _) = recorded(&place, &running, &["--duration", "1"]);
            functions.iter().all(|function| folded.of(function) > 0).then_some(())
        });
        // Whatever the interpreters that come and go are at just then.
        until("both interpreters that stay in a dump", || {
            let output = dump(&place, running.pid(), &["--json"]);
            assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
            let dump: Value = serde_json::from_slice(&output.stdout).unwrap();
            let threads = dump["threads"].as_array().unwrap();
            let found = |function| threads.iter().any(|thread| runs(thread, function));
            (found("in_busy") && found("in_idle")).then_some(())
        });
        running.goes_on();
    });
}

#[test]
fn a_process_under_a_filter_of_system_calls_is_sampled_or_it_is_said_what_is_missing() {
    let sandboxed = |refused: &str| Running::python(any_interpreter(), "attach/sandbox.py", &[refused]);
    let place = Place::new();
    let running = sandboxed("perf_event_open,ptrace");
    let before = running.traces();
    let (folded, said) = recorded(&place, &running, &["--duration", "0.4"]);
    assert!(folded.of("burn") > 10, "{said}");
    running.assert_left_as(&before);
    assert!(text(&dump(&place, running.pid(), &[]).stdout).contains("__main__.burn"));

    // Nothing is left that could bring a signal.
    let running = sandboxed("perf_event_open,timer_create");
    let (_, said) = recorded(&place, &running, &["--duration", "0.1"]);
    assert!(said.contains("could not be sampled") && said.contains("seccomp"), "{said}");
    running.assert_left_as(&before);

    let mut running = sandboxed("openat");
    let output = run(&mut running.record(&place, &[]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Operation not permitted; a filter of system calls (seccomp) is in force in it"), "{said}");
    assert!(running.is_alive());
}

#[test]
fn a_profiler_under_a_filter_of_system_calls_says_what_is_refused() {
    let mut running = Running::in_state(any_interpreter(), "burning");
    let place = Place::new();
    let pronk = |arguments: &[&str]| {
        let mut command = Command::new(&any_interpreter().path);
        command.arg(fixture("attach/sandbox.py")).args(["ptrace,perf_event_open", env!("CARGO_BIN_EXE_pronk")]);
        run(command.args(arguments).args(["--pid", &running.pid().to_string()]).current_dir(place.path()))
    };
    let output = pronk(&["record"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("(seccomp) refuses ptrace to pronk itself") && said.contains("--cap-add SYS_PTRACE"),
        "{said}"
    );
    // Reading does not need it.
    let output = pronk(&["dump"]);
    let said = text(&output.stderr);
    assert!(said.contains("(seccomp) refuses to stop it") && text(&output.stdout).contains("__main__.burn"), "{said}");
    assert!(running.is_alive());
}

#[test]
fn a_process_with_musl_is_refused() {
    let place = Place::new();
    let program = place.file("musl");
    let compiled =
        Command::new("musl-gcc").args(["-rdynamic", "-o"]).arg(&program).arg(fixture("attach/musl.c")).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("PRONK_TEST_REQUIRE_ALL").is_none(), "musl-gcc is needed: apt-get install musl-tools");
        eprintln!("SKIPPED: there is no musl-gcc here (apt-get install musl-tools)");
        return;
    }
    let mut running = Running::start(&mut Command::new(program));
    let output = run(&mut running.record(&place, &[]));
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("uses the C library musl"), "{said}");
    let output = dump(&place, running.pid(), &[]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("musl"), "{said}");
    assert!(running.is_alive());
}

/// Runs Python in a root that has nothing but what Python needs; the rest of the script follows.
const ROOT: &str = r#"
set -e
mount -t tmpfs none "$1"
for directory in /usr /lib /lib64 "$2" "${4%/*}"; do
    [ -e "$directory" ] || continue
    mkdir -p "$1$directory"
    mount --rbind "$directory" "$1$directory"
done
"#;

/// A program in such a root. `None`, said loudly, where that is not permitted.
fn in_a_root(place: &Place, rest: &str) -> Option<Running> {
    if !Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this machine permits no mount namespaces to this user");
        return None;
    }
    let interpreter = any_interpreter();
    let ask = "import sys; print(sys.base_prefix)";
    let prefix = text(&run(Command::new(&interpreter.path).args(["-c", ask])).stdout);
    let root = place.file("root");
    std::fs::create_dir(&root).unwrap();
    let script = format!("{ROOT}{rest}\nexec chroot \"$1\" \"$3\" \"$4\" burning");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(root).arg(prefix.trim());
    Some(Running::start(command.arg(&interpreter.path).arg(fixture("attach/states.py"))))
}

#[test]
fn a_process_in_a_root_of_its_own_is_sampled_or_it_is_said_what_is_missing() {
    let place = Place::new();
    let Some(running) = in_a_root(&place, r#"mkdir "$1/proc"; mount --rbind /proc "$1/proc""#) else { return };
    let before = running.traces();
    let (folded, said) = recorded(&place, &running, &["--duration", "0.3"]);
    assert!(folded.of("burn") > 10, "{said}");
    running.assert_left_as(&before);
    let inside = |name: &str| std::fs::read_dir(format!("/proc/{}/root{name}", running.pid())).unwrap();
    let is_left =
        |name: &str| inside(name).any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with("pronk-"));
    assert!(!is_left("/"));

    for (rest, expected) in [
        ("", "it sees no /proc"),
        (r#"mkdir "$1/proc"; mount --rbind /proc "$1/proc"; mount -o remount,ro "$1""#, "where the process sees it"),
    ] {
        let place = Place::new();
        let mut running = in_a_root(&place, rest).unwrap();
        let output = run(&mut running.record(&place, &[]));
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{said}");
        assert!(running.is_alive());
        assert!(text(&dump(&place, running.pid(), &[]).stdout).contains("__main__.burn"));
    }
}
