//! The main job, in short: Python functions by name, and a Python program that does not notice.

mod common;

use common::{Place, run, text};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

const PROGRAM: &str = "\
import sys, time

def inner():
    return sum(number * number for number in range(2000))

def outer():
    while time.process_time() < 1.0:
        inner()

outer()
print('out', sys.argv[1:])
print('err', file=sys.stderr)
sys.exit(3)
";

/// A place with the program, and an interpreter that is supported.
fn python() -> Option<Place> {
    let place = Place::for_recording()?;
    let supported = "import sys; sys.exit(0 if (3, 9) <= sys.version_info < (3, 16) else 1)";
    if !Command::new("python3").args(["-c", supported]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no `python3` of a version from 3.9 to 3.15 in the PATH");
        return None;
    }
    std::fs::write(place.file("program.py"), PROGRAM).unwrap();
    Some(place)
}

#[test]
fn functions_are_named_and_the_program_is_as_without() {
    let Some(place) = python() else { return };
    let command = ["python3", "program.py", "a b", "--", "-c"];
    let plain = run(Command::new(command[0]).args(&command[1..]).current_dir(place.path()));
    let options = ["record", "-o", "out.folded", "--native", "python", "--"];
    let profiled = run(&mut place.pronk(options.iter().chain(&command)));
    assert_eq!(profiled.status, plain.status);
    assert_eq!(profiled.stdout, plain.stdout);
    let said = text(&profiled.stderr);
    assert!(said.starts_with("err\n"), "{said}");
    assert!(said.contains("__main__.inner (program.py:3)"), "{said}");

    let folded = std::fs::read_to_string(place.file("out.folded")).unwrap();
    let stack = "__main__.<module> (program.py:1);__main__.outer (program.py:6)";
    let samples = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        let lines = folded.lines().filter(|line| wanted(line));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    let main = samples(&|line| line.contains("__main__."));
    let outer = samples(&|line| line.starts_with(stack));
    let inner = samples(&|line| line.starts_with(&format!("{stack};__main__.inner (program.py:3)")));
    // The program ends after a second of CPU time, most of it in `inner`.
    assert!(main > 500, "{main} samples\n{folded}");
    assert!(outer * 100 >= main * 95, "{outer} of {main}\n{folded}");
    assert!(inner * 100 >= main * 80, "{inner} of {main}\n{folded}");
}

#[test]
fn a_program_that_fails_fails_as_without() {
    let Some(place) = python() else { return };
    for script in
        ["raise SystemExit('bye')", "1/0", "import os; os.abort()", "def f(): f()\nf()", "import sys; sys.exit(2**40)"]
    {
        let plain = run(Command::new("python3").args(["-c", script]).current_dir(place.path()));
        let profiled = run(&mut place.record(&["python3", "-c", script]));
        let ending = |status: ExitStatus| (status.code(), status.signal());
        assert_eq!(ending(profiled.status), ending(plain.status), "{script}");
        let said = text(&profiled.stderr);
        assert!(said.starts_with(&text(&plain.stderr)), "{script}: {said}");
    }
}
