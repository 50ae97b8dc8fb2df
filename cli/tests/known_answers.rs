//! Programs whose answers are known: shares of CPU time, whole stacks, and functions of another interpreter.

mod common;

use common::Place;
use common::python::{example, fixture, interpreters, names};
use common::{run, text};
use pronk_bench::accuracy::{Truth, compare};
use pronk_symbolizer::profile::{Profile, Sample};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Samples per second of CPU time.
const FREQUENCY: f64 = 999.0;

#[test]
fn shares_are_within_two_points_of_the_truth() {
    let Some(interpreters) = interpreters() else { return };
    let each = |interpreter| ["perf", "signal"].map(|engine| (interpreter, engine));
    for (interpreter, engine) in interpreters.iter().flat_map(each) {
        let place = Place::new();
        let program = example("known_answer.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str(), "--seconds".as_ref(), "5".as_ref()];
        let options = ["-F", "999", "--engine", engine];
        let output = run(&mut place.record_to("x.folded", &options, command));
        assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
        let truth: Truth = serde_json::from_slice(&output.stdout).unwrap();
        let folded = std::fs::read_to_string(place.file("x.folded")).unwrap();
        let accuracy = compare(&interpreter.python.version, &truth, &folded).unwrap();
        assert!(accuracy.worst_error <= 2.0, "{engine}: {accuracy:#?}");
        assert!(accuracy.complete_percent >= 99.5, "{engine}: {accuracy:#?}");
        // Both sides are CPU time, so that a loaded machine changes nothing.
        assert!((accuracy.samples_per_second / FREQUENCY - 1.0).abs() <= 0.05, "{engine}: {accuracy:#?}");
    }
}

/// The samples of the first process's main thread, split in three: before the program's main module runs, while it
/// runs, and after it.
///
/// The split is by time: the module runs from the first sample that has its frame to the last one. What is before is
/// the dynamic loader's and the interpreter's start, what is after is the interpreter's end; neither has a frame of the
/// module. That the split is right shows in [`count_complete`]: no function of the program is outside.
fn split(profile: &Profile) -> (Vec<Sample>, Vec<Sample>, Vec<Sample>) {
    let main = |sample: &&Sample| {
        let thread = &profile.threads[sample.thread.index()];
        thread.main && thread.process.index() == 0
    };
    let samples: Vec<Sample> = profile.samples.iter().filter(main).copied().collect();
    let in_module = |sample: &Sample| names(profile, sample.stack).contains(&"__main__.<module>");
    let first = samples.iter().position(in_module).expect("a sample in the module");
    let last = samples.iter().rposition(in_module).expect("a sample in the module");
    (samples[..first].to_vec(), samples[first..=last].to_vec(), samples[last + 1..].to_vec())
}

/// How many samples there are while the module runs, and the stacks of those that do not have its frame.
#[derive(Default)]
struct Reached {
    all: usize,
    short: Vec<String>,
}

/// Counts the samples that reach the main module while that runs. Asserts that those outside have a root and no function
/// of the program.
fn count_complete(profile: &Profile, who: &str, reached: &mut Reached) {
    let (before, during, after) = split(profile);
    let stacks = |samples: &[Sample], wrong: &dyn Fn(&[&str]) -> bool| -> Vec<String> {
        let stacks = samples.iter().map(|sample| names(profile, sample.stack)).filter(|stack| wrong(stack));
        stacks.map(|stack| stack.join(";")).collect()
    };
    let short = stacks(&during, &|stack| !stack.contains(&"__main__.<module>"));
    reached.all += during.len();
    reached.short.extend(short.iter().map(|stack| format!("{who}: {stack}")));

    let outside = [before, after].concat();
    let of_program = stacks(&outside, &|stack| stack.iter().any(|name| name.starts_with("__main__.")));
    assert!(of_program.is_empty(), "{who}: functions of the program without <module>:\n{}", of_program.join("\n"));
    // The kernel executes the program before there is a user stack, and takes its memory away in the end: such samples
    // have no root in the program. The loader's own start is written in assembly, without unwind information. And in a
    // page fault on the stack itself, which the large buffers of the interpreter's start cause, there is nothing to copy.
    let rootless = stacks(&outside, &|stack| {
        let root = ["_start", "_dl_start_user", "_dl_start"].iter().any(|root| stack.first() == Some(root));
        let loader = stack.iter().any(|name| name.starts_with("_dl_runtime_resolve") || name.starts_with("ld-linux"));
        let user = stack.iter().any(|name| !name.contains("[kernel]"));
        let fault = stack.contains(&"asm_exc_page_fault");
        user && !root && !loader && !fault && !stack.is_empty()
    });
    // As many as the others: what the unwinder cannot do at one place of the start may be hit once.
    assert!(rootless.len() * 200 <= outside.len().max(200), "{who}: no root:\n{}", rootless.join("\n"));
    assert_eq!((profile.quality.lost, profile.quality.unnamed_stubs), (0, 0), "{who}");
}

/// At least 99.5 % of the main thread's samples, over all versions: the main thread of some examples mostly waits, so that
/// one run has few. What is missing are stacks that are too deep to copy (imports within imports), and samples in the
/// very fault that brings the top of the stack into memory.
#[test]
fn nearly_every_sample_of_every_example_reaches_the_main_module() {
    let Some(interpreters) = interpreters() else { return };
    for program in ["raytracer.py", "web_server.py", "thread_pool.py", "log_pipeline.py", "known_answer.py"] {
        let mut reached = Reached::default();
        for interpreter in interpreters {
            let place = Place::new();
            let command =
                [interpreter.path.as_os_str(), example(program).as_os_str(), "--seconds".as_ref(), "3".as_ref()]
                    .map(ToOwned::to_owned);
            let output = run(&mut place.record_to("x.pronk", &["--engine", "perf"], &command));
            assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
            count_complete(&place.read_profile("x.pronk"), &format!("{interpreter} {program}"), &mut reached);
        }
        let Reached { all, short } = reached;
        assert!(short.len() * 200 <= all, "{} of {all} samples:\n{}", short.len(), short.join("\n"));
    }
}

/// The example interpreter, optimized: otherwise its frames are so large that a few of its functions are more than the
/// kernel copies of a stack.
fn tinylang() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tinylang");
    let manifest = fixture("../../examples/tinylang/Cargo.toml");
    let built = run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target));
    assert!(built.status.success(), "{}", text(&built.stderr));
    target.join("release/tinylang")
}

#[test]
fn functions_of_another_interpreter_are_among_its_native_frames() {
    let Some(place) = Place::for_recording() else { return };
    let program = example("tinylang/programs/queens.tl");
    let output = run(&mut place.record_to("x.folded", &["--engine", "perf"], [tinylang(), program]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let folded = place.folded("x.folded");
    let (all, solutions) = (folded.samples(|_| true), folded.of("solutions"));
    let (placed, threatened) = (folded.of("place"), folded.of("threatened"));
    // All that the program does is looking for solutions; most of that is looking whether a queen is threatened.
    let counts = format!("{threatened} of {placed} of {solutions} of {all} samples\n{folded:#?}");
    assert!(all > 100, "{counts}");
    assert!(solutions * 100 >= all * 95, "{counts}");
    assert!(placed * 100 >= solutions * 99, "{counts}");
    assert!(threatened * 100 >= placed * 50, "{counts}");
    let native = folded.samples(|stack| stack.last().is_some_and(|leaf| leaf.contains("(tinylang)")));
    assert!(native * 100 >= all * 50, "{native} native leaves, {counts}");
}
