//! Runs `pronk-bench` with programs that only look like pronk and Python, to see that what they say arrives in the
//! results. Nothing is measured here.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Runs of `pronk-bench` whose results go to a directory of their own.
struct Bench {
    directory: TempDir,
    pronk: PathBuf,
}

impl Bench {
    /// With one of the programs in `tests/data` for a pronk.
    fn with(pronk: &str) -> Bench {
        Bench { directory: tempfile::tempdir().expect("a directory"), pronk: data(pronk) }
    }

    fn runs(&self) -> PathBuf {
        self.directory.path().join("runs")
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pronk-bench"))
            .args([verb, "--pronk"])
            .arg(&self.pronk)
            .arg("--output")
            .arg(self.runs())
            .args(arguments)
            .env("PRONK_TEST_PYTHONS", data("python"))
            .output()
            .expect("pronk-bench starts")
    }

    /// The only run's data and page.
    fn results(&self, name: &str) -> (Value, String) {
        let runs: Vec<_> = fs::read_dir(self.runs()).expect("runs").map(|run| run.expect("a run").path()).collect();
        assert_eq!(runs.len(), 1);
        let read = |extension: &str| fs::read_to_string(runs[0].join(format!("{name}.{extension}"))).expect("a result");
        (serde_json::from_str(&read("json")).expect("JSON"), read("md"))
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn accuracy_compares_the_stacks_with_what_the_program_says() {
    let bench = Bench::with("pronk");
    assert_success(&bench.run("accuracy", &["--seconds", "1"]));
    let (data, page) = bench.results("accuracy");
    let accuracy = &data["accuracy"][0];
    assert_eq!(accuracy["python"], "3.12.34");
    assert_eq!(accuracy["samples"], 100);
    assert_eq!(accuracy["worst_error"], 5.0);
    assert_eq!(accuracy["complete_percent"], 100.0);
    assert!(page.contains("| 3.12.34 | -5.00 (75.00) | +5.00 (25.00) | 5.00 | 100 | 100.0 | 100.00 % |"), "{page}");
    let own = env!("CARGO_MANIFEST_DIR");
    assert!(!data.to_string().contains(own) && !page.contains(own), "results name no paths of this machine");
}

#[test]
fn sampling_says_what_was_lost_and_how_long_samples_took() {
    let bench = Bench::with("pronk");
    assert_success(&bench.run("sampling", &["--seconds", "1"]));
    let (data, page) = bench.results("sampling");
    let programs = data["sampling"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!((programs.len(), &programs[0]["samples"]), (6, &Value::from(99_999)));
    let row =
        "| recursion.py --levels 20000 | 3.12.34 | 99999 | 999 | 1 (0.001 %) | 7 | 0 | 1.2 \u{b5}s | 6.0 \u{b5}s |";
    assert!(page.contains(row), "{page}");
}

#[test]
fn overhead_runs_pairs_and_gives_no_verdict_when_they_are_too_few() {
    let bench = Bench::with("pronk");
    // Work for a shell, so that there is CPU time to measure.
    let work = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo done";
    assert_success(&bench.run("overhead", &["--pairs", "3", "--budget", "5", "--", "sh", "-c", work]));
    let (data, page) = bench.results("overhead");
    let overhead = &data["overhead"][0];
    assert_eq!(overhead["pairs"].as_array().map(Vec::len), Some(3));
    let order: Vec<_> = overhead["pairs"].as_array().into_iter().flatten().map(|p| p["plain_first"].clone()).collect();
    assert_eq!(order, [true, false, true]);
    assert_eq!(overhead["cpu"]["interval"], Value::Null);
    assert_eq!(overhead["cpu_against_none"], "undecided");
    assert_eq!(overhead["cpu_against_budget"], "undecided");
    assert_eq!(overhead["same_output"], true);
    assert!(overhead["cpu"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0));
    assert!(page.contains("not told from plain, undecided against the budget"), "{page}");
}

#[test]
fn a_target_that_prints_something_else_under_pronk_is_reported() {
    let bench = Bench::with("pronk-that-is-noticed");
    let work = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done";
    assert_success(&bench.run("overhead", &["--pairs", "1", "--", "sh", "-c", work]));
    let (data, page) = bench.results("overhead");
    assert_eq!(data["overhead"][0]["same_output"], false);
    assert!(page.contains("stdout differs"), "{page}");
}

#[test]
fn a_command_that_fails_is_not_a_measurement() {
    let bench = Bench::with("pronk");
    let output = bench.run("overhead", &["--pairs", "1", "--", "sh", "-c", "echo broken >&2; exit 3"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("exit status: 3") && errors.contains("broken"), "{errors}");
    assert!(!bench.runs().exists());
}

#[test]
fn a_pronk_that_is_not_there_is_named() {
    let bench = Bench::with("no-such-pronk");
    let output = bench.run("accuracy", &[]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("no-such-pronk does not start"), "{errors}");
}
