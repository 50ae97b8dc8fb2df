//! Stubs in windows: what they cost keeps to a budget, and the calls that were counted in them tell of all.

mod common;

use common::python::fixture;
use common::signal::{Program, Sampled, last_name, on_each_version};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::{Calls, Counting};
use pronk_symbolizer::view::{View, ViewOptions};

/// Has the program call its functions in one of its ways, in windows.
fn in_windows(interpreter: &Interpreter, way: &str, budget: &str) -> Sampled {
    Program::at(interpreter, fixture("windows/calls.py"), &[way]).sampled(&["--budget", budget])
}

fn calls_of(sampled: &Sampled, name: &str) -> Option<Calls> {
    let profile = &sampled.profile;
    let is_it = |calls: &&Calls| {
        let function = &profile.functions[calls.function.index()];
        let file = function.file.map_or("", |file| &profile.strings[file.index()]);
        file.ends_with("calls.py") && last_name(&profile.strings[function.name.index()]) == name
    };
    profile.calls.iter().find(is_it).copied()
}

/// The numbers of calls are what the program says, within three times the error that is stated for 99 of 100 cases.
fn assert_estimates(sampled: &Sampled) {
    for line in sampled.stdout().lines() {
        let (name, truth) = line.split_once(' ').unwrap();
        let truth: u64 = truth.parse().unwrap();
        let calls = calls_of(sampled, name).unwrap_or_else(|| panic!("{}: nothing of {name}", sampled.who));
        let error = calls.error.unwrap_or_else(|| panic!("{}: {name} is no estimate", sampled.who));
        // A thread's time is known to a few milliseconds only.
        let allowed = 3 * error + truth / 50;
        assert!(calls.count.abs_diff(truth) <= allowed, "{}: {name}: {truth}, {calls:?}", sampled.who);
    }
    assert_eq!(sampled.profile.quality.counting, Counting::Estimated, "{}: {:?}", sampled.who, sampled.profile.quality);
}

/// What stubs have cost, and how long they were on, as shares of the time.
fn shares(sampled: &Sampled) -> (f64, f64) {
    let stubs = sampled.profile.quality.stubs;
    let time_ns = (stubs.on_ns + stubs.off_ns) as f64;
    (stubs.cost_ns as f64 / time_ns, stubs.on_ns as f64 / time_ns)
}

#[test]
fn stubs_keep_to_their_budget_and_tell_how_often_functions_are_called() {
    on_each_version(|interpreter| {
        for (way, budget) in [("main", "2"), ("main", "10"), ("threads", "2")] {
            let sampled = in_windows(interpreter, way, budget);
            let (cost, on) = shares(&sampled);
            let budget: f64 = budget.parse().unwrap();
            // A window that is open when the program ends has not been paid for.
            assert!(cost > 0.0 && cost <= budget / 100.0 + 0.005, "{}: {cost}", sampled.who);
            assert!(on > 0.01 && sampled.profile.quality.stubs.windows > 5, "{}: {on}", sampled.who);
            assert_estimates(&sampled);
        }
    });
}

#[test]
fn children_of_forks_have_windows_of_their_own() {
    on_each_version(|interpreter| assert_estimates(&in_windows(interpreter, "children", "5")));
}

#[test]
fn an_interpreter_that_has_ended_is_left_alone() {
    on_each_version(|interpreter| {
        let sampled = Program::at(interpreter, fixture("windows/ended.py"), &[]).sampled(&["--budget", "50"]);
        assert_eq!(sampled.stdout(), "all children ran\n", "{interpreter}");
    });
}

#[test]
fn a_recursion_for_which_stubs_stop_goes_on_without_them() {
    on_each_version(|interpreter| {
        let sampled = in_windows(interpreter, "depth", "5");
        sampled.stdout();
        assert!(calls_of(&sampled, "deeper").is_some_and(|calls| calls.count > 0), "{}", sampled.who);
    });
}

#[test]
fn samples_in_windows_are_known_and_can_be_left_out() {
    on_each_version(|interpreter| {
        let sampled = in_windows(interpreter, "main", "2");
        let profile = &sampled.profile;
        let all = View::new(profile, &ViewOptions::default()).sample_count();
        let unperturbed = View::new(profile, &ViewOptions { unperturbed: true, ..Default::default() });
        let (_, on) = shares(&sampled);
        let left_out = 1.0 - unperturbed.sample_count() as f64 / all as f64;
        assert!((left_out - on).abs() < 0.05, "{}: {left_out} left out, {on} on", sampled.who);
        assert!((unperturbed.samples_of_each() * (1.0 - left_out) - 1.0).abs() < 1e-9, "{}", sampled.who);
    });
}

#[test]
fn no_evaluator_is_left_when_a_session_ends() {
    on_each_version(|interpreter| {
        for stubs in [["--budget", "20"], ["--stubs", "full"]] {
            // On a slow machine a session may be over before the program has got as far as to see stubs on.
            let mut found = ["1", "4", "16"].into_iter().map(|seconds| {
                let program = Program::at(interpreter, fixture("windows/after.py"), &[seconds]);
                program.sampled(&[stubs[0], stubs[1], "--duration", seconds]).stdout()
            });
            let found = found.find(|found| found != "never on\n");
            assert_eq!(found.as_deref(), Some("off\n"), "{interpreter}: {stubs:?}");
        }
    });
}

#[test]
fn a_short_program_has_no_window_and_says_so() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let command = [interpreter.path.as_os_str(), "-c".as_ref(), "pass".as_ref()];
        let output = run(&mut place.record_to("x.pronk", &["--budget", "0.01"], command));
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains("too short for a window"), "{interpreter}: {said}");
        let report = run(&mut place.pronk(["report", "x.pronk", "--calls"]));
        assert!(text(&report.stderr).contains("record it with --budget 2"), "{}", text(&report.stderr));
    });
}

#[test]
fn a_report_says_how_sure_numbers_of_calls_are() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let program = fixture("windows/calls.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str(), "main".as_ref()];
        let output = run(&mut place.record_to("x.pronk", &["--budget", "2"], command));
        let said = text(&output.stderr);
        assert!(said.contains("% of the time, in windows (") && said.contains("estimated from windows"), "{said}");
        let report = text(&run(&mut place.pronk(["report", "x.pronk", "--calls", "--unperturbed"])).stdout);
        assert!(report.contains("only samples outside of windows") && report.contains(" \u{b1}"), "{report}");
        let json = text(&run(&mut place.pronk(["report", "x.pronk", "--json", "--unperturbed"])).stdout);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["only"], serde_json::json!(["unperturbed"]));
    });
}
