//! The ring buffer that the kernel writes an event's records into.
//!
//! # Safety
//! `unsafe` is needed to map the buffer and to read memory that the kernel writes at the same time. The kernel only
//! writes where the reader has said, by `data_tail`, that it is done; the records between `data_tail` and `data_head`
//! do not change (perf_event_open(2), "MMAP layout"; kernel/events/ring_buffer.c). So they can be borrowed as plain
//! bytes until `data_tail` is moved. The two positions are exchanged by an acquiring load and a releasing store.

use linux_perf_event_reader::RawData;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets in `struct perf_event_mmap_page` of linux/perf_event.h.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
const DATA_OFFSET: usize = 1040;
const DATA_SIZE: usize = 1048;
/// The size of `struct perf_event_header`.
const HEADER: u64 = 8;

/// A ring buffer, read by one reader.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    /// The size of the mapping; 0 when the memory is somebody else's.
    mapped: usize,
    data_offset: usize,
    data_size: u64,
}

// SAFETY: the memory belongs to this value alone, which has no tie to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the buffer of an event: `size` bytes for records, a power of two times the page size.
    ///
    /// # Errors
    /// What `mmap` says: EPERM when more memory is asked for than may be locked, ENOMEM when there is none.
    pub(super) fn map(event: BorrowedFd, size: usize) -> io::Result<Ring> {
        let mapped = page_size().checked_add(size).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours.
        let memory = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), mapped, access, libc::MAP_SHARED, event.as_raw_fd(), 0)
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping has a page before the data, which the kernel has filled.
        let ring = unsafe { Ring::new(memory, mapped) };
        // Where the data is, is the kernel's to say (since Linux 4.1).
        let end = (ring.data_offset as u64).checked_add(ring.data_size);
        if ring.data_size < HEADER || end.is_none_or(|end| end > mapped as u64) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel describes a ring buffer that is none"));
        }
        Ok(ring)
    }

    /// # Safety
    /// `memory` is page-aligned and has a `struct perf_event_mmap_page`, and the data that it describes.
    unsafe fn new(memory: NonNull<u8>, mapped: usize) -> Ring {
        // SAFETY: both fields are 8-aligned within the first page; the kernel sets them before mmap returns.
        let (offset, size) =
            unsafe { (memory.add(DATA_OFFSET).cast::<u64>().read(), memory.add(DATA_SIZE).cast::<u64>().read()) };
        Ring { memory, mapped, data_offset: offset as usize, data_size: size }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the field is 8-aligned, lives as long as the ring, and is only accessed as an atomic.
        unsafe { AtomicU64::from_ptr(self.memory.add(offset).cast().as_ptr()) }
    }

    /// Hands over the records that are there: type, `misc` and what is behind the header. Frees their room, at the
    /// latest after every `data_size / 4` bytes. Returns whether there were any.
    ///
    /// # Errors
    /// When the buffer holds what no kernel writes. Then the rest is passed over.
    pub(super) fn drain(&mut self, mut take: impl FnMut(u32, u16, RawData)) -> io::Result<bool> {
        let head = self.position(DATA_HEAD).load(Ordering::Acquire);
        // Only we write the tail.
        let start = self.position(DATA_TAIL).load(Ordering::Relaxed);
        let mut tail = start;
        let mut freed = start;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a ring buffer is damaged");
        while tail != head {
            let left = head.wrapping_sub(tail);
            let size = match self.bytes(tail, HEADER).as_slice().first_chunk() {
                Some(&[k0, k1, k2, k3, m0, m1, s0, s1]) if left >= HEADER && left <= self.data_size => {
                    let size = u64::from(u16::from_le_bytes([s0, s1]));
                    if size >= HEADER && size <= left {
                        let body = self.bytes(tail.wrapping_add(HEADER), size - HEADER);
                        take(u32::from_le_bytes([k0, k1, k2, k3]), u16::from_le_bytes([m0, m1]), body);
                    }
                    size
                }
                _ => 0,
            };
            if size < HEADER || size > left {
                self.position(DATA_TAIL).store(head, Ordering::Release);
                return Err(damaged());
            }
            tail = tail.wrapping_add(size);
            if tail.wrapping_sub(freed) >= self.data_size / 4 {
                self.position(DATA_TAIL).store(tail, Ordering::Release);
                freed = tail;
            }
        }
        self.position(DATA_TAIL).store(tail, Ordering::Release);
        Ok(head != start)
    }

    /// The bytes at a position that the kernel has written and we have not freed.
    fn bytes(&self, position: u64, size: u64) -> RawData<'_> {
        // The size is not always a power of two times anything: only `data_size` says where the buffer wraps.
        let at = (position % self.data_size) as usize;
        let until_end = (self.data_size as usize - at).min(size as usize);
        // SAFETY: `at + until_end` is at most `data_size` and `size - until_end` less than `at + size`, so at most
        // `data_size` as well since `size` is: all within the mapping. See the head of the module for why the bytes
        // do not change while they are borrowed.
        unsafe {
            let data = self.memory.add(self.data_offset);
            let first = std::slice::from_raw_parts(data.add(at).as_ptr(), until_end);
            match size as usize - until_end {
                0 => RawData::Single(first),
                rest => RawData::Split(first, std::slice::from_raw_parts(data.as_ptr(), rest)),
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: the mapping is ours, and nothing borrows from it any more.
            unsafe { libc::munmap(self.memory.as_ptr().cast(), self.mapped) };
        }
    }
}

