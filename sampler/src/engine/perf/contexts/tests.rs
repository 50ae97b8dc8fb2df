//! Rings that are written by hand, joined with samples.

use super::*;
use pronk_trampolines::wire::{
    ClosedRecord, OpenedRecord, RING_DATA, RING_MAGIC, RING_VERSION, RingHeader, RingLine, Token,
};
use std::mem::offset_of;
use tempfile::TempDir;

const CAPACITY: usize = 1 << 16;
const FRAME: PythonFrame = PythonFrame { frame: 0x10, stub: 0x50, state: 0x70, registry: Token(1) };
const CHILD: u32 = 4_000_001;

fn pid() -> u32 {
    std::process::id()
}

fn record(kind: RingRecordKind, words: &[u64], text: &[u8]) -> Vec<u8> {
    let mut contents: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    contents.extend(text);
    contents.resize(contents.len().next_multiple_of(8), 0);
    let size = contents.len() as u32 + 8;
    [&size.to_ne_bytes()[..], &(kind as u32).to_ne_bytes(), &contents].concat()
}

fn opened(time: u64, serial: u64) -> Vec<u8> {
    const _: () = assert!(size_of::<OpenedRecord>() == 5 * 8);
    record(RingRecordKind::Opened, &[time, FRAME.frame, FRAME.stub, serial, 0], b"k\0v\0")
}

fn closed(time: u64, serial: u64) -> Vec<u8> {
    const _: () = assert!(size_of::<ClosedRecord>() == 4 * 8);
    record(RingRecordKind::Closed, &[time, serial, FRAME.state, u64::MAX], &[])
}

/// The rings of a session with one ring of this process's, in which there are records, and since when some are unsaid.
fn rings(records: &[Vec<u8>], unsaid_since: u64) -> (TempDir, Rings) {
    let directory = tempfile::tempdir().unwrap();
    let records = records.concat();
    let mut bytes = vec![0; RING_DATA];
    let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    set(offset_of!(RingHeader, magic), &RING_MAGIC);
    set(offset_of!(RingHeader, version), &RING_VERSION.to_ne_bytes());
    set(offset_of!(RingHeader, header_size), &(RING_DATA as u32).to_ne_bytes());
    set(offset_of!(RingHeader, pid), &pid().to_ne_bytes());
    set(offset_of!(RingHeader, capacity), &(CAPACITY as u64).to_ne_bytes());
    set(offset_of!(RingHeader, head) + offset_of!(RingLine, 0), &(records.len() as u64).to_ne_bytes());
    set(offset_of!(RingHeader, unsaid_since), &unsaid_since.to_ne_bytes());
    bytes.extend(records);
    bytes.resize(RING_DATA + CAPACITY, 0);
    std::fs::write(directory.path().join("0.ring"), bytes).unwrap();
    let mut rings = Rings::new(directory.path().to_owned());
    rings.read();
    (directory, rings)
}

fn has_label(rings: &mut Rings, pid: u32, time: u64) -> bool {
    rings.context(pid, &[FRAME], time).is_some()
}

#[test]
fn a_sample_has_what_held_at_its_time() {
    let (_directory, mut rings) = rings(&[opened(10, 1), closed(20, 1), opened(30, 2)], 0);
    let at = [5, 10, 15, 20, 25, 30].map(|time| has_label(&mut rings, pid(), time));
    assert_eq!(at, [false, true, true, false, false, true]);
    // What comes late, when time has gone on, has none: it is not known any more what held.
    assert!(!has_label(&mut rings, pid(), 25));
    assert!(!has_label(&mut rings, CHILD, 30));
}

#[test]
fn a_child_begins_with_what_held_for_its_parent() {
    let (_directory, mut rings) = rings(&[opened(10, 1), closed(20, 1)], 0);
    rings.fork(pid(), CHILD, 15);
    rings.go_on(40);
    assert!(has_label(&mut rings, CHILD, 50) && !has_label(&mut rings, pid(), 50));
    rings.fork(pid(), CHILD + 1, 50);
    assert!(!has_label(&mut rings, CHILD + 1, 60));
    rings.forget(CHILD, 60);
    assert!(!has_label(&mut rings, CHILD, 70));
}

#[test]
fn where_moments_are_missing_nothing_is_known() {
    let (_directory, mut rings) = rings(&[opened(10, 1)], 18);
    assert!(has_label(&mut rings, pid(), 17) && !has_label(&mut rings, pid(), 18));
    rings.fork(pid(), CHILD, 19);
    assert!(!has_label(&mut rings, CHILD, 20));
}

#[test]
fn a_ring_that_contradicts_itself_ends_its_labels() {
    let mut odd = closed(20, 1);
    odd[0] = 12;
    let (_directory, mut rings) = rings(&[opened(10, 1), odd], 0);
    assert!(!has_label(&mut rings, pid(), 15));
    let (mut losses, mut notes) = (Losses::default(), Vec::new());
    rings.finish(&mut losses, &mut notes);
    assert!(notes.len() == 1 && notes[0].contains("damaged"), "{notes:?}");
}

#[test]
fn what_is_no_moment_is_counted() {
    let (_directory, mut rings) = rings(&[record(RingRecordKind::Task, &[1, 2], &[]), opened(10, 1)], 0);
    assert!(has_label(&mut rings, pid(), 10));
    let (mut losses, mut notes) = (Losses::default(), Vec::new());
    let contexts = rings.finish(&mut losses, &mut notes);
    assert_eq!((losses.malformed, contexts.all().len(), notes.len()), (1, 1, 0));
}
