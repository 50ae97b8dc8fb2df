//! `pronk record --pid`: a process that runs is sampled, whatever it does just then, and is left as it was.

mod common;

use common::python::{Folded, example, fixture};
use common::running::Running;
use common::signal::{interpreters, on_each_version};
use common::{Place, run, text, until};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pronk_bench::accuracy::{Truth, compare};
use pronk_bench::interpreter::Interpreter;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A process group, which is killed in the end.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0 as i32), Signal::SIGKILL);
    }
}

fn succeeded(output: &Output, who: &dyn std::fmt::Display) -> String {
    let said = text(&output.stderr);
    assert!(output.status.success(), "{who}: {said}");
    assert!(said.contains("is being sampled") && output.stdout.is_empty(), "{who}: {said}");
    said
}

/// Numbers of rounds: few where tests run all the time, and more where somebody wants to know.
fn rounds(variable: &str, few: u32) -> u32 {
    std::env::var(variable).map_or(few, |number| number.parse().unwrap())
}

#[test]
fn a_process_is_sampled_whatever_it_does_and_left_as_it_was() {
    // With what has to be on the stacks, from the first sample on, though it ran before.
    let states: [(&str, &[&str]); 12] = [
        ("sleeping", &["<module>", "sleeping"]),
        ("reading", &["<module>", "reading"]),
        ("burning", &["<module>", "burning", "burn"]),
        ("threads", &["burn"]),
        ("hashing", &["<module>", "hashing"]),
        ("accepting", &["<module>", "accepting"]),
        ("tasks", &["<module>", "tasks"]),
        ("locked", &["<module>", "locked"]),
        ("keeping_the_lock", &["<module>", "keeping_the_lock"]),
        ("loading", &["<module>", "loading"]),
        ("forking", &["<module>", "forking"]),
        ("recursive", &["<module>", "recursive", "deeper"]),
    ];
    on_each_version(|interpreter| {
        for (state, stack) in states {
            let who = format!("{interpreter}, {state}");
            let mut running = Running::in_state(interpreter, state);
            let before = running.traces();
            let place = Place::new();
            let options = ["--mode", "wall", "--duration", "0.4"];
            succeeded(&run(&mut running.record(&place, &options)), &who);
            assert!(running.is_alive(), "{who}");
            running.assert_left_as(&before);
            let folded = place.folded("x.folded");
            let has = |of: &[String]| stack.iter().all(|name| of.iter().any(|frame| frame.contains(name)));
            let (with, all) = (folded.samples(has), folded.samples(|_| true));
            // The main thread only waits for its four ("threads"); what starts and ends threads has few frames.
            assert!(with > 0 && with * 10 >= all * 7, "{who}: {with} of {all}: {folded:#?}");
            if state == "recursive" {
                assert!(folded.0.iter().any(|(stack, _)| stack.len() > 900), "{who}");
            }
        }
    });
}

#[test]
fn answers_are_right_within_two_points() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let program = example("known_answer.py");
        let mut command = Command::new(&interpreter.path);
        let child = command.arg(program).args(["--seconds", "5"]).stdout(Stdio::piped()).spawn().unwrap();
        // It is attached to while it starts, or in its first moments, as soon as that can be.
        let pid = child.id().to_string();
        let said = until("an interpreter to attach to", || {
            let output = run(&mut place.pronk(["record", "-o", "x.folded", "--pid", &pid]));
            let said = text(&output.stderr);
            let is_early = ["is not CPython", "has not begun", "no dlopen"].iter().any(|early| said.contains(early));
            assert!(output.status.success() || is_early, "{interpreter}: {said}");
            output.status.success().then_some(said)
        });
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{interpreter}");
        let mut truth = text(&output.stdout);
        if interpreter.python.minor < 11 {
            // Without stubs functions have no more of a name than this.
            truth = truth.replace("Burner.", "").replace("make_closure.<locals>.", "");
        }
        let truth: Truth = serde_json::from_str(&truth).unwrap();
        let folded = std::fs::read_to_string(place.file("x.folded")).unwrap();
        let accuracy = compare(&interpreter.python.version, &truth, &folded).unwrap();
        assert!(accuracy.worst_error <= 2.0 && accuracy.complete_percent >= 99.0, "{said}: {accuracy:#?}");
    });
}

