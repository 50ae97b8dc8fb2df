//! Every call of a Python callable goes through the stub of its code object, and on to the evaluator that was there
//! before.
//!
//! `every_call/callables` calls each kind of callable and notes how often each really ran. `counting_evaluator.c` is
//! the evaluator that was there before the hook; it counts by return address, so by the stub that called it. The two
//! must agree for each callable, and no evaluation may come from anywhere but a stub. The counts that the stubs keep
//! themselves have to be those of the evaluator, for every function.

mod common;

use pronk_bench::interpreter::{Interpreter, interpreters_for_tests};
use pronk_trampolines::stub::RETURN_OFFSET;
use pronk_trampolines::wire::{
    COUNTS_EXTENSION, HEAD_COUNTERS, Head, KINDS, NO_COUNTER, REGISTRY_EXTENSION, Reader, Record, SESSION_ENV, Status,
};
use std::collections::HashMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a kind of note (`callables/notes.py`) means.
struct Rule {
    note: &'static str,
    /// Whether each one is an entry into the evaluator, in this minor version of CPython 3.
    enters: fn(u32) -> bool,
}

/// The rules, in the order of the columns that the program prints.
const RULES: [Rule; 6] = [
    // A stretch of a body.
    Rule { note: "run", enters: |_| true },
    // Since 3.11 a generator or coroutine is made by its own code, with the instruction RETURN_GENERATOR.
    Rule { note: "made", enters: |minor| minor >= 11 },
    // The frame passes a value or an exception on: nothing of its body runs, but the evaluator does.
    Rule { note: "passed", enters: |_| true },
    // Since 3.13 gen_close (Objects/genobject.c) ends a generator that does not handle exceptions without evaluating
    // it.
    Rule { note: "closed", enters: |minor| minor < 13 },
    // Since 3.12 it does so with a generator that has not begun.
    Rule { note: "dropped", enters: |minor| minor < 12 },
    // _gen_throw (Objects/genobject.c) goes down to the frame that is awaited last, and evaluates that one only. The
    // frames that wait for it are linked below it, but no hook sees them until it has returned or raised.
    Rule { note: "thrown", enters: |_| false },
];

/// A callable whose frames CPython leads round every hook.
struct LedRound {
    labels: &'static [&'static str],
    /// From the first to the last minor and micro version.
    versions: RangeInclusive<(u32, u32)>,
}

/// The frames that CPython leads round every hook, beside those of the rule `thrown`: some calls of these, from when
/// the interpreter has specialized the instruction that makes them.
const LED_ROUND: [LedRound; 2] = [
    // CALL_ALLOC_AND_ENTER_INIT pushes the frame of `__init__` without asking for a hook. Only of classes that inherit
    // `object.__new__`.
    LedRound { labels: &["__init__", "__init__ that calls super()"], versions: (13, 0)..=(13, u32::MAX) },
    // BINARY_SUBSCR_GETITEM did the same.
    LedRound { labels: &["__getitem__"], versions: (11, 0)..=(11, 3) },
];

/// A code object, as both the program and the registry know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Code {
    file: String,
    first_line: u32,
    name: String,
}

/// What the program says of a callable.
#[derive(Debug)]
struct Callable {
    label: String,
    code: Code,
    runs: u64,
    expected: u64,
}

/// How often the evaluator was called.
#[derive(Debug, Default)]
struct Evaluations {
    through_stub_of: HashMap<Code, u64>,
    through_no_stub: u64,
}

