//! Opens the events: one for each processor, on the command's first process and on all that come of it.

use super::records::{REGISTERS, sample_format};
use super::ring::{Ring, page_size};
use crate::error::Error;
use crate::limits;
use crate::recording;
use perf_event::events::{Hardware, Software};
use perf_event::{Builder, Clock, Counter};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The least ring buffer that will do, in bytes.
const SMALLEST_RING: usize = 32 << 10;
/// The most memory for the ring buffers of all processors, in bytes.
const ALL_RINGS: usize = 512 << 20;
/// The most of a stack that is copied. The size of a record has 16 bits; the kernel takes multiples of 8 below 65,536
/// (kernel/events/core.c, perf_copy_attr, Linux 6.1) and cuts the copy to what fits into the record.
const MAX_STACK: u32 = 65_528;
/// The least of a stack that is copied.
const MIN_STACK: u32 = 4 << 10;
/// The time for which a ring buffer must have room, in milliseconds, so that a reader that has to wait for a processor
/// loses nothing.
const RING_MS: u32 = 20;

/// `PERF_FORMAT_LOST` of linux/perf_event.h: reading an event tells how many records it has lost (since Linux 6.0).
const FORMAT_LOST: u64 = 1 << 4;

/// An event on one processor, and its buffer.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) counter: Counter,
    pub(super) ring: Ring,
}

/// What the kernel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Cycles,
    CpuClock,
}

impl From<Event> for recording::Event {
    fn from(event: Event) -> recording::Event {
        match event {
            Event::Cycles => recording::Event::Cycles,
            Event::CpuClock => recording::Event::CpuClock,
        }
    }
}

/// What the events sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    pub(crate) event: Event,
    pub(crate) kernel: bool,
}

/// The best first: the processor's own counter, and the kernel's part of stacks.
const LADDER: [Sampling; 4] = [
    Sampling { event: Event::Cycles, kernel: true },
    Sampling { event: Event::Cycles, kernel: false },
    Sampling { event: Event::CpuClock, kernel: true },
    Sampling { event: Event::CpuClock, kernel: false },
];

/// Opens the events for a process, and for its children if they are asked for. They begin to sample when it calls `execve`.
///
/// # Errors
/// When the kernel refuses: [`Error::Refused`], [`Error::Unsupported`], [`Error::TooManyFiles`], [`Error::Ring`].
pub(super) fn open(pid: i32, children: bool, frequency: u32) -> Result<(Sampling, Vec<Opened>), Error> {
    let cpus = limits::online_cpus();
    let request = |sampling, stack| Request { pid, children, frequency, sampling, stack, watermark: 0 };
    let sampling = choose(|sampling| request(sampling, MAX_STACK).open(*cpus.first().unwrap_or(&0)).map(drop))
        .map_err(|source| refused(source, cpus.len()))?;

    let mut size = largest_ring(frequency, cpus.len());
    let mut stack = MAX_STACK;
    loop {
        let request = Request { watermark: size as u32 / 4, ..request(sampling, stack) };
        match open_all(&request, &cpus, size) {
            Ok(opened) => {
                // With little memory a smaller copy of the stack is better than lost samples.
                let fitting = fitting_stack(size, frequency);
                if fitting >= stack {
                    return Ok((sampling, opened));
                }
                stack = fitting;
            }
            Err(Failure::Open(source)) => return Err(refused(source, cpus.len())),
            Err(Failure::Map(_)) if size / 2 >= SMALLEST_RING => size /= 2,
            Err(Failure::Map(source)) => {
                return Err(Error::Ring {
                    source,
                    kib: (size + page_size()) / 1024,
                    cpus: cpus.len(),
                    mlock_kb: limits::text("perf_event_mlock_kb"),
                    memlock: limits::memlock_text(),
                });
            }
        }
    }
}

