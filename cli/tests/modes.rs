//! What a sample stands for: CPU time, time on the clock, or CPU time with the interpreter's lock.

mod common;

use common::python::{Folded, fixture, interpreters};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;

/// Runs a program in a mode: its stacks, and what it and pronk said.
fn record_program(interpreter: &Interpreter, mode: &str, program: &str) -> (Folded, String, String) {
    let place = Place::new();
    let program = fixture(program);
    let command = [interpreter.path.as_os_str(), program.as_os_str(), "1.5".as_ref()];
    let options = ["-F", "1000", "--mode", mode, "--native", "python"];
    let output = run(&mut place.record_to("out.folded", &options, command));
    let said = text(&output.stderr);
    assert!(output.status.success(), "{interpreter}, {mode}: {said}");
    (place.folded("out.folded"), text(&output.stdout), said)
}

/// Runs the program that waits in a mode: its stacks, and what pronk said.
fn record(interpreter: &Interpreter, mode: &str) -> (Folded, String) {
    let (folded, done, said) = record_program(interpreter, mode, "modes/waiting.py");
    assert_eq!(done, "done\n", "{interpreter}, {mode}: {said}");
    (folded, said)
}

#[test]
fn cpu_shows_what_runs_and_not_what_waits() {
    for interpreter in interpreters().into_iter().flatten() {
        let (folded, said) = record(interpreter, "cpu");
        let [computes, sleeps, hashes] = ["computes", "sleeps", "hashes"].map(|function| folded.of(function));
        assert!(computes > 100 && hashes > 100, "{interpreter}: {computes}, {hashes}: {said}");
        assert!(sleeps * 20 < computes, "{interpreter}: {sleeps} of a sleeper: {said}");
        assert!(said.contains("a sample stands for 1.000 ms of a thread's CPU time"), "{said}");
    }
}

#[test]
fn wall_shows_every_thread_for_as_long_as_it_is_there() {
    for interpreter in interpreters().into_iter().flatten() {
        let (folded, said) = record(interpreter, "wall");
        let counts = ["computes", "sleeps", "hashes"].map(|function| folded.of(function) as f64);
        let most = counts.iter().copied().fold(0.0, f64::max);
        // All three ran just as long, on the clock. The main thread waited for them.
        for count in counts {
            assert!(count > 1000.0 && count / most > 0.9, "{interpreter}: {counts:?}: {said}");
        }
        assert!(folded.of("join") > 1000, "{interpreter}: {said}");
        assert!(said.contains("time on the clock, waiting included"), "{said}");
    }
}

#[test]
fn wall_tells_naps_from_what_comes_after_them() {
    for interpreter in interpreters().into_iter().flatten() {
        let (folded, napped, said) = record_program(interpreter, "wall", "modes/napping.py");
        let percent = |text: &str| 100.0 * text.parse::<f64>().unwrap();
        let [napped, lost] = napped.split_whitespace().map(percent).collect::<Vec<_>>()[..] else { panic!("{napped}") };
        let share = 100.0 * folded.of("naps") as f64 / folded.of("<module>") as f64;
        // Where somebody else had the processor just after a nap, nobody can tell that time from the nap.
        let near = (share - napped).abs() < 3.0 + lost;
        assert!(near, "{interpreter}: {share} % for {napped} %, {lost} % lost: {said}");
    }
}

#[test]
fn gil_shows_who_holds_the_lock() {
    for interpreter in interpreters().into_iter().flatten() {
        let (folded, said) = record(interpreter, "gil");
        let [computes, sleeps, hashes] = ["computes", "sleeps", "hashes"].map(|function| folded.of(function));
        assert!(computes > 100, "{interpreter}: {computes}: {said}");
        assert!(sleeps * 20 < computes, "{interpreter}: {sleeps} of a sleeper, {computes}: {said}");
        assert!(hashes * 4 < computes, "{interpreter}: {hashes} of a hasher, which gives the lock away: {said}");
        assert!(said.contains("of CPU time of the thread that holds the GIL"), "{said}");
    }
}
