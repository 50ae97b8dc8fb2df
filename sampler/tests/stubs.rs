//! Stubs as anchors of the unwinding, on real samples.

mod common;

use common::{Names, compile, samples_of};
use pronk_sampler::recording::{MappedObject, Recording};
use pronk_trampolines::wire::{CodeKind, Token};

/// The stacks that are in the innermost function.
fn burning(recording: &Recording) -> Vec<Vec<String>> {
    let names = Names::default();
    let stacks = samples_of(recording, "stubs").into_iter().map(|sample| names.of(recording, sample));
    let stacks: Vec<_> = stacks.filter(|stack| stack.iter().any(|name| name == "burn")).collect();
    assert!(stacks.len() > 200, "{} samples", recording.samples.len());
    stacks
}

fn stubs_of(stack: &[String]) -> Vec<&str> {
    stack.iter().map(String::as_str).filter(|name| name.starts_with("stub")).collect()
}

fn stubs_down_from(depth: usize) -> Vec<String> {
    (0..=depth).rev().map(|level| format!("stub{level}")).collect()
}

#[test]
fn every_stub_is_in_every_stack_in_its_place() {
    let program = compile("stubs", &[]);
    let recording = program.record(&["40"]);
    assert_eq!(recording.exit.unwrap().code(), Some(0));
    assert_eq!(recording.processes[0].registries, [Token(0xdead_beef)]);
    let kinds = recording
        .mappings
        .iter()
        .filter(|mapping| mapping.object == MappedObject::Ours(CodeKind::Stubs, Token(0xdead_beef)));
    assert_eq!(kinds.count(), 1);
    for stack in burning(&recording) {
        assert_eq!(stubs_of(&stack), stubs_down_from(40), "{stack:#?}");
        let end = stack.iter().position(|name| name == "stub0").unwrap();
        assert_eq!(stack[end + 1..end + 3], ["call", "main"]);
        for (index, window) in stack.windows(3).enumerate().filter(|(_, window)| window[1].starts_with("stub")) {
            assert_eq!((&*window[0], &*window[2]), ("evaluate", "call"), "{index} of {stack:#?}");
        }
        assert!(!stack.contains(&"[gap]".into()));
    }
    assert_eq!(recording.losses.gaps, 0);
}

#[test]
fn native_code_that_cannot_be_unwound_costs_only_itself() {
    let program = compile("stubs", &[]);
    let recording = program.record(&["40", "opaque"]);
    let stacks = burning(&recording);
    for stack in &stacks {
        assert_eq!(stubs_of(stack), stubs_down_from(40), "{stack:#?}");
        let end = stack.iter().position(|name| name == "stub0").unwrap();
        assert_eq!(stack[end + 1..end + 3], ["call", "main"], "{stack:#?}");
        assert!(stack.windows(2).any(|pair| pair[0] == "opaque" && pair[1] == "[gap]"), "{stack:#?}");
    }
    assert!(recording.losses.gaps >= stacks.len() as u64);
}

#[test]
fn a_stack_that_is_too_long_has_every_stub_that_was_copied() {
    let program = compile("stubs", &["-DSIZE_OF_ROOM=1"]);
    let recording = program.record(&["199"]);
    for stack in burning(&recording) {
        assert_eq!(stubs_of(&stack), stubs_down_from(199), "200 levels of some 200 bytes fit");
    }
}
