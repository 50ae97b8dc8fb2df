//! A command under a session behaves as it would without one.

mod common;

use common::{alone, compile, record, request, start, until};
use pronk_sampler::{Error, Request, Session, SessionDirectory, Stubs};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn sh(script: &str) -> Vec<OsString> {
    ["sh", "-c", script].map(OsString::from).into()
}

/// What a script writes to its standard output, under a session.
fn output_of(script: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("out");
    record(sh(&format!("({script}) > {}", file.display())));
    std::fs::read_to_string(file).unwrap()
}

/// What it writes when the standard library starts it.
fn plain_output_of(script: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("out");
    let script = format!("({script}) > {}", file.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn exit_codes_and_signals_are_those_of_the_command() {
    assert_eq!(record(sh("exit 0")).exit.unwrap().code(), Some(0));
    assert_eq!(record(sh("exit 3")).exit.unwrap().code(), Some(3));
    assert_eq!(record(sh("kill -9 $$")).exit.unwrap().signal(), Some(9));
}

#[test]
fn commands_that_cannot_be_run_are_told_as_by_a_shell() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("text");
    std::fs::write(&file, "exit 5").unwrap();
    let code = |command: &Path| {
        let _alone = alone();
        let error = start(request(vec![command.into()])).unwrap_err();
        assert!(error.to_string().contains(&*command.to_string_lossy()), "{error}");
        error.exit_code()
    };
    assert_eq!(code(Path::new("no-such-command-anywhere")), Some(127));
    assert_eq!(code(Path::new("/no/such/command")), Some(127));
    assert_eq!(code(Path::new("/etc/passwd/x")), Some(127));
    assert_eq!(code(place.path()), Some(126));
    assert_eq!(code(&file), Some(126));
    // A script without `#!` is run by a shell.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(record(vec![file.into()]).exit.unwrap().code(), Some(5));
}

#[test]
fn what_cannot_be_met_is_refused_before_anything_runs() {
    let _alone = alone();
    let with = |command: Vec<OsString>, frequency| start(Request { frequency, ..request(command) }).unwrap_err();
    assert!(matches!(with(sh("exit 0"), 0), Error::FrequencyZero));
    assert!(matches!(with(sh("exit 0"), 2_000_000_000), Error::FrequencyTooHigh { asked: 2_000_000_000, .. }));
    assert!(matches!(with(vec![], 100), Error::NoCommand));
    assert!(matches!(with(vec!["a\0b".into()], 100), Error::ZeroByte(_)));
}

#[test]
fn one_session_runs_at_a_time_and_then_the_next() {
    let _alone = alone();
    let mut first = start(request(sh("read x"))).unwrap();
    assert!(matches!(start(request(sh("exit 0"))), Err(Error::Busy)));
    first.wait().unwrap();
    drop(first);
    assert_eq!(start(request(sh("exit 4"))).unwrap().wait().unwrap().unwrap().code(), Some(4));
}

#[test]
fn the_command_finds_its_surroundings_as_they_were() {
    for script in [
        "env | grep -v '^_=' | sort",
        "pwd",
        "ulimit -a",
        "umask",
        "ls /proc/self/fd | wc -l",
        "readlink /proc/self/fd/0",
    ] {
        assert_eq!(output_of(script), plain_output_of(script), "{script}");
    }
}

#[test]
fn signals_are_ignored_and_blocked_for_the_command_as_for_the_profiler() {
    let script = "grep -E 'SigBlk|SigIgn' /proc/self/status";
    // The C library has signals 32 and 33 for itself (nptl(7)), and its posix_spawn ignores them.
    let parse = |text: String| -> Vec<u64> {
        let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        text.lines().map(|line| mask(line) & !(0b11 << 31)).collect()
    };
    assert_eq!(parse(output_of(script)), parse(plain_output_of(script)));
}

#[test]
fn the_agent_is_loaded_first_and_told_of_the_session() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let library = place.path().join("empty.so");
    let built = Command::new("gcc").args(["-shared", "-o"]).arg(&library).args(["-x", "c", "/dev/null"]).status();
    assert!(built.unwrap().success());
    let directory = SessionDirectory::create(&std::fs::read(library).unwrap()).unwrap();
    let path = directory.path().to_owned();
    let file = place.path().join("out");
    let script =
        format!("(echo $LD_PRELOAD; echo $PRONK_SESSION; grep -c libpronk.so /proc/self/maps) > {}", file.display());
    let mut session = Session::start(Request { stubs: Stubs::Full, ..request(sh(&script)) }, directory).unwrap();
    let recording = session.record().unwrap();
    assert_eq!(recording.session, path);
    let written = std::fs::read_to_string(file).unwrap();
    let lines: Vec<_> = written.lines().collect();
    assert_eq!(lines[0].split(':').next().unwrap(), path.join("libpronk.so").to_str().unwrap());
    assert_eq!(lines[1], path.to_str().unwrap());
    assert_ne!(lines[2], "0");
    assert!(path.exists());
    drop(session);
    assert!(!path.exists());
}

