//! What is asked for wrongly is refused before anything runs, and the message says what to do.

mod common;

use common::{Place, run, text};

/// Runs `pronk record` with these arguments and a command that would leave a file, and returns what pronk said.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let command = ["--", "/bin/sh", "-c", "echo ran > ran"];
    let output = run(&mut place.pronk(["record"].iter().chain(arguments).chain(&command)));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(!place.file("ran").exists(), "{arguments:?}: the command ran");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    said
}

#[test]
fn a_frequency_out_of_range_names_the_limits() {
    let place = Place::new();
    assert!(refused(&place, &["-F", "0"]).contains("from 1 to 20000, with --engine perf to kernel.perf_event_max"));
    assert!(refused(&place, &["-F", "20001"]).contains("-F 20001 is more than --engine signal takes: use -F 20000"));
    let limit = std::fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate").unwrap();
    let said = refused(&place, &["--engine", "perf", "-F", "10000000"]);
    assert!(said.contains("10000000") && said.contains(limit.trim()), "{said}");
    assert!(said.contains("perf_event_max_sample_rate"), "{said}");
}

#[test]
fn a_duration_is_above_zero() {
    let place = Place::new();
    for duration in ["0", "-1", "nan", "soon"] {
        let said = refused(&place, &[&format!("--duration={duration}")]);
        assert!(said.contains("a number of seconds above 0"), "{said}");
    }
}

#[test]
fn an_unknown_extension_names_the_known_ones() {
    let place = Place::new();
    for name in ["out", "out.png", ".svg", "/dev/stdout"] {
        let said = refused(&place, &["-o", name]);
        assert!(said.contains(name) && said.contains(".svg") && said.contains(".folded"), "{said}");
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_budget_is_for_windows() {
    let place = Place::new();
    for budget in ["0", "-1", "nan", "101", "much"] {
        let said = refused(&place, &[&format!("--budget={budget}")]);
        assert!(said.contains("a number of percent, from 0.01 to 100"), "{said}");
    }
    for stubs in ["full", "off"] {
        let said = refused(&place, &["--budget", "2", "--stubs", stubs]);
        assert!(said.contains("--budget is for stubs that are on in windows"), "{said}");
    }
    assert!(refused(&place, &["--engine", "guess"]).contains("possible values: auto, perf, signal"));
}

#[test]
fn what_perf_cannot_do_says_which_engine_can() {
    let place = Place::new();
    for asked in [
        &["--mode", "wall"][..],
        &["--mode", "gil"],
        &["--stubs", "off"],
        &["--lines"],
        &["--await-chains"],
        &["--budget", "2"],
    ] {
        let said = refused(&place, &[&["--engine", "perf"], asked].concat());
        assert!(said.contains("--engine signal"), "{asked:?}: {said}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let place = Place::new();
    assert!(refused(&place, &["-o", "missing/out.svg"]).contains("cannot write missing/out.svg"));
    std::fs::create_dir(place.file("out.svg")).unwrap();
    assert!(refused(&place, &["-o", "out.svg"]).contains("it is a directory"));
    // Even root cannot make files there.
    let said = refused(&place, &["-o", "/proc/out.svg"]);
    assert!(said.contains("cannot write /proc/out.svg: directory /proc: "), "{said}");
}

#[test]
fn a_command_is_needed() {
    let place = Place::new();
    let output = run(&mut place.pronk(["record"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("<COMMAND>"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let place = Place::new();
    let version = run(&mut place.pronk(["--version"]));
    assert_eq!(text(&version.stdout), concat!("pronk ", env!("CARGO_PKG_VERSION"), "\n"));
    for verb in ["record", "report", "flamegraph", "timeline", "doctor"] {
        let help = run(&mut place.pronk([verb, "--help"]));
        assert!(help.status.success() && text(&help.stdout).contains(&format!("Usage: pronk {verb}")));
    }
}
