//! Which frame comes where.

use super::*;

#[test]
fn python_frames_lie_below_their_evaluator_and_what_it_called() {
    assert_eq!(frames(&CALLBACK, Addressed), "root c2 py1 py2 eval c1 c3 py3 eval c1");
    // The evaluator itself is the newest.
    assert_eq!(frames(&CALLBACK[..4], Addressed), "root c2 py1 py2 eval");
    let each_in_its_own = [c(2), EVALUATE, Python(1), c(1), EVALUATE, Python(2), c(3), EVALUATE, Python(3), c(1)];
    assert_eq!(frames(&each_in_its_own, Counted), "root c2 py1 eval c1 py2 eval c3 py3 eval c1");
}

#[test]
fn an_evaluator_that_was_just_called_has_no_python_frames() {
    let mut calls = [c(2), EVALUATE, Python(1), c(1), EVALUATE].to_vec();
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 py1 eval c1 eval");
    }
    // Nor has one whose frame is gone already, while it calls something.
    calls.push(c(3));
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 py1 eval c1 eval c3");
    }
}

#[test]
fn threads_that_run_no_python_have_native_frames_alone() {
    assert_eq!(frames(&[c(2), c(1), c(3)], Addressed), "root c2 c1 c3");
    assert_eq!(frames(&[c(2), Stub(1), EVALUATE, c(3)], Addressed), "root c2 stub eval c3");
}

#[test]
fn stubs_give_way_to_the_python_frames_that_they_name() {
    let calls = [c(2), Stub(1), EVALUATE, Python(1), c(1), Stub(2), EVALUATE, Python(2), c(3)];
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&calls, borders), "root c2 py1 eval c1 py2 eval c3");
        let torn = Moment { torn: true, ..Moment::of(&calls, borders) };
        assert_eq!(Profiler::frames(&torn).join(" "), "root c2 stub eval c1 stub eval c3");
    }
}

#[test]
fn native_code_that_cannot_be_unwound_leaves_python_frames_complete() {
    let with_stubs = [c(2), Stub(1), EVALUATE, Python(1), C(OPAQUE + 5), c(1), EVALUATE, Python(2), c(3)];
    assert_eq!(frames(&with_stubs, Addressed), "root c2 py1 gap opaque c1 py2 eval c3");
    let no_stubs = [c(2), EVALUATE, Python(1), C(OPAQUE + 5), c(1), EVALUATE, Python(2), c(3)];
    for borders in [Addressed, Counted] {
        assert_eq!(frames(&no_stubs, borders), "py1 gap opaque c1 py2 eval c3", "{borders:?}");
    }
}

#[test]
fn a_stack_that_is_cut_still_has_all_python_frames() {
    let whole = Moment::of(&CALLBACK, Addressed);
    let size = whole.stack.bytes().len();
    let all = Profiler::frames(&whole);
    for limit in (0..size - 4 * 8).step_by(8) {
        let mut walked = Profiler::frames(&Moment { limit, ..Moment::of(&CALLBACK, Addressed) });
        let python: Vec<_> = walked.iter().filter(|frame| frame.starts_with("py")).cloned().collect();
        assert_eq!(python, ["py1", "py2", "py3"], "{limit}: {walked:?}");
        let mark = walked.iter().position(|frame| frame == "truncated").unwrap();
        let walked = walked.split_off(mark + 1);
        // Where an evaluator is the last frame that was walked, it is not known how far it reaches.
        match walked.first() {
            Some(first) if first == "eval" => assert!(all.ends_with(&walked[1..]), "{limit}: {walked:?}"),
            _ => assert!(all.ends_with(&walked), "{limit}: {walked:?}"),
        }
    }
}

#[test]
fn counted_frames_are_in_their_places_wherever_the_stack_is_cut() {
    let mut calls = vec![c(2)];
    for code in 1..=5 {
        calls.extend([EVALUATE, Python(code), c(3), c(1)]);
    }
    let all = frames(&calls, Counted);
    for limit in (0..Moment::of(&calls, Counted).stack.bytes().len() - 4 * 8).step_by(8) {
        let walked = Profiler::frames(&Moment { limit, ..Moment::of(&calls, Counted) }).join(" ");
        let (before, behind) = walked.split_once("truncated ").unwrap();
        let older = (1..=5).map(|code| format!("py{code} ")).filter(|frame| !behind.contains(frame.trim()));
        assert_eq!(before, older.collect::<String>(), "{limit}");
        assert!(all.ends_with(behind), "{walked}");
    }
}

#[test]
fn what_cannot_be_counted_is_not_guessed() {
    // Evaluators that run nothing, in the midst: the frames of another greenlet lie below.
    let calls = [c(2), EVALUATE, c(1), EVALUATE, c(1), EVALUATE, Python(1), c(3), EVALUATE, Python(2), c(2)];
    assert_eq!(frames(&calls, Counted), "root c2 py1 py2 gap c2");
    // By their addresses they are known.
    assert_eq!(frames(&calls, Addressed), "root c2 eval c1 eval c1 py1 eval c3 py2 eval c2");
    // More frames than evaluators, or none.
    let moment = |calls: &[Call], links| Moment { links, ..Moment::of(calls, Counted) };
    let links = Moment::of(&calls, Counted).links;
    assert_eq!(
        Profiler::frames(&moment(&[c(2), EVALUATE, Python(1), c(3)], links.clone())).join(" "),
        "root c2 py1 py2 gap c3"
    );
    assert_eq!(Profiler::frames(&moment(&[c(2), c(3)], links)).join(" "), "py1 py2 gap c2 c3");
}

#[test]
fn a_chain_that_is_cut_says_so_where_it_ends() {
    let cut = |calls: &[Call], borders, from: usize| {
        let mut moment = Moment::of(calls, borders);
        moment.links.drain(..from);
        Profiler::frames(&Moment { links_cut: true, ..moment }).join(" ")
    };
    assert_eq!(cut(&CALLBACK, Addressed, 2), "root c2 truncated py2 eval c1 c3 py3 eval c1");
    assert_eq!(cut(&CALLBACK, Addressed, 3), "root c2 eval c1 c3 truncated py3 eval c1");
    assert_eq!(cut(&CALLBACK, Addressed, 4), "root c2 eval c1 c3 truncated py3 eval c1");
    let counted = [c(2), EVALUATE, Python(1), c(1), EVALUATE, Python(2), c(3), EVALUATE, Python(3), c(1)];
    assert_eq!(cut(&counted, Counted, 3), "root c2 truncated py2 py3 gap c1");
}

#[test]
fn the_kernel_is_on_top() {
    let mut profiler = Profiler::new();
    let moment = Moment { kernel: vec![0xf2, 0xf1], ..Moment::of(&[c(2)], Addressed) };
    let merged = profiler.sample(&moment);
    assert_eq!(profiler.show(merged.stack).join(" "), "root c2 to kernel f1 at kernel f2");
}
