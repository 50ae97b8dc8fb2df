//! `pronk dump`: the stacks of programs that run, on each version, and what it leaves behind: nothing.

mod common;

use common::python::{fixture, interpreters};
use common::{Place, run, text};
use pronk_bench::interpreter::Interpreter;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A program that runs, and has said that it is ready.
struct Running {
    child: Child,
    /// The program's, which the child may have started.
    pid: u32,
    output: BufReader<ChildStdout>,
    place: Place,
    who: String,
}

impl Running {
    fn python(interpreter: &Interpreter, program: &str) -> Running {
        let mut command = Command::new(&interpreter.path);
        command.arg(fixture("dump").join(program));
        Running::start(command, interpreter.to_string())
    }

    fn start(mut command: Command, who: String) -> Running {
        let place = Place::new();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{who}");
        Running { pid: child.id(), child, output, place, who }
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    /// The same for the program that a command has started, and that has said that it is ready.
    fn of_child(command: Command, who: String) -> Running {
        let mut running = Running::start(command, who);
        while let Some(child) = children(running.pid).first() {
            running.pid = *child;
        }
        running
    }

    fn dump(&self, options: &[&str]) -> Output {
        let pid = self.pid().to_string();
        run(&mut self.place.pronk(["dump", "--pid", &pid].iter().chain(options)))
    }

    fn text(&self, options: &[&str]) -> String {
        let output = self.dump(options);
        assert!(output.status.success(), "{}: {}", self.who, text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, options: &[&str]) -> Value {
        let written = self.text(&[&["--json"], options].concat());
        serde_json::from_str(&written).unwrap_or_else(|error| panic!("{}: {error}: {written}", self.who))
    }

    /// Dumps until what is found is as it should be: a thread that was just told to may not be there yet.
    fn json_until(&self, options: &[&str], what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        common::until(&format!("{what} ({})", self.who), || Some(self.json(options)).filter(&is_so))
    }

    /// Lets the program end; what it says.
    fn end(mut self) -> String {
        self.child.stdin.take().unwrap().write_all(b"end\n").unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}: {rest}", self.who);
        rest
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let all: Vec<String> = tasks.map(of_task).collect();
    all.iter().flat_map(|children| children.split_ascii_whitespace()).map(|pid| pid.parse().unwrap()).collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever stopped it has to let it go.
        // SAFETY: kill has no preconditions.
        unsafe { libc::kill(self.pid as i32, libc::SIGKILL) };
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn on_each_version(test: impl Fn(&Interpreter)) {
    interpreters().into_iter().flatten().for_each(test);
}

/// The thread that a program calls so. A program that does not use `threading` has no name for its only one.
fn thread<'d>(dump: &'d Value, name: &str) -> &'d Value {
    let threads = dump["threads"].as_array().unwrap();
    if name == "MainThread" {
        return &threads[0];
    }
    threads.iter().find(|thread| thread["python_name"] == name).unwrap_or_else(|| panic!("no thread {name}: {dump:#}"))
}

fn task<'d>(dump: &'d Value, name: &str) -> &'d Value {
    let tasks = dump["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["name"] == name).unwrap_or_else(|| panic!("no task {name}: {dump:#}"))
}

/// The frames of a program's own functions, the newest first: without their module and class, with their line.
fn own_frames(of: &Value) -> Vec<(String, u64)> {
    let frames = of["frames"].as_array().unwrap();
    let own = frames.iter().filter(|frame| frame["function"].as_str().unwrap().starts_with("__main__."));
    own.map(|frame| {
        let name = frame["function"].as_str().unwrap().rsplit('.').next().unwrap();
        (name.to_owned(), frame["line"].as_u64().unwrap())
    })
    .collect()
}

/// The line of a file on which a text is.
fn line_of(program: &str, wanted: &str) -> u64 {
    let source = std::fs::read_to_string(fixture("dump").join(program)).unwrap();
    1 + source.lines().position(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted}")) as u64
}

#[test]
fn threads_are_where_they_wait() {
    let line = |wanted: &str| line_of("threads.py", wanted);
    let at = |name: &str, wanted: &str| (name.to_owned(), line(wanted));
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "threads.py");
        let waits = |dump: &Value| {
            ["method", "deadlocked", "generator"]
                .iter()
                .all(|name| own_frames(thread(dump, name)).len() > 1 && thread(dump, name)["state"] == "waits")
        };
        let dump = program.json_until(&[], "threads that wait", waits);
        assert_eq!(dump["python"], interpreter.python.version.as_str());
        let work = at("ready", "    work()");
        let expected =
            [at("waits_on_14", "# line 14"), at("on_9_then_10", "# line 10"), at("method", "# line 19"), work.clone()];
        assert_eq!(own_frames(thread(&dump, "method")), expected, "{interpreter}");
        let expected = [at("deadlocked", "# line 38"), work.clone()];
        assert_eq!(own_frames(thread(&dump, "deadlocked")), expected, "{interpreter}");
        let expected = [at("generator", "# line 42"), at("in_a_generator", "list(generator"), work];
        assert_eq!(own_frames(thread(&dump, "generator")), expected, "{interpreter}");
        assert_eq!(thread(&dump, "deadlocked")["system_call"], "futex", "{interpreter}");
        let main = thread(&dump, "MainThread");
        assert_eq!(main["python_name"], "MainThread", "{interpreter}");
        assert_eq!((&main["tid"], &main["system_call"]), (&program.pid().into(), &"read".into()), "{interpreter}");
        assert_eq!(own_frames(main)[0], at("announce", "readline"), "{interpreter}");
        for thread in dump["threads"].as_array().unwrap() {
            assert_eq!((&thread["stopped"], &thread["torn"]), (&true.into(), &false.into()), "{interpreter}");
            assert_eq!(thread["interpreters"], serde_json::json!([0]), "{interpreter}");
        }
        assert!(dump["paused_ms"].as_f64().unwrap() > 0.0);

        // The same for people.
        let output = program.dump(&["-v"]);
        let (said, shown) = (text(&output.stderr), text(&output.stdout));
        assert!(said.starts_with(&format!("pronk: process {} was stopped for ", program.pid())), "{said}");
        let place = format!("({}:{})", fixture("dump/threads.py").display(), line("# line 38"));
        assert!(shown.contains(&format!("    __main__.deadlocked {place}\n")), "{interpreter}: {shown}");
        assert!(shown.contains("\"deadlocked\"") && shown.contains(", waits in futex\n"), "{interpreter}: {shown}");
        let without = program.json(&["--no-pause"]);
        assert_eq!(own_frames(thread(&without, "method")).len(), 4, "{interpreter}");
        assert_eq!((&without["paused_ms"], &without["notes"]), (&Value::Null, &serde_json::json!([])));
        assert_eq!(program.end(), "done 45\n", "{interpreter}");
    });
}

