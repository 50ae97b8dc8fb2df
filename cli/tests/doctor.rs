//! `pronk doctor` says what is there.

mod common;

use common::{Place, run, text};

#[test]
fn each_thing_has_a_line_and_the_status_says_whether_record_works() {
    let place = Place::new();
    let output = run(&mut place.pronk(["doctor"]));
    let found = text(&output.stdout);
    let all = [
        "perf events",
        "kernel sampling",
        "cycles",
        "locked memory",
        "session directory",
        "agent",
        "perf engine",
        "interrupts",
    ];
    for what in all.into_iter().chain(["signal engine"]) {
        let line = found.lines().find(|line| line.get(4..).is_some_and(|rest| rest.starts_with(what)));
        let line = line.unwrap_or_else(|| panic!("{what} is missing:\n{found}"));
        assert!(line.starts_with("ok  ") || line.starts_with("no  "), "{line}");
    }
    let recorded = run(&mut place.record(&["true"])).status.success();
    assert_eq!(output.status.success(), recorded, "{found}");
    assert_eq!(output.status.code(), Some(if recorded { 0 } else { 1 }));
    assert!(found.ends_with(if recorded { "`pronk record` works here.\n" } else { "does not work here.\n" }));
}

#[test]
fn what_cannot_work_is_found_by_trying() {
    // A limit of files holds for root as well: 3 are open already.
    let place = Place::new();
    let pronk = env!("CARGO_BIN_EXE_pronk");
    let output = run(std::process::Command::new("/bin/sh")
        .args(["-c", &format!("ulimit -n 4; exec {pronk} doctor")])
        .current_dir(place.path()));
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert!(
        found.contains("\nno  signal engine") && found.ends_with("`pronk record` does not work here.\n"),
        "{found}"
    );
}
