//! `pronk overhead` runs a program again and again, plain and under profilers. What that costs is not known here, and so never
//! checked: what runs, how often, and what is said of it is.

mod common;

use common::python::fixture;
use common::reading::texts;
use common::signal::{interpreters, on_each_version};
use common::{Place, run, text, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pronk_bench::interpreter::Interpreter;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = "overhead/program.py";

impl Place {
    /// `pronk overhead OPTION... --json o.json -o o.svg -- PYTHON program.py ARGUMENT...`
    fn overhead(&self, options: &[&str], interpreter: &Interpreter, arguments: &[&str]) -> Command {
        let mut pronk =
            self.pronk(["overhead", "--json", "o.json", "-o", "o.svg"].iter().chain(options).chain(&["--"]));
        pronk.arg(&interpreter.path).arg(fixture(PROGRAM)).args(arguments);
        pronk
    }

    fn data(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("o.json")).unwrap()).unwrap()
    }
}

fn newest() -> &'static Interpreter {
    interpreters().last().unwrap()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The names of the profilers that ran, in their order.
fn names(data: &Value) -> Vec<&str> {
    data["profilers"].as_array().unwrap().iter().map(|profiler| profiler["name"].as_str().unwrap()).collect()
}

fn profiler<'d>(data: &'d Value, name: &str) -> &'d Value {
    let found = data["profilers"].as_array().unwrap().iter().find(|profiler| profiler["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {data}"))
}

fn profiler_runs(data: &Value, name: &str) -> u64 {
    let found = data["profilers"].as_array().unwrap().iter().find(|profiler| profiler["name"] == name);
    found.map_or(0, |profiler| profiler["runs"].as_u64().unwrap())
}

#[test]
fn each_version_has_its_own_tracers_and_all_runs_are_counted() {
    on_each_version(|interpreter| {
        let place = Place::new();
        let always = "stubs,pronk,pronk+budget,pronk+stubs,cProfile,sys.setprofile";
        let minor = interpreter.python.minor;
        let mut asked = always.to_owned();
        if minor >= 12 {
            asked += ",sys.monitoring";
        }
        if minor >= 15 {
            asked += ",profiling.tracing";
        }
        let log = place.file("log");
        let log = ["--log", log.to_str().unwrap()];
        let table = succeeded(&run(&mut place.overhead(&["--runs", "2", "--profilers", &asked], interpreter, &log)));
        let data = place.data();
        let mut expected: Vec<&str> = asked.split(',').collect();
        let mut found = names(&data);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!((&data["rounds"], &data["runs"], &data["interrupted"]), (&2.into(), &2.into(), &false.into()));
        assert_eq!(data["python"]["version"], interpreter.python.version);
        for name in &expected {
            let costs = profiler(&data, name);
            assert_eq!((&costs["runs"], costs["measured"].as_array().unwrap().len()), (&2.into(), 2), "{name}: {data}");
            assert_eq!(costs["other_statuses"], Value::Array(Vec::new()), "{name}");
            for what in ["wall", "total_cpu", "memory", "startup_seconds"] {
                assert!(costs[what]["median"].as_f64().is_some(), "{name} {what}: {costs}");
                assert_eq!(costs[what]["interval"], Value::Null, "two runs have no interval");
                assert_eq!(costs[what]["against_plain"], "undecided");
            }
            assert!(table.lines().any(|line| line.starts_with(name)), "{name}: {table}");
        }
        // Two plain runs in each round, and the round that does not count; and all see the same of how they are run.
        let log = fs::read_to_string(place.file("log")).unwrap();
        assert_eq!(log.lines().count(), 3 * (2 + expected.len()), "{log}");
        assert!(log.lines().all(|line| line.starts_with("__main__ ") && Some(line) == log.lines().next()), "{log}");
    });
}

#[test]
fn a_profiler_that_starts_the_program_itself_is_told_from_it() {
    let newest = newest();
    if newest.python.minor < 15 {
        return eprintln!("SKIPPED: there is no CPython 3.15 here, and profiling.sampling is in no other");
    }
    let place = Place::new();
    let options = ["--runs", "1", "--profilers", "profiling.sampling"];
    let table = succeeded(&run(&mut place.overhead(&options, newest, &["--burn", "1"])));
    let data = place.data();
    let costs = profiler(&data, "profiling.sampling");
    if costs["runs"] == 0 {
        // It gives up where the program is slow to start. That is said.
        assert!(table.contains("profiling.sampling changes the program, or fails"), "{table}");
        return;
    }
    let measured = &costs["measured"][0];
    let (target, all) = (measured["target"]["cpu"].as_f64().unwrap(), measured["total_cpu"].as_f64().unwrap());
    assert!((1.0..all).contains(&target), "the program uses a second, and its profiler something: {measured}");
    assert_eq!((&costs["memory"], &measured["target"]["memory_kib"]), (&Value::Null, &Value::Null));
    assert!(table.contains("where memory is missing"), "{table}");
}

