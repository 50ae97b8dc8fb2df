//! The agent gets into every Python that a command starts, however it is started, and into nothing else: the functions
//! of all of them are in the profile, and what is not Python, or a Python that is not supported, runs on unharmed.

mod common;

use common::python::{Folded, fixture, interpreters};
use common::{PATIENCE, Place, run, text, until};
use pronk_bench::interpreter::Interpreter;
use pronk_symbolizer::profile::{Profile, PythonSupport};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Names a directory with programs that launch Python: `uv` and `gunicorn`.
const LAUNCHERS_ENV: &str = "PRONK_TEST_LAUNCHERS";

/// Runs a command under pronk, looks whether it did what it does ("done" is what our programs say in the end), and
/// returns the stacks of its Python functions.
fn record(place: &Place, who: &str, command: &mut Command) -> Folded {
    let output = run(command.current_dir(place.path()));
    assert!(output.status.success(), "{who}: {}\n{}", output.status, text(&output.stderr));
    assert_eq!(text(&output.stdout), "done\n", "{who}: {}", text(&output.stderr));
    place.folded("out.folded")
}

fn python_only<'a>(place: &Place, command: impl IntoIterator<Item = &'a str>) -> Command {
    place.record_to("out.folded", &["--native", "python"], command)
}

/// Each one of the functions works for a tenth of a second of CPU time: about a hundred samples.
fn assert_has(folded: &Folded, functions: &[&str], who: &str) {
    for function in functions {
        let samples = folded.of(function);
        assert!((50..200).contains(&samples), "{who}: {samples} samples of {function} in\n{folded:#?}");
    }
    assert!(folded.of("<module>") > 0, "{who}: no <module> in\n{folded:#?}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write_script(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn options_of_python_make_no_difference() {
    let Some(interpreters) = interpreters() else { return };
    let program = fixture("loading/program.py");
    let text = std::fs::read_to_string(&program).unwrap();
    let program = path(&program);
    let ways: [&[&str]; 9] = [
        &[program],
        &["-I", program],
        &["-S", program],
        &["-E", program],
        &["-I", "-S", "-E", program],
        &["-X", "utf8", "-B", "-u", program],
        &["-m", "program"],
        &["-c", &text],
        &["-"],
    ];
    for interpreter in interpreters {
        for way in ways {
            let place = Place::new();
            std::fs::copy(program, place.file("program.py")).unwrap();
            let mut command = python_only(&place, [path(&interpreter.path)].into_iter().chain(way.iter().copied()));
            if way == ["-"] {
                command.stdin(std::fs::File::open(program).unwrap());
            }
            let who = format!("{interpreter} {way:?}");
            assert_has(&record(&place, &who, &mut command), &["in_program"], &who);
        }
    }
}

#[test]
fn launchers_make_no_difference() {
    let Some(interpreters) = interpreters() else { return };
    let program = fixture("loading/program.py");
    for interpreter in interpreters {
        let place = Place::new();
        let (python, program) = (path(&interpreter.path), path(&program));
        let text = std::fs::read_to_string(program).unwrap();
        write_script(&place.file("executable"), &format!("#!{python}\n{text}"));
        write_script(&place.file("by-env"), &format!("#!/usr/bin/env -S {python} -I\n{text}"));
        write_script(&place.file("execs"), &format!("#!/bin/sh\nexec '{python}' '{program}'\n"));
        write_script(&place.file("waits"), &format!("#!/bin/sh\n'{python}' '{program}'\nexit $?\n"));
        write_script(&place.file("waits-for-shell"), "#!/bin/sh\nsh -c ./waits | cat\n");
        let ways: [&[&str]; 9] = [
            &["./executable"],
            &["./by-env"],
            &["env", python, program],
            &["env", "A_VARIABLE=1", python, program],
            &["./execs"],
            &["./waits"],
            &["./waits-for-shell"],
            &["nice", python, program],
            &["timeout", "600", python, program],
        ];
        for way in ways {
            let who = format!("{interpreter} {way:?}");
            let folded = record(&place, &who, &mut python_only(&place, way.iter().copied()));
            assert_has(&folded, &["in_program"], &who);
        }
    }
}

#[test]
fn virtual_environments_make_no_difference() {
    let Some(interpreters) = interpreters() else { return };
    for interpreter in interpreters {
        let place = Place::new();
        let environment = ["-m", "venv", "--without-pip", "environment"];
        let made = run(Command::new(&interpreter.path).args(environment).current_dir(place.path()));
        assert!(made.status.success(), "{interpreter}: {}", text(&made.stderr));
        let script = "import sys; assert sys.prefix != sys.base_prefix, sys.prefix\n";
        let program = script.to_owned() + &std::fs::read_to_string(fixture("loading/program.py")).unwrap();
        std::fs::write(place.file("program.py"), program).unwrap();
        let who = format!("{interpreter} in a virtual environment");
        let folded = record(&place, &who, &mut python_only(&place, ["environment/bin/python", "program.py"]));
        assert_has(&folded, &["in_program"], &who);
    }
}

#[test]
fn pythons_that_pythons_start_are_profiled_too() {
    let Some(interpreters) = interpreters() else { return };
    let starts = fixture("loading/starts.py");
    let ways: [(&str, &[&str]); 7] = [
        ("subprocess", &[]),
        ("fork", &["made_in_child"]),
        ("fork of fork", &["made_in_child"]),
        ("multiprocessing fork", &[]),
        ("multiprocessing spawn", &[]),
        ("execv", &[]),
        ("subinterpreter", &[]),
    ];
    for interpreter in interpreters {
        for (way, more) in ways {
            let place = Place::new();
            let who = format!("{interpreter} {way}");
            let command = [path(&interpreter.path), path(&starts), way];
            let folded = record(&place, &who, &mut python_only(&place, command));
            assert_has(&folded, &[&["in_parent", "in_child"], more].concat(), &who);
        }
    }
}

#[test]
fn what_was_preloaded_before_still_is() {
    let Some(interpreters) = interpreters() else { return };
    let place = Place::new();
    let (source, library) = (fixture("loading/preloaded.c"), place.file("preloaded.so"));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let compiled = run(Command::new(compiler).args(["-shared", "-fPIC", "-o"]).args([&library, &source]));
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    let program = fixture("loading/program.py");
    for interpreter in interpreters {
        let script = format!("LD_PRELOAD='{}' exec \"$@\"", path(&library));
        let plain = run(Command::new("/bin/sh").args(["-c", &script, "sh"]).arg(&interpreter.path).arg(&program));
        assert_eq!(text(&plain.stdout), format!("preloaded {}\ndone\n", library.display()));

        // pronk's own command is preloaded as well, and says so first.
        let mut command = python_only(&place, [path(&interpreter.path), path(&program)]);
        let output = run(command.env("LD_PRELOAD", &library));
        let expected = format!("preloaded {}\n", library.display()) + &text(&plain.stdout);
        assert_eq!(text(&output.stdout), expected, "{interpreter}: {}", text(&output.stderr));
        assert_has(&place.folded("out.folded"), &["in_program"], &interpreter.to_string());
    }
}

/// Programs that launch Python, by name. `None`, said loudly, where there is none.
fn launcher(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(LAUNCHERS_ENV).map(PathBuf::from);
    let usual = std::env::home_dir().map(|home| home.join(".cache/pronk-test-launchers/bin"));
    let found = named.or(usual).map(|directory| directory.join(name)).filter(|path| path.is_file());
    if found.is_none() {
        // Not by eprintln!: the test harness would keep it to itself unless a test fails.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no {name}. Name its directory in {LAUNCHERS_ENV}.");
    }
    found
}

#[test]
fn uv_run_makes_no_difference() {
    let Some(interpreters) = interpreters() else { return };
    let Some(uv) = launcher("uv") else { return };
    let program = fixture("loading/program.py");
    for interpreter in interpreters {
        let place = Place::new();
        let python = path(&interpreter.path);
        let way = [path(&uv), "run", "--offline", "--no-project", "--python", python, path(&program)];
        let mut command = python_only(&place, way);
        command.env("UV_CACHE_DIR", place.file("cache"));
        let who = format!("{interpreter} by uv");
        assert_has(&record(&place, &who, &mut command), &["in_program"], &who);
    }
}

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_with_workers_is_profiled_in_all_of_them() {
    if interpreters().is_none() {
        return;
    }
    let Some(gunicorn) = launcher("gunicorn") else { return };
    let place = Place::new();
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let address_text = address.to_string();
    let directory = fixture("loading");
    let options = ["--workers", "2", "--bind", &address_text, "--chdir", path(&directory), "--worker-tmp-dir"];
    let command = [path(&gunicorn)].into_iter().chain(options).chain([path(place.path()), "application:application"]);
    let mut server = Server(
        python_only(&place, command)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap(),
    );
    let get = || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        Some(reply)
    };
    for _ in 0..4 {
        let reply = until("gunicorn's reply", get);
        assert!(
            reply.starts_with("HTTP/1.") && reply.contains(" 200 OK\r\n") && reply.ends_with("\r\n\r\ndone\n"),
            "{reply}"
        );
    }
    // pronk passes the signal on, and gunicorn ends its workers.
    let pronk = nix::unistd::Pid::from_raw(server.0.id().cast_signed());
    nix::sys::signal::kill(pronk, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = until("the end of gunicorn", || server.0.try_wait().unwrap());
    let mut said = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{status}: {said}");
    let samples = place.folded("out.folded").of("in_worker");
    assert!((200..800).contains(&samples), "{samples} samples of in_worker\n{said}");
}

/// What pronk did in the processes of a name.
fn support<'a>(profile: &'a Profile, name: &str) -> Vec<&'a PythonSupport> {
    let of_name = |&process: &&pronk_symbolizer::profile::Process| profile.strings[process.name.index()] == name;
    profile.processes.iter().filter(of_name).map(|process| &process.python).collect()
}

