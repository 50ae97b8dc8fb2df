//! Programs that use signals, timers and alternate stacks themselves keep working while they are sampled.

mod common;

use common::python::{fixture, interpreters};
use common::{Place, run, text};
use std::process::Command;

#[test]
fn what_programs_do_with_signals_is_theirs() {
    for interpreter in interpreters().into_iter().flatten() {
        let program = fixture("neighbours/signals.py");
        let command = [interpreter.path.as_os_str(), program.as_os_str()];
        let plain = run(Command::new(command[0]).args(&command[1..]));
        assert!(plain.status.success(), "{interpreter}: {}", text(&plain.stderr));
        for options in [&["--mode", "cpu"], &["--mode", "wall"], &["--stubs", "full"]] {
            let place = Place::new();
            let options = [["-F", "2000", "--engine", "signal"].as_slice(), options].concat();
            let output = run(&mut place.record_to("out.folded", &options, command));
            let what = format!("{interpreter}, {options:?}: {}", text(&output.stderr));
            assert_eq!(text(&output.stdout), text(&plain.stdout), "{what}");
            assert_eq!(output.status.code(), Some(0), "{what}");
            assert!(place.folded("out.folded").samples(|_| true) > 100, "{what}");
        }
    }
}
