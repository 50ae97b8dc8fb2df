//! A session that is watched hands over all that it records, once.

mod common;

use common::{alone, request, start};
use pronk_sampler::recording::{Recording, StackId};
use pronk_sampler::{Request, Session, Streams};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing that could be read, until it is dropped.
struct Silence {
    reader: io::PipeReader,
    _writer: io::PipeWriter,
}

impl Silence {
    fn new() -> Silence {
        let (reader, _writer) = io::pipe().unwrap();
        Silence { reader, _writer }
    }
}

fn sh(script: &str) -> Vec<OsString> {
    ["sh", "-c", script].map(OsString::from).into()
}

/// Waits until the command has ended, and does something meanwhile, again and again.
fn watch(session: &mut Session, mut meanwhile: impl FnMut(&mut Session)) -> ExitStatus {
    let silence = Silence::new();
    let begun = Instant::now();
    loop {
        meanwhile(session);
        let until = Instant::now() + Duration::from_millis(20);
        let watched = session.watch(Some(silence.reader.as_fd()), until).unwrap();
        assert!(!watched.asked_to_end && begun.elapsed() < Duration::from_secs(60));
        if let Some(status) = watched.status {
            return status;
        }
    }
}

#[test]
fn what_is_handed_over_and_what_is_left_is_all_of_it() {
    let _alone = alone();
    // As much work as takes a few hundred samples.
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 4";
    let mut session = start(request(sh(script))).unwrap();
    let mut grown: Recording = session.nothing_yet();
    let (mut handed, mut cpu_time) = (Vec::new(), Duration::ZERO);
    let status = watch(&mut session, |session| {
        if let Some(growth) = session.growth() {
            assert!(growth.cpu_time >= cpu_time);
            cpu_time = growth.cpu_time;
            handed.extend(grown.grow(growth));
        }
    });
    assert_eq!(status.code(), Some(4));
    let whole = session.stop().unwrap();
    assert!(handed.len() > 50, "{}", handed.len());
    // It is the recording as far as it goes.
    for stack in (0..grown.stacks.len() as u32).map(StackId) {
        assert_eq!(grown.stacks.get(stack), whole.stacks.get(stack), "{stack:?}");
    }
    assert!(handed.iter().all(|sample| sample.stack.is_none_or(|stack| stack.index() < grown.stacks.len())));
    assert!(grown.threads.iter().zip(&whole.threads).all(|(grown, whole)| grown.tid == whole.tid));
    assert!(grown.mappings.len() <= whole.mappings.len());
    // No sample is lost on the way, and none is there twice.
    let all = handed.len() + whole.samples.len();
    let expected = whole.losses.cpu_time.unwrap().as_secs_f64() * 999.0;
    assert!((all as f64 - expected).abs() < 0.1 * expected, "{all} samples, {expected} expected");
    let times: HashSet<_> = handed.iter().chain(&whole.samples).map(|sample| (sample.thread, sample.time.0)).collect();
    assert_eq!(times.len(), all);
    assert_eq!(whole.exit, Some(status));
    assert!(session.growth().is_none());
}

#[test]
fn what_was_asked_for_and_not_taken_is_not_lost() {
    let _alone = alone();
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let mut session = start(request(sh(script))).unwrap();
    assert!(session.growth().is_none());
    watch(&mut session, |_| {});
    let whole = session.stop().unwrap();
    let (samples, expected) = (whole.samples.len() as f64, whole.losses.cpu_time.unwrap().as_secs_f64() * 999.0);
    assert!((samples - expected).abs() < 0.1 * expected, "{samples} samples, {expected} expected");
    assert!(whole.samples.is_sorted_by_key(|sample| sample.time));
}

#[test]
fn a_command_reads_and_writes_where_it_is_told_to() {
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::write(path("in"), "asked\n").unwrap();
    let streams = Streams {
        input: Some(Arc::new(File::open(path("in")).unwrap())),
        output: Some(Arc::new(File::create(path("out")).unwrap())),
    };
    let script = "read line; echo \"$line\"; echo answered >&2; readlink /proc/$$/fd/* | grep -c -e /in$ -e /out$";
    let mut session = start(Request { streams, ..request(sh(script)) }).unwrap();
    watch(&mut session, |_| {});
    session.stop().unwrap();
    // The command has the files open as its three streams, and not once more.
    assert_eq!(std::fs::read_to_string(path("out")).unwrap(), "asked\nanswered\n3\n");
}

#[test]
fn a_command_that_is_interrupted_ends() {
    let _alone = alone();
    let mut session = start(request(sh("trap 'exit 5' INT; while :; do :; done"))).unwrap();
    let status = watch(&mut session, |session| session.interrupt());
    assert!(status.code() == Some(5) || status.signal() == Some(libc::SIGINT), "{status}");
    assert_eq!(session.wait().unwrap(), Some(status));
}
