//! Where the kernel refuses perf_event_open, the signal engine does without it, and the perf engine says what refuses it
//! and what to do.

mod common;

use common::{Place, run, text};
use pronk_bench::interpreter::interpreters_for_tests;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that runs another one to which perf_event_open is refused.
fn deny(place: &Place) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/permissions/deny_perf_event_open.c");
    let program = place.file("deny");
    let compiled = run(Command::new("cc").args(["-Wall", "-Wextra", "-Werror", "-o"]).args([&program, &source]));
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    program
}

#[test]
fn a_refusal_names_the_setting_its_value_and_the_fix() {
    let place = Place::new();
    let output = run(Command::new(deny(&place))
        .arg(env!("CARGO_BIN_EXE_pronk"))
        .args(["record", "--engine", "perf", "--", "/bin/sh", "-c", "echo it ran; touch ran"])
        .current_dir(place.path()));
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    let setting = format!("/proc/sys/kernel/perf_event_paranoid is {}", level.trim());
    assert!(stderr.contains("the kernel refuses perf_event_open"), "{stderr}");
    assert!(stderr.contains(&setting), "{stderr}");
    assert!(stderr.contains("sysctl kernel.perf_event_paranoid=") || stderr.contains("seccomp"), "{stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("pronk: ")), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(place.names(), ["deny"], "the command did not run, and no file is left");
}

#[test]
fn nothing_needs_to_be_asked_for_where_it_is_refused() {
    let place = Place::new();
    let deny = deny(&place);
    let program = "def burn(n):\n    while n: n -= 1\nburn(10_000_000)\n";
    for interpreter in interpreters_for_tests() {
        let output = run(Command::new(&deny)
            .arg(env!("CARGO_BIN_EXE_pronk"))
            .args(["record", "-o", "out.folded", "--"])
            .arg(&interpreter.path)
            .args(["-c", program])
            .current_dir(place.path()));
        let said = text(&output.stderr);
        assert!(output.status.success(), "{interpreter}: {said}");
        assert!(said.contains("signal engine, driven by a timer of each thread: "), "{interpreter}: {said}");
        let folded = place.folded("out.folded");
        let (burn, all) = (folded.of("burn"), folded.samples(|_| true));
        assert!(burn > all / 2 && burn > 0, "{interpreter}: {burn} of {all}: {said}");
    }
}

#[test]
fn doctor_says_what_works_without_it() {
    let place = Place::new();
    let output = run(Command::new(deny(&place)).arg(env!("CARGO_BIN_EXE_pronk")).arg("doctor"));
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let line =
        |what: &str| stdout.lines().find(|line| line.get(4..).is_some_and(|rest| rest.starts_with(what))).unwrap();
    let events = line("perf events");
    assert!(events.starts_with("no") && events.contains("perf_event_paranoid"), "{events}");
    assert!(line("perf engine").starts_with("no"), "{stdout}");
    let signal = line("signal engine");
    assert!(signal.starts_with("ok") && signal.contains("driven by a timer of each thread"), "{signal}");
}
