//! Real programs without frame pointers, sampled and unwound.

mod common;

use common::{Names, compile, holding, nearly_all_hold, samples_of};
use pronk_sampler::recording::{Frame, MappedObject, Recording, Sample, StackId};

fn stacks(names: &Names, recording: &Recording, thread: &str) -> Vec<Vec<String>> {
    samples_of(recording, thread).into_iter().map(|sample| names.of(recording, sample)).collect()
}

fn check_chain(flags: &[&str]) {
    let program = compile("chain", flags);
    let recording = program.record(&[]);
    let names = Names::default();
    assert_eq!(recording.exit.and_then(|exit| exit.code()), Some(3));
    nearly_all_hold(&stacks(&names, &recording, "chain"), &["burn", "inner", "middle", "outer", "main"], 100);
    for thread in ["first", "second"] {
        nearly_all_hold(&stacks(&names, &recording, thread), &["burn", "inner", "middle", "outer", "thread"], 60);
    }
    let losses = &recording.losses;
    assert_eq!((losses.lost, losses.malformed, losses.truncated, losses.gaps), (0, 0, 0, 0), "{losses:?}");
    // 0.7 seconds of work, and little else.
    let cpu_time = losses.cpu_time.unwrap().as_secs_f64();
    assert!((0.65..1.5).contains(&cpu_time), "{cpu_time}");
    let rate = recording.samples.len() as f64 / cpu_time;
    assert!((900.0..1050.0).contains(&rate), "{rate}");
    assert!(recording.samples.iter().all(|sample| recording.started <= sample.time && sample.time <= recording.ended));
    assert_eq!(recording.processes.len(), 1);
    assert_eq!(recording.processes[0].executable.as_deref(), Some(&*program.path));
}

#[test]
fn every_thread_is_unwound_to_its_root() {
    check_chain(&[]);
}

#[test]
fn programs_at_fixed_addresses_are_unwound() {
    check_chain(&["-no-pie"]);
}

#[test]
fn static_programs_are_unwound() {
    check_chain(&["-static"]);
}

#[test]
fn programs_without_an_index_of_their_unwind_information_are_unwound() {
    check_chain(&["-Wl,--no-eh-frame-hdr"]);
}

#[test]
fn programs_with_frame_pointers_and_no_unwind_information_are_unwound() {
    let program = compile("chain", &["-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"]);
    let recording = program.record(&[]);
    let stacks = stacks(&Names::default(), &recording, "chain");
    nearly_all_hold(&stacks, &["burn", "inner", "middle", "outer", "main"], 100);
}

#[test]
fn forks_and_execs_are_followed() {
    let program = compile("family", &[]);
    let recording = program.record(&[]);
    assert_eq!(recording.exit.and_then(|exit| exit.code()), Some(0));
    let names = Names::default();
    let processes = &recording.processes;
    assert_eq!(processes.len(), 3, "{processes:?}");
    assert_eq!(
        processes.iter().map(|process| process.parent.map(|id| id.index())).collect::<Vec<_>>(),
        [None, Some(0), Some(1)]
    );
    assert_eq!(processes[1].pid, processes[2].pid);
    assert!(processes.iter().skip(1).all(|process| process.ended.is_some()));
    for (process, chain) in [["burn", "in_parent", "main"], ["burn", "in_child", "main"], ["burn", "in_exec", "main"]]
        .into_iter()
        .enumerate()
    {
        let of_process = |sample: &&Sample| recording.threads[sample.thread.index()].process.index() == process;
        let stacks: Vec<_> =
            recording.samples.iter().filter(of_process).map(|sample| names.of(&recording, sample)).collect();
        assert!(holding(&stacks, &chain) > 100, "{process}: {} of {}", holding(&stacks, &chain), stacks.len());
    }
}

#[test]
fn a_stack_that_is_too_long_is_truncated_and_says_so() {
    let program = compile("deep", &[]);
    let recording = program.record(&[]);
    let stacks = stacks(&Names::default(), &recording, "deep");
    let deep: Vec<_> = stacks.iter().filter(|stack| stack.iter().any(|name| name == "burn")).collect();
    assert!(deep.len() > 200);
    for stack in &deep {
        assert_eq!(stack.last().unwrap(), "[truncated]", "{stack:?}");
        // 65,528 bytes have room for 31 frames of 2,000 bytes and a little.
        let frames = stack.iter().filter(|name| *name == "descend").count();
        assert!((28..=33).contains(&frames), "{stack:?}");
    }
    assert_eq!(recording.losses.truncated, deep.len() as u64);
    // What was sampled as the program began may have one.
    let others = recording.samples.len() - deep.len();
    assert!(recording.losses.gaps <= others as u64, "{} in {others}", recording.losses.gaps);
}

#[test]
fn code_with_rules_by_memory_and_other_registers_is_unwound() {
    let program = compile("odd", &[]);
    let recording = program.record(&[]);
    let stacks = stacks(&Names::default(), &recording, "odd");
    assert!(holding(&stacks, &["burn", "realigned", "above", "main"]) > 150, "{stacks:#?}");
    let through_handler = stacks.iter().filter(|stack| {
        let at = |name: &str| stack.iter().position(|frame| frame == name);
        matches!((at("handler"), at("interrupted"), at("main")), (Some(a), Some(b), Some(c)) if a < b && b < c)
    });
    assert!(through_handler.count() > 150, "{stacks:#?}");
    assert!(holding(&stacks, &["burn", "called_by_rbx", "by_rbx", "around", "main"]) > 150, "{stacks:#?}");
    assert!(holding(&stacks, &["in_rdi", "around", "main"]) > 50, "{stacks:#?}");
    assert_eq!(recording.losses.gaps, 0, "{stacks:#?}");
}

#[test]
fn only_mappings_that_samples_refer_to_are_recorded_and_files_are_known() {
    let program = compile("chain", &[]);
    let recording = program.record(&[]);
    let used = |index: usize| {
        (0..recording.stacks.len()).any(|stack| {
            matches!(recording.stacks.get(StackId(stack as u32)).1,
                Frame::Native(mapping, _) | Frame::Stub(mapping, _) if mapping.index() == index)
        })
    };
    assert!((0..recording.mappings.len()).all(used));
    let file = recording.mappings.iter().find_map(|mapping| match &mapping.object {
        MappedObject::File(file) if file.path == program.path => Some(file),
        _ => None,
    });
    let file = file.unwrap();
    assert_eq!(file.found.as_deref(), Some(&*program.path));
    assert_eq!(file.inode, std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&program.path).unwrap()));
    assert!(file.build_id.as_ref().is_some_and(|id| id.len() == 20));
}
