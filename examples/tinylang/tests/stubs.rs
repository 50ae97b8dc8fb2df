//! Within a session every function has a stub with its name that counts its calls, and the program does the same as without.

use pronk_trampolines::wire::{COUNTS_EXTENSION, Head, REGISTRY_EXTENSION, Reader, Record, SESSION_ENV, Status};
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
fn every_function_is_named_in_the_registry_with_its_line_and_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let session = directory.path().join("session");
    fs::create_dir(&session).expect("a session");
    let program = directory.path().join("program.tl");
    fs::write(&program, PROGRAM).expect("a program");

    assert_eq!(run(None, &program), "42\n");
    assert_eq!(run(Some(&session), &program), "42\n");

    let bytes = only_file(&session, REGISTRY_EXTENSION);
    let reader = Reader::new(&bytes).expect("a registry");
    assert_eq!((reader.status(), reader.python_hexversion()), (Some(Status::Running), 0));
    let counts = only_file(&session, COUNTS_EXTENSION);
    let lane = Head::read(&counts).expect("counts").lanes().next().expect("a lane");
    let (counters, _) = counts[lane.start as usize..lane.end as usize].as_chunks();
    let functions: Vec<(String, u32, u64)> = reader
        .records()
        .filter(|Record::Function { function, .. }| function.module == b"program")
        .map(|Record::Function { function, counter, .. }| {
            let calls = u64::from_ne_bytes(counters[counter as usize]);
            (String::from_utf8_lossy(function.qualname).into_owned(), function.first_line, calls)
        })
        .collect();
    let expected =
        [("<program>", 1, 1), ("twice", 1, 1), ("twice.<fn>", 2, 1), ("increase", 4, 2), ("increase.by", 5, 2)];
    assert_eq!(functions, expected.map(|(name, line, calls)| (name.to_owned(), line, calls)));
}

/// The bytes of the session's only file with an extension.
fn only_file(session: &Path, extension: &str) -> Vec<u8> {
    let files = fs::read_dir(session).expect("the session").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read(&files[0]).expect("the file")
}
