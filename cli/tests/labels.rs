//! A sample has a label if and only if the `with` block that set it is around the lines of its backtrace, or was around
//! where its task was made.
//!
//! `PRONK_TEST_SAMPLES=100000` takes so many samples of each version.

mod common;

use common::python::fixture;
use common::signal::{Program, Sampled, last_name, on_each_version};
use common::text;
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::{ContextId, Profile};
use std::collections::BTreeMap;
use std::path::Path;

const FREQUENCY: u64 = 5_000;

type Labels = BTreeMap<String, String>;

/// The samples of each version: as the environment asks, or a few thousand.
fn samples() -> u64 {
    std::env::var("PRONK_TEST_SAMPLES").ok().map_or(2_000, |number| number.parse().expect("a number of samples"))
}

/// A program of these tests, with the package `pronk`.
fn program<'a>(interpreter: &'a Interpreter, file: &str, arguments: &[&str]) -> Program<'a> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
    Program::at(interpreter, fixture("labels").join(file), arguments).env("PYTHONPATH", package)
}

/// The labels that a function's name says, such as `must__a_1__b_x`.
fn said_by(function: &str) -> Option<Labels> {
    let mut parts = last_name(function).strip_prefix("must")?.split("__");
    (parts.next() == Some("")).then_some(())?;
    let label = |part: &str| part.split_once('_').map(|(key, value)| (key.to_owned(), value.to_owned()));
    parts.map(label).collect()
}

fn labels_of(profile: &Profile, context: Option<ContextId>) -> Labels {
    let text = |id: pronk_symbolizer::profile::StringId| profile.strings[id.index()].clone();
    let labels = context.map_or(&[][..], |context| &profile.contexts[context.index()].labels);
    labels.iter().map(|&(key, value)| (text(key), text(value))).collect()
}

/// Compares each sample of a function that says its labels with what it has; how many there are.
fn check(sampled: &Sampled) -> u64 {
    let profile = &sampled.profile;
    let mut checked = 0;
    let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let names = sampled.names(sample.stack);
        let Some(must) = names.iter().rev().find_map(|name| said_by(name)) else { continue };
        checked += u64::from(sample.weight);
        let has = labels_of(profile, sample.context);
        if has != must {
            *wrong.entry(format!("{has:?} in {}", names.join(";"))).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", sampled.who);
    checked
}

#[test]
fn samples_have_the_labels_of_the_blocks_around_them() {
    on_each_version(|interpreter| {
        let seconds = (samples() / FREQUENCY).to_string();
        let program = program(interpreter, "semantics.py", &[&seconds, "0.002"]);
        let sampled = program.sampled(&["-F", &FREQUENCY.to_string()]);
        sampled.stdout();
        sampled.assert_whole();
        let checked = check(&sampled);
        // A loaded machine samples less: what counts is that there is enough to go wrong.
        assert!(checked > samples() / 4, "{}: {checked} samples: {}", sampled.who, text(&sampled.output.stderr));
        println!("{interpreter}: {checked} samples, each with the labels that it must have");
    });
}

#[test]
fn stubs_change_nothing_about_labels() {
    on_each_version(|interpreter| {
        let program = program(interpreter, "semantics.py", &["0", "0.002"]);
        let sampled = program.sampled(&["-F", &FREQUENCY.to_string(), "--stubs", "full"]);
        sampled.stdout();
        assert!(check(&sampled) > 200, "{}", sampled.who);
    });
}

#[test]
fn without_pronk_labels_do_nothing() {
    on_each_version(|interpreter| {
        let output = program(interpreter, "semantics.py", &["0", "0"]).plain();
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
    });
}