#[test]
fn the_table_is_alone_on_stdout_and_the_program_is_shown_on_request() {
    let place = Place::new();
    let options = ["--runs", "1", "--profilers", "cProfile,stubs"];
    let output = run(&mut place.overhead(&options, newest(), &[]));
    let table = succeeded(&output);
    assert!(
        table.contains("time on the clock") && table.contains("plain, again") && table.contains("cProfile"),
        "{table}"
    );
    assert!(!table.contains("the program speaks"), "{table}");
    let said = text(&output.stderr);
    assert!(!said.contains("the program") && said.lines().all(|line| line.starts_with("pronk: ")), "{said}");

    let shown = run(&mut place.overhead(&["--show-output", "--runs", "1", "--profilers", "stubs"], newest(), &[]));
    assert!(!succeeded(&shown).contains("the program speaks"));
    let said = text(&shown.stderr);
    // Three runs in a round, of which the first one does not count.
    assert_eq!(said.matches("the program speaks").count(), 6, "{said}");
    assert_eq!(said.matches("the program complains").count(), 6, "{said}");
}

#[test]
fn the_chart_is_well_formed_and_names_each_profiler() {
    let place = Place::new();
    succeeded(&run(&mut place.overhead(&["--runs", "1", "--profilers", "stubs,sys.setprofile"], newest(), &["<&>"])));
    let svg = fs::read_to_string(place.file("o.svg")).unwrap();
    let found = texts(&svg, "text");
    for name in ["plain, again", "stubs", "sys.setprofile", "CPU time of all processes"] {
        assert!(found.iter().any(|text| text == name), "{name}: {found:?}");
    }
    assert!(found[0].ends_with("program.py <&>"), "{found:?}");
    assert!(texts(&svg, "title").iter().any(|title| title.starts_with("stubs, time on the clock: ")), "{svg}");
}

