//! Within a session every function has a stub with its name, and the program does the same as without.

use pronk_trampolines::wire::{Reader, Record, SESSION_ENV, Status};
use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "\
(define (twice f)
  (fn (x) (f (f x))))

(define (increase x)
  (define (by step) (+ x step))
  (by 1))

(print ((twice increase) 40))
";

fn run(session: Option<&Path>, program: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinylang"));
    command.arg(program).env_remove(SESSION_ENV);
    if let Some(session) = session {
        command.env(SESSION_ENV, session);
    }
    let output = command.output().expect("tinylang starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_function_is_named_in_the_registry_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let session = directory.path().join("session");
    fs::create_dir(&session).expect("a session");
    let program = directory.path().join("program.tl");
    fs::write(&program, PROGRAM).expect("a program");

    assert_eq!(run(None, &program), "42\n");
    assert_eq!(run(Some(&session), &program), "42\n");

    let registries: Vec<_> = fs::read_dir(&session).expect("the session").map(|e| e.expect("a file").path()).collect();
    assert_eq!(registries.len(), 1, "{registries:?}");
    let bytes = fs::read(&registries[0]).expect("the registry");
    let reader = Reader::new(&bytes).expect("a registry");
    assert_eq!((reader.status(), reader.python_hexversion()), (Some(Status::Running), 0));
    let functions: Vec<(String, u32)> = reader
        .records()
        .map(|Record::Function { function, .. }| function)
        .filter(|function| function.module == b"program")
        .map(|function| (String::from_utf8_lossy(function.qualname).into_owned(), function.first_line))
        .collect();
    let expected = [("<program>", 1), ("twice", 1), ("twice.<fn>", 2), ("increase", 4), ("increase.by", 5)];
    assert_eq!(functions, expected.map(|(name, line)| (name.to_owned(), line)));
}
