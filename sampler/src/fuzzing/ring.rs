//! Rings.

use super::NOBODY;
use crate::engine::perf::contexts::Rings;
use crate::engine::perf::timeline::PythonFrame;
use crate::engine::signal;
use crate::recording::{Event, Frame, Losses, MonotonicNs, Recording, TaskRoot};
use pronk_trampolines::wire::{
    RING_DATA, RING_EXTENSION, RING_MAGIC, RING_VERSION, RingHeader, RingRecord, RingRecordKind, SampleRecord, Token,
};
use std::collections::HashMap;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The largest ring that is made, in bytes of data.
const LARGEST: usize = 1 << 20;

/// A ring with its header, as it lies in its file but for the unused part of the first page: what becomes of it.
pub fn ring(data: &[u8]) -> Recording {
    let (header, records) = data.split_at_checked(size_of::<RingHeader>()).unwrap_or((data, &[]));
    read(header, records)
}

/// A ring's records, each with its kind and its size before it, behind two bytes of CPython's version: what becomes of them.
pub fn records(data: &[u8]) -> Recording {
    ring(&file(data))
}

/// A ring, as [`ring`] takes it, of what [`records`] takes.
pub(super) fn file(data: &[u8]) -> Vec<u8> {
    let (version, framed) = data.split_at_checked(2).unwrap_or((&[0; 2], &[]));
    let mut sequences: HashMap<[u8; 4], u32> = HashMap::new();
    let mut records = Vec::new();
    for (kind, contents) in Framed(framed) {
        let mut contents = contents.to_vec();
        let tid = contents.get(offset_of!(SampleRecord, tid)..).and_then(|rest| rest.first_chunk().copied());
        // Few samples would fit to those before if chance had to find their sequence numbers.
        if let (Some(tid), true) = (tid, kind == RingRecordKind::Sample as u8) {
            let next = sequences.entry(tid).or_default();
            set(&mut contents, offset_of!(SampleRecord, sequence), &next.to_ne_bytes());
            *next += 1;
        }
        add(kind.into(), &contents, &mut records);
    }
    let mut header = header(records.len());
    // The high half of `PY_VERSION_HEX`.
    set(&mut header, offset_of!(RingHeader, python_hexversion) + 2, version);
    [header, records].concat()
}

/// What a process says of labels and tasks to who samples from outside, and what is asked meanwhile: records as for
/// [`records`], and questions between them. How many answers there were.
pub fn moments(data: &[u8]) -> usize {
    let Ok(directory) = tempfile::tempdir() else { return 0 };
    let mut said = Vec::new();
    let mut asked = Vec::new();
    for (kind, contents) in Framed(data) {
        match kind {
            0..=63 => add(kind.into(), contents, &mut said),
            _ => asked.push((kind, contents)),
        }
    }
    write(directory.path(), &header(said.len()), &said);
    let mut rings = Rings::new(directory.path().to_owned());
    rings.read();
    let mut answers = 0;
    for (kind, contents) in asked {
        let words: Vec<u64> = contents.chunks_exact(8).filter_map(word).collect();
        let time = words.first().copied().unwrap_or(0);
        let frame = |words: &[u64]| PythonFrame {
            frame: words.first().copied().unwrap_or(0),
            stub: words.get(1).copied().unwrap_or(0),
            state: words.get(2).copied().unwrap_or(0),
            registry: Token(0),
        };
        let frames: Vec<PythonFrame> = words.get(1..).unwrap_or_default().chunks(3).map(frame).collect();
        let child = NOBODY - 1;
        match kind {
            64..=127 => rings.go_on(time),
            128..=159 => rings.fork(NOBODY, child, time),
            160..=191 => rings.forget(NOBODY, time),
            192..=223 => answers += usize::from(rings.context(child, &frames, time).is_some()),
            _ => answers += usize::from(rings.context(NOBODY, &frames, time).is_some()),
        }
    }
    rings.go_on(u64::MAX);
    let table = rings.finish(&mut Losses::default(), &mut Vec::new());
    assert!(table.all().len() <= answers);
    answers
}

/// Records in a row: a byte that is the kind, two that are the size, and the contents.
struct Framed<'a>(&'a [u8]);

impl<'a> Iterator for Framed<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[kind, low, high], rest) = self.0.split_first_chunk()?;
        let size = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (contents, rest) = rest.split_at(size);
        self.0 = rest;
        Some((kind, contents))
    }
}