#[test]
fn the_lock_is_seen_with_those_who_keep_it_in_c() {
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "keeps_the_lock.py");
        let names = |of: &Value| -> Vec<String> {
            let frames = of["frames"].as_array().unwrap();
            frames.iter().map(|frame| frame["function"].as_str().unwrap().to_owned()).collect()
        };
        let is_in = |dump: &Value, name: &str| {
            let names = names(thread(dump, name));
            names.iter().any(|name| name.ends_with("nanosleep"))
        };
        let both = |dump: &Value| is_in(dump, "MainThread") && is_in(dump, "gives it up");
        let dump = program.json_until(&["--native"], "both in C", both);
        let (keeps, gives) = (thread(&dump, "MainThread"), thread(&dump, "gives it up"));
        assert_eq!((&keeps["holds_gil"], &gives["holds_gil"]), (&true.into(), &false.into()), "{interpreter}");
        for (of, function) in [(keeps, "__main__.keeps_it"), (gives, "__main__.gives_it_up")] {
            let names = names(of);
            let place = |wanted: &str| names.iter().position(|name| name.ends_with(wanted));
            let (sleep, call, python) = (place("sleep"), place("ffi_call"), place(function));
            assert!(sleep.is_some() && sleep < call && call < python, "{interpreter}: {names:#?}");
            let frame = &of["frames"][sleep.unwrap()];
            assert_eq!((&frame["kind"], &frame["binary"]), (&"native".into(), &"libc.so.6".into()), "{interpreter}");
        }
        // Without them there are Python's frames alone.
        let kinds = program.json(&[]);
        let frames = thread(&kinds, "MainThread")["frames"].as_array().unwrap().clone();
        assert!(
            frames.iter().all(|frame| frame["kind"] == "python") && frames.len() == 2,
            "{interpreter}: {frames:#?}"
        );
        let shown = program.text(&["--native"]);
        // One that was stopped before may be about to go on with its call.
        let calls = ["clock_nanosleep", "restart_syscall"];
        let waits = |call: &&str| shown.contains(&format!("holds the GIL, waits in {call}\n"));
        assert!(calls.iter().any(waits), "{interpreter}: {shown}");
    });
}

