//! What stubs have cost can be left out of a profile.

mod common;

use common::python::fixture;
use common::signal::{Program, on_each_version};
use common::{Place, run, text};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::{View, ViewOptions};

fn compensated(profile: &Profile) -> View<'_> {
    View::new(profile, &ViewOptions { compensate: true, ..ViewOptions::default() })
}

#[test]
fn as_many_samples_are_left_out_as_stubs_have_cost() {
    on_each_version(|interpreter| {
        let program = Program::at(interpreter, fixture("windows/calls.py"), &["main"]);
        for engine in ["signal", "perf"] {
            if engine == "perf" && Place::for_recording().is_none() {
                continue;
            }
            let sampled = program.sampled_by(engine, &["--stubs", "full"]);
            let mut profile = sampled.profile.clone();
            let cost_ns: u64 = profile.calls.iter().map(|calls| calls.cost_ns).sum();
            // Without the time that it took to give functions their stubs.
            assert!(cost_ns > 0 && cost_ns <= profile.quality.stubs.cost_ns, "{}: {cost_ns}", sampled.who);
            // What a call is thought to cost is more while the machine is slow, and may then be more than callers have samples. So
            // that the sum can be known, all calls have cost 5 % of the time.
            let all: u64 = profile.samples.iter().map(|sample| u64::from(sample.weight)).sum();
            let wanted = all as f64 / 20.0 / f64::from(profile.meta.frequency) * 1e9;
            for calls in &mut profile.calls {
                calls.cost_ns = (calls.cost_ns as f64 / cost_ns as f64 * wanted) as u64;
            }
            let profile = &profile;
            let less = compensated(profile);
            assert_eq!(less.sample_count() + less.compensated(), all, "{}", sampled.who);
            let cost = all as f64 / 20.0;
            let taken = less.compensated() as f64;
            // The calls of functions that are in no sample have no callers that are known.
            assert!(taken > 0.7 * cost - 3.0 && taken <= cost + 1.0, "{}: {taken} of {cost}", sampled.who);
        }
    });
}

#[test]
fn a_report_says_how_many_samples_are_left_out() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let program = fixture("windows/calls.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str(), "main".as_ref()];
        let output = run(&mut place.record_to("x.pronk", &["--stubs", "full"], command));
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
        let report = |options: &[&str]| {
            let output = run(&mut place.pronk([&["report", "x.pronk", "--compensate"], options].concat()));
            assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        assert!(
            report(&[]).contains("\ncompensated: calls through stubs are estimated to have cost "),
            "{}",
            report(&[])
        );
        let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
        assert!(json["compensated"].as_u64().is_some_and(|taken| taken > 0), "{json:#}");
        let svg = run(&mut place.pronk(["flamegraph", "x.pronk", "-o", "x.svg", "--compensate"]));
        assert!(svg.status.success(), "{interpreter}: {}", text(&svg.stderr));
    });
}

#[test]
fn it_is_refused_where_nothing_was_counted() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let command = [interpreter.path.as_os_str(), "-c".as_ref(), "sum(range(1000000))".as_ref()];
        let output = run(&mut place.record_to("x.pronk", &["--stubs", "off"], command));
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
        let output = run(&mut place.pronk(["report", "x.pronk", "--compensate"]));
        assert!(text(&output.stderr).contains("record it with --stubs full"), "{}", text(&output.stderr));
        let output = run(&mut place.pronk(["report", "x.pronk", "--compensate", "--unperturbed"]));
        assert!(text(&output.stderr).contains("cannot be used with"), "{}", text(&output.stderr));
    });
}