fn word(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

/// Adds a record as a ring has it.
fn add(kind: u32, contents: &[u8], to: &mut Vec<u8>) {
    let size = (size_of::<RingRecord>() + contents.len()).next_multiple_of(8);
    if to.len() + size > LARGEST {
        return;
    }
    let end = to.len() + size;
    to.extend((size as u32).to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(contents);
    to.resize(end, 0);
}

/// The header of a ring with so many bytes of records.
fn header(used: usize) -> Vec<u8> {
    let mut header = vec![0; size_of::<RingHeader>()];
    set(&mut header, offset_of!(RingHeader, head), &(used as u64).to_ne_bytes());
    header
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Makes the file of a ring, which is sound as far as a file has to be for being read at all, of a process that is nowhere.
pub(super) fn write(directory: &Path, header: &[u8], records: &[u8]) {
    let records = records.get(..LARGEST).unwrap_or(records);
    let capacity = records.len().next_power_of_two().max(64);
    let mut file = header.to_vec();
    file.resize(size_of::<RingHeader>(), 0);
    set(&mut file, offset_of!(RingHeader, magic), &RING_MAGIC);
    set(&mut file, offset_of!(RingHeader, version), &RING_VERSION.to_ne_bytes());
    set(&mut file, offset_of!(RingHeader, header_size), &(RING_DATA as u32).to_ne_bytes());
    set(&mut file, offset_of!(RingHeader, capacity), &(capacity as u64).to_ne_bytes());
    set(&mut file, offset_of!(RingHeader, pid), &NOBODY.to_ne_bytes());
    set(&mut file, offset_of!(RingHeader, pid_namespace), &0_u64.to_ne_bytes());
    file.resize(RING_DATA, 0);
    file.extend(records);
    file.resize(RING_DATA + capacity, 0);
    // What cannot be written is not read.
    let _ = std::fs::write(directory.join("0.").with_extension(RING_EXTENSION), file);
}

/// Reads a ring to its end, and checks that what comes of it refers to what there is.
fn read(header: &[u8], records: &[u8]) -> Recording {
    let directory = tempfile::tempdir();
    let path = directory.as_ref().map_or(Path::new("/nonexistent"), |directory| directory.path());
    write(path, header, records);
    let recorded = signal::read_to_end(path.to_owned(), Duration::MAX, Duration::MAX);
    let recording = Recording {
        started: MonotonicNs(0),
        ended: MonotonicNs(u64::MAX),
        started_at: SystemTime::UNIX_EPOCH,
        event: Event::TaskClock,
        frequency: 999,
        processes: recorded.processes,
        threads: recorded.threads,
        mappings: recorded.mappings,
        codes: recorded.codes,
        stacks: recorded.stacks,
        contexts: recorded.contexts,
        samples: recorded.samples,
        losses: Losses { sampled_for: Duration::ZERO, ..recorded.losses },
        notes: recorded.notes,
        exit: None,
        session: path.to_owned(),
        counts: path.to_owned(),
    };
    check(&recording);
    recording
}

/// Everything refers to rows that exist.
fn check(recording: &Recording) {
    let Recording { processes, threads, mappings, codes, stacks, contexts, samples, .. } = recording;
    for id in 0..stacks.len() as u32 {
        match stacks.get(crate::recording::StackId(id)) {
            (Some(below), _) if below.0 >= id => panic!("a stack is not above the one below it"),
            (_, Frame::Native(mapping, _) | Frame::Stub(mapping, _)) => assert!(mapping.index() < mappings.len()),
            (_, Frame::Python(code, _)) => assert!(code.index() < codes.len()),
            _ => {}
        }
    }
    for task in contexts.all().iter().filter_map(|context| context.task.as_ref()) {
        assert!(task.awaiters.is_none_or(|stack| stack.index() < stacks.len()));
        assert!(!matches!(task.root, Some(TaskRoot::Code(code)) if code.index() >= codes.len()));
    }
    assert!(threads.iter().all(|thread| thread.process.index() < processes.len()));
    for sample in samples {
        assert!(sample.thread.index() < threads.len());
        assert!(sample.stack.is_none_or(|stack| stack.index() < stacks.len()));
        assert!(sample.context.is_none_or(|context| context.index() < contexts.all().len()));
    }
}