#[test]
fn tasks_are_named_with_what_they_wait_for() {
    let at = |name: &str, wanted: &str| (name.to_owned(), line_of("tasks.py", wanted));
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "tasks.py");
        let reads = |dump: &Value| thread(dump, "MainThread")["system_call"] == "read";
        let dump = program.json_until(&[], "the end of the work", reads);
        let position = |name: &str| -> Value {
            let tasks = dump["tasks"].as_array().unwrap();
            tasks.iter().position(|task| task["name"] == name).unwrap().into()
        };
        let leaf = at("leaf", "asyncio.sleep(1000)");
        let expected = [leaf, at("middle", "    await leaf()")];
        assert_eq!(own_frames(task(&dump, "first")), expected, "{interpreter}");
        assert_eq!(own_frames(task(&dump, "second")), expected[..1], "{interpreter}");
        for name in ["first", "second"] {
            assert_eq!(task(&dump, name)["awaited_by"], position("gathering"), "{interpreter}: {dump:#}");
            assert_eq!(task(&dump, name)["waits_for"], "_asyncio.Future", "{interpreter}");
            assert_eq!(task(&dump, name)["thread"], 0, "{interpreter}");
        }
        assert_eq!(task(&dump, "gathering")["awaited_by"], position("awaiting"), "{interpreter}");
        assert_eq!(task(&dump, "awaiting")["waits_for_task"], position("gathering"), "{interpreter}");
        assert_eq!(task(&dump, "gathering")["waits_for"], "asyncio.tasks._GatheringFuture", "{interpreter}");
        let by_awaitable: Vec<String> = own_frames(task(&dump, "by awaitable")).into_iter().map(|it| it.0).collect();
        assert_eq!(by_awaitable, ["leaf", "__await__", "by_awaitable"], "{interpreter}");
        let begins = own_frames(task(&dump, "never started"));
        assert_eq!(begins[0].0, "never_started", "{interpreter}: {begins:?}");
        let runs: Vec<&Value> =
            dump["tasks"].as_array().unwrap().iter().filter(|task| !task["running_in"].is_null()).collect();
        assert!(matches!(runs[..], [task] if task["name"] == "Task-1" && task["running_in"] == 0), "{interpreter}");
        assert_eq!(dump["tasks"].as_array().unwrap().len(), 8, "{interpreter}: {dump:#}");

        let shown = program.text(&[]);
        let heading = |name: &str| {
            let line = shown.lines().find(|line| line.starts_with(&format!("Task \"{name}\"")));
            line.unwrap_or_else(|| panic!("{interpreter}: no {name}: {shown}"))
        };
        let pid = program.pid();
        assert_eq!(heading("Task-1"), format!("Task \"Task-1\", runs in thread {pid}"));
        let expected = format!("Task \"awaiting\", waits for task \"gathering\", in thread {pid}");
        assert_eq!(heading("awaiting"), expected);
        let place = |name: &str| shown.find(&format!("Task \"{name}\"")).unwrap();
        assert!(place("awaiting") < place("gathering") && place("gathering") < place("first"), "{shown}");
        assert_eq!(program.end(), "done\n", "{interpreter}");
    });
}

