//! What happens when somebody does not wait for the end: Ctrl-C, signals, SIGKILL, and `--duration`.

mod common;

use common::{PATIENCE, Place, run, text, until};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pronk_symbolizer::file;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

/// pronk with a script that says `ready` once it is, in a process group of its own.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Running { child, stdout };
        assert_eq!(running.line(), "ready");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    fn profile(place: &Place) -> pronk_symbolizer::profile::Profile {
        file::read(&std::fs::read(place.file("profile.pronk")).unwrap()).unwrap()
    }
}

#[test]
fn an_interrupt_of_the_group_ends_the_program_its_own_way() {
    let Some(place) = Place::for_recording() else { return };
    let script = "trap 'echo caught; exit 4' INT; echo ready; read line";
    let mut running = Running::start(place.record_shell(script));
    killpg(running.pid(), Signal::SIGINT).unwrap();
    assert_eq!(running.line(), "caught");
    assert_eq!(running.child.wait().unwrap().code(), Some(4));
    assert_eq!(Running::profile(&place).meta.exit, "exit code 4");
}

#[test]
fn an_interrupt_that_kills_the_program_kills_pronk_too_after_the_profile() {
    let Some(place) = Place::for_recording() else { return };
    let mut running = Running::start(place.record_shell("echo ready; read line"));
    killpg(running.pid(), Signal::SIGINT).unwrap();
    assert_eq!(running.child.wait().unwrap().signal(), Some(libc::SIGINT));
    assert_eq!(Running::profile(&place).meta.exit, "killed by signal 2");
}

#[test]
fn a_signal_to_pronk_alone_reaches_the_program() {
    for (name, signal) in
        [("TERM", Signal::SIGTERM), ("HUP", Signal::SIGHUP), ("USR1", Signal::SIGUSR1), ("INT", Signal::SIGINT)]
    {
        let Some(place) = Place::for_recording() else { return };
        let script = format!("trap 'echo {name}; exit 7' {name}; echo ready; read line");
        let mut running = Running::start(place.record_shell(&script));
        kill(running.pid(), signal).unwrap();
        assert_eq!(running.line(), name);
        assert_eq!(running.child.wait().unwrap().code(), Some(7));
        assert!(place.file("profile.pronk").exists());
    }
}

#[test]
fn control_c_reaches_the_program_once() {
    let Some(place) = Place::for_recording() else { return };
    let terminal = openpty(None, None).unwrap();
    let slave = File::from(terminal.slave);
    let script = "trap 'echo caught; count=$((count+1))' INT; echo ready; \
                  while [ \"$line\" != end ]; do read line; done; exit $((40 + count))";
    let mut command = place.record_shell(script);
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(Stdio::piped());
    let descriptor = slave.as_raw_fd();
    // SAFETY: between fork and exec only async-signal-safe system calls are made; the terminal is still open there.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 || libc::ioctl(descriptor, libc::TIOCSCTTY, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    drop(slave);
    drop(command);
    let mut master = File::from(terminal.master);
    let mut lines = BufReader::new(master.try_clone().unwrap());
    let mut wait_for = |wanted: &str| {
        let start = Instant::now();
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0 && start.elapsed() < PATIENCE, "no {wanted}");
        }
    };
    wait_for("ready");
    master.write_all(b"\x03").unwrap();
    wait_for("caught");
    master.write_all(b"end\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(41), "{}", text(&output.stderr));
}

#[test]
fn the_program_goes_on_when_pronk_is_killed() {
    let Some(place) = Place::for_recording() else { return };
    let script = "echo ready; read line; echo \"$line\" > finished; echo done";
    let mut running = Running::start(place.record_shell(script));
    let mut stdin = running.child.stdin.take().unwrap();
    running.child.kill().unwrap();
    assert_eq!(running.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    stdin.write_all(b"after pronk\n").unwrap();
    assert_eq!(running.line(), "done");
    let mut rest = String::new();
    running.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(std::fs::read_to_string(place.file("finished")).unwrap(), "after pronk\n");
}

#[test]
fn after_the_duration_the_profile_is_there_and_the_program_goes_on() {
    let Some(place) = Place::for_recording() else { return };
    let mut command = place.pronk(["record", "--duration", "0.2", "--", "/bin/sh", "-c"]);
    command.arg("echo ready; read line; exit 5");
    let mut running = Running::start(command);
    until("the profile", || place.file("profile.svg").exists().then_some(()));
    assert!(running.child.try_wait().unwrap().is_none(), "the program still runs");
    assert_eq!(Running::profile(&place).meta.exit, "still running");
    running.child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = running.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("sampling has stopped"), "{}", text(&output.stderr));
}

#[test]
fn a_program_that_ends_before_the_duration_ends_it() {
    let Some(place) = Place::for_recording() else { return };
    let start = Instant::now();
    let output = run(&mut place.pronk(["record", "--duration", "3600", "--", "/bin/sh", "-c", "exit 6"]));
    assert_eq!(output.status.code(), Some(6));
    assert!(start.elapsed() < PATIENCE);
    assert!(!text(&output.stderr).contains("sampling has stopped"));
}
