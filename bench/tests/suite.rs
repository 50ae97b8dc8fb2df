//! The stand-in for pyperf does the same work each time, as often as it is told or as a time takes.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A script of a suite, as pyperformance's are, with two tasks.
const SCRIPT: &str = "
import pyperf

def timed(loops, step):
    begun = pyperf.perf_counter()
    for _ in range(loops):
        log.append(step)
    return pyperf.perf_counter() - begun

log = []
runner = pyperf.Runner(metadata={})
runner.argparser.add_argument('--size', type=int, default=3, help='of 100 % or so')
assert runner.parse_args().size == 7
runner.bench_func('call', log.append, 'call', inner_loops=2)
runner.bench_time_func('time', timed, 'time')
print(*[log.count(task) for task in ('call', 'time')])
";

/// Runs the script; what it prints, and what its tasks took.
fn run(loops: &str) -> (String, Value) {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("run_benchmark.py");
    fs::write(&script, SCRIPT).unwrap();
    let work = directory.path().join("work.json");
    let output = Command::new("python3")
        .args([script.as_os_str(), "--size".as_ref(), "7".as_ref()])
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("suite"))
        .env("PRONK_SUITE_LOOPS", loops)
        .env("PRONK_SUITE_WORK", &work)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let work = serde_json::from_slice(&fs::read(work).unwrap()).unwrap();
    (String::from_utf8(output.stdout).unwrap(), work)
}

#[test]
fn tasks_are_done_as_often_as_is_said() {
    let (printed, work) = run("[3, 5]");
    assert_eq!(printed, "3 5\n");
    assert_eq!((&work[0]["name"], &work[0]["loops"]), (&"call".into(), &3.into()));
    assert_eq!((&work[1]["name"], &work[1]["loops"]), (&"time".into(), &5.into()));
}

#[test]
fn loops_are_found_for_a_time() {
    let (_, work) = run("0.01");
    for task in work.as_array().unwrap() {
        assert!(task["cpu"].as_f64().unwrap() >= 0.01 && task["loops"].as_u64().unwrap() > 1, "{work}");
    }
    let loops = serde_json::to_string(&[&work[0]["loops"], &work[1]["loops"]]).unwrap();
    let (printed, again) = run(&loops);
    assert_eq!(printed, format!("{} {}\n", work[0]["loops"], work[1]["loops"]));
    assert_eq!((&again[0]["loops"], &again[1]["loops"]), (&work[0]["loops"], &work[1]["loops"]));
}
