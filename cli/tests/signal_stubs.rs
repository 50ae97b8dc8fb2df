//! Python stacks are the same with stubs and without, and they are those that the interpreter itself tells.

mod common;

use common::signal::{Program, Sampled, last_name, on_each_version};
use std::collections::{BTreeSet, HashMap};

/// How far a stack's share may be from what the program measured, in percentage points.
const TOLERANCE: f64 = 2.0;

/// The percentage of the samples in `burn` that have each stack: names from the root, joined by `;`.
fn shares(sampled: &Sampled) -> HashMap<String, f64> {
    let mut counts: HashMap<String, f64> = HashMap::new();
    let mut all = 0.0;
    for (stack, count) in &sampled.stacks().0 {
        let names: Vec<&str> = stack.iter().map(|name| last_name(name)).collect();
        if names.last() == Some(&"burn") {
            *counts.entry(names.join(";")).or_default() += *count as f64;
            all += *count as f64;
        }
    }
    counts.values_mut().for_each(|count| *count *= 100.0 / all);
    counts
}

/// Asserts that the stacks of a run are those of the program's own account.
fn assert_true_to(sampled: &Sampled) {
    let truth: HashMap<String, u64> = serde_json::from_str(&sampled.stdout()).unwrap();
    let total = truth.values().sum::<u64>() as f64;
    let shares = shares(sampled);
    let stacks: BTreeSet<&String> = truth.keys().chain(shares.keys()).collect();
    let mut wrong = Vec::new();
    for stack in stacks {
        let share = shares.get(stack).copied().unwrap_or(0.0);
        let expected = truth.get(stack).map_or(0.0, |ns| 100.0 * *ns as f64 / total);
        // A stack that never was is wrong however rare it is, and so is one that is missing.
        if (share - expected).abs() > TOLERANCE || (share == 0.0) != (expected == 0.0) {
            wrong.push(format!("{share:.2} % instead of {expected:.2} %: {stack}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", sampled.who, wrong.join("\n"));
    assert!(truth.len() >= 15, "{}: {truth:?}", sampled.who);
    sampled.assert_whole();
}

#[test]
fn stacks_without_stubs_are_the_interpreters() {
    on_each_version(|interpreter| {
        assert_true_to(&Program::new(interpreter, "stubs.py", &["2.5"]).sampled(&["-F", "2000", "--stubs", "off"]));
    });
}

#[test]
fn stacks_with_stubs_are_the_interpreters() {
    on_each_version(|interpreter| {
        let sampled = Program::new(interpreter, "stubs.py", &["2.5"]).sampled(&["-F", "2000", "--stubs", "full"]);
        assert_true_to(&sampled);
        // Stubs are in memory that was mapped when the program ran already.
        let unknown = sampled.stacks().samples(|stack| stack.iter().any(|frame| frame.starts_with("[unmapped]")));
        assert_eq!(unknown, 0, "{}", sampled.who);
    });
}