#[test]
fn threads_that_start_and_end_meanwhile_are_sampled() {
    on_each_version(|interpreter| {
        let running = Running::in_state(interpreter, "short_threads");
        let place = Place::new();
        succeeded(&run(&mut running.record(&place, &["--duration", "1"])), interpreter);
        let folded = place.folded("x.folded");
        let (jobs, all) = (folded.of("job"), folded.samples(|_| true));
        let jobs = jobs.max(folded.samples(|stack| stack.iter().any(|frame| frame.contains(".job"))));
        assert!(jobs * 100 >= all * 60 && jobs > 20, "{interpreter}: {jobs} of {all}: {folded:#?}");
    });
}

#[test]
fn sessions_come_and_go_and_nothing_grows() {
    let sessions = rounds("PRONK_TEST_SESSIONS", 12);
    on_each_version(|interpreter| {
        let mut running = Running::python(interpreter, "attach/server.py", &[]);
        let place = Place::new();
        let before = running.traces();
        let mut sizes = Vec::new();
        for _ in 0..sessions {
            succeeded(&run(&mut running.record(&place, &["--duration", "0.05"])), interpreter);
            running.assert_left_as(&before);
            let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap();
            sizes.push(maps.lines().count());
            assert!(running.is_alive(), "{interpreter}");
        }
        running.goes_on();
        // The C library keeps arenas and stacks for threads that come again: a few regions, which do not become more.
        let (first, last) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
        assert!(last <= first + 12, "{interpreter}: {sizes:?}");
    });
}

#[test]
fn a_profiler_that_is_killed_leaves_the_program_as_it_was() {
    let kills = rounds("PRONK_TEST_KILLS", 12);
    on_each_version(|interpreter| {
        let mut running = Running::python(interpreter, "attach/server.py", &[]);
        let place = Place::new();
        // What a whole session leaves.
        let before = running.traces();
        succeeded(&run(&mut running.record(&place, &["--duration", "0.05"])), interpreter);
        let mut random = u64::from(running.pid()) | 1;
        for _ in 0..kills {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut pronk = running.record(&place, &["--duration", "5"]).stderr(Stdio::null()).spawn().unwrap();
            // Not a wait for anything: the moment is to be any.
            std::thread::sleep(Duration::from_micros(random % 100_000));
            pronk.kill().unwrap();
            pronk.wait().unwrap();
            assert!(running.is_alive(), "{interpreter}");
        }
        running.assert_left_as(&before);
        running.goes_on();
    });
}

#[test]
fn several_profilers_at_once_are_told_so() {
    on_each_version(|interpreter| {
        let mut running = Running::python(interpreter, "attach/server.py", &[]);
        let place = Place::new();
        let before = running.traces();
        for _ in 0..3 {
            let start = |_| running.record(&place, &["--duration", "0.3"]).stderr(Stdio::piped()).spawn().unwrap();
            let outputs: Vec<_> =
                [0, 1, 2].map(start).into_iter().map(|child| child.wait_with_output().unwrap()).collect();
            assert!(outputs.iter().any(|output| output.status.success()), "{interpreter}");
            for output in outputs.iter().filter(|output| !output.status.success()) {
                let said = text(&output.stderr);
                assert!(said.contains("another session of pronk's profiles it"), "{interpreter}: {said}");
            }
            running.goes_on();
        }
        // They have loaded one agent between them.
        running.assert_left_as(&before);
    });
}

#[test]
fn an_interrupt_ends_the_session_and_not_the_program() {
    on_each_version(|interpreter| {
        let mut running = Running::in_state(interpreter, "burning");
        let place = Place::new();
        let before = running.traces();
        let mut pronk = running.record(&place, &[]).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(pronk.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.contains("Ctrl-C"), "{interpreter}: {line}");
        kill(Pid::from_raw(pronk.id() as i32), Signal::SIGINT).unwrap();
        assert!(pronk.wait().unwrap().success(), "{interpreter}");
        assert!(running.is_alive() && place.file("x.folded").exists(), "{interpreter}");
        running.assert_left_as(&before);
    });
}

