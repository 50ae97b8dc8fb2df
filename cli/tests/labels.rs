//! A sample has a label if and only if the `with` block that set it is around the lines of its backtrace, or was around
//! where its task was made; and it has the task that ran.
//!
//! `PRONK_TEST_SAMPLES=100000` takes so many samples of each version.

mod common;

use common::python::fixture;
use common::signal::{Program, Sampled, interpreters, last_name, on_each_version};
use common::{Place, text};
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::{Category, ContextId, Profile, StackId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
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
    let program = Program::at(interpreter, fixture("labels").join(file), arguments);
    program.importing_from(package).importing_from(fixture("burning"))
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

/// The task that a function's name says, such as `task__worker_3`; empty where it says that there is none.
fn task_said_by(function: &str) -> Option<String> {
    // The names that asyncio gives have a hyphen.
    last_name(function).strip_prefix("task__").map(|task| task.replace("Task_", "Task-"))
}

fn task_of(profile: &Profile, context: Option<ContextId>) -> String {
    let task = context.and_then(|context| profile.contexts[context.index()].task);
    task.map_or_else(String::new, |task| profile.strings[task.name.index()].clone())
}

/// Compares what the functions on each sample's stack say, the newest first, with what the sample has; how many samples
/// have one that says something.
fn check<T: PartialEq + Debug>(
    sampled: &Sampled,
    said_by: impl Fn(&str) -> Option<T>,
    has: impl Fn(&Profile, Option<ContextId>) -> T,
) -> u64 {
    let profile = &sampled.profile;
    let mut checked = 0;
    let mut wrong: BTreeMap<String, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let names = sampled.names(sample.stack);
        let Some(must) = names.iter().rev().find_map(|name| said_by(name)) else { continue };
        checked += u64::from(sample.weight);
        let has = has(profile, sample.context);
        if has != must {
            *wrong.entry(format!("{has:?} in {}", names.join(";"))).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", sampled.who);
    checked
}

/// An engine, and how many samples of each second of CPU time are asked of it.
#[derive(Clone, Copy)]
enum Engine {
    Signal = 5_000,
    /// Each sample has 64 KiB of stack.
    Perf = 2_000,
}

/// Runs a program for as many samples as are asked for, and checks each.
fn check_many<T: PartialEq + Debug>(
    engine: Engine,
    file: &str,
    said_by: impl Fn(&str) -> Option<T> + Sync,
    has: impl Fn(&Profile, Option<ContextId>) -> T + Sync,
) {
    on_each_version(|interpreter| {
        let frequency = engine as u64;
        let options = ["-F", &frequency.to_string()];
        // What the kernel does for its samples is no time of the program's.
        let (name, longer) = match engine {
            Engine::Signal => ("signal", 1),
            Engine::Perf => ("perf", 2),
        };
        let seconds = (longer * samples() / frequency).to_string();
        let sampled = program(interpreter, file, &[&seconds, "0.002", name]).sampled_by(name, &options);
        sampled.stdout();
        if let Engine::Signal = engine {
            sampled.assert_whole();
        }
        assert_eq!(sampled.profile.quality.unrecorded_scopes, 0, "{}", sampled.who);
        let checked = check(&sampled, &said_by, &has);
        // A loaded machine samples less: what counts is that there is enough to go wrong.
        assert!(checked > samples() / 4, "{}: {checked} samples: {}", sampled.who, text(&sampled.output.stderr));
        println!("{interpreter}: {file}: {checked} samples of the {name} engine, each as it must be");
    });
}

#[test]
fn samples_have_the_labels_of_the_blocks_around_them() {
    check_many(Engine::Signal, "semantics.py", said_by, labels_of);
}

#[test]
fn samples_from_outside_have_the_labels_of_the_blocks_around_them() {
    if Place::for_recording().is_some() {
        check_many(Engine::Perf, "semantics.py", said_by, labels_of);
    }
}

/// Whether a sample has a frame of the kernel.
fn is_in_kernel(profile: &Profile, stack: Option<StackId>) -> bool {
    let leaf = stack.map(|stack| profile.frames[profile.stacks[stack.index()].frame.index()].function);
    leaf.is_some_and(|leaf| profile.functions[leaf.index()].category == Category::Kernel)
}

#[test]
fn samples_in_the_kernel_have_labels_too() {
    if Place::for_recording().is_none() {
        return;
    }
    on_each_version(|interpreter| {
        for (engine, options) in [("signal", ["--kernel"].as_slice()), ("perf", &[])] {
            let sampled = program(interpreter, "kernel.py", &["0.05"]).sampled_by(engine, options);
            sampled.stdout();
            if sampled.profile.quality.kernel_excluded {
                eprintln!("SKIPPED: the kernel may not be sampled here");
                return;
            }
            let (mut in_kernel, mut labelled) = (0, 0);
            for sample in sampled.profile.samples.iter().filter(|it| is_in_kernel(&sampled.profile, it.stack)) {
                in_kernel += 1;
                let names = sampled.names(sample.stack);
                let Some(must) = names.iter().rev().find_map(|name| said_by(name)) else { continue };
                assert_eq!(labels_of(&sampled.profile, sample.context), must, "{}: {names:?}", sampled.who);
                labelled += u64::from(!must.is_empty());
            }
            assert!(labelled > 30, "{}: {labelled} of {in_kernel}", sampled.who);
        }
    });
}

#[test]
fn samples_have_the_task_that_runs() {
    check_many(Engine::Signal, "tasks.py", task_said_by, task_of);
}

#[test]
fn samples_from_outside_have_the_task_that_runs() {
    if Place::for_recording().is_some() {
        check_many(Engine::Perf, "tasks.py", task_said_by, task_of);
    }
}

#[test]
fn tasks_are_found_although_a_sample_came_before_asyncio_was_ready() {
    on_each_version(|interpreter| {
        let sampled = program(interpreter, "imported_slowly.py", &["0.05"]).sampled(&[]);
        sampled.stdout();
        assert!(check(&sampled, task_said_by, task_of) > 10, "{}", sampled.who);
    });
}

/// Checks the tasks of a program that needs a package, where that is there.
fn check_with_package(package: &str, file: &str, arguments: &[&str]) {
    on_each_version(|interpreter| {
        let Some(program) = program(interpreter, file, arguments).with_package(package) else { return };
        let sampled = program.sampled(&["-F", &FREQUENCY.to_string()]);
        sampled.stdout();
        assert!(check(&sampled, task_said_by, task_of) > 100, "{}", sampled.who);
    });
}

#[test]
fn tasks_of_trio() {
    check_with_package("trio", "other_tasks.py", &["trio", "0.003"]);
}

#[test]
fn greenlets_that_are_named() {
    check_with_package("greenlet", "other_tasks.py", &["greenlets", "0.003"]);
}

#[test]
fn tasks_that_uvloop_runs() {
    check_with_package("uvloop", "tasks.py", &["0", "0.002", "uvloop"]);
}

#[test]
fn blocks_that_are_tasks() {
    on_each_version(|interpreter| {
        let sampled = program(interpreter, "other_tasks.py", &["blocks", "0.003"]).sampled(&["-F", "5000"]);
        sampled.stdout();
        assert!(check(&sampled, task_said_by, task_of) > 40, "{}", sampled.who);
    });
}

#[test]
fn context_variables_are_labels() {
    on_each_version(|interpreter| {
        let names = ["request=app.web.request_id", "__main__.tenant", "__main__.not_a_variable", "not.there.at_all"];
        let options: Vec<&str> = names.iter().flat_map(|name| ["--label-var", name]).chain(["-F", "5000"]).collect();
        let sampled = program(interpreter, "variables.py", &["0.004"]).sampled(&options);
        sampled.stdout();
        let minus =
            |labels: Labels| labels.into_iter().map(|(key, value)| (key, value.replace("-5", "minus"))).collect();
        let checked = check(&sampled, said_by, |profile, context| minus(labels_of(profile, context)));
        assert!(checked > 300, "{}: {checked}", sampled.who);
    });
}

/// Arguments that are labels, for a part of `arguments.py`.
fn arguments_of(part: &str) -> &'static [&'static str] {
    match part {
        "simple" => &[
            "__main__.plain:value",
            "__main__.others:value",
            "__main__.positions:first",
            "__main__.positions:second",
            "__main__.positions:third",
            "__main__.positions:fourth",
            "__main__.positions:rest",
            "path=__main__.captured:request.path",
            "__main__.captured:text",
            "__main__.recursive:depth",
            "__main__.rebound:value",
            "__main__.two:a",
            "both=__main__.two:b",
            "__main__.outer.<locals>.inner:value",
            "__main__.generator:value",
        ],
        _ => &[
            "__main__.handle:request.path",
            "__main__.no_path:request.path",
            "__main__.chained:outer.inner.inner.path",
            "__main__.of_class:request.kind",
            "computed=__main__.properties:request.computed",
            "method=__main__.properties:request.method",
            "__main__.wrapped:value",
            "__main__.around:key",
            "__main__.around_again:key",
            "__main__.deep:depth",
            "__main__.deeper:request.path",
            "__main__.Handler.get:self.name",
            "__main__.Handler.make:cls.made",
            "__main__.Server.handle:request.path",
        ],
    }
}

fn check_arguments(part: &str, more: &[&str]) {
    on_each_version(|interpreter| {
        let options = arguments_of(part).iter().flat_map(|argument| ["--label-arg", argument]);
        let options: Vec<&str> = options.chain(["-F", "5000"]).chain(more.iter().copied()).collect();
        let sampled = program(interpreter, "arguments.py", &["0.004", part]).sampled(&options);
        sampled.stdout();
        let checked = check(&sampled, said_by, labels_of);
        assert!(checked > 200, "{}: {checked}", sampled.who);
    });
}

#[test]
fn arguments_are_labels() {
    check_arguments("simple", &[]);
}

#[test]
fn attributes_of_arguments_are_labels() {
    check_arguments("attributes", &[]);
}

#[test]
fn stubs_change_nothing_about_arguments() {
    check_arguments("attributes", &["--stubs", "full"]);
}

#[test]
fn attributes_that_change_all_the_time_are_survived() {
    on_each_version(|interpreter| {
        let names = ["__main__.change:target.path", "class=__main__.change_class:target.path_of_class"];
        let options: Vec<&str> = names.iter().flat_map(|name| ["--label-arg", name]).chain(["-F", "20000"]).collect();
        let sampled = program(interpreter, "changing.py", &["0.3"]).sampled(&options);
        assert_eq!(sampled.stdout(), "end\n", "{}", sampled.who);
        for key in ["path", "class"] {
            let values = samples_by(&sampled, |profile, context| labels_of(profile, context).remove(key));
            assert!(values.keys().eq(["value"]), "{}: {key}: {values:?}", sampled.who);
        }
    });
}

/// What pronk says of arguments that have given no label.
fn said_of_arguments(sampled: &Sampled) -> Vec<String> {
    text(&sampled.output.stderr).lines().filter(|line| line.contains("has given no label")).map(str::to_owned).collect()
}

#[test]
fn arguments_that_are_no_labels_are_said() {
    on_each_version(|interpreter| {
        let names = [
            "__main__.plain:value",
            "__main__.others:value",
            "__main__.nothing:value",
            "__main__.plain:missing",
            "other.plain:value",
        ];
        let options: Vec<&str> = names.iter().flat_map(|name| ["--label-arg", name]).collect();
        let sampled = program(interpreter, "arguments.py", &["0.01", "simple"]).sampled(&options);
        sampled.stdout();
        let said = said_of_arguments(&sampled);
        let [not_a_label, function, argument, module] = said.as_slice() else { panic!("{}: {said:#?}", sampled.who) };
        assert!(not_a_label.contains("__main__.others ran, and its value was neither a text nor a whole number"));
        assert!(function.contains("no sample has a function __main__.nothing with an argument value"), "{function}");
        assert!(argument.contains("no sample has a function __main__.plain with an argument missing"), "{argument}");
        assert!(module.contains("no sample has a function other.plain with an argument value"), "{module}");
    });
}

/// Up to 3.10 code objects do not know their qualified names, and without stubs nobody does.
#[test]
fn without_stubs_functions_of_modules_have_labels_in_all_versions() {
    on_each_version(|interpreter| {
        let options = ["--stubs", "off", "--label-arg", "__main__.handle:request.path"];
        let method = ["--label-arg", "__main__.Handler.get:self.name"];
        let sampled =
            program(interpreter, "arguments.py", &["0.01", "attributes"]).sampled(&[&options[..], &method].concat());
        sampled.stdout();
        let by_path = samples_by(&sampled, |profile, context| labels_of(profile, context).remove("path"));
        assert!(by_path.get("p") > Some(&10), "{}: {by_path:?}", sampled.who);
        let is_said = said_of_arguments(&sampled).iter().any(|line| line.contains("Handler.get"));
        assert_eq!(is_said, interpreter.python.minor < 11, "{}", sampled.who);
    });
}

#[test]
fn spans_of_opentelemetry_are_labels() {
    on_each_version(|interpreter| {
        let program = program(interpreter, "spans.py", &["0.004"]).with_package("opentelemetry");
        let Some(program) = program else { return };
        let sampled = program.sampled(&["--label-otel", "-F", "5000"]);
        sampled.stdout();
        let checked = check(&sampled, said_by, labels_of);
        assert!(checked > 200, "{}: {checked}", sampled.who);
        assert!(!text(&sampled.output.stderr).contains("--label-otel"), "{}", text(&sampled.output.stderr));
    });
}

#[test]
fn spans_that_are_not_there_are_said() {
    let interpreter = interpreters().last().unwrap();
    let sampled = program(interpreter, "variables.py", &["0.001"]).sampled(&["--label-otel"]);
    assert!(text(&sampled.output.stderr).contains("--label-otel has given no label"), "{}", sampled.who);
}

#[test]
fn stubs_change_nothing_about_labels() {
    on_each_version(|interpreter| {
        let program = program(interpreter, "semantics.py", &["0", "0.002"]);
        let sampled = program.sampled(&["-F", &FREQUENCY.to_string(), "--stubs", "full"]);
        sampled.stdout();
        assert!(check(&sampled, said_by, labels_of) > 200, "{}", sampled.who);
    });
}

#[test]
fn a_flood_of_blocks_from_outside_may_cost_labels_and_makes_none() {
    if Place::for_recording().is_none() {
        return;
    }
    on_each_version(|interpreter| {
        let sampled = program(interpreter, "flood.py", &["20", "40000"]).sampled_by("perf", &[]);
        sampled.stdout();
        let quality = &sampled.profile.quality;
        let mut checked = 0;
        for sample in &sampled.profile.samples {
            let names = sampled.names(sample.stack);
            let Some(must) = names.iter().rev().find_map(|name| said_by(name)) else { continue };
            let has = labels_of(&sampled.profile, sample.context);
            let is_whole = has == must || (quality.unrecorded_scopes > 0 && has.is_empty());
            assert!(is_whole, "{}: {has:?} in {}: {quality:#?}", sampled.who, names.join(";"));
            checked += 1;
        }
        assert!(checked > 100, "{}: {checked} samples", sampled.who);
        println!("{interpreter}: {checked} samples in a flood, {} blocks not recorded", quality.unrecorded_scopes);
    });
}

#[test]
fn odd_tasks_and_the_ends_of_interpreters_are_survived() {
    let engines =
        ["signal", "perf"].into_iter().filter(|engine| *engine == "signal" || Place::for_recording().is_some());
    for engine in engines {
        on_each_version(|interpreter| {
            let sampled = program(interpreter, "odd.py", &[]).sampled_by(engine, &[]);
            assert_eq!(sampled.stdout(), "end\n", "{}", sampled.who);
        });
    }
}

#[test]
fn without_pronk_labels_do_nothing() {
    on_each_version(|interpreter| {
        let output = program(interpreter, "semantics.py", &["0", "0"]).plain();
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
    });
}

/// The samples of each value that `of` finds in a context.
fn samples_by(sampled: &Sampled, of: impl Fn(&Profile, Option<ContextId>) -> Option<String>) -> HashMap<String, u64> {
    let mut samples = HashMap::new();
    for sample in &sampled.profile.samples {
        if let Some(value) = of(&sampled.profile, sample.context) {
            *samples.entry(value).or_default() += u64::from(sample.weight);
        }
    }
    samples
}

#[test]
fn shares_by_task_and_by_label_are_right() {
    check_shares("signal");
}

#[test]
fn shares_from_outside_are_right() {
    if Place::for_recording().is_some() {
        check_shares("perf");
    }
}

fn check_shares(engine: &str) {
    on_each_version(|interpreter| {
        let sampled = program(interpreter, "server.py", &["1.5"]).sampled_by(engine, &[]);
        let truth: Truth = serde_json::from_str(&sampled.stdout()).unwrap();
        let samples: u64 = sampled.profile.samples.iter().map(|sample| u64::from(sample.weight)).sum();
        let by_task = samples_by(&sampled, |profile, context| Some(task_of(profile, context)));
        let by_tenant = samples_by(&sampled, |profile, context| labels_of(profile, context).remove("tenant"));
        assert!(by_task.len() >= 100 && truth.task.len() == 200, "{}: {by_task:?}", sampled.who);
        // In percentage points. Where the kernel takes the samples, there is one after the time in which the machine was
        // held up, however long it was; the handler weighs its by the time since the one before.
        let held_up = if engine == "perf" { 100.0 * truth.held_up / truth.total } else { 0.0 };
        let most_off = 2.0 + held_up;
        for (what, truth_by, found) in [("task", &truth.task, by_task), ("tenant", &truth.tenant, by_tenant)] {
            let mut worst = 0.0_f64;
            for (value, seconds) in truth_by {
                let is = 100.0 * found.get(value).copied().unwrap_or(0) as f64 / samples as f64;
                let must_be = 100.0 * seconds / truth.total;
                worst = worst.max((is - must_be).abs());
                let off = format!("{what} {value} has {is:.2} % instead of {must_be:.2} %");
                assert!((is - must_be).abs() < most_off, "{}: {off}, held up {held_up:.2} %", sampled.who);
            }
            println!("{interpreter}: the {what} that is most off is off by {worst:.2} points");
        }
    });
}

/// What the server says: the CPU time of each task and tenant, of all, and that in which it was held up, in seconds.
#[derive(serde::Deserialize)]
struct Truth {
    task: HashMap<String, f64>,
    tenant: HashMap<String, f64>,
    total: f64,
    held_up: f64,
}

#[test]
fn values_without_end_do_not_fill_memory() {
    on_each_version(|interpreter| {
        let sampled = program(interpreter, "values.py", &["300000", "0"]).sampled(&["-F", "1000"]);
        let grown: u64 = sampled.stdout().trim().parse().unwrap();
        // Python's own numbers are a few KiB more.
        assert!(grown < 4 << 10, "{}: the program grew by {grown} KiB", sampled.who);
        assert_eq!(sampled.profile.quality.unrecorded_scopes, 0, "{}", sampled.who);
    });
}

#[test]
fn values_beyond_the_limit_are_counted_as_others() {
    /// `MOST_VALUES` of the sampler.
    const MOST_VALUES: usize = 10_000;
    let interpreter = interpreters().last().unwrap();
    let program = program(interpreter, "values.py", &["13000", "0.0002"]);
    let sampled = program.sampled(&["-F", "20000"]);
    let samples = samples_by(&sampled, |profile, context| labels_of(profile, context).remove("number"));
    let folded = sampled.profile.quality.folded_values;
    match samples.len() {
        values if values <= MOST_VALUES => eprintln!("SKIPPED: this machine is too slow for so many values: {values}"),
        values => {
            assert_eq!(values, MOST_VALUES + 1, "{}", sampled.who);
            assert!(folded > 0 && samples["other"] == folded, "{}: {folded} of {samples:?}", sampled.who);
        }
    }
}
