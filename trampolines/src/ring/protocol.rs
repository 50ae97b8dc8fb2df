//! The ring's protocol, apart from the memory that it works on, so that tests can try every order of its steps.

use crate::wire::{RingRecord, RingRecordKind};

/// The size of what every record begins with, in bytes.
const HEADER: u64 = size_of::<RingRecord>() as u64;

/// The words of a ring that writers and the reader share. Positions only ever rise; a record's place is at its position
/// modulo the capacity.
pub trait RingMemory {
    /// The bytes of data: a power of two.
    fn capacity(&self) -> u64;
    /// Up to which position room is reserved.
    fn head(&self) -> u64;
    /// Moves the head, unless another writer was first.
    fn move_head(&self, from: u64, to: u64) -> bool;
    /// Up to which position the reader has made room, with acquire ordering.
    fn tail(&self) -> u64;
    /// Makes room up to a position, with release ordering.
    fn set_tail(&self, tail: u64);
    /// The size of the record at a place, with acquire ordering.
    fn size(&self, place: u64) -> u32;
    /// Finishes the record at a place, with release ordering.
    fn finish(&self, place: u64, kind: u32, size: u32);
    /// The kind of the record at a place.
    fn kind(&self, place: u64) -> u32;
    /// Fills room with zeros.
    fn clear(&self, place: u64, size: u64);
}

/// Reserves room for a record, in one piece; the place where it begins. `None` when there is none.
pub fn reserve(ring: &impl RingMemory, size: u64) -> Option<u64> {
    let capacity = ring.capacity();
    if size < HEADER || !size.is_multiple_of(HEADER) || size > capacity / 2 {
        return None;
    }
    loop {
        let head = ring.head();
        let place = head & capacity.wrapping_sub(1);
        let to_end = capacity.wrapping_sub(place);
        // What would reach over the end begins at the start, behind a record without meaning.
        let padding = if size > to_end { to_end } else { 0 };
        let next = head.wrapping_add(padding).wrapping_add(size);
        if next.wrapping_sub(ring.tail()) > capacity {
            // A writer that was held up for long may have a head that the reader has passed since: it tries again.
            if ring.head() != head {
                continue;
            }
            return None;
        }
        if ring.move_head(head, next) {
            if padding > 0 {
                ring.finish(place, RingRecordKind::Padding as u32, padding as u32);
            }
            return Some(if padding > 0 { 0 } else { place });
        }
    }
}

/// A record that is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Where it begins.
    pub place: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its kind, as the writer has put it.
    pub kind: u32,
}

/// What is wrong with a ring, whatever its writers did: it contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The record behind the tail; `None` when it is not there, or not finished.
///
/// # Errors
/// When what is there cannot have been written by the protocol.
pub fn next(ring: &impl RingMemory, tail: u64) -> Result<Option<Finished>, Damaged> {
    let capacity = ring.capacity();
    let used = ring.head().wrapping_sub(tail);
    if used > capacity || !tail.is_multiple_of(HEADER) {
        return Err(Damaged);
    }
    if used < HEADER {
        return Ok(None);
    }
    let place = tail & capacity.wrapping_sub(1);
    let size = u64::from(ring.size(place));
    if size == 0 {
        return Ok(None);
    }
    if size < HEADER || !size.is_multiple_of(HEADER) || size > used || size > capacity.wrapping_sub(place) {
        return Err(Damaged);
    }
    Ok(Some(Finished { place, size, kind: ring.kind(place) }))
}

