//! The ring in shared memory: how samples go from signal handlers in a process to the profiler. The format, and what makes
//! it safe to use from both sides, is in [`crate::wire::RingHeader`]'s module.
//!
//! # Safety
//! The mapping stays as long as a writer or a reader of it is used, which who makes one promises. All that both sides touch
//! at the same time is atomic. The contents of a record belong to the writer that has reserved its room, until it is
//! finished, and then to the reader.

mod file;
mod protocol;

pub(crate) use file::{Identity, create, unmap};
pub use protocol::Damaged;

use crate::wire::{RING_DATA, RingHeader, RingRecord, RingRecordKind};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;
use protocol::{Finished, RingMemory, give_back, next, reserve};

/// The memory of a ring.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    base: NonNull<u8>,
    capacity: u64,
}

// SAFETY: see the module.
unsafe impl Send for Mapped {}
// SAFETY: see the module.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn header(&self) -> &RingHeader {
        // SAFETY: the mapping begins with a header, of which all that changes is atomic.
        unsafe { self.base.cast::<RingHeader>().as_ref() }
    }

    fn at(&self, place: u64) -> NonNull<u8> {
        // SAFETY: places are below the capacity, whose bytes lie behind the header.
        unsafe { self.base.add(RING_DATA.wrapping_add((place & self.capacity.wrapping_sub(1)) as usize)) }
    }

    fn record(&self, place: u64) -> &RingRecord {
        // SAFETY: places of records are multiples of 8, and so have room for a record's beginning, which is atomic.
        unsafe { self.at(place & !7).cast::<RingRecord>().as_ref() }
    }
}

impl RingMemory for Mapped {
    fn capacity(&self) -> u64 {
        self.capacity
    }
    fn head(&self) -> u64 {
        self.header().head.0.load(Ordering::Acquire)
    }
    fn move_head(&self, from: u64, to: u64) -> bool {
        self.header().head.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
    fn tail(&self) -> u64 {
        self.header().tail.0.load(Ordering::Acquire)
    }
    fn set_tail(&self, tail: u64) {
        self.header().tail.0.store(tail, Ordering::Release);
    }
    fn size(&self, place: u64) -> u32 {
        self.record(place).size.load(Ordering::Acquire)
    }
    fn finish(&self, place: u64, kind: u32, size: u32) {
        let record = self.record(place);
        record.kind.store(kind, Ordering::Relaxed);
        record.size.store(size, Ordering::Release);
    }
    fn kind(&self, place: u64) -> u32 {
        self.record(place).kind.load(Ordering::Relaxed)
    }
    fn clear(&self, place: u64, size: u64) {
        // SAFETY: a finished record lies within the data, and is the reader's.
        unsafe { ptr::write_bytes(self.at(place).as_ptr(), 0, size as usize) };
    }
}

/// Writes records, from any thread and from signal handlers.
#[derive(Clone, Copy, Debug)]
pub struct RingWriter(Mapped);

impl RingWriter {
    /// A writer of the ring at an address.
    ///
    /// # Safety
    /// A ring with so many bytes of data, a power of two, is mapped there, and stays.
    pub const unsafe fn new(base: NonNull<u8>, capacity: u64) -> RingWriter {
        RingWriter(Mapped { base, capacity })
    }

    /// The address of the ring.
    pub fn base(&self) -> NonNull<u8> {
        self.0.base
    }

    /// The bytes of data that it has.
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    /// The ring's header.
    pub fn header(&self) -> &RingHeader {
        self.0.header()
    }

    /// Reserves room for a record: `size` is that of the whole record, with its [`RingRecord`], and a multiple of 8. `None`
    /// when there is no room, or never could be.
    pub fn reserve(&self, size: usize) -> Option<Room<'_>> {
        let place = reserve(&self.0, size as u64)?;
        Some(Room { ring: &self.0, place, size, used: size_of::<RingRecord>() })
    }
}

/// Room for a record. It becomes a record when it is committed, and padding if it never is.
#[derive(Debug)]
pub struct Room<'a> {
    ring: &'a Mapped,
    place: u64,
    size: usize,
    used: usize,
}

impl Room<'_> {
    /// Appends bytes, as many as fit.
    pub fn write(&mut self, bytes: &[u8]) {
        let size = bytes.len().min(self.size.saturating_sub(self.used));
        // SAFETY: the room is ours alone until it is finished, in one piece, and `size` bytes of it are left.
        unsafe {
            let to = self.ring.at(self.place).add(self.used).as_ptr();
            to.copy_from_nonoverlapping(bytes.as_ptr(), size);
        }
        self.used = self.used.saturating_add(size);
    }

    /// Appends the bytes of a value, which must have no padding.
    pub fn write_value<T: Copy>(&mut self, value: T) {
        // SAFETY: any value without padding is so many bytes.
        self.write(unsafe { core::slice::from_raw_parts((&raw const value).cast(), size_of::<T>()) });
    }

    /// Makes it a record.
    pub fn commit(self, kind: RingRecordKind) {
        self.finish(kind);
        core::mem::forget(self);
    }

    fn finish(&self, kind: RingRecordKind) {
        self.ring.finish(self.place, kind as u32, self.size as u32);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.finish(RingRecordKind::Padding);
    }
}