#[test]
fn every_call_goes_through_its_stub_and_on_to_the_earlier_evaluator() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("counting_evaluator.so");
    common::compile_library(&fixture("counting_evaluator.c"), &library);

    let mut wrong = Vec::new();
    for interpreter in interpreters_for_tests() {
        let session = directory.path().join(format!("session-3.{}", interpreter.python.minor));
        fs::create_dir(&session).unwrap();
        let (callables, evaluations) = call_everything(&interpreter, &library, &session);
        assert!(callables.len() > 100, "{interpreter}: only {} callables", callables.len());
        let complaints = compare(&interpreter, &callables, &evaluations);
        wrong.extend(complaints.into_iter().map(|complaint| format!("{interpreter}: {complaint}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/every_call").join(name)
}

fn call_everything(interpreter: &Interpreter, library: &Path, session: &Path) -> (Vec<Callable>, Evaluations) {
    let counts = session.join("counts");
    let preload = std::env::join_paths([common::agent(), library]).unwrap();
    let output = Command::new(&interpreter.path)
        .args(["-B".as_ref(), fixture("callables").as_os_str()])
        .env("LD_PRELOAD", preload)
        .env(SESSION_ENV, session)
        .env("COUNTS", &counts)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{interpreter}: {}\n{stderr}", output.status);
    assert_eq!(stderr, "", "{interpreter}");

    let stdout = String::from_utf8(output.stdout).unwrap();
    let (header, lines) = stdout.split_once('\n').unwrap();
    let notes = RULES.map(|rule| rule.note).join("\t");
    assert_eq!(header, format!("label\t{notes}\tfile\tfirst line\tname"));
    let callables = lines.lines().map(|line| read_callable(line, interpreter.python.minor)).collect();
    let stubs = read_registry(interpreter, session);
    let counts = fs::read_to_string(&counts).unwrap_or_else(|error| panic!("{interpreter}: no counts: {error}"));
    let codes = stubs.iter().map(|(address, stub)| (*address, stub.code.clone())).collect();
    let evaluations = read_counts(&counts, &codes);
    compare_stubs(interpreter, &counted_by_stubs(&only_file(session, COUNTS_EXTENSION)), &stubs, &counts);
    (callables, evaluations)
}

/// What each counter of a process has, summed up over its lanes.
fn counted_by_stubs(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let head = Head::read(&bytes).unwrap();
    assert_eq!((head.lost, head.parent), (0, None));
    let mut counters = vec![0; head.counters as usize];
    for lane in head.lanes() {
        let words = bytes[lane.start as usize..lane.end as usize].chunks(8);
        for (counter, word) in counters.iter_mut().zip(words) {
            *counter += u64::from_ne_bytes(word.try_into().unwrap());
        }
    }
    assert_eq!(counters[NO_COUNTER as usize], 0, "every stub has a counter");
    let (head, stubs) = counters.split_at_mut(HEAD_COUNTERS as usize);
    assert_eq!(
        head[1..=KINDS].iter().sum::<u64>(),
        stubs.iter().sum::<u64>(),
        "the sums by kind are those of all stubs"
    );
    head.fill(0);
    counters
}

/// Each stub has counted what the evaluator says. The evaluator writes its counts at its end, after which some functions of
/// the interpreter's own may run.
fn compare_stubs(interpreter: &Interpreter, counted: &[u64], stubs: &HashMap<u64, Stub>, counts: &str) {
    let evaluated: HashMap<u64, u64> = counts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(address, count)| Some((u64::from_str_radix(address, 16).ok()?, count.parse().unwrap())))
        .collect();
    let mut compared = 0;
    for (address, Stub { code, counter }) in stubs {
        let expected = evaluated.get(address).copied().unwrap_or(0);
        assert_eq!(counted[*counter as usize], expected, "{interpreter}: {code:?}");
        compared += expected;
    }
    assert!(compared > 1000, "{interpreter}: {compared} evaluations");
    assert_eq!(counted.iter().sum::<u64>(), compared, "{interpreter}: no counter is nobody's");
}

fn read_callable(line: &str, minor: u32) -> Callable {
    let fields: Vec<&str> = line.split('\t').collect();
    let [label, notes @ .., file, first_line, name] = &fields[..] else { panic!("a line of the program: {line:?}") };
    let notes: Vec<u64> = notes.iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!(notes.len(), RULES.len(), "{line:?}");
    let entries = RULES.iter().zip(&notes).filter(|(rule, _)| (rule.enters)(minor));
    Callable {
        label: (*label).into(),
        code: Code { file: (*file).into(), first_line: first_line.parse().unwrap(), name: (*name).into() },
        runs: notes[0],
        expected: entries.map(|(_, number)| number).sum(),
    }
}

/// What the registry says of a stub.
#[derive(Debug, PartialEq, Eq)]
struct Stub {
    code: Code,
    counter: u32,
}

/// The session's only file with an extension.
fn only_file(session: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(session).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    let [file] = &files[..] else { panic!("{}: {files:?}", session.display()) };
    file.clone()
}

/// The functions of the session's only registry, by the address to which the evaluator returns in their stubs.
fn read_registry(interpreter: &Interpreter, session: &Path) -> HashMap<u64, Stub> {
    let bytes = fs::read(only_file(session, REGISTRY_EXTENSION)).unwrap();
    let reader = Reader::new(&bytes).unwrap();
    assert_eq!(reader.status(), Some(Status::Running), "{interpreter}: {}", reader.message().escape_ascii());
    assert_eq!((reader.unregistered(), reader.deep_stops()), (0, 0), "{interpreter}");

    let mut stubs = HashMap::new();
    for Record::Function { stub, counter, function, .. } in reader.records() {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let qualname = text(function.qualname);
        let name = qualname.rsplit('.').next().unwrap_or_default().to_string();
        let code = Code { file: text(function.file), first_line: function.first_line, name };
        let earlier = stubs.insert(stub + u64::from(RETURN_OFFSET), Stub { code, counter });
        assert_eq!(earlier, None, "{interpreter}: {stub:#x} is the stub of {qualname} and another function");
    }
    stubs
}

fn read_counts(counts: &str, stubs: &HashMap<u64, Code>) -> Evaluations {
    let mut evaluations = Evaluations::default();
    for line in counts.lines() {
        let (from, count) = line.split_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        match from {
            "unhooked" => {}
            "lost" => assert_eq!(count, 0, "the table of the counting evaluator is large enough"),
            address => match stubs.get(&u64::from_str_radix(address, 16).unwrap()) {
                Some(code) => *evaluations.through_stub_of.entry(code.clone()).or_default() += count,
                None => evaluations.through_no_stub += count,
            },
        }
    }
    evaluations
}

fn compare(interpreter: &Interpreter, callables: &[Callable], evaluations: &Evaluations) -> Vec<String> {
    let version = (interpreter.python.minor, interpreter.python.micro);
    let mut complaints = Vec::new();
    if evaluations.through_no_stub > 0 {
        complaints.push(format!("{} evaluations through no stub", evaluations.through_no_stub));
    }
    for callable in callables {
        let Callable { label, code, runs, expected } = callable;
        let counted = evaluations.through_stub_of.get(code).copied().unwrap_or(0);
        let led_round =
            LED_ROUND.iter().any(|led| led.labels.contains(&label.as_str()) && led.versions.contains(&version));
        if led_round && counted == *expected {
            complaints.push(format!("{label} is not led round the hook, though it is listed"));
        }
        if counted > *expected || !led_round && counted < *expected {
            complaints.push(format!("{label}: {counted} evaluations, not {expected} ({runs} runs), of {code:?}"));
        }
    }
    complaints
}