#[test]
fn signals_that_are_sent_to_the_profiler_reach_the_command() {
    for (signal, name) in [
        (libc::SIGTERM, "TERM"),
        (libc::SIGHUP, "HUP"),
        (libc::SIGUSR1, "USR1"),
        (libc::SIGUSR2, "USR2"),
        (libc::SIGINT, "INT"),
        (libc::SIGQUIT, "QUIT"),
        (libc::SIGCONT, "CONT"),
    ] {
        let _alone = alone();
        let place = tempfile::tempdir().unwrap();
        let ready = place.path().join("ready");
        let script = format!("trap 'exit 7' {name}; touch {}; while :; do sleep 0.01; done", ready.display());
        let mut session = start(request(sh(&script))).unwrap();
        let sender = std::thread::spawn(move || {
            until("the command's start", || ready.exists());
            // SAFETY: the session catches the signal.
            unsafe { libc::kill(libc::getpid(), signal) };
        });
        assert_eq!(session.record().unwrap().exit.unwrap().code(), Some(7), "{name}");
        sender.join().unwrap();
    }
}

#[test]
fn what_the_command_sends_to_its_parent_does_not_come_back() {
    let recording = record(sh("kill -USR1 $PPID; kill -TERM $PPID; exit 6"));
    assert_eq!(recording.exit.unwrap().code(), Some(6));
}

#[test]
fn sampling_ends_when_its_time_is_over_and_the_command_goes_on() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    let script = format!("while ! [ -e {} ]; do :; done; exit 5", go.display());
    let duration = Some(Duration::from_millis(200));
    let mut session = start(Request { duration, ..request(sh(&script)) }).unwrap();
    let recording = session.record().unwrap();
    assert_eq!(recording.exit, None);
    let sampled_for = recording.losses.sampled_for;
    assert!(sampled_for >= Duration::from_millis(200), "{sampled_for:?}");
    assert!(recording.samples.len() > 20);
    std::fs::write(go, "").unwrap();
    assert_eq!(session.wait().unwrap().unwrap().code(), Some(5));
}

#[test]
fn what_the_command_leaves_behind_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pid");
    let recording = record(sh(&format!("sleep 600 & echo $! > {}; exit 2", file.display())));
    assert_eq!(recording.exit.unwrap().code(), Some(2));
    let left: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    // SAFETY: the process is the one that the command left; nobody else knows it.
    assert_eq!(unsafe { libc::kill(left, libc::SIGKILL) }, 0);
}

#[test]
fn a_session_that_is_given_up_leaves_the_command_running() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let (go, done) = (place.path().join("go"), place.path().join("done"));
    let script = format!("while ! [ -e {} ]; do sleep 0.01; done; touch {}", go.display(), done.display());
    drop(start(request(sh(&script))).unwrap());
    std::fs::write(go, "").unwrap();
    until("the command's end", || done.exists());
}

#[test]
fn a_command_that_ends_at_once_is_recorded() {
    let program = compile("chain", &[]);
    let missing_argument = record(vec![program.path.clone().into()]);
    assert!(missing_argument.exit.is_some());
    let recording = record(vec!["true".into()]);
    assert_eq!(recording.exit.unwrap().code(), Some(0));
    assert_eq!(recording.processes.len(), 1);
    assert_eq!(recording.processes[0].name, "true");
    assert!(recording.processes[0].ended.is_some());
}