/// Reads records. There is one reader of a ring.
#[derive(Debug)]
pub struct RingReader {
    ring: Mapped,
    tail: u64,
}

impl RingReader {
    /// A reader of the ring at an address. It trusts nothing in the ring.
    ///
    /// # Safety
    /// A ring with so many bytes of data, a power of two, is mapped there, stays as long as the reader, and its file is not
    /// made shorter.
    pub unsafe fn new(base: NonNull<u8>, capacity: u64) -> RingReader {
        let ring = Mapped { base, capacity };
        RingReader { tail: ring.tail() & !7, ring }
    }

    /// The ring's header.
    pub fn header(&self) -> &RingHeader {
        self.ring.header()
    }

    /// Up to which position it has read.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Up to which position there are records, finished or begun, as the writers say.
    pub fn written(&self) -> u64 {
        self.ring.head()
    }

    /// Copies the next record's contents, without its [`RingRecord`], into a buffer; the record's kind, as the writer has
    /// put it. `None` when there is no finished record.
    ///
    /// # Errors
    /// [`Damaged`] when what is there cannot have been written by the protocol.
    pub fn read(&mut self, contents: &mut impl Extend<u8>) -> Result<Option<u32>, Damaged> {
        let Some(record) = next(&self.ring, self.tail)? else { return Ok(None) };
        let Finished { place, size, kind } = record;
        let header = size_of::<RingRecord>();
        // SAFETY: `next` has found the record to lie within the data. A hostile writer may change the bytes meanwhile; they
        // are copied one by one, and checked in the copy.
        let bytes = unsafe { core::slice::from_raw_parts(self.ring.at(place).as_ptr(), size as usize) };
        contents.extend(bytes.get(header..).unwrap_or_default().iter().copied());
        self.tail = give_back(&self.ring, self.tail, record);
        Ok(Some(kind))
    }
}

/// Miri runs them, too: `cargo +nightly miri test -p pronk-trampolines --lib ring::tests`.
#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Both sides of a ring in plain memory, which has to outlive them.
    fn ring(capacity: u64) -> (Vec<Page>, RingWriter, RingReader) {
        let mut memory = std::vec![Page([0; RING_DATA]); 1 + capacity as usize / RING_DATA];
        let base = NonNull::new(memory.as_mut_ptr()).unwrap().cast();
        // SAFETY: zeros are an empty ring; the memory is used by nobody else.
        unsafe { (memory, RingWriter::new(base, capacity), RingReader::new(base, capacity)) }
    }

    #[derive(Clone)]
    #[repr(C, align(4096))]
    struct Page([u8; RING_DATA]);

    /// Writes a record of words; whether there was room.
    fn write(writer: &RingWriter, words: &[u64]) -> bool {
        let Some(mut room) = writer.reserve(8 + 8 * words.len()) else { return false };
        words.iter().for_each(|word| room.write_value(*word));
        room.commit(RingRecordKind::Sample);
        true
    }

    fn read(reader: &mut RingReader) -> Option<(u32, Vec<u64>)> {
        let mut bytes = Vec::new();
        let kind = reader.read(&mut bytes).unwrap()?;
        Some((kind, bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()))
    }

    #[test]
    fn what_is_written_is_read_again_in_its_order() {
        let (_memory, writer, mut reader) = ring(4096);
        assert!(write(&writer, &[1, 2, 3]) && write(&writer, &[]));
        drop(writer.reserve(24));
        assert!(write(&writer, &[4]));
        let sample = RingRecordKind::Sample as u32;
        assert_eq!(read(&mut reader), Some((sample, std::vec![1, 2, 3])));
        assert_eq!(read(&mut reader), Some((sample, std::vec![])));
        assert_eq!(read(&mut reader).unwrap().0, RingRecordKind::Padding as u32);
        assert_eq!(read(&mut reader), Some((sample, std::vec![4])));
        assert_eq!(read(&mut reader), None);
    }

    #[test]
    fn a_full_ring_takes_nothing_until_it_is_read() {
        let (_memory, writer, mut reader) = ring(4096);
        let words = [9; 15];
        let written = (0..).take_while(|_| write(&writer, &words)).count();
        assert_eq!(written, 4096 / 128);
        assert_eq!(read(&mut reader).unwrap().1, words);
        assert!(write(&writer, &words) && !write(&writer, &words));
        assert!(writer.reserve(4096).is_none() && writer.reserve(7).is_none());
    }

    #[test]
    fn threads_write_at_once() {
        let each = if cfg!(miri) { 100 } else { 20_000 };
        let (_memory, writer, mut reader) = ring(4096);
        let mut seen = std::vec![0; 3];
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                scope.spawn(move || {
                    for number in 0..each {
                        while !write(&writer, &[thread, number, thread ^ number]) {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            while seen.iter().sum::<u64>() < 3 * each {
                if let Some((kind, words)) = read(&mut reader).filter(|(kind, _)| *kind == 2) {
                    assert_eq!((kind, words[2]), (2, words[0] ^ words[1]));
                    assert_eq!(words[1], seen[words[0] as usize], "a thread's records keep their order");
                    seen[words[0] as usize] += 1;
                }
            }
        });
    }
}
