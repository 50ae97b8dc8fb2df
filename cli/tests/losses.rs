//! Samples that are lost are counted, and at usual rates there are none.

mod common;

use common::python::{example, interpreters};
use common::{Place, run, text};
use std::path::Path;

/// Lost samples, and all that there were, of an example at a rate.
fn lost(python: &Path, example_name: &str, frequency: &str, arguments: &[&str]) -> (u64, u64) {
    let place = Place::new();
    let program = example(example_name);
    let mut command = vec![python.as_os_str(), program.as_os_str()];
    command.extend(arguments.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
    let output = run(&mut place.record_to("out.pronk", &["--engine", "signal", "-F", frequency], command));
    assert!(output.status.success(), "{example_name}: {}: {}", output.status, text(&output.stderr));
    let quality = place.read_profile("out.pronk").quality;
    assert!(quality.samples > 100, "{example_name}: {}", text(&output.stderr));
    assert_eq!(quality.notes, [""; 0], "{example_name}: nothing that was written could not be read");
    (quality.lost, quality.samples)
}

const EXAMPLES: [&str; 4] = ["raytracer.py", "web_server.py", "thread_pool.py", "log_pipeline.py"];

#[test]
fn none_are_lost_at_a_thousand_a_second() {
    for interpreter in interpreters().into_iter().flatten().filter(|it| [9, 13, 15].contains(&it.python.minor)) {
        for name in EXAMPLES {
            let (lost, samples) = lost(&interpreter.path, name, "1000", &["--seconds", "2"]);
            assert_eq!(lost, 0, "{interpreter}, {name}: of {samples}");
        }
    }
}

#[test]
fn fewer_than_one_in_a_thousand_are_lost_at_ten_thousand_a_second() {
    for interpreter in interpreters().into_iter().flatten().filter(|it| [12, 15].contains(&it.python.minor)) {
        for name in EXAMPLES {
            let (lost, samples) = lost(&interpreter.path, name, "10000", &["--seconds", "2"]);
            assert!(lost * 1000 < samples, "{interpreter}, {name}: {lost} of {samples}");
        }
    }
}
