//! Where the kernel refuses perf_event_open, pronk says what refuses it and what to do, and runs nothing.

mod common;

use common::{Place, run, text};
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
        .args(["record", "--", "/bin/sh", "-c", "echo it ran; touch ran"])
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
fn doctor_says_that_nothing_can_be_recorded() {
    let place = Place::new();
    let output = run(Command::new(deny(&place)).arg(env!("CARGO_BIN_EXE_pronk")).arg("doctor"));
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let line = stdout.lines().find(|line| line.contains("perf events")).unwrap();
    assert!(line.starts_with("no") && line.contains("perf_event_paranoid"), "{line}");
}