/// The first of the ladder that the kernel takes; else what it said to the last, and so least demanding one.
pub(super) fn choose(mut attempt: impl FnMut(Sampling) -> io::Result<()>) -> io::Result<Sampling> {
    let mut refusal = io::Error::from_raw_os_error(libc::ENOENT);
    for sampling in LADDER {
        match attempt(sampling) {
            Ok(()) => return Ok(sampling),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// What is asked for first: room for a quarter of a second, in a power of two.
fn largest_ring(frequency: u32, cpus: usize) -> usize {
    let quarter = (frequency as usize / 4).saturating_mul(MAX_STACK as usize);
    let most = (ALL_RINGS / cpus.max(1)).clamp(1 << 20, 64 << 20);
    let size = quarter.clamp(1 << 20, most).next_power_of_two();
    if size > most { size / 2 } else { size }
}

/// The copy of the stack for which a ring buffer has room often enough.
fn fitting_stack(ring: usize, frequency: u32) -> u32 {
    let samples = (frequency.saturating_mul(RING_MS) / 1000).max(8);
    // What a sample has beside the stack is mostly less than this.
    let around = 512;
    let each = u32::try_from(ring).unwrap_or(u32::MAX) / samples;
    each.saturating_sub(around).clamp(MIN_STACK, MAX_STACK) & !7
}

enum Failure {
    Open(io::Error),
    Map(io::Error),
}

fn open_all(request: &Request, cpus: &[usize], size: usize) -> Result<Vec<Opened>, Failure> {
    let mut opened = Vec::new();
    for &cpu in cpus {
        let counter = match request.open(cpu) {
            Ok(counter) => counter,
            // The processor went offline since the list was made.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
            Err(error) => return Err(Failure::Open(error)),
        };
        // SAFETY: the counter owns the file and outlives the borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(counter.as_raw_fd()) };
        let ring = Ring::map(fd, size).map_err(Failure::Map)?;
        opened.push(Opened { counter, ring });
    }
    Ok(opened)
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The process, or 0 for this thread.
    pub(crate) pid: i32,
    /// Whether the event is for its children as well, and not for its threads only.
    pub(crate) children: bool,
    pub(crate) frequency: u32,
    pub(crate) sampling: Sampling,
    pub(crate) stack: u32,
    /// The bytes in the ring buffer at which its reader is woken; 0 for every sample.
    pub(crate) watermark: u32,
}

impl Request {
    /// Opens the event on a processor.
    pub(crate) fn open(&self, cpu: usize) -> io::Result<Counter> {
        let counter = match self.builder(cpu, FORMAT_LOST).build() {
            // A kernel before 6.0.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.builder(cpu, 0).build()?,
            built => built?,
        };
        // perf-event has no way to ask for PERF_FLAG_FD_CLOEXEC.
        // SAFETY: the call takes numbers and changes only this flag of a file that the counter owns.
        if unsafe { libc::fcntl(counter.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(counter)
    }

    fn builder(&self, cpu: usize, read_format: u64) -> Builder<'static> {
        let mut builder = match self.sampling.event {
            Event::Cycles => Builder::new().kind(Hardware::CPU_CYCLES),
            Event::CpuClock => Builder::new().kind(Software::CPU_CLOCK),
        };
        builder = builder.observe_pid(self.pid).one_cpu(cpu);
        builder
            .sample_frequency(u64::from(self.frequency))
            .exclude_kernel(!self.sampling.kernel)
            .exclude_callchain_user(true)
            .sample_regs_user(REGISTERS)
            .sample_stack_user(self.stack)
            .sample_id_all(true)
            .clockid(Clock::MONOTONIC)
            .inherit(true)
            // With threads only, needs Linux 5.13.
            .inherit_thread(!self.children)
            .enable_on_exec(true)
            .mmap(true)
            .mmap2(true)
            .comm(true)
            .comm_exec(true)
            .task(true);
        if self.watermark > 0 {
            builder.wakeup_watermark(self.watermark as usize);
        }
        let attributes = builder.attrs_mut();
        attributes.sample_type = sample_format(self.sampling.kernel).bits();
        // Beside what perf-event asks for: the time enabled and the time running.
        attributes.read_format |= read_format;
        builder
    }
}

/// Why the kernel refuses an event, and what to do.
pub(crate) fn refused(source: io::Error, cpus: usize) -> Error {
    match source.raw_os_error() {
        Some(libc::EMFILE) => Error::TooManyFiles { cpus, limit: limits::open_files() },
        Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => Error::Unsupported(source),
        Some(libc::EACCES | libc::EPERM) => {
            let level = limits::text("perf_event_paranoid");
            let advice = match limits::number("perf_event_paranoid") {
                Some(level) if level > 2 => {
                    "lower it: sysctl kernel.perf_event_paranoid=2, or give pronk the capability CAP_PERFMON"
                }
                // That level would do: something else forbids the call, mostly a container's seccomp filter.
                _ => {
                    "that would do, so a sandbox forbids the call: in a container allow it by its seccomp profile, or \
                     run it with the capability CAP_PERFMON"
                }
            };
            Error::Refused { source, level, advice: advice.into() }
        }
        _ => Error::System { call: "perf_event_open", source },
    }
}

/// Whether this process may open an event on a thread of its own that counts the thread's time in the kernel, too, as the
/// agent does in a target.
///
/// # Errors
/// What the kernel says.
pub(crate) fn own_thread_with_kernel() -> io::Result<()> {
    let mut builder = Builder::new().kind(Software::TASK_CLOCK).observe_pid(0).any_cpu();
    builder.sample_period(1_000_000).exclude_kernel(false);
    builder.build().map(drop)
}

/// Why an event on a thread of one's own that counts its time in the kernel is refused, and what to do, in words.
pub(crate) fn why_refused(source: &io::Error) -> String {
    match (source.raw_os_error(), limits::number("perf_event_paranoid")) {
        (Some(libc::EACCES | libc::EPERM), Some(level)) if level > 1 => {
            format!(
                "kernel.perf_event_paranoid is {level}, and perf events that count time in the kernel need 1 or less"
            )
        }
        _ => format!("perf_event_open is refused ({source})"),
    }
}

/// The error that says so where the kernel's part of stacks was asked for.
pub(crate) fn refused_with_kernel(source: io::Error) -> Error {
    let advice = "sysctl kernel.perf_event_paranoid=1, or give the program the capability CAP_PERFMON";
    Error::KernelRefused(format!("{}; {advice}", why_refused(&source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_with_the_rate_and_shrink_with_the_processors() {
        assert_eq!(largest_ring(999, 2), 16 << 20);
        assert_eq!(largest_ring(10_000, 2), 64 << 20);
        assert_eq!(largest_ring(1, 2), 1 << 20);
        assert_eq!(largest_ring(999, 64), 8 << 20);
        assert_eq!(largest_ring(999, 3000), 1 << 20);
        assert!(largest_ring(100_000, 7).is_power_of_two());
    }

    #[test]
    fn the_copy_of_the_stack_shrinks_with_the_buffer_and_the_rate() {
        assert_eq!(fitting_stack(16 << 20, 999), MAX_STACK);
        assert_eq!(fitting_stack(1 << 20, 100), MAX_STACK);
        let scarce = fitting_stack(512 << 10, 999);
        assert!((20 << 10..32 << 10).contains(&scarce) && scarce.is_multiple_of(8), "{scarce}");
        assert_eq!(fitting_stack(32 << 10, 100_000), MIN_STACK);
    }

    #[test]
    fn the_ladder_takes_the_first_that_is_possible() {
        let only_clock = |sampling: Sampling| match sampling {
            Sampling { event: Event::CpuClock, kernel: false } => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EACCES)),
        };
        assert_eq!(choose(only_clock).unwrap(), Sampling { event: Event::CpuClock, kernel: false });
        let refusal = choose(|_| Err(io::Error::from_raw_os_error(libc::EACCES))).unwrap_err();
        assert_eq!(refusal.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn a_refusal_names_the_setting_its_value_and_the_fix() {
        let text = refused(io::Error::from_raw_os_error(libc::EACCES), 2).to_string();
        let level = limits::text("perf_event_paranoid");
        assert!(text.contains(&format!("perf_event_paranoid is {level}")) && text.contains("CAP_PERFMON"), "{text}");
        let text = refused(io::Error::from_raw_os_error(libc::EMFILE), 300).to_string();
        assert!(text.contains("RLIMIT_NOFILE") && text.contains("ulimit -n 364"), "{text}");
    }
}