/// A command, plain and under pronk.
fn twice(place: &Place, options: &[&str], command: &[OsString]) -> (Output, Output) {
    let plain = run(Command::new(&command[0]).args(&command[1..]).current_dir(place.path()));
    let profiled = run(&mut place.record_to("out.pronk", options, command));
    (plain, profiled)
}

fn assert_unharmed(plain: &Output, profiled: &Output, who: &str) {
    assert_eq!(profiled.status, plain.status, "{who}");
    assert_eq!(text(&profiled.stdout), text(&plain.stdout), "{who}");
    let said = text(&profiled.stderr);
    assert!(said.starts_with(&text(&plain.stderr)), "{who}: {said}");
    let rest = &said[plain.stderr.len()..];
    assert!(rest.lines().all(|line| line.starts_with("pronk: ")), "{who}: {said}");
}

#[test]
fn what_is_not_python_runs_unharmed_and_the_report_says_so() {
    if interpreters().is_none() {
        return;
    }
    let place = Place::new();
    let shell = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo out; echo err >&2; exit 7";
    for command in [&["/bin/true"][..], &["/bin/false"], &["/bin/sh", "-c", shell]] {
        let words: Vec<OsString> = command.iter().map(OsString::from).collect();
        let (plain, profiled) = twice(&place, &[], &words);
        assert_unharmed(&plain, &profiled, command[0]);
        let said = text(&profiled.stderr);
        assert!(said.contains("no Python was started") && said.contains("--engine perf"), "{said}");
        let (plain, profiled) = twice(&place, &["--engine", "perf"], &words);
        assert_unharmed(&plain, &profiled, command[0]);
        let profile = place.read_profile("out.pronk");
        let name = Path::new(command[0]).file_name().unwrap().to_str().unwrap();
        assert_eq!(support(&profile, name), [&PythonSupport::NotPython], "{command:?}");
        if name == "sh" {
            let said = text(&profiled.stderr);
            assert!(said.contains("not Python, so only native frames: sh"), "{said}");
        }
        let report = run(&mut place.pronk(["report", "out.pronk", "--json"]));
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(report["processes"][0]["python"]["status"], "none", "{report:#}");
    }
}