/// The size of a page in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: the call takes and returns a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring on plain memory, and the kernel's side of it.
    struct Plain {
        words: Vec<u64>,
        ring: Option<Ring>,
        head: u64,
    }

    const SIZE: u64 = 64;

    impl Plain {
        fn new(start: u64) -> Plain {
            let mut words = vec![0u64; (1056 + SIZE as usize) / 8];
            words[DATA_OFFSET / 8] = 1056;
            words[DATA_SIZE / 8] = SIZE;
            words[DATA_HEAD / 8] = start;
            words[DATA_TAIL / 8] = start;
            let memory = NonNull::new(words.as_mut_ptr()).unwrap().cast();
            // SAFETY: the words outlive the ring and hold what it expects.
            let ring = unsafe { Ring::new(memory, 0) };
            Plain { words, ring: Some(ring), head: start }
        }

        fn ring(&mut self) -> &mut Ring {
            self.ring.as_mut().unwrap()
        }

        fn write(&mut self, bytes: &[u8]) {
            let ring = self.ring();
            let memory = ring.memory;
            for (index, byte) in bytes.iter().enumerate() {
                let at = (self.head.wrapping_add(index as u64) % SIZE) as usize;
                // SAFETY: the place is within the data, and nobody borrows from it.
                unsafe { memory.add(1056 + at).write(*byte) };
            }
            self.head = self.head.wrapping_add(bytes.len() as u64);
            let head = self.head;
            self.ring().position(DATA_HEAD).store(head, Ordering::Release);
        }

        fn record(&mut self, kind: u32, body: &[u8]) {
            let mut bytes = kind.to_le_bytes().to_vec();
            bytes.extend(3u16.to_le_bytes());
            bytes.extend((body.len() as u16 + 8).to_le_bytes());
            bytes.extend(body);
            self.write(&bytes);
        }

        fn drain(&mut self) -> io::Result<Vec<(u32, u16, Vec<u8>)>> {
            let mut records = Vec::new();
            self.ring().drain(|kind, misc, body| records.push((kind, misc, body.as_slice().into_owned())))?;
            let tail = self.ring().position(DATA_TAIL).load(Ordering::Relaxed);
            assert_eq!(tail, self.head);
            Ok(records)
        }
    }

    impl Drop for Plain {
        fn drop(&mut self) {
            self.ring = None;
            self.words.clear();
        }
    }

    #[test]
    fn records_come_out_as_they_went_in_wherever_the_buffer_wraps() {
        for start in (0..2 * SIZE).step_by(8).chain([u64::MAX - 15]) {
            let mut plain = Plain::new(start);
            assert_eq!(plain.drain().unwrap(), []);
            for round in 0..5u8 {
                plain.record(9, &[round; 24]);
                plain.record(7, &[]);
                plain.record(3, &[round + 1; 16]);
                let expected = [(9, 3, vec![round; 24]), (7, 3, vec![]), (3, 3, vec![round + 1; 16])];
                assert_eq!(plain.drain().unwrap(), expected, "{start} {round}");
            }
        }
    }

    #[test]
    fn a_full_buffer_is_read() {
        let mut plain = Plain::new(40);
        plain.record(9, &[5; 56]);
        assert_eq!(plain.drain().unwrap(), [(9, 3, vec![5; 56])]);
    }

    #[test]
    fn a_damaged_buffer_is_passed_over() {
        // A record of no size, one that is smaller than its header, and one that is bigger than what is there.
        for size in [0u8, 7, 24] {
            let mut plain = Plain::new(8);
            plain.write(&[9, 0, 0, 0, 0, 0, size, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
            assert!(plain.drain().is_err(), "{size}");
            plain.record(1, &[1; 8]);
            assert_eq!(plain.drain().unwrap(), [(1, 3, vec![1; 8])]);
        }
        // More than the buffer holds.
        let mut plain = Plain::new(0);
        plain.head = 1000;
        plain.write(&[]);
        assert!(plain.drain().is_err());
    }
}