#[test]
fn variables_are_shown_in_a_few_words() {
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "values.py");
        let reads = |dump: &Value| thread(dump, "MainThread")["system_call"] == "read";
        let dump = program.json_until(&["--locals"], "the end of the work", reads);
        let frames = thread(&dump, "MainThread")["frames"].as_array().unwrap();
        let locals_of = |function: &str| -> Vec<(String, String)> {
            let named = |frame: &&Value| frame["function"].as_str().unwrap().rsplit('.').next() == Some(function);
            let frame = frames.iter().find(named).unwrap_or_else(|| panic!("{function}: {frames:#?}"));
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let locals = frame["locals"].as_array().unwrap().iter();
            locals.map(|local| (text(&local["name"]), text(&local["value"]))).collect()
        };
        let locals = locals_of("values");
        let value = |name: &str| {
            let found = locals.iter().find(|(local, _)| local == name);
            found.unwrap_or_else(|| panic!("{interpreter}: no {name}: {locals:#?}")).1.as_str()
        };
        let long_text = format!("'{}'… (1000 characters)", "x".repeat(80));
        for (name, expected) in [
            ("argument", "'first'"),
            ("rest", "('second',)"),
            ("key", "'named'"),
            ("others", "{'more': 1}"),
            ("none", "None"),
            ("true", "True"),
            ("false", "False"),
            ("zero", "0"),
            ("small", "42"),
            ("negative", "-1099511627776"),
            ("large", "1267650600228229401496703205376"),
            ("huge", "<int of about 5010 bits>"),
            ("half", "0.5"),
            ("third", "0.3333333333333333"),
            ("tiny", "1e-07"),
            ("infinite", "inf"),
            ("text", "'plain'"),
            ("quoted", "\"it's\\n\""),
            ("wide", "'grüße 🐎'"),
            ("long_text", &long_text),
            ("some_bytes", "b'\\x00a\\'\\xff'"),
            ("array", "bytearray(b'abc')"),
            ("empty", "[]"),
            ("numbers", "[1, 2, 3]"),
            ("many", "[0, 1, 2, 3, 4, … 95 more]"),
            ("nested", "[[[…]]]"),
            ("one", "(1,)"),
            ("pair", "('a', 2.0)"),
            ("table", "{'k': [1], 2: None}"),
            ("big_table", "{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, … 45 more}"),
            ("few", "{7}"),
            ("frozen", "frozenset({'f'})"),
            ("no_set", "set()"),
            ("kind", "<class '__main__.Plain'>"),
            ("module", "<module 'sys'>"),
            ("in_cell", "'cell'"),
            ("dots", "Ellipsis"),
        ] {
            assert_eq!(value(name), expected, "{interpreter}: {name}");
        }
        for (name, start, end) in [
            ("plain", "<__main__.Plain object at 0x", " number=7 words='a b'>"),
            ("slots", "<__main__.Slots object at 0x", ">"),
            ("derived", "<__main__.Text object at 0x", ">"),
            ("function", "<function values at 0x", ">"),
            ("free", "<function values.<locals>.<lambda> at 0x", ">"),
            ("colour", "<__main__.Colour object at 0x", ">"),
        ] {
            let value = value(name);
            assert!(value.starts_with(start) && value.ends_with(end), "{interpreter}: {name} is {value}");
        }
        assert!(value("colour").contains("_value_=1"), "{interpreter}: {}", value("colour"));
        // What has no value is not there, nor is what is there twice.
        for absent in ["deleted", "never"] {
            assert!(locals.iter().all(|(name, _)| name != absent), "{interpreter}: {locals:#?}");
        }
        let mut names: Vec<&String> = locals.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), locals.len(), "{interpreter}: {locals:#?}");
        // Free variables, and those of a class's body, but not all global ones.
        let inner = locals_of("inner");
        assert!(inner.contains(&("argument".to_owned(), "'first'".to_owned())), "{interpreter}: {inner:#?}");
        assert!(locals_of("Body").contains(&("in_body".to_owned(), "3".to_owned())), "{interpreter}");
        assert_eq!(locals_of("<module>"), [], "{interpreter}");
        let shown = program.text(&["--locals"]);
        assert!(shown.contains("\n        small = 42\n"), "{interpreter}: {shown}");
        assert!(!program.text(&[]).contains("small"), "{interpreter}");
    });
}

