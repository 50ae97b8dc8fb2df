//! Programs that run already, and what a session might leave in them.

use super::python::fixture;
use super::{PATIENCE, Place, until};
use pronk_bench::interpreter::Interpreter;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program that runs, and has said `ready`. It is killed in the end.
pub struct Running {
    pub child: Child,
    /// What it has said since.
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{command:?}");
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = said.clone();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                assert_ne!(line, "wrong");
                lines.lock().unwrap().push(line);
            }
        });
        Running { child, said }
    }

    /// A Python program of the tests.
    pub fn python(interpreter: &Interpreter, file: &str, arguments: &[&str]) -> Running {
        Running::start(Command::new(&interpreter.path).arg(fixture(file)).args(arguments))
    }

    pub fn in_state(interpreter: &Interpreter, state: &str) -> Running {
        Running::python(interpreter, "attach/states.py", &[state])
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How many lines it has said.
    pub fn lines(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    /// Waits until it has said so many lines.
    pub fn says(&mut self, lines: usize) -> Vec<String> {
        until("the program to say more", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(self.lines() >= lines, "it has ended: {status}");
            }
            (self.lines() >= lines).then(|| self.said.lock().unwrap().clone())
        })
    }

    /// Waits until it has said some lines more.
    pub fn goes_on(&mut self) {
        self.says(self.lines() + 3);
    }

    /// Gives it a line to read.
    pub fn tell(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    pub fn record(&self, place: &Place, options: &[&str]) -> Command {
        let pid = self.pid().to_string();
        place.pronk(["record", "-o", "x.folded", "--pid", &pid].iter().chain(options))
    }

    /// What can be seen of it from outside that a session might leave.
    pub fn traces(&self) -> Traces {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.pid())).unwrap();
        let status = file("status");
        let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        // The C library's own two, which it handles from the first thread on that it makes (nptl(7)).
        let handled = u64::from_str_radix(handled, 16).unwrap() & !(0b11 << 31);
        let ours =
            |line: &&str| [".ring", "/control", "pronk-stubs", "pronk-hook"].iter().any(|name| line.contains(name));
        let maps = file("maps");
        Traces {
            handled,
            timers: file("timers").lines().count(),
            mapped: maps.lines().filter(ours).map(str::to_owned).collect(),
            libraries: maps.lines().filter(|line| line.contains("/libpronk.so") && line.contains(" r-xp ")).count(),
            agent: threads(self.pid()).iter().any(|name| name == "pronk-agent"),
            tracer: status.lines().any(|line| line.starts_with("TracerPid") && !line.ends_with("\t0")),
        }
    }

    /// Waits until nothing of a session is left but the library.
    pub fn assert_left_as(&self, before: &Traces) {
        let expected = Traces { libraries: 1, ..before.clone() };
        let start = Instant::now();
        loop {
            let now = self.traces();
            if now == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{now:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What can be seen of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    handled: u64,
    timers: usize,
    mapped: Vec<String>,
    libraries: usize,
    agent: bool,
    tracer: bool,
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| Some(std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned())).collect()
}