/// Gives the room of a record that was read back to the writers; the new tail.
pub fn give_back(ring: &impl RingMemory, tail: u64, record: Finished) -> u64 {
    ring.clear(record.place, record.size);
    let tail = tail.wrapping_add(record.size);
    ring.set_tail(tail);
    tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use std::vec::Vec;

    /// A ring of a few words, in the memory of a model of threads.
    struct Model {
        head: AtomicU64,
        tail: AtomicU64,
        /// Of each word: a record's size, kind and, in the next words, contents.
        sizes: Vec<AtomicU32>,
        kinds: Vec<AtomicU32>,
        contents: Vec<AtomicU64>,
    }

    impl Model {
        fn new(words: usize) -> Model {
            Model {
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                sizes: (0..words).map(|_| AtomicU32::new(0)).collect(),
                kinds: (0..words).map(|_| AtomicU32::new(0)).collect(),
                contents: (0..words).map(|_| AtomicU64::new(0)).collect(),
            }
        }

        /// Writes a record of one word of contents; whether there was room.
        fn write(&self, value: u64) -> bool {
            let Some(place) = reserve(self, 16) else { return false };
            let at = (place / 8) as usize;
            // Free room is empty: nothing of an older record is left in it.
            assert_eq!(self.contents[at + 1].load(Ordering::Relaxed), 0);
            self.contents[at + 1].store(value, Ordering::Relaxed);
            self.finish(place, RingRecordKind::Sample as u32, 16);
            true
        }

        /// Reads what is finished.
        fn read(&self, tail: &mut u64) -> Vec<u64> {
            let mut values = Vec::new();
            while let Some(record) = next(self, *tail).unwrap() {
                if record.kind == RingRecordKind::Sample as u32 {
                    values.push(self.contents[(record.place / 8) as usize + 1].load(Ordering::Relaxed));
                }
                *tail = give_back(self, *tail, record);
            }
            values
        }
    }

    impl RingMemory for Model {
        fn capacity(&self) -> u64 {
            8 * self.sizes.len() as u64
        }
        fn head(&self) -> u64 {
            self.head.load(Ordering::Acquire)
        }
        fn move_head(&self, from: u64, to: u64) -> bool {
            self.head.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }
        fn tail(&self) -> u64 {
            self.tail.load(Ordering::Acquire)
        }
        fn set_tail(&self, tail: u64) {
            self.tail.store(tail, Ordering::Release);
        }
        fn size(&self, place: u64) -> u32 {
            self.sizes[(place / 8) as usize].load(Ordering::Acquire)
        }
        fn finish(&self, place: u64, kind: u32, size: u32) {
            self.kinds[(place / 8) as usize].store(kind, Ordering::Relaxed);
            self.sizes[(place / 8) as usize].store(size, Ordering::Release);
        }
        fn kind(&self, place: u64) -> u32 {
            self.kinds[(place / 8) as usize].load(Ordering::Relaxed)
        }
        fn clear(&self, place: u64, size: u64) {
            for at in (place / 8) as usize..((place + size) / 8) as usize {
                self.sizes[at].store(0, Ordering::Relaxed);
                self.contents[at].store(0, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn two_writers_and_a_reader_lose_nothing_and_tear_nothing() {
        loom::model(|| {
            // Room for two records: writers meet a full ring and one that is used again.
            let ring = Arc::new(Model::new(4));
            let mut before = Vec::new();
            let mut tail = 0;
            assert!(ring.write(7));
            before.extend(ring.read(&mut tail));
            assert_eq!(before, [7]);
            let writers = [1, 2].map(|value| {
                let ring = ring.clone();
                loom::thread::spawn(move || ring.write(value))
            });
            let mut read = ring.read(&mut tail);
            let written: Vec<bool> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
            read.extend(ring.read(&mut tail));
            read.sort_unstable();
            let expected: Vec<u64> = [1, 2].into_iter().filter(|value| written[*value as usize - 1]).collect();
            assert_eq!(read, expected);
        });
    }

    #[test]
    fn a_writer_that_the_others_and_the_reader_overtake_still_finds_its_room() {
        loom::model(|| {
            // Room for four records, and three are written.
            let ring = Arc::new(Model::new(8));
            let slow = {
                let ring = ring.clone();
                loom::thread::spawn(move || ring.write(1))
            };
            let mut tail = 0;
            assert!(ring.write(2) && ring.write(3));
            let mut read = ring.read(&mut tail);
            assert!(slow.join().unwrap());
            read.extend(ring.read(&mut tail));
            read.sort_unstable();
            assert_eq!(read, [1, 2, 3]);
        });
    }

    #[test]
    fn a_writer_that_is_told_that_there_is_no_room_leaves_no_trace() {
        loom::model(|| {
            let ring = Arc::new(Model::new(4));
            assert!(ring.write(1) && ring.write(2) && !ring.write(3));
            let other = ring.clone();
            let writer = loom::thread::spawn(move || other.write(4));
            let mut tail = 0;
            let mut read = ring.read(&mut tail);
            let written = writer.join().unwrap();
            read.extend(ring.read(&mut tail));
            assert_eq!(read, if written { [1, 2, 4].as_slice() } else { &[1, 2] });
        });
    }

    #[test]
    fn records_go_round_the_ring_in_one_piece() {
        loom::model(|| {
            let ring = Model::new(8);
            let mut tail = 0;
            for turn in 0..5 {
                // Three words each time: over the end now and then.
                let place = reserve(&ring, 24).unwrap();
                assert!(place + 24 <= 64, "{turn}: {place}");
                ring.finish(place, RingRecordKind::Code as u32, 24);
                let mut seen = 0;
                while let Some(record) = next(&ring, tail).unwrap() {
                    seen += u32::from(record.kind == RingRecordKind::Code as u32);
                    tail = give_back(&ring, tail, record);
                }
                assert_eq!(seen, 1);
            }
            assert_eq!(reserve(&ring, 40), None);
            assert_eq!(reserve(&ring, 12), None);
        });
    }

    #[test]
    fn what_no_writer_can_have_written_is_told() {
        loom::model(|| {
            let ring = Model::new(4);
            ring.head.store(32, Ordering::Relaxed);
            for size in [4, 12, 40] {
                ring.finish(0, 2, size);
                assert_eq!(next(&ring, 0), Err(Damaged), "{size}");
            }
            ring.finish(16, 2, 32);
            assert_eq!(next(&ring, 16), Err(Damaged));
            ring.head.store(1000, Ordering::Relaxed);
            assert_eq!(next(&ring, 0), Err(Damaged));
            ring.head.store(0, Ordering::Relaxed);
            assert_eq!(next(&ring, 8), Err(Damaged));
        });
    }
}