/// How often a program is looked at that goes on.
const LOOKS: usize = 100;

#[test]
fn a_program_goes_on_unharmed() {
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "checks_itself.py");
        let options = [&[][..], &["--native"], &["--locals"], &["--no-pause"], &["--native", "--locals", "--json"]];
        let mut in_fib = 0;
        for look in 0..LOOKS {
            let shown = program.text(options[look % options.len()]);
            in_fib += usize::from(shown.contains("fib"));
        }
        assert!(in_fib > LOOKS / 4, "{interpreter}: {in_fib} of {LOOKS}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
        assert!(status.contains("TracerPid:\t0\n"), "{interpreter}: {status}");
        assert_eq!(program.end(), "done []\n", "{interpreter}");
    });
}

#[test]
fn a_program_that_is_recorded_can_be_looked_at() {
    on_each_version(|interpreter| {
        for options in [&["--engine", "signal", "--stubs", "full"][..], &["--engine", "perf"]] {
            let place = Place::new();
            let program = fixture("dump/threads.py");
            let command = place.record_to("out.pronk", options, [interpreter.path.as_os_str(), program.as_os_str()]);
            let program = Running::of_child(command, format!("{interpreter}, {options:?}"));
            let waits = |dump: &Value| own_frames(thread(dump, "generator")).len() > 2;
            let dump = program.json_until(&["--native"], "threads that wait", waits);
            let names = |name: &str| -> Vec<String> {
                own_frames(thread(&dump, name)).into_iter().map(|(function, _)| function).collect()
            };
            assert_eq!(names("method"), ["waits_on_14", "on_9_then_10", "method", "ready"], "{}", program.who);
            assert_eq!(names("generator"), ["generator", "in_a_generator", "ready"], "{}", program.who);
            assert_eq!(program.end(), "done 45\n", "{interpreter}");
        }
    });
}

#[test]
fn other_interpreters_are_there_too() {
    on_each_version(|interpreter| {
        let program = Running::python(interpreter, "interpreters.py");
        let is_there = |dump: &Value| {
            let other = thread(dump, "other");
            own_frames(other).first().is_some_and(|(function, _)| function == "in_another")
        };
        let dump = program.json_until(&[], "the other interpreter", is_there);
        let other = thread(&dump, "other");
        let names: Vec<String> = own_frames(other).into_iter().map(|(function, _)| function).collect();
        assert_eq!(names, ["in_another", "<module>", "run"], "{interpreter}: {other:#}");
        assert_eq!(other["interpreters"].as_array().unwrap().len(), 2, "{interpreter}: {other:#}");
        assert!(program.text(&[]).contains(", interpreter "), "{interpreter}");
        assert_eq!(program.end(), "done\n", "{interpreter}");
    });
}

