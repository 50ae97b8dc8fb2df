//! The signal handler under a guard that ends the program when a handler does what it must not: allocate, lock, call into
//! CPython, change errno.

mod common;

use pronk_bench::interpreter::interpreters_for_tests;
use pronk_trampolines::wire::{
    ARGUMENTS_SIZE, DIRECTORY_SIZE, Driver, Followed, Mode, SETTINGS_FILE, SETTINGS_MAGIC, SETTINGS_VERSION, Settings,
    StubsSetting, VARIABLES_SIZE,
};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// Writes settings for a session whose rings are in its own directory.
fn write_settings(session: &Path, mode: Mode, driver: Driver, stubs: StubsSetting) {
    let mut ring_directory = [0; DIRECTORY_SIZE];
    let path = session.as_os_str().as_bytes();
    ring_directory[..path.len()].copy_from_slice(path);
    let settings = Settings {
        magic: SETTINGS_MAGIC,
        version: SETTINGS_VERSION,
        mode: mode as u32,
        period_ns: 100_000,
        ring_size: 1 << 20,
        driver: driver as u32,
        kernel: 0,
        stubs: stubs as u32,
        await_chains: 1,
        ring_directory,
        spans: 0,
        followed: Followed::ALL,
        budget_ppm: 100_000,
        reserved: 0,
        variables: [0; VARIABLES_SIZE],
        arguments: [0; ARGUMENTS_SIZE],
    };
    std::fs::write(session.join(SETTINGS_FILE), settings.to_bytes()).unwrap();
}

#[test]
fn the_handler_allocates_nothing_takes_no_lock_and_calls_no_python() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/handler");
    let build = tempfile::tempdir().unwrap();
    let guard = build.path().join("guard.so");
    common::compile_library(&sources.join("guard.c"), &guard);
    let mut preload = OsString::from(common::agent());
    preload.push(":");
    preload.push(&guard);
    let ways = [
        (Mode::Cpu, Driver::Timer, StubsSetting::Off),
        (Mode::Cpu, Driver::PerfEvent, StubsSetting::Full),
        (Mode::Cpu, Driver::PerfEvent, StubsSetting::Windowed),
        (Mode::Wall, Driver::Timer, StubsSetting::Off),
        (Mode::Gil, Driver::Timer, StubsSetting::Off),
    ];
    for interpreter in interpreters_for_tests() {
        for (mode, driver, stubs) in ways {
            let session = tempfile::tempdir().unwrap();
            write_settings(session.path(), mode, driver, stubs);
            let report = session.path().join("report");
            let output = Command::new(&interpreter.path)
                .arg(sources.join("program.py"))
                .env("LD_PRELOAD", &preload)
                .env("PRONK_SESSION", session.path())
                .env("GUARD_REPORT", &report)
                .output()
                .unwrap();
            let way = format!("{interpreter}, {mode:?}, {driver:?}, stubs {stubs:?}");
            assert!(output.status.success(), "{way}: {output:?}");
            assert_eq!(output.stdout, b"done 3\n", "{way}");
            let runs: u64 = std::fs::read_to_string(&report).unwrap().trim().parse().unwrap();
            assert!(runs > 100, "{way}: the handler ran {runs} times");
        }
    }
}