#[test]
fn a_profiler_that_changes_how_the_program_ends_is_named() {
    let place = Place::new();
    let options = ["--runs", "1", "--profilers", "pronk,cProfile"];
    let table = succeeded(&run(&mut place.overhead(&options, newest(), &["--status", "3"])));
    let data = place.data();
    assert_eq!(data["statuses"], serde_json::json!([3]));
    assert_eq!((&profiler(&data, "pronk")["runs"], &profiler(&data, "cProfile")["runs"]), (&1.into(), &0.into()));
    // cProfile catches SystemExit (Lib/cProfile.py, `runctx`), and so the interpreter ends with 0.
    assert_eq!(profiler(&data, "cProfile")["other_statuses"], serde_json::json!([0]));
    assert!(table.contains("cProfile changes the program, or fails: it ended with 0, and plain with 3"), "{table}");
    assert!(table.contains("the command ended with 3 each time: the program complains"), "{table}");
    assert!(!table.contains("pronk changes"), "{table}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_runs() {
    let place = Place::new();
    let log = place.file("log");
    let refused = |options: &[&str]| {
        let output = run(&mut place.overhead(options, newest(), &["--log", log.to_str().unwrap()]));
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(output.stdout.is_empty() && !log.exists(), "{options:?}");
        text(&output.stderr)
    };
    let said = refused(&["--profilers", "pronk,gprof"]);
    assert!(said.contains("there is no profiler gprof: choose from stubs, pronk, pronk+budget, pronk+stubs"), "{said}");
    assert!(refused(&["--runs", "0"]).contains("--runs"));
    assert!(refused(&["-F", "0"]).contains("from 1 to 20000"));
    let output = run(&mut place.pronk(["overhead", "-o", "o.png", "--", "true"]));
    assert!(text(&output.stderr).contains("ends in .svg"), "{}", text(&output.stderr));
    let output = run(&mut place.pronk(["overhead", "--profilers", "stubs", "--", "/no/such/program"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/program"), "{}", text(&output.stderr));
}

#[test]
fn a_profiler_that_is_not_there_says_how_it_is_installed() {
    let place = Place::new();
    // An isolated interpreter sees no packages of tests.
    let mut pronk = place.overhead(&["--profilers", "viztracer"], newest(), &[]);
    let output = run(pronk.env_remove("PYTHONPATH"));
    let said = text(&output.stderr);
    assert!(said.contains("viztracer cannot be used: it is not installed: pip install viztracer"), "{said}");
}

#[test]
fn a_command_without_python_in_sight_has_what_works_from_outside() {
    let place = Place::new();
    let script = format!("{} {}", newest().path.display(), fixture(PROGRAM).display());
    let mut pronk = place.pronk(["overhead", "--runs", "1", "--json", "o.json", "--", "/bin/sh", "-c", &script]);
    let table = succeeded(&run(pronk.env("PATH", "/usr/bin:/bin")));
    let data = place.data();
    for name in ["stubs", "pronk", "pronk+budget", "pronk+stubs"] {
        assert_eq!(profiler(&data, name)["runs"], 1);
        assert_eq!(profiler(&data, name)["startup_seconds"], Value::Null, "no interpreter is known to start");
    }
    assert!(!names(&data).contains(&"cProfile"));
    assert!(table.contains("cProfile (/bin/sh is neither a Python nor a script of one's)"), "{table}");
}

#[test]
fn python_is_found_in_modules_and_in_scripts_that_name_it() {
    let place = Place::new();
    let interpreter = newest();
    let script = place.file("launcher");
    let text_of = fs::read_to_string(fixture(PROGRAM)).unwrap();
    fs::write(&script, format!("#!{} -u\n{text_of}", interpreter.path.display())).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(place.file("package.py"), text_of).unwrap();
    let python = interpreter.path.to_str().unwrap();
    for command in [&["./launcher"][..], &[python, "-um", "package"]] {
        let mut pronk = place.pronk(["overhead", "--runs", "1", "--json", "o.json"]);
        pronk.args(["--profilers", "cProfile,sys.setprofile", "--"]).args(command).args(["--log", "log"]);
        succeeded(&run(&mut pronk));
        let data = place.data();
        assert_eq!(names(&data), ["cProfile", "sys.setprofile"]);
        for name in names(&data) {
            assert_eq!(profiler(&data, name)["runs"], 1, "{name}: {data}");
        }
        let log = fs::read_to_string(place.file("log")).unwrap();
        assert_eq!(log.lines().count(), 8, "{log}");
        fs::remove_file(place.file("log")).unwrap();
    }
}

#[test]
fn control_c_ends_the_run_and_what_was_measured_is_printed() {
    let place = Place::new();
    let log = place.file("log");
    // Rounds are of three runs, and the first round does not count: the eighth run is of the second that does.
    let arguments = ["--log", log.to_str().unwrap(), "--hang-at", "8"];
    let mut pronk = place.overhead(&["--runs", "50", "--profilers", "pronk"], newest(), &arguments);
    let child = pronk.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let hanging = until("the run that hangs", || fs::read_to_string(place.file("log.hangs")).ok());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("1 of 50 rounds"), "{table}");
    let data = place.data();
    assert_eq!((&data["rounds"], &data["interrupted"]), (&1.into(), &true.into()));
    assert_eq!(profiler(&data, "pronk")["runs"], 1);
    until("the end of the run that hung", || has_ended(&hanging).then_some(()));
    assert!(place.file("log.asked").exists(), "the run that hung was asked to end, and had the time to");
}

/// Whether a process has ended, whoever may have to wait for it.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[test]
fn profilers_of_others_are_measured_where_they_are() {
    let place = Place::new();
    let Some(directory) = std::env::var_os("PRONK_TEST_PACKAGES").map(PathBuf::from) else {
        eprintln!("SKIPPED: PRONK_TEST_PACKAGES does not name a directory with 3.N/yappi and 3.N/bin/py-spy");
        return;
    };
    let packages = |interpreter: &Interpreter| directory.join(format!("3.{}", interpreter.python.minor));
    let has = |interpreter: &&Interpreter| {
        let packages = packages(interpreter);
        packages.join("yappi.py").exists() && packages.join("bin/py-spy").exists()
    };
    let Some(interpreter) = interpreters().iter().rev().find(has) else {
        eprintln!("SKIPPED: no interpreter has yappi and py-spy in PRONK_TEST_PACKAGES");
        return;
    };
    let mut pronk = place.overhead(&["--runs", "1", "--profilers", "yappi,py-spy"], interpreter, &["--burn", "1"]);
    let packages = packages(interpreter);
    let path = std::env::join_paths([packages.join("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
    let table = succeeded(&run(pronk.env("PYTHONPATH", &packages).env("PATH", path)));
    let data = place.data();
    assert!(profiler(&data, "yappi")["profiler_version"].as_str().is_some_and(|version| version.starts_with('1')));
    assert_eq!(profiler(&data, "yappi")["runs"], 1, "{data}");
    // py-spy may come too late for a sample, and fails then.
    let failed = ["py-spy (it ended with exit status", "py-spy failed in 1 of its runs: it ended with exit status"];
    assert!(profiler_runs(&data, "py-spy") == 1 || failed.iter().any(|said| table.contains(said)), "{table}");
    for name in names(&data).into_iter().filter(|name| profiler_runs(&data, name) == 1) {
        let costs = profiler(&data, name);
        let measured = &costs["measured"][0];
        let (target, all) = (measured["target"]["cpu"].as_f64().unwrap(), measured["total_cpu"].as_f64().unwrap());
        assert!(target <= all, "the target is a part of all, who ever waits for it: {measured}");
    }
}
