//! Stacks are complete at any depth, with stubs and without.

mod common;

use common::python::{Folded, example, interpreters, is_function};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;

/// The samples at the bottom of the recursion, and the stacks among them that do not reach their root with all frames.
fn bottom(folded: &Folded, levels: usize) -> (u64, Vec<String>) {
    let at_bottom = |stack: &&(Vec<String>, u64)| stack.0.iter().any(|frame| is_function(frame, "burn"));
    let is_whole = |stack: &[String]| {
        let frames = stack.iter().filter(|frame| is_function(frame, "down")).count();
        stack.first().is_some_and(|root| is_function(root, "_bootstrap")) && frames == levels + 1
    };
    let samples = folded.0.iter().filter(at_bottom);
    let count = samples.clone().map(|(_, count)| count).sum();
    let short = |(stack, _): &&(Vec<String>, u64)| !is_whole(stack);
    let shown = |(stack, count): &(Vec<String>, u64)| format!("{count}: {} frames, {:?}", stack.len(), stack.first());
    (count, samples.filter(short).map(shown).collect())
}

fn check(interpreter: &Interpreter, levels: usize, stubs: &str) {
    let place = Place::new();
    let program = example("recursion.py");
    let (program, depth) = ([interpreter.path.as_os_str(), program.as_os_str()], levels.to_string());
    let command = [&program[..], &["--levels", &depth, "--seconds", "0.4"].map(AsRef::as_ref)].concat();
    let options = ["--engine", "signal", "--stubs", stubs, "--native", "python"];
    let output = run(&mut place.record_to("out.folded", &options, command));
    let said = text(&output.stderr);
    assert!(output.status.success(), "{interpreter}, {levels} levels, stubs {stubs}: {said}");
    assert_eq!(text(&output.stdout), format!("reached {levels}\n"));
    let (samples, short) = bottom(&place.folded("out.folded"), levels);
    assert!(samples >= 100, "{interpreter}, {levels} levels, stubs {stubs}: {samples} samples: {said}");
    assert!(short.is_empty(), "{interpreter}, {levels} levels, stubs {stubs}: {short:#?}: {said}");
}

#[test]
fn every_sample_reaches_its_root_without_stubs() {
    for interpreter in interpreters().into_iter().flatten() {
        for levels in [20, 100, 400, 2_000, 20_000] {
            check(interpreter, levels, "off");
        }
    }
}

#[test]
fn every_sample_reaches_its_root_with_stubs() {
    for interpreter in interpreters().into_iter().flatten() {
        for levels in [20, 100, 400, 2_000, 20_000] {
            check(interpreter, levels, "full");
        }
    }
}
