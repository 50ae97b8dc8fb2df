//! Processes that know themselves by other ids than the profiler does are sampled as well: those of containers.

mod common;

use common::python::{fixture, interpreters};
use common::{Place, run, text};
use std::process::Command;

/// Runs a program in two pid namespaces at once. In both its shell is process 1, and the program itself has an id that
/// hardly anybody has outside (`ns_last_pid` of Documentation/admin-guide/sysctl/kernel.rst).
const TWO: &str = r#"
for time in 1 2; do
    unshare -Urpf --mount-proc sh -c 'echo 4000000 > /proc/sys/kernel/ns_last_pid; "$@"; exit $?' sh "$@" &
done 2> /dev/null
wait
"#;

#[test]
fn each_of_two_containers_is_sampled_whole() {
    let Some(interpreters) = interpreters() else { return };
    let permitted = Command::new("unshare").args(["-Urpf", "--mount-proc", "true"]).output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine permits no user namespaces");
        return;
    }
    for interpreter in interpreters {
        for engine in ["perf", "signal"] {
            let place = Place::new();
            let program =
                [interpreter.path.as_os_str(), fixture("loading/program.py").as_os_str()].map(ToOwned::to_owned);
            let command = ["sh", "-c", TWO, "sh"].map(Into::into).into_iter().chain(program);
            let output = run(&mut place.record_to("out.folded", &["--engine", engine], command));
            let said = text(&output.stderr);
            assert_eq!(text(&output.stdout).matches("done").count(), 2, "{interpreter}, {engine}: {said}");
            // Each works for a tenth of a second.
            let samples = place.folded("out.folded").of("in_program");
            assert!((150..300).contains(&samples), "{interpreter}, {engine}: {samples} samples: {said}");
        }
    }
}