/// Pythons of other versions than those that are supported, where pyenv has them.
fn unsupported() -> Vec<PathBuf> {
    let versions = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let entries = versions.and_then(|versions| std::fs::read_dir(versions).ok()).into_iter().flatten();
    let of_version = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        ["2.7.", "3.6.", "3.7.", "3.8."].iter().any(|version| name.starts_with(version))
    };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(of_version).map(|path| path.join("bin/python"));
    paths.filter(|path| path.is_file()).collect()
}

#[test]
fn a_python_that_is_not_supported_runs_unharmed_and_the_report_says_why() {
    if interpreters().is_none() {
        return;
    }
    let unsupported = unsupported();
    if unsupported.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: pyenv has no Python that is older than 3.9");
    }
    let script =
        "import sys\ndef f():\n    return sum(range(3000000))\nprint(f())\nsys.stderr.write('err\\n')\nsys.exit(5)";
    for python in unsupported {
        let place = Place::new();
        for engine in ["perf", "signal"] {
            let (plain, profiled) =
                twice(&place, &["--engine", engine], &[python.clone().into(), "-c".into(), script.into()]);
            let who = format!("{}, {engine}", python.display());
            assert_eq!(plain.status.code(), Some(5), "{who}");
            assert_unharmed(&plain, &profiled, &who);
            let report = run(&mut place.pronk(["report", "out.pronk", "--json"]));
            let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
            let support = &report["processes"][0]["python"];
            assert_eq!(support["status"], "refused", "{who}: {support:#}");
            let reason = support["reason"].as_str().unwrap();
            assert!(reason.contains("3.9"), "{who}: {reason}");
            assert!(text(&profiled.stderr).contains(reason), "{who}: {}", text(&profiled.stderr));
        }
    }
}

#[test]
fn builds_with_a_shared_library_and_without_one_are_told_apart_and_both_work() {
    let Some(interpreters) = interpreters() else { return };
    let builds =
        |shared: bool| interpreters.iter().find(|interpreter: &&Interpreter| interpreter.python.shared == shared);
    for (kind, build) in [("with a shared libpython", builds(true)), ("without a shared libpython", builds(false))] {
        let Some(interpreter) = build else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no interpreter {kind}");
            continue;
        };
        let place = Place::new();
        let program = fixture("loading/program.py");
        let output = run(&mut place.record_to("out.pronk", &[], [path(&interpreter.path), path(&program)]));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let profile = place.read_profile("out.pronk");
        let PythonSupport::Stubs(version) = &profile.processes[0].python else {
            panic!("{interpreter}: {:?}", profile.processes[0].python)
        };
        assert_eq!(*version, interpreter.python.version, "{interpreter}");
    }
}
