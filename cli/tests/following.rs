//! Processes that a process starts are sampled as well, however it starts them, whether it was started by pronk or attached to.

mod common;

use common::python::{Folded, fixture, names};
use common::running::Running;
use common::signal::{interpreters, on_each_version};
use common::{Place, text, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::{Profile, Sample};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// The ways in which `family.py` starts processes.
const WAYS: [&str; 9] =
    ["forked", "run", "with_environment", "shell", "executed", "spawned", "found", "spawn", "forkserver"];

/// A session that is on, of a process that ran before.
struct Attached {
    pronk: Child,
    said: BufReader<ChildStderr>,
}

impl Attached {
    fn start(mut command: Command) -> Attached {
        let mut pronk = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(pronk.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("is being sampled"), "{line}");
        Attached { pronk, said }
    }

    /// Ends it as Ctrl-C does. What it says.
    fn interrupt(self) -> String {
        kill(Pid::from_raw(self.pronk.id().cast_signed()), Signal::SIGINT).unwrap();
        self.end()
    }

    /// What it says when it has ended.
    fn end(mut self) -> String {
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        assert!(self.pronk.wait().unwrap().success(), "{said}");
        said
    }
}

/// The ways whose processes were sampled at work.
fn ways(folded: &Folded) -> Vec<&'static str> {
    let works = |way: &&&str| folded.of(&format!("of_{way}")) > 10;
    WAYS.iter().filter(works).copied().collect()
}

fn family(interpreter: &Interpreter) -> Running {
    Running::python(interpreter, "following/family.py", &[])
}

/// A command with its program's first lines given to it.
fn run_family(place: &Place, interpreter: &Interpreter, options: &[&str]) -> Folded {
    let mut command = place.pronk(["record", "-o", "x.folded"].iter().chain(options));
    command.arg("--").arg(&interpreter.path).arg(fixture("following/family.py"));
    let mut pronk = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    pronk.stdin.take().unwrap().write_all(b"\n\n").unwrap();
    let output = pronk.wait_with_output().unwrap();
    assert!(output.status.success(), "{interpreter}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "ready\ndone\n");
    place.folded("x.folded")
}

#[test]
fn what_a_process_starts_after_it_was_attached_to_is_sampled() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let mut running = family(interpreter);
        let before = running.traces();
        let session = Attached::start(running.record(&place, &[]));
        running.tell();
        running.says(1);
        let said = session.interrupt();
        running.assert_left_as(&before);
        assert_eq!(ways(&place.folded("x.folded")), WAYS, "{interpreter}: {said}");
    });
}

#[test]
fn what_a_command_starts_is_sampled() {
    on_each_version(|interpreter| {
        let place = Place::new();
        assert_eq!(ways(&run_family(&place, interpreter, &[])), WAYS, "{interpreter}");
    });
}

#[test]
fn only_the_first_process_is_sampled_if_that_is_asked_for() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let folded = run_family(&place, interpreter, &["--no-follow"]);
        assert!(ways(&folded).is_empty() && folded.of("of_parent") > 10, "{interpreter}: {folded:?}");
        let mut running = family(interpreter);
        let session = Attached::start(running.record(&place, &["--no-follow"]));
        running.tell();
        running.says(1);
        session.interrupt();
        let folded = place.folded("x.folded");
        assert!(ways(&folded).is_empty() && folded.of("of_parent") > 10, "{interpreter}: {folded:?}");
    });
}

#[test]
fn perf_samples_the_first_process_only_if_that_is_asked_for() {
    on_each_version(|interpreter| {
        let Some(place) = Place::for_recording() else { return };
        let folded = run_family(&place, interpreter, &["--engine", "perf", "--no-follow"]);
        assert!(ways(&folded).is_empty() && folded.of("of_parent") > 10, "{interpreter}: {folded:?}");
    });
}

#[test]
fn a_process_that_executes_another_program_goes_on_being_sampled() {
    on_each_version(|interpreter| {
        for options in [&[][..], &["--no-follow"]] {
            let place = Place::new();
            let mut running = Running::python(interpreter, "following/replaced.py", &[]);
            let session = Attached::start(running.record(&place, options));
            running.tell();
            let said = session.end();
            assert!(place.folded("x.folded").of("of_executed") > 10, "{interpreter}: {said}");
        }
    });
}

/// The processes that samples with a function are of.
fn processes_with(profile: &Profile, function: &str) -> BTreeSet<u32> {
    let has = |sample: &&Sample| names(profile, sample.stack).iter().any(|name| name.ends_with(function));
    let samples = profile.samples.iter().filter(has);
    samples.map(|sample| profile.threads[sample.thread.index()].process.0).collect()
}

