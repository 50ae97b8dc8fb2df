//! What moments make of samples.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);
const STUB: u64 = 0x5000;
const STATE: u64 = 0x7000;

fn moment(what: What) -> Moment {
    Moment { time: NEXT.fetch_add(1, Ordering::Relaxed), what }
}

fn opened(frame: u64, serial: u64, inherits: u64, label: (&str, &str)) -> Moment {
    let scope = Scope { frame, inherits, labels: vec![(label.0.into(), label.1.into())] };
    moment(What::Opened { frame, stub: STUB, serial, scope: scope.into() })
}

fn closed(serial: u64, restored: Option<u64>) -> Moment {
    moment(What::Closed { serial, state: STATE, restored })
}

fn inherits(serial: u64) -> Moment {
    moment(What::Inherits { state: STATE, serial })
}

fn task(frame: u64, name: Option<&str>) -> Moment {
    let name = name.map(Rc::from);
    moment(What::Task { state: STATE, frame, stub: STUB, inherits: None, name })
}

fn on_stack(frame: u64, stub: u64) -> PythonFrame {
    PythonFrame { frame, stub, state: STATE, registry: Token(7) }
}

/// What a sample with frames, from the root on, has: labels as `key=value`, and a task.
fn sample(timeline: &Timeline, frames: &[u64]) -> (Vec<String>, Option<String>) {
    let frames: Vec<_> = frames.iter().map(|&frame| on_stack(frame, STUB)).collect();
    let (labels, task) = timeline.context(&frames);
    (labels.iter().map(|(key, value)| format!("{key}={value}")).collect(), task.map(|task| task.name.to_string()))
}

fn labels(timeline: &Timeline, frames: &[u64]) -> Vec<String> {
    sample(timeline, frames).0
}

fn after(moments: impl IntoIterator<Item = Moment>) -> Timeline {
    let mut timeline = Timeline::default();
    moments.into_iter().for_each(|moment| timeline.go_on(moment));
    timeline
}

#[test]
fn a_sample_has_the_labels_that_are_open_on_its_frames_and_the_leaf_counts() {
    let mut timeline = after([
        opened(0x10, 1, 0, ("a", "1")),
        opened(0x20, 2, 1, ("a", "2")),
        opened(0x20, 3, 2, ("b", "3")),
        opened(0x30, 4, 0, ("c", "4")),
    ]);
    assert_eq!(labels(&timeline, &[0x10, 0x20]), ["a=2", "b=3"]);
    assert_eq!(labels(&timeline, &[0x10, 0x40]), ["a=1"]);
    assert_eq!(labels(&timeline, &[0x50]), [""; 0]);
    timeline.go_on(closed(2, None));
    assert_eq!(labels(&timeline, &[0x10, 0x20]), ["a=1", "b=3"]);
    // Another function's frame at the same address has none of it.
    assert!(timeline.context(&[on_stack(0x10, STUB + 1)]).0.is_empty());
}

#[test]
fn a_closed_scope_is_inherited_until_it_ends() {
    let mut timeline = after([
        opened(0x10, 1, 0, ("a", "1")),
        opened(0x10, 2, 1, ("b", "2")),
        inherits(2),
        closed(2, None),
        closed(1, None),
    ]);
    assert_eq!(labels(&timeline, &[0x90]), ["a=1", "b=2"]);
    timeline.go_on(moment(What::Ended { serial: 2 }));
    assert_eq!(labels(&timeline, &[0x90]), [""; 0]);
    timeline.go_on(moment(What::Ended { serial: 1 }));
    assert!(timeline.scopes.is_empty() && timeline.open.is_empty());
}

#[test]
fn a_scope_that_is_closed_in_its_own_context_is_inherited_no_more() {
    let timeline =
        after([opened(0x10, 1, 0, ("a", "1")), opened(0x10, 2, 1, ("b", "2")), inherits(2), closed(2, Some(1))]);
    assert_eq!(labels(&timeline, &[0x90]), ["a=1"]);
}

#[test]
fn the_task_that_was_resumed_last_counts_as_long_as_its_frame_is_on_the_stack() {
    let mut timeline = after([task(0x10, Some("parent")), task(0x20, Some("child"))]);
    let of = |timeline: &Timeline, frames: &[u64]| sample(timeline, frames).1;
    assert_eq!(of(&timeline, &[1, 0x10, 0x20, 2]).as_deref(), Some("child"));
    assert_eq!(of(&timeline, &[1, 0x10, 2]).as_deref(), Some("parent"));
    assert_eq!(of(&timeline, &[1, 2]), None);
    // The frame is used again by a coroutine that the parent awaits.
    timeline.go_on(task(0x20, None));
    assert_eq!(of(&timeline, &[1, 0x10, 0x20]).as_deref(), Some("parent"));
    (0..3 * MOST_TASKS as u64).for_each(|other| timeline.go_on(task(0x100 + other, Some("other"))));
    assert_eq!(timeline.threads[&STATE].tasks.len(), MOST_TASKS);
}

#[test]
fn a_task_whose_context_was_entered_unseen_inherits_what_it_says() {
    let own = |serial| What::Task {
        state: STATE,
        frame: 0x10,
        stub: STUB,
        inherits: Some(serial),
        name: Some("task".into()),
    };
    let mut timeline =
        after([opened(0, 1, 0, ("a", "1")), opened(0, 2, 0, ("b", "2")), opened(0, 3, 1, ("c", "3")), moment(own(3))]);
    assert_eq!(labels(&timeline, &[0x10]), ["a=1", "c=3"]);
    assert_eq!(labels(&timeline, &[0x90]), [""; 0]);
    // What goes over to another context within it counts.
    timeline.go_on(inherits(2));
    assert_eq!(labels(&timeline, &[0x10]), ["b=2"]);
    timeline.go_on(inherits(0));
    timeline.go_on(closed(3, Some(1)));
    assert_eq!(labels(&timeline, &[0x10]), ["a=1"]);
}

#[test]
fn after_a_loss_nothing_is_known_and_what_closes_then_was_never_there() {
    let timeline = after([
        opened(0x10, 1, 0, ("a", "1")),
        inherits(1),
        task(0x10, Some("task")),
        moment(What::Forget),
        closed(1, Some(7)),
        moment(What::Ended { serial: 99 }),
        opened(0x10, 2, 1, ("b", "2")),
    ]);
    assert_eq!(sample(&timeline, &[0x10]), (vec!["b=2".to_owned()], None));
}

#[test]
fn hostile_moments_cost_labels_and_no_more() {
    let mut timeline = after([
        // Two that inherit each other, and one twice.
        opened(0x10, 1, 2, ("a", "1")),
        opened(0x10, 2, 1, ("b", "2")),
        opened(0x10, 2, 2, ("c", "3")),
        inherits(2),
    ]);
    assert_eq!((labels(&timeline, &[0x20]), timeline.refused), (vec!["a=1".to_owned(), "b=2".to_owned()], 1));
    for serial in 0..MOST_SCOPES as u64 + 10 {
        timeline.go_on(opened(8 * serial, 100 + serial, 0, ("k", "v")));
    }
    assert_eq!((timeline.scopes.len(), timeline.refused), (MOST_SCOPES, 1 + 12));
    for state in 0..MOST_THREADS as u64 + 10 {
        timeline.go_on(moment(What::Inherits { state: 1 << 32 | state, serial: 1 }));
    }
    assert_eq!(timeline.threads.len(), MOST_THREADS);
}
