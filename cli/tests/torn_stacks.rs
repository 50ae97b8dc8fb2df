//! No sample shows a stack that there never was: programs whose every legal stack is known, calling and returning as fast
//! as they can.
//!
//! `PRONK_TEST_SAMPLES=1000000` takes so many samples of each version and kind of program.

mod common;

use common::python::{Folded, fixture, interpreters};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const FREQUENCY: u64 = 20_000;

/// The samples of each program: as the environment asks, or a few ten thousand.
fn samples() -> u64 {
    std::env::var("PRONK_TEST_SAMPLES").ok().map_or(20_000, |number| number.parse().expect("a number of samples"))
}

/// A function of a tree: the tree's letter, and its name without that. `None` for other functions.
///
/// Special methods have the letter in their class's name; where that is not known (3.9, 3.10) they are of any tree.
fn of_tree(frame: &str) -> Option<(Option<char>, &str)> {
    let (name, file) = frame.split_once(" (")?;
    let letter = file.strip_prefix("tree")?.chars().next()?;
    let name = name.rsplit('.').next()?;
    match name.strip_suffix(letter).and_then(|name| name.strip_suffix('_')) {
        Some(plain) => Some((Some(letter), plain)),
        None if name.starts_with("__") => Some((Some(letter), name)),
        // A class body, or the module, while the trees are made.
        None => None,
    }
}

/// What is impossible about a stack.
fn impossible(stack: &[String], edges: &HashMap<String, Vec<String>>) -> Option<&'static str> {
    let first = stack.iter().position(|frame| of_tree(frame).is_some())?;
    let functions: Vec<_> = stack[first..].iter().map(|frame| of_tree(frame)).collect();
    let Some(functions) = functions.into_iter().collect::<Option<Vec<_>>>() else { return Some("others in a tree") };
    if functions[0].1 != "top" {
        return Some("a tree without its top");
    }
    let mixed = functions.iter().any(|(letter, _)| *letter != functions[0].0);
    let calls =
        |pair: &[(Option<char>, &str)]| edges.get(pair[0].1).is_some_and(|all| all.iter().any(|to| to == pair[1].1));
    match functions.windows(2).all(calls) {
        _ if mixed => Some("both trees"),
        true => None,
        false => Some("a call that there is not"),
    }
}

fn check(interpreter: &Interpreter, python: &Path, way: &str, stubs: &str) {
    let place = Place::new();
    let program = fixture("torn_stacks/trees.py");
    let seconds = (samples() as f64 / FREQUENCY as f64).to_string();
    let command = [python.as_os_str(), program.as_os_str(), way.as_ref(), seconds.as_ref()];
    let frequency = FREQUENCY.to_string();
    let options = ["--engine", "signal", "-F", &frequency, "--stubs", stubs, "--native", "python"];
    let output = run(&mut place.record_to("out.folded", &options, command));
    let (said, what) = (text(&output.stderr), format!("{interpreter}, {way}, stubs {stubs}"));
    assert!(output.status.success(), "{what}: {said}");
    let edges: HashMap<String, Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    let folded: Folded = place.folded("out.folded");
    let taken = folded.samples(|stack| stack.iter().any(|frame| of_tree(frame).is_some()));
    // A loaded machine samples less: what counts is that there is enough to go wrong.
    assert!(taken > samples() / 4, "{what}: {taken} samples: {said}");
    let wrong: Vec<String> = folded
        .0
        .iter()
        .filter_map(|(stack, count)| Some(format!("{count}, {}: {}", impossible(stack, &edges)?, stack.join(";"))))
        .collect();
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    println!("{what}: {taken} samples, none of them impossible");
}

/// With and without stubs.
const STUBS: [&str; 2] = ["off", "full"];

/// Checks a way that needs nothing but Python, on each version.
fn check_all(way: &str) {
    for interpreter in interpreters().into_iter().flatten() {
        STUBS.iter().for_each(|stubs| check(interpreter, &interpreter.path, way, stubs));
    }
}

#[test]
fn functions_methods_generators_and_coroutines() {
    check_all("plain");
}

#[test]
fn threads() {
    check_all("threads");
}

#[test]
fn tasks_of_asyncio() {
    check_all("tasks");
}

/// Checks a way to exchange stacks that is not Python's own, where its package is there.
fn check_with_package(package: &str, way: &str) {
    let mut checked = 0;
    for interpreter in interpreters().into_iter().flatten() {
        let Some(directory) = std::env::var_os("PRONK_TEST_PACKAGES") else { break };
        let packages = PathBuf::from(directory).join(format!("3.{}", interpreter.python.minor));
        let mut there = Command::new(&interpreter.path);
        if !run(there.args(["-c", &format!("import {package}")]).env("PYTHONPATH", &packages)).status.success() {
            eprintln!("SKIPPED: {interpreter} has no {package} in {}", packages.display());
            continue;
        }
        // A script, so that only this interpreter sees the packages.
        let place = Place::new();
        let python = place.file("python");
        let script =
            format!("#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n", packages.display(), interpreter.path.display());
        std::fs::write(&python, script).unwrap();
        std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        STUBS.iter().for_each(|stubs| check(interpreter, &python, way, stubs));
        checked += 1;
    }
    if checked == 0 {
        eprintln!("SKIPPED: no interpreter has {package} (PRONK_TEST_PACKAGES names a directory with 3.N/{package})");
    }
}

#[test]
fn greenlets() {
    check_with_package("greenlet", "greenlets");
}

#[test]
fn greenlets_of_gevent() {
    check_with_package("gevent", "gevent");
}

#[test]
fn greenlets_of_a_library_that_nobody_knows_of() {
    check_with_package("greenlet", "unknown greenlets");
}