#[test]
fn no_process_of_a_storm_of_forks_is_lost() {
    let number = std::env::var("PRONK_TEST_FORKS").map_or(2000, |number| number.parse().unwrap());
    let interpreter = interpreters().last().unwrap();
    let place = Place::new();
    let mut running = Running::python(interpreter, "following/storm.py", &[&number.to_string()]);
    let before = running.traces();
    let pid = running.pid().to_string();
    let session = Attached::start(place.pronk(["record", "-o", "x.pronk", "--pid", &pid]));
    let rings = ring_directory(running.pid());
    running.tell();
    running.says(1);
    let said = session.interrupt();
    running.assert_left_as(&before);
    assert!(!rings.exists(), "{}", rings.display());
    let found = processes_with(&place.read_profile("x.pronk"), "short").len();
    assert_eq!(found, number, "{said}");
}

#[test]
fn every_worker_of_a_server_is_sampled() {
    const WORKERS: usize = 16;
    on_each_version(|interpreter| {
        let place = Place::new();
        let mut running = Running::python(interpreter, "following/prefork.py", &[&WORKERS.to_string()]);
        let pid = running.pid().to_string();
        let session = Attached::start(place.pronk(["record", "-o", "x.pronk", "--pid", &pid]));
        let rings = ring_directory(running.pid());
        running.tell();
        let ports = running.says(WORKERS);
        let ask = |port: &String| {
            let mut reply = String::new();
            let mut connection = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
            connection.read_to_string(&mut reply).unwrap();
            reply.trim().parse::<usize>().unwrap()
        };
        let replies: Vec<usize> = ports.iter().chain(&ports).map(ask).collect();
        assert!(replies.into_iter().eq((0..WORKERS).chain(0..WORKERS)), "{interpreter}");
        let said = session.interrupt();
        assert!(!rings.exists(), "{interpreter}: {}", rings.display());
        // They go on.
        assert_eq!(ports.iter().map(ask).count(), WORKERS);
        let found = processes_with(&place.read_profile("x.pronk"), "serve").len();
        assert_eq!(found, WORKERS, "{interpreter}: {said}");
        running.tell();
        running.child.wait().unwrap();
    });
}

#[test]
fn programs_that_are_executed_afterwards_do_not_know_of_the_session() {
    on_each_version(|interpreter| {
        let place = Place::new();
        // The shell belongs to the session, and what it executes then does not.
        let script = "echo began; read line; exec env";
        let mut running = Running::python(interpreter, "following/shell.py", &[script]);
        let session = Attached::start(running.record(&place, &[]));
        running.tell();
        running.says(1);
        session.interrupt();
        running.tell();
        running.child.wait().unwrap();
        let said = running.says(3);
        let knows = |line: &&String| ["PRONK_SESSION=", "/libpronk.so"].iter().any(|name| line.contains(name));
        assert!(said.len() > 3 && !said.iter().any(|line| knows(&line)), "{interpreter}: {said:?}");
    });
}

#[test]
fn each_process_has_a_profile_if_that_is_asked_for() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let mut command = place.pronk(["record", "-o", "x.pronk", "--split", "--"]);
        command.arg(&interpreter.path).arg(fixture("following/family.py")).stdin(Stdio::piped());
        let mut pronk = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        pronk.stdin.take().unwrap().write_all(b"\n\n").unwrap();
        let said = text(&pronk.wait_with_output().unwrap().stderr);
        let (profiles, drawn): (Vec<String>, Vec<String>) =
            place.names().into_iter().partition(|name| name.ends_with(".pronk"));
        // The resource tracker of multiprocessing, and the server that forks, may have been sampled, too.
        assert!(profiles.len() > WAYS.len() && profiles.len() == drawn.len(), "{interpreter}: {profiles:?}: {said}");
        assert!(said.contains(&format!("for each of {} processes", profiles.len())), "{interpreter}: {said}");
        let mut found: Vec<&str> = Vec::new();
        for name in profiles {
            let profile = place.read_profile(&name);
            assert!(
                profile.processes.iter().all(|process| name == format!("x.{}.pronk", process.pid)),
                "{interpreter}"
            );
            let works = |way: &&&str| !processes_with(&profile, &format!("of_{way}")).is_empty();
            let works: Vec<&str> = WAYS.iter().filter(works).copied().collect();
            assert!(works.len() <= 1, "{interpreter}: {works:?}");
            found.extend(works);
        }
        assert_eq!(found.len(), WAYS.len(), "{interpreter}: {found:?}: {said}");
    });
}

/// Where a process that is sampled has its ring.
fn ring_directory(pid: u32) -> PathBuf {
    until("a ring", || {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let ring = maps.lines().find(|line| line.ends_with(".ring"))?;
        PathBuf::from(&ring[ring.find('/')?..]).parent().map(PathBuf::from)
    })
}