#[test]
fn a_child_that_was_forked_meanwhile_is_attached_to_afterwards() {
    on_each_version(|interpreter| {
        let mut command = Command::new(&interpreter.path);
        let command = command.arg(fixture("attach/states.py")).arg("parent");
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let group = Group(parent.id());
        let mut said = BufReader::new(parent.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        let place = Place::new();
        let record =
            |pid: &str, options: &[&str]| place.pronk(["record", "-o", "x.folded", "--pid", pid].iter().chain(options));
        let mut pronk = record(&parent.id().to_string(), &[]).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(pronk.stderr.take().unwrap());
        stderr.read_line(&mut String::new()).unwrap();
        parent.stdin.take().unwrap().write_all(b"fork\n").unwrap();
        let child = said.next().unwrap().unwrap();
        kill(Pid::from_raw(pronk.id() as i32), Signal::SIGINT).unwrap();
        assert!(pronk.wait().unwrap().success(), "{interpreter}");
        // It had no sample of its own, and so nothing that says that the session is over.
        succeeded(&run(&mut record(&child, &["--duration", "0.1"])), interpreter);
        drop(group);
        parent.wait().unwrap();
    });
}

#[test]
fn a_profiler_that_stood_still_says_that_samples_ended() {
    for signal in [Signal::SIGSTOP, Signal::SIGTSTP] {
        let mut running = Running::in_state(any_interpreter(), "burning");
        let before = running.traces();
        let place = Place::new();
        // A group of its own, as a shell's job has: one without a parent outside is not stopped by Ctrl-Z (setpgid(2)).
        let mut pronk = running.record(&place, &[]).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut stderr = BufReader::new(pronk.stderr.take().unwrap());
        stderr.read_line(&mut String::new()).unwrap();
        let pid = Pid::from_raw(pronk.id() as i32);
        kill(pid, signal).unwrap();
        running.assert_left_as(&before);
        kill(pid, Signal::SIGCONT).unwrap();
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert!(pronk.wait().unwrap().success() && said.contains("took no more samples after a while"), "{said}");
        assert!(running.is_alive());
    }
}

#[test]
fn a_program_may_stop_and_go_on_while_it_is_sampled() {
    let mut running = Running::python(any_interpreter(), "attach/server.py", &[]);
    let before = running.traces();
    let place = Place::new();
    let mut pronk = running.record(&place, &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(pronk.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    let pid = Pid::from_raw(running.pid() as i32);
    let stop = |pid| {
        kill(pid, Signal::SIGSTOP).unwrap();
        until("the program to stop", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.contains("State:\tT").then_some(())
        });
    };
    stop(pid);
    kill(pid, Signal::SIGCONT).unwrap();
    // Clock ticks of CPU time, of which there are 100 in a second (proc(5), /proc/PID/stat, utime).
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(11).unwrap().parse::<u64>().unwrap()
    };
    let before_work = ticks();
    until("half a second of work", || (ticks() > before_work + 50).then_some(()));
    // The session ends while it is stopped.
    stop(pid);
    kill(Pid::from_raw(pronk.id() as i32), Signal::SIGINT).unwrap();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(pronk.wait().unwrap().success() && said.contains("is stopped: pronk's agent leaves it"), "{said}");
    assert!(place.folded("x.folded").of("answer") > 0, "{said}");
    kill(pid, Signal::SIGCONT).unwrap();
    running.assert_left_as(&before);
    running.goes_on();
}

#[test]
fn a_process_that_ends_meanwhile_leaves_its_profile() {
    on_each_version(|interpreter| {
        let running = Running::start(Command::new(&interpreter.path).args([
            "-c",
            "import time\nprint('ready', flush=True)\nend = time.time() + 1\nwhile time.time() < end: pass",
        ]));
        let place = Place::new();
        succeeded(&run(&mut running.record(&place, &[])), interpreter);
        assert!(place.folded("x.folded").samples(|_| true) > 50, "{interpreter}");
    });
}

/// One version has to do where the interpreter does not matter.
fn any_interpreter() -> &'static Interpreter {
    &interpreters()[interpreters().len() / 2]
}

