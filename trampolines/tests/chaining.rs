//! The hook among others: setting it again changes nothing, it is removed only where it is the current one, and under
//! another hook it becomes a pass-through. (That an earlier hook is called is shown by `every_call.rs`.)

mod common;

use pronk_bench::interpreter::interpreters_for_tests;
use std::path::Path;
use std::process::Command;

#[test]
fn the_hook_gets_along_with_one_that_is_set_over_it() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaining");
    let libraries = tempfile::tempdir().unwrap();
    let over = libraries.path().join("over.so");
    common::compile_library(&sources.join("over.c"), &over);
    for interpreter in interpreters_for_tests() {
        let session = tempfile::tempdir().unwrap();
        let output = Command::new(&interpreter.path)
            .arg(sources.join("chaining.py"))
            .arg(common::agent())
            .arg(&over)
            .env("LD_PRELOAD", common::agent())
            .env("PRONK_SESSION", session.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{interpreter}: {output:?}");
        assert_eq!(output.stdout, b"ok\n", "{interpreter}");
    }
}
