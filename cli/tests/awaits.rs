//! A task is on top of what awaits it, and of nothing else.
//!
//! `PRONK_TEST_SAMPLES=100000` takes so many samples of each version.

mod common;

use common::python::fixture;
use common::reading::{boxes, draw, report};
use common::signal::{Program, Sampled, last_name, on_each_version};
use common::{Builder, Place, golden, text};
use pronk_symbolizer::along_awaits;
use pronk_symbolizer::profile::{Category, Profile, PythonSupport, Stack, StackId};
use std::collections::BTreeMap;

const FREQUENCY: u64 = 5_000;

/// The samples of each version: as the environment asks, or a few thousand.
fn samples() -> u64 {
    std::env::var("PRONK_TEST_SAMPLES").ok().map_or(2_000, |number| number.parse().expect("a number of samples"))
}

/// The functions that a function's name says are above it, such as `chain__to__parent__to__child`.
fn said_by(function: &str) -> Option<Vec<&str>> {
    last_name(function).strip_prefix("chain__to__").map(|chain| chain.split("__to__").collect())
}

/// Compares each sample's stack with what the function on it says; how many have one that says something.
fn check(sampled: &Sampled) -> u64 {
    let mut checked = 0;
    let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
    for sample in &sampled.profile.samples {
        let names = sampled.names(sample.stack);
        let Some((at, must)) = names.iter().enumerate().find_map(|(at, name)| Some((at, said_by(name)?))) else {
            continue;
        };
        checked += u64::from(sample.weight);
        let is_shown = |name: &&str| !name.starts_with("asyncio.") && last_name(name) != "burn";
        let has: Vec<&str> = names[..at].iter().map(String::as_str).filter(is_shown).map(last_name).collect();
        if has != must {
            *wrong.entry(format!("{} is under {}", must.join(";"), names.join(";"))).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", sampled.who);
    checked
}

fn check_with(options: &[&str], samples: u64) {
    on_each_version(|interpreter| {
        let (seconds, program) = ((samples / FREQUENCY).to_string(), fixture("awaits").join("awaits.py"));
        let program = Program::at(interpreter, program, &[&seconds, "0.0005"]).importing_from(fixture("burning"));
        let mut sampled = program.sampled(&[&["--await-chains", "-F", &FREQUENCY.to_string()], options].concat());
        sampled.stdout();
        sampled.assert_whole();
        sampled.profile = along_awaits(&sampled.profile);
        sampled.profile.validate().unwrap();
        let checked = check(&sampled);
        // A loaded machine samples less: what counts is that there is enough to go wrong.
        assert!(checked > samples / 4, "{}: {checked} samples: {}", sampled.who, text(&sampled.output.stderr));
        println!("{interpreter}: {checked} samples, each with what awaits it");
    });
}

#[test]
fn tasks_are_on_top_of_what_awaits_them() {
    check_with(&[], samples());
}

#[test]
fn stubs_and_other_clocks_change_nothing_about_what_awaits() {
    check_with(&["--stubs", "full", "--mode", "wall"], 200);
}

#[test]
fn what_is_drawn_has_it_and_the_profile_has_both() {
    on_each_version(|interpreter| {
        let program = Program::at(interpreter, fixture("awaits").join("awaits.py"), &["0", "0.0005"])
            .importing_from(fixture("burning"));
        let (folded, output) = program.folded(&["--await-chains"]);
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
        let is_joined = |stack: &[String]| {
            let names: Vec<&str> =
                stack.iter().map(|name| last_name(name.split(" (").next().unwrap_or_default())).collect();
            names.first().is_some_and(|name| *name == "three_deep") && names.contains(&"third")
        };
        assert!(folded.0.iter().any(|(stack, _)| is_joined(stack)), "{interpreter}: {folded:#?}");
    });
}

/// 100 samples of a task that a gathering one awaits, above a loop of events; of that one itself; and without a task.
fn awaited() -> Profile {
    let mut builder = Builder::default();
    builder.0.meta.await_chains = true;
    builder.0.meta.engine = "signal".to_owned();
    let process = builder.process(1, None, "python3", PythonSupport::Stubs("3.12.1".into()));
    let thread = builder.thread(process, 1, "python3");
    let mut python = |name, file, line| builder.frame(Category::Python, name, file, Some(line));
    let module = python("__main__.<module>", "app.py", 1);
    let run = python("asyncio.runners.run", "runners.py", 160);
    let main = python("app.main", "app.py", 30);
    let fetch = python("app.fetch", "app.py", 10);
    let parse = python("app.parse", "app.py", 20);
    let step = builder.frame(Category::Interpreter, "task_step", "_asyncio.so", None);
    let read = builder.frame(Category::Native, "sock_recv", "_socket.so", None);
    let awaited = builder.context(&[], Some(("Task-2", "app.fetch")));
    let awaiting = builder.context(&[], Some(("Task-1", "app.main")));
    builder.samples_for(Some(awaited), thread, &[module, run, step, fetch, parse, read], 60);
    builder.samples_for(Some(awaiting), thread, &[module, run, step, main, parse], 25);
    builder.samples(thread, &[module, run], 15);
    let awaiters = StackId(builder.0.stacks.len() as u32);
    builder.0.stacks.push(Stack { below: None, frame: main });
    for context in &mut builder.0.contexts {
        context.task.as_mut().unwrap().below = 2;
    }
    builder.0.contexts[awaited.index()].task.as_mut().unwrap().awaiters = Some(awaiters);
    builder.0.validate().unwrap();
    builder.0
}

#[test]
fn views_show_a_task_on_top_of_what_awaits_it() {
    let place = Place::new();
    place.profile(&awaited());
    golden("awaits.txt", &boxes(&draw(&place, "flamegraph", &["--await-chains"]).0));
    golden("awaits-reverse.txt", &boxes(&draw(&place, "flamegraph", &["--await-chains", "--reverse"]).0));
    let total = ["--await-chains", "--total", "--native", "python"];
    golden("awaits-report.txt", &report(&place, &total));
    let json: serde_json::Value = serde_json::from_str(&report(&place, &["--await-chains", "--json"])).unwrap();
    assert_eq!(json["samples"], 100);
    // Without it, the stacks are as they were.
    assert!(boxes(&draw(&place, "flamegraph", &[]).0).contains("asyncio.runners.run"));
}

#[test]
fn a_profile_without_it_says_how_to_record_it() {
    let place = Place::new();
    place.profile(&common::example());
    for verb in [&["report", "test.pronk"][..], &["flamegraph", "test.pronk", "-o", "out.svg"]] {
        let output = common::run(&mut place.pronk(verb.iter().chain(&["--await-chains"])));
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("pronk record --await-chains"), "{said}");
    }
}
