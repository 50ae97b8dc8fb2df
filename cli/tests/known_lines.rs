//! Each line of a program has its share of the samples, on every version.

mod common;

use common::python::{fixture, interpreters};
use common::{Place, run, text};
use std::collections::BTreeMap;

/// The most that a line's share may be off, in percentage points.
const WORST: f64 = 2.0;

/// The line of a frame such as `__main__.burn (lines.py:31)`.
fn line(frame: &str) -> Option<u32> {
    frame.strip_suffix(')')?.rsplit_once(":")?.1.parse().ok()
}

#[test]
fn each_lines_share_is_within_two_points_of_the_truth() {
    for interpreter in interpreters().into_iter().flatten() {
        let place = Place::new();
        let program = fixture("known_lines/lines.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str(), "3".as_ref()];
        let options = ["--engine", "signal", "-F", "1999", "--native", "python", "--lines"];
        let output = run(&mut place.record_to("out.folded", &options, command));
        let said = text(&output.stderr);
        assert!(output.status.success(), "{interpreter}: {said}");
        let truth: BTreeMap<u32, f64> = serde_json::from_slice(&output.stdout).unwrap();

        // The frame that called spend() is on the line that the time belongs to.
        let mut samples: BTreeMap<u32, u64> = BTreeMap::new();
        for (stack, count) in &place.folded("out.folded").0 {
            let spending = stack.iter().position(|frame| frame.starts_with("__main__.spend "));
            if let Some(line) = spending.and_then(|at| line(&stack[at.checked_sub(1)?])) {
                *samples.entry(line).or_default() += count;
            }
        }
        let (all_time, all_samples): (f64, u64) = (truth.values().sum(), samples.values().sum());
        assert!(all_samples > 1_000, "{interpreter}: {all_samples} samples: {said}");
        assert!(truth.len() > 8, "{truth:?}");
        for line in truth.keys().chain(samples.keys()) {
            let expected = 100.0 * truth.get(line).unwrap_or(&0.0) / all_time;
            let found = 100.0 * *samples.get(line).unwrap_or(&0) as f64 / all_samples as f64;
            let off = (found - expected).abs();
            assert!(
                off <= WORST,
                "{interpreter}, line {line}: {found:.2} % of the samples, {expected:.2} % of the time"
            );
        }
    }
}
