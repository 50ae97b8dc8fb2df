//! Stacks that are not plain calls: generators, callbacks from C, finalizers, threads of all kinds, forks, exceptions.

mod common;

use common::python::{Folded, fixture, interpreters, is_function, said_by_program};
use common::{Place, run, text};
use std::process::Command;

/// Whether functions follow each other directly on a stack, from the root on, with nothing of Python between them.
fn has_chain(folded: &Folded, chain: &[&str]) -> u64 {
    folded.samples(|stack| {
        stack.windows(chain.len()).any(|part| part.iter().zip(chain).all(|(frame, name)| is_function(frame, name)))
    })
}

/// What is somewhere on a stack, by chains of Python functions. Special methods are named without their class on 3.9 and
/// 3.10 with `--stubs off`.
const CHAINS: [&[&str]; 15] = [
    &["in_generators", "delegating", "generator", "burn"],
    &["asynchronous_generator", "burn"],
    &["in_comparison", "__lt__", "burn"],
    &["in_finalizer", "__del__", "burn"],
    &["in_ctypes_callback", "called_from_c", "burn"],
    &["in_qsort", "compare", "burn"],
    &["raiser", "raiser", "raiser", "raiser", "raiser", "raiser", "burn"],
    &["in_exceptions", "raiser", "burn"],
    &["run", "short_lived"],
    &["in_children", "forked_child", "burn"],
    &["outer", "inner", "burn"],
    &["in_constructor", "__init__", "burn"],
    &["<module>", "in_generators"],
    &["<module>", "in_children"],
    &["_bootstrap", "_bootstrap_inner", "run"],
];

#[test]
fn they_are_complete_and_the_program_is_not_disturbed() {
    let build = Place::new();
    let library = build.file("native.so");
    let compiled = run(Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .args([&library, &fixture("odd_stacks/native.c")]));
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    for interpreter in interpreters().into_iter().flatten() {
        let program = fixture("odd_stacks/odd.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str(), "0.06".as_ref(), library.as_os_str()];
        let plain = run(Command::new(command[0]).args(&command[1..]));
        let every_way = [("off", "perf"), ("full", "perf"), ("off", "timer")];
        // Every version once, and the oldest, the newest and one between in every way.
        let ways = if [9, 12, 15].contains(&interpreter.python.minor) { &every_way[..] } else { &every_way[..1] };
        for &(stubs, driver) in ways {
            let place = Place::new();
            let mut record =
                place.record_to("out.folded", &["-F", "2000", "--engine", "signal", "--stubs", stubs], command);
            if driver == "timer" {
                // Time on the clock has no perf events.
                record =
                    place.record_to("out.folded", &["-F", "2000", "--engine", "signal", "--mode", "wall"], command);
            }
            let output = run(&mut record);
            let what = format!("{interpreter}, stubs {stubs}, {driver}: {}", text(&output.stderr));
            assert_eq!(output.status.code(), plain.status.code(), "{what}");
            assert_eq!(text(&output.stdout), text(&plain.stdout), "{what}");
            // 3.12 and later warn of forks with several threads by their number, which nobody can foretell.
            let warnings = |text: String| text.lines().filter(|line| !line.contains("fork")).count();
            assert_eq!(warnings(said_by_program(&output)), warnings(said_by_program(&plain)), "{what}");
            let folded = place.folded("out.folded");
            for chain in CHAINS {
                // Native frames stand between Python's where C calls back.
                let python = Folded(folded.0.iter().map(|(stack, count)| (only_python(stack), *count)).collect());
                assert!(has_chain(&python, chain) > 0, "{chain:?} is not among the stacks of {what}");
            }
            let native = folded.samples(|stack| stack.iter().any(|frame| frame.starts_with("native_burn")));
            let alone = folded.samples(|stack| {
                stack.iter().any(|frame| frame.starts_with("native_burn")) && only_python(stack).is_empty()
            });
            assert!(native > 20 && native == alone, "{alone} of {native} of a thread without Python: {what}");
        }
    }
}

/// The frames of a stack that are Python's.
fn only_python(stack: &[String]) -> Vec<String> {
    let is_python = |frame: &&String| frame.contains(".py:") || frame.contains("<frozen");
    stack.iter().filter(is_python).cloned().collect()
}
