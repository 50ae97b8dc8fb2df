//! `pronk record --every`: a profile of each minute, say, of which the last ones are kept.

mod common;

use common::signal::interpreters;
use common::{Place, run, text};

fn record(options: &[&str], seconds: &str) -> (Place, String) {
    let interpreter = interpreters().last().unwrap();
    let place = Place::new();
    let mut command = place.pronk(["record", "-o", "x.pronk"].iter().chain(options));
    let script =
        format!("import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: sum(range(100))");
    let output = run(command.arg("--").arg(&interpreter.path).args(["-c", &script]));
    let said = text(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty(), "{said}");
    (place, said)
}

#[test]
fn profiles_follow_each_other_without_a_gap() {
    let (place, said) = record(&["--every", "300ms"], "1.5");
    let names = place.names();
    let expected = (1..=names.len()).map(|number| format!("x.{number:06}.pronk"));
    assert!(names.len() >= 3 && names.iter().cloned().eq(expected), "{names:?}: {said}");
    assert!(said.contains(&format!("{} profiles: ", names.len())), "{said}");
    let (mut samples, mut seconds) = (0, 0.0);
    for name in &names {
        let profile = place.read_profile(name);
        let duration = profile.meta.duration_ns;
        assert!(profile.samples.iter().all(|sample| sample.time_ns <= duration + 50_000_000), "{name}");
        let weights: u64 = profile.samples.iter().map(|sample| u64::from(sample.weight)).sum();
        assert_eq!(weights, profile.quality.samples, "{name}");
        samples += profile.quality.samples;
        seconds += duration as f64 / 1e9;
    }
    // All of them together are the whole.
    assert!(samples > 100 && seconds > 1.4, "{samples} samples of {seconds} s: {said}");
}

#[test]
fn only_the_last_ones_are_kept_if_there_are_too_many() {
    let (place, said) = record(&["--every", "0.2", "--keep", "2"], "1.5");
    let names = place.names();
    assert!(names.len() == 2 && names[0] != "x.000001.pronk", "{names:?}: {said}");
    assert!(said.contains("are gone, as --keep asks for"), "{said}");
}

#[test]
fn a_series_of_one_process_ends_with_what_was_asked_for() {
    let (place, said) = record(&["--every", "60s", "--duration", "0.4"], "1");
    assert_eq!(place.names(), ["x.000001.pronk"], "{said}");
    let profile = place.read_profile("x.000001.pronk");
    assert!((400_000_000..5_000_000_000).contains(&profile.meta.duration_ns), "{}: {said}", profile.meta.duration_ns);
}