#[test]
fn what_cannot_be_attached_to_is_named_with_what_to_do() {
    let place = Place::new();
    let refused = |pid: &str, options: &[&str]| {
        let output = run(&mut place.pronk(["record", "--pid", pid].iter().chain(options)));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().all(|line| line.starts_with("pronk: ") || line.starts_with("error: ")), "{said}");
        said
    };
    let mut sleep = Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(refused(&sleep.id().to_string(), &[]).contains("is not CPython"));
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(refused(&sleep.id().to_string(), &[]).contains("there is no process"));

    let mut running = Running::in_state(any_interpreter(), "sleeping");
    let pid = running.pid().to_string();
    assert!(refused(&pid, &["--engine", "perf"]).contains("--engine signal"));
    assert!(refused(&pid, &["--stubs", "full"]).contains("--pid"));
    kill(Pid::from_raw(running.pid() as i32), Signal::SIGSTOP).unwrap();
    until("the program to stop", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.contains("State:\tT").then_some(())
    });
    assert!(refused(&pid, &[]).contains(&format!("kill -CONT {pid}")));
    kill(Pid::from_raw(running.pid() as i32), Signal::SIGCONT).unwrap();

    // Under another tracer.
    let tid = Pid::from_raw(running.pid() as i32);
    nix::sys::ptrace::seize(tid, nix::sys::ptrace::Options::empty()).unwrap();
    assert!(refused(&pid, &[]).contains(&format!("is traced by process {}", std::process::id())));
    nix::sys::ptrace::interrupt(tid).unwrap();
    nix::sys::wait::waitpid(tid, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
    nix::sys::ptrace::detach(tid, None).unwrap();
    succeeded(&run(&mut running.record(&place, &["--duration", "0.1"])), &"after all that");
    assert!(running.is_alive());
}

/// Python within a program in C, which has interpreters of its own and threads that Python does not know.
#[test]
fn a_program_in_c_that_embeds_python_is_attached_to() {
    let place = Place::new();
    let mut tried = 0;
    for interpreter in interpreters() {
        let Some(program) = embedding(interpreter, &place) else { continue };
        tried += 1;
        let mut running = Running::start(Command::new(program).env("PYTHONHOME", home(interpreter)));
        let before = running.traces();
        succeeded(&run(&mut running.record(&place, &["--duration", "0.5"])), interpreter);
        let folded: Folded = place.folded("x.folded");
        assert!(folded.samples(|stack| stack.iter().any(|frame| frame.contains("embedded"))) > 20, "{folded:#?}");
        assert!(running.is_alive());
        running.assert_left_as(&before);
    }
    assert!(tried > 0 || std::env::var_os("PRONK_TEST_REQUIRE_ALL").is_none(), "no version could be embedded");
}

fn home(interpreter: &Interpreter) -> std::path::PathBuf {
    let output = run(Command::new(&interpreter.path).args(["-c", "import sys; print(sys.base_prefix)"]));
    text(&output.stdout).trim().into()
}

/// Compiles the program for a version; `None` where its headers or its library are not there.
fn embedding(interpreter: &Interpreter, place: &Place) -> Option<std::path::PathBuf> {
    let ask = "import sysconfig as s; v = s.get_config_var; print(s.get_path('include'), v('LIBDIR'), v('LDVERSION'))";
    let answer = text(&run(Command::new(&interpreter.path).args(["-c", ask])).stdout);
    let [include, library, version] = answer.split_whitespace().collect::<Vec<_>>()[..] else { return None };
    if !Path::new(include).join("Python.h").exists() {
        return None;
    }
    let program = place.file(&format!("embed{}", interpreter.python.minor));
    let compiled = run(Command::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(fixture("attach/embed.c"))
        .arg(format!("-I{include}"))
        .arg(format!("-L{library}"))
        .arg(format!("-Wl,-rpath,{library}"))
        .arg(format!("-lpython{version}"))
        .args(["-lpthread", "-lm", "-ldl"]));
    compiled.status.success().then_some(program)
}