#[test]
fn a_program_in_namespaces_of_its_own_is_looked_at() {
    let permitted = Command::new("unshare").args(["-Urpf", "--mount-proc", "true"]).output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine permits no user namespaces");
        return;
    }
    on_each_version(|interpreter| {
        let mut command = Command::new("unshare");
        command.args(["-Urpf", "--mount-proc"]).arg(&interpreter.path).arg(fixture("dump/threads.py"));
        let program = Running::of_child(command, interpreter.to_string());
        let waits = |dump: &Value| own_frames(thread(dump, "generator")).len() > 2;
        let dump = program.json_until(&["--native"], "threads that wait", waits);
        assert_eq!(dump["threads"][0]["tid"], program.pid(), "{interpreter}");
        assert!(dump["threads"].as_array().unwrap().iter().all(|thread| !thread["tid"].is_null()), "{interpreter}");
        assert_eq!(own_frames(thread(&dump, "method")).len(), 4, "{interpreter}");
        assert_eq!(program.end(), "done 45\n", "{interpreter}");
    });
}

#[test]
fn what_others_have_stopped_or_trace_is_looked_at_as_it_is() {
    let Some(interpreter) = interpreters().and_then(|all| all.last()) else { return };
    let program = Running::python(interpreter, "threads.py");
    let waits = |dump: &Value| own_frames(thread(dump, "generator")).len() > 2;
    program.json_until(&[], "threads that wait", waits);
    let pid = program.pid().cast_signed();
    // SAFETY: kill has no preconditions.
    let signal = |signal: i32| assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    signal(libc::SIGSTOP);
    let stopped = |dump: &Value| dump["threads"].as_array().unwrap().iter().all(|thread| thread["state"] == "stopped");
    let dump = program.json_until(&[], "the stop", stopped);
    assert_eq!(own_frames(thread(&dump, "generator")).len(), 3);
    assert!(dump["notes"][0].as_str().unwrap().contains("SIGSTOP"), "{dump:#}");
    signal(libc::SIGCONT);
    program.json_until(&[], "going on", |dump| thread(dump, "MainThread")["state"] == "waits");

    // SAFETY: the process is the test's child.
    let trace = |request: u32| unsafe { libc::ptrace(request, pid, 0_usize, 0_usize) };
    assert_eq!(trace(libc::PTRACE_SEIZE), 0);
    let output = program.dump(&["--json"]);
    let said = text(&output.stderr);
    let tracer = format!("pronk: process {}, a debugger or strace perhaps, traces it", std::process::id());
    assert!(output.status.success() && said.starts_with(&tracer), "{said}");
    let dump: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(own_frames(thread(&dump, "generator")).len(), 3, "{dump:#}");
    // Whoever detaches has to have stopped it before.
    assert_eq!(trace(libc::PTRACE_INTERRUPT), 0);
    let mut status = 0;
    // SAFETY: the status is the test's own.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, libc::__WALL) }, pid);
    assert_eq!(trace(libc::PTRACE_DETACH), 0);
    assert_eq!(program.end(), "done 45\n");
}

#[test]
fn what_cannot_be_looked_at_is_said_in_a_line() {
    let place = Place::new();
    let dump = |pid: u32| {
        let output = run(&mut place.pronk(["dump", "--pid", &pid.to_string()]));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = other.id();
    assert!(dump(pid).contains(&format!("process {pid} is not CPython")), "{}", dump(pid));
    other.kill().unwrap();
    // Until it is waited for, it is a zombie.
    let ended = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ").then_some(());
    common::until("the end", ended);
    assert!(dump(pid).contains(&format!("there is no process {pid}, or it has ended")), "{}", dump(pid));
    other.wait().unwrap();
    assert!(dump(pid).contains(&format!("there is no process {pid}, or it has ended")), "{}", dump(pid));
    let Some(interpreter) = interpreters().and_then(|all| all.first()) else { return };
    let program = Running::python(interpreter, "threads.py");
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
    let mut tids = tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse::<u32>().unwrap());
    let thread = tids.find(|tid| *tid != program.pid()).unwrap();
    assert!(dump(thread).contains(&format!("use --pid {}", program.pid())), "{}", dump(thread));
    for wrong in ["0", "-1", "x", "99999999999"] {
        assert_eq!(run(&mut place.pronk(["dump", &format!("--pid={wrong}")])).status.code(), Some(2), "{wrong}");
    }
}
