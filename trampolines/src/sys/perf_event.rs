//! A perf event on the calling thread that signals it: perf_event_open(2), and fcntl(2), "Managing signals".
//!
//! The event's descriptor is closed as soon as the event is mapped: the mapping keeps the event alive (the kernel's
//! `perf_mmap` holds a reference to the file), and the program's own descriptors are as they would be without it. A
//! forked child does not have the mapping (VM_DONTCOPY), and execve ends it.

use super::{Refused, refused, thread_id, unmap};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

/// `struct perf_event_attr` of linux/perf_event.h, as it was first published (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint: u64,
}

const _: () = assert!(size_of::<Attributes>() == 64);

const TYPE_SOFTWARE: u32 = 1;
const COUNT_TASK_CLOCK: u64 = 1;
const SAMPLE_CALLCHAIN: u64 = 1 << 5;
const FLAG_EXCLUDE_CALLCHAIN_USER: u64 = 1 << 22;
const FD_CLOEXEC: u64 = 1 << 3;
/// `F_SETSIG` and `F_SETOWN_EX` of asm-generic/fcntl.h.
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;
/// `F_OWNER_TID`.
const OWNER_THREAD: i32 = 0;

/// `struct f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: i32,
    id: i32,
}

const PAGE: usize = 4096;
/// The pages for records, if the kernel's part of stacks is asked for; a power of two.
const RECORD_PAGES: usize = 4;
/// In the first page (`struct perf_event_mmap_page`): where the kernel writes next, and up to where was read.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
/// `PERF_RECORD_SAMPLE`, and the size of `struct perf_event_header`.
const RECORD_SAMPLE: u32 = 9;
const RECORD_HEADER: u64 = 8;
/// Values from here on mark where addresses are (`PERF_CONTEXT_MAX`).
const CONTEXT_MAX: u64 = -4095_i64 as u64;
const CONTEXT_KERNEL: u64 = -128_i64 as u64;

/// The most addresses of the kernel that a sample has.
pub const MOST_KERNEL: usize = 64;

/// An event that signals the thread each time that it has run for a period, in user space or in the kernel.
#[derive(Debug)]
pub struct Event {
    page: NonNull<u8>,
    size: usize,
}

impl Event {
    /// Opens the event on the calling thread; it counts from now on.
    ///
    /// # Errors
    /// When the kernel refuses: it is not permitted to see the kernel's time, or there is no more memory that may be
    /// locked (perf_event_mlock_kb).
    pub fn open(signal: i32, period_ns: u64, kernel: bool) -> Result<Event, Refused> {
        let attributes = Attributes {
            kind: TYPE_SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: COUNT_TASK_CLOCK,
            sample_period: period_ns,
            sample_type: if kernel { SAMPLE_CALLCHAIN } else { 0 },
            read_format: 0,
            flags: FLAG_EXCLUDE_CALLCHAIN_USER,
            wakeup_events: 1,
            breakpoint_type: 0,
            breakpoint: 0,
        };
        // SAFETY: the attributes are as the kernel has them.
        let file = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attributes, 0, -1, -1, FD_CLOEXEC) };
        if file < 0 {
            return Err(refused("perf_event_open"));
        }
        let file = file as i32;
        let event = Event::signalling(file, signal, kernel);
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(file) };
        event
    }

    fn signalling(file: i32, signal: i32, kernel: bool) -> Result<Event, Refused> {
        let owner = Owner { kind: OWNER_THREAD, id: thread_id() };
        // SAFETY: the owner is as the kernel has it, and the rest are numbers.
        let set = unsafe {
            libc::fcntl(file, F_SETOWN_EX, &raw const owner) == 0
                && libc::fcntl(file, F_SETSIG, signal) == 0
                && libc::fcntl(file, libc::F_SETFL, libc::O_ASYNC) == 0
        };
        if !set {
            return Err(refused("fcntl"));
        }
        let size = PAGE * if kernel { 1 + RECORD_PAGES } else { 1 };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without MAP_FIXED a new mapping disturbs no other memory.
        let page = unsafe { libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, file, 0) };
        match NonNull::new(page.cast::<u8>()) {
            Some(start) if page != libc::MAP_FAILED => Ok(Event { page: start, size }),
            _ => Err(refused("mmap")),
        }
    }

    /// Ends the event.
    pub fn close(self) {
        // SAFETY: the mapping is the event's own.
        unsafe { unmap(self.page, self.size) };
    }

    /// The newest sample's addresses in the kernel, newest first; how many there are.
    pub fn kernel_chain(&self, chain: &mut [u64; MOST_KERNEL]) -> usize {
        if self.size == PAGE {
            return 0;
        }
        // SAFETY: both words lie in the event's first page, and the kernel writes the first one.
        let (head, tail) = unsafe {
            let word = |offset| &*self.page.add(offset).cast::<AtomicU64>().as_ptr();
            (word(DATA_HEAD), word(DATA_TAIL))
        };
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        let mut count = 0;
        while at < end {
            let header = self.word(at);
            let (kind, size) = (header as u32, header >> 48);
            if size < RECORD_HEADER || !size.is_multiple_of(8) {
                break;
            }
            if kind == RECORD_SAMPLE {
                count = self.read_chain(at.wrapping_add(RECORD_HEADER), chain);
            }
            at = at.wrapping_add(size);
        }
        tail.store(end, Ordering::Release);
        count
    }

    fn read_chain(&self, at: u64, chain: &mut [u64; MOST_KERNEL]) -> usize {
        let words = self.word(at).min((RECORD_PAGES * PAGE / 8) as u64);
        let mut in_kernel = false;
        let mut count = 0;
        for index in 1..=words {
            let word = self.word(at.wrapping_add(index.wrapping_mul(8)));
            if word >= CONTEXT_MAX {
                in_kernel = word == CONTEXT_KERNEL;
            } else if let Some(place) = chain.get_mut(count).filter(|_| in_kernel) {
                *place = word;
                count = count.wrapping_add(1);
            }
        }
        count
    }

    /// The word at a position in the records, which are multiples of 8 bytes long.
    fn word(&self, position: u64) -> u64 {
        let offset = PAGE + (position % (RECORD_PAGES * PAGE) as u64) as usize;
        // SAFETY: the offset is within the pages of records, and a multiple of 8 as all positions are.
        unsafe { self.page.add(offset & !7).cast::<u64>().read_volatile() }
    }
}
