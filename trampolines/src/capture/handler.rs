//! The signal handler: takes one sample of the thread that it interrupts.
//!
//! # Safety
//! All of it is async-signal-safe (signal-safety(7)): system calls, and memory that belongs to the thread. All signals are
//! blocked while it runs but those of faults, so it is never interrupted by itself, nor by anything of the program's.

use super::driver::{TICK, WOKEN};
use super::faults::{self, FAULTS};
use super::members::{self, Message};
use super::pace::{Due, Periods, Weighed};
use super::stack::{Extent, copy_unknown};
use super::task::{self, RunningTask};
use super::thread::SampledThread;
use super::{CAPTURE, Capture, SIGNAL, arguments, is_wanted, own_ring, program_action, scopes};
use crate::capture::memory::{Guarded, Straight};
use crate::context::{Pairs, ScopeNumber};
use crate::python::{End, Link, Sampled, Walked, windows};
use crate::ring::{RingWriter, Room};
use crate::stub;
use crate::sys::{self, KeepErrno, Refused, perf_event::MOST_KERNEL};
use crate::wire::{FrameLink, Mode, REGISTERS, RingRecord, RingRecordKind, SampleRecord, sample_flags};
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

/// A sample that is found torn so often is taken without its links.
const MOST_RETAKES: u32 = 10;

/// Installs the handler.
///
/// # Errors
/// When the system refuses, or the program already handles the signal.
pub fn install() -> Result<(), Refused> {
    // SAFETY: zeros are a valid value: the default action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the set is the action's own, and the handler is async-signal-safe.
    let installed = unsafe {
        libc::sigfillset(&mut action.sa_mask);
        for fault in FAULTS {
            libc::sigdelset(&mut action.sa_mask, fault);
        }
        program_action::install(SIGNAL, &action)
    };
    match installed {
        true => faults::install(),
        false => Err(sys::refused("sigaction")),
    }
}

/// Removes the handler: no thread is sampled any more.
pub fn remove() {
    program_action::remove(SIGNAL, handle as *const () as usize);
    faults::remove();
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid information.
    match unsafe { meaning_of(&*info) } {
        Some(Meaning::Sample) => {}
        Some(Meaning::Member(message)) => {
            // SAFETY: the kernel passes the context of what was interrupted.
            let [_, _, _, _, _, _, _, _, pointer, ..] = unsafe { registers_of(&*context.cast::<libc::ucontext_t>()) };
            return members::receive(message, pointer as usize);
        }
        // SAFETY: the arguments are those that the kernel has for the program's handler.
        None => return unsafe { program_action::forward(signal, info, context) },
    }
    let _errno = KeepErrno::new();
    let (Some(thread), Some(capture)) = (SampledThread::of_this_thread(), CAPTURE.get()) else { return };
    // SAFETY: the thread's own, which nobody else uses: this handler does not interrupt itself, and what else changes the
    // thread's does so before it can be found, or with the driver taken away.
    let thread = unsafe { &mut *thread.as_ptr() };
    // The child of a fork that the C library knows nothing of has none of this.
    if thread.generation != sys::fork_generation() {
        return;
    }
    // SAFETY: a thread's words are its own.
    unsafe {
        let signals = &raw mut (*stub::thread::words()).signals;
        signals.write_volatile(signals.read_volatile().wrapping_add(1));
    }
    // SAFETY: the kernel passes the context of what was interrupted.
    let registers = unsafe { registers_of(&*context.cast::<libc::ucontext_t>()) };
    Handler { capture, thread, registers }.run();
}

/// What a signal of ours means.
enum Meaning {
    /// A driver has sent it.
    Sample,
    /// It tells the thread to join the session, or to leave it.
    Member(Message),
}

/// What a signal means: one of a driver of ours comes from a timer with one of our values, or from a perf event, which has a
/// code that the signal has in no other way (`send_sigio_to_task` of fs/fcntl.c, Linux 6.1).
fn meaning_of(info: &libc::siginfo_t) -> Option<Meaning> {
    const POLL_IN: i32 = 1;
    const POLL_HUP: i32 = 6;
    // SAFETY: signals of timers have a value, and queued ones have a sender and a value (sigaction(2)).
    let (value, sender) = unsafe { (info.si_value().sival_ptr as usize, info.si_pid()) };
    match info.si_code {
        libc::SI_TIMER => matches!(value, TICK | WOKEN).then_some(Meaning::Sample),
        libc::SI_QUEUE if sender.cast_unsigned() == sys::process_id() => Message::parse(value).map(Meaning::Member),
        code => (POLL_IN..=POLL_HUP).contains(&code).then_some(Meaning::Sample),
    }
}

/// The instruction pointer, and the general registers by their DWARF numbers (x86-64 psABI 1.0, figure 3.36).
fn registers_of(context: &libc::ucontext_t) -> [u64; REGISTERS] {
    let all = &context.uc_mcontext.gregs;
    let names = [
        libc::REG_RIP,
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    names.map(|name| all.get(name as usize).map_or(0, |value| *value as u64))
}

struct Handler<'a> {
    capture: &'a Capture,
    thread: &'a mut SampledThread,
    registers: [u64; REGISTERS],
}

/// What was found of a sample.
struct Taken {
    periods: Periods,
    flags: u32,
    /// How many links were walked, and how many older ones are known.
    links: (usize, usize),
    /// The states that were walked.
    states: [Option<u64>; 2],
    inherited: Option<ScopeNumber>,
    /// The labels from context variables.
    variables: Pairs,
    task: Option<RunningTask>,
}

/// What a sample is made of, once it is all known.
struct Parts {
    periods: Periods,
    flags: u32,
    extent: Extent,
    /// Where the new part of the stack was copied to, if it is not known what stack it is.
    unknown_stack: usize,
    links: usize,
    known: usize,
    new_links: usize,
    kernel: usize,
    /// The serial number of the scope that the thread's context inherits.
    inherits: u64,
    task: Option<RunningTask>,
}

impl Parts {
    /// The name of the task, if it is another one than before.
    fn new_task_name(&self) -> &[u8] {
        let task = self.task.as_ref().filter(|_| self.flags & sample_flags::SAME_TASK_NAME == 0);
        task.map_or(&[], |task| task.name.as_bytes())
    }

    /// How many frames await the task, if they are other ones than before.
    fn new_awaiters(&self) -> usize {
        let task = self.task.as_ref().filter(|_| self.flags & sample_flags::SAME_AWAITERS == 0);
        task.map_or(0, |task| task.awaiters)
    }
}

impl Handler<'_> {
    fn run(&mut self) {
        let started_ns = sys::monotonic_ns();
        let in_system_call = self.is_in_system_call();
        let Weighed { due, held_back, ran_ns } = self.thread.weigh(self.capture, started_ns, in_system_call);
        let stubs_on = self.tick_windows(ran_ns);
        let Due::Sample(periods) = due else { return };
        // Where nobody wants samples any more, or there is no place for them, none are taken.
        let Some(ring) = own_ring(self.capture).filter(|ring| is_wanted(ring, started_ns)) else {
            self.end_windows();
            self.thread.stop_driver();
            return;
        };
        if held_back > 0 {
            ring.header().held_back.fetch_add(held_back, Ordering::Relaxed);
            self.thread.account(held_back);
        }
        if self.capture.mode == Mode::Gil && !self.capture.sampled.holds_lock() {
            self.thread.account(periods.weight.into());
            return;
        }
        let sampled = &self.capture.sampled;
        let states = sampled.thread_states(self.thread.is_main);
        let switching = sampled.stack_may_be_switched(&self.registers);
        // SAFETY: a walk has nothing to drop.
        let walked = unsafe { faults::attempt(|| self.walk(states, switching)) };
        let (walked, known) = walked.unwrap_or((Walked { count: 0, end: End::Torn }, 0));
        // What a walk found meanwhile proves nothing.
        let states = if switching { [None; 2] } else { states };
        // SAFETY: the state is this thread's own, and there is nothing to drop.
        let inherited = unsafe { faults::attempt(|| scopes::inherited(sampled.walker.layout, states)) }.flatten();
        // SAFETY: as above.
        let variables =
            unsafe { faults::attempt(|| scopes::of_variables(self.capture, &ring, states)) }.unwrap_or_default();
        let task = if walked.end == End::Torn { None } else { self.task(states, (walked.count, known)) };
        let mut flags = if in_system_call { sample_flags::IN_SYSTEM_CALL } else { 0 };
        if stubs_on {
            flags |= sample_flags::STUBS_ON;
        }
        match walked.end {
            End::Base | End::Known => {}
            End::Cut => flags |= sample_flags::LINKS_CUT,
            End::Torn if self.thread.retakes < MOST_RETAKES => {
                ring.header().retaken.fetch_add(1, Ordering::Relaxed);
                self.thread.retake(self.capture);
                return;
            }
            End::Torn => {
                ring.header().torn.fetch_add(1, Ordering::Relaxed);
                flags |= sample_flags::TORN;
            }
        }
        self.thread.retakes = 0;
        self.thread.account(periods.weight.into());
        let links = (walked.count, known);
        self.write(&ring, Taken { periods, flags, links, states, inherited, variables, task });
        let took_ns = sys::monotonic_ns().saturating_sub(started_ns);
        self.thread.handler_ns = u32::try_from(took_ns).unwrap_or(u32::MAX);
        self.thread.leave_time(self.capture, took_ns);
    }

    /// Opens and closes windows in which stubs are on; whether they were on until now. The thread has run for a while since its
    /// signal before.
    fn tick_windows(&mut self, ran_ns: u64) -> bool {
        if !windows::are_there() {
            return false;
        }
        let random = self.thread.pace.random();
        let sampled = &self.capture.sampled;
        let [Some(state), _] = sampled.thread_states(self.thread.is_main) else { return false };
        windows::tick(state, sampled.holds_lock(), ran_ns, random)
    }

    /// Has there be no more windows.
    fn end_windows(&self) {
        if let [Some(state), _] = self.capture.sampled.thread_states(self.thread.is_main) {
            windows::end(state);
        }
    }

    /// Walks the thread's frame links into its array; also how many links are older than those, and known.
    fn walk(&mut self, states: [Option<u64>; 2], switching: bool) -> (Walked, usize) {
        let sampled = &self.capture.sampled;
        let [pc, ..] = self.registers;
        let [Some(state), older] = states else { return (Walked { count: 0, end: End::Base }, 0) };
        let links = self.thread.links.walked();
        // SAFETY: the states are this thread's own.
        unsafe {
            if switching {
                return (sampled.walker.walk(Guarded, state, pc, None, links), 0);
            }
            let known = match older {
                None => self.thread.anchors.known(sampled.walker.layout, state),
                Some(_) => None,
            };
            let walked = sampled.walker.walk(Straight, state, pc, known.map(|known| known.frame), links);
            let (Some(older), End::Base) = (older, walked.end) else {
                return (walked, known.filter(|_| walked.end == End::Known).map_or(0, |known| known.older));
            };
            let rest = links.get_mut(walked.count..).unwrap_or_default();
            let below = sampled.walker.walk(Straight, older, pc, None, rest);
            (Walked { count: walked.count.wrapping_add(below.count), end: below.end }, 0)
        }
    }

    /// The task that the thread runs, and what awaits it, if that is asked for.
    fn task(&mut self, states: [Option<u64>; 2], (walked, known): (usize, usize)) -> Option<RunningTask> {
        let [Some(state), _] = states else { return None };
        let Capture { sampled, settings, .. } = self.capture;
        let chain = self.thread.links.chain(walked, known);
        // SAFETY: the state is this thread's own, and there is nothing to drop.
        let mut task = unsafe { faults::attempt(|| task::running(sampled, state, &chain)) }.flatten()?;
        if settings.await_chains != 0 {
            let room = self.thread.awaiters.found();
            // SAFETY: the task is the one that this thread runs, and there is nothing to drop.
            task.awaiters = unsafe { faults::attempt(|| task::awaiters(sampled, &task, room)) }.unwrap_or(0);
        }
        Some(task)
    }

    /// Whether the thread was in a system call: those leave the address of the instruction behind them in rcx, and one that
    /// will be restarted is at that instruction again (AMD64 Architecture Programmer's Manual, volume 3, "SYSCALL";
    /// kernel/signal.c of Linux).
    fn is_in_system_call(&self) -> bool {
        const LENGTH: u64 = 2;
        let [pc, _, _, rcx, ..] = self.registers;
        rcx == pc || rcx == pc.wrapping_add(LENGTH)
    }

    /// Writes the sample, or counts it as lost: then all is as it was.
    fn write(&mut self, ring: &RingWriter, taken: Taken) {
        let Taken { periods, mut flags, links: (walked, known), states, inherited, variables, task } = taken;
        let [_, _, _, _, _, _, _, _, pointer, ..] = self.registers;
        let (low, high) = self.thread.stack_bounds;
        let (links, known) = if flags & sample_flags::TORN == 0 { (walked, known) } else { (0, 0) };
        let mut kernel_chain = [0; MOST_KERNEL];
        let event = self.thread.driver.as_ref().and_then(|driver| driver.event.as_ref());
        let kernel = event.map_or(0, |event| event.kernel_chain(&mut kernel_chain));

        // Code objects and scopes come first, so that a sample's are in the ring before it.
        let awaiters = task.as_ref().map_or(0, |task| task.awaiters);
        let (numbered, new_links) = self.number_new(ring, (links, known), awaiters);
        let new = self.thread.links.walked().get(..new_links).unwrap_or_default();
        let inherits = numbered.and_then(|()| scopes::say(ring, new, inherited));
        let said = &mut self.thread.said_labels;
        let inherits = inherits.and_then(|inherits| scopes::say_variables(ring, &variables, inherits, said));
        let (numbered, inherits) = (numbered.filter(|()| inherits.is_some()), inherits.unwrap_or(0));

        let known_stack = (low..high).contains(&pointer);
        // SAFETY: as in `number_links`.
        let scratch = unsafe { self.thread.texts.assume_init_mut() };
        let (extent, unknown_stack) = match known_stack {
            // SAFETY: the stack is the thread's own, from its pointer to its end.
            true => (unsafe { self.thread.stack.extent(pointer, high) }, 0),
            false => {
                let size = copy_unknown(pointer, scratch);
                let from = pointer & !7;
                let to = from.wrapping_add(size as u64);
                (Extent { from, kept_from: to, to, cut: true }, size)
            }
        };
        if extent.cut {
            flags |= sample_flags::STACK_CUT;
        }
        let has_same_name = |task: &RunningTask| task.name.as_bytes() == self.thread.task_name.as_bytes();
        if task.as_ref().is_some_and(has_same_name) {
            flags |= sample_flags::SAME_TASK_NAME;
        }
        if awaiters > 0 && self.thread.awaiters.are_same(awaiters) {
            flags |= sample_flags::SAME_AWAITERS;
        }
        let parts = Parts { periods, flags, extent, unknown_stack, links, known, new_links, kernel, inherits, task };
        let size = size_of::<RingRecord>()
            .wrapping_add(size_of::<SampleRecord>())
            .wrapping_add(parts.extent.new_bytes() as usize)
            .wrapping_add(new_links.wrapping_add(parts.new_awaiters()).wrapping_mul(size_of::<FrameLink>()))
            .wrapping_add(kernel.wrapping_mul(8))
            .wrapping_add(parts.new_task_name().len())
            .next_multiple_of(8);
        match numbered.and_then(|()| ring.reserve(size)) {
            Some(room) => {
                self.fill(room, &parts, &kernel_chain);
                self.mark(states);
            }
            None => {
                ring.header().lost.fetch_add(periods.weight.into(), Ordering::Relaxed);
            }
        }
    }

    /// Finds the labels of links, and gives those that are new, and those of awaiters, the numbers of their code objects; how many
    /// are new. `None` when the ring has no room.
    fn number_new(
        &mut self,
        ring: &RingWriter,
        (links, known): (usize, usize),
        awaiters: usize,
    ) -> (Option<()>, usize) {
        let capture = self.capture;
        loop {
            let noted = capture.sampled.arguments.noted();
            let SampledThread { links: kept, said_labels, .. } = &mut *self.thread;
            let walked = kept.walked().get_mut(..links).unwrap_or_default();
            scopes::find(walked);
            // SAFETY: the links are of this thread's frames.
            let found = unsafe { arguments::find(capture, ring, walked, known, said_labels) };
            let new_links = kept.count_new(links, known);
            let numbered = found.and_then(|()| self.number_links(ring, new_links, awaiters));
            // Which functions have arguments that are labels comes out when they are described.
            if numbered.is_none() || capture.sampled.arguments.noted() == noted {
                return (numbered, new_links);
            }
        }
    }

    /// Gives each new link, and those of awaiters, the number of its code object. `None` when the ring has no room for one
    /// that it lacks.
    fn number_links(&mut self, ring: &RingWriter, new_links: usize, awaiters: usize) -> Option<()> {
        let SampledThread { links, texts, awaiters: kept, .. } = &mut *self.thread;
        let Capture { sampled: Sampled { codes, walker, arguments, .. }, settings, .. } = self.capture;
        let describe = |link: &Link, module: &[u8], name: &[u8]| {
            if arguments.are_noted_by_samples(settings, walker.layout) {
                // SAFETY: there is nothing to drop.
                let _fault = unsafe {
                    faults::attempt(|| arguments.note(settings.arguments(), walker.layout, link, (module, name)))
                };
            }
        };
        // SAFETY: any bytes are valid here, and what the mapping has is some.
        let scratch = unsafe { texts.assume_init_mut() };
        for link in links.walked().iter_mut().take(new_links) {
            link.number = codes.number(link, Straight, walker.layout, ring, scratch, describe)?;
        }
        // What is suspended another thread may end.
        for link in kept.found().iter_mut().take(awaiters) {
            link.number = codes.number(link, Guarded, walker.layout, ring, scratch, describe)?;
        }
        Some(())
    }

    /// Leaves marks in the states that were walked, by which the next sample knows what is still the same.
    fn mark(&mut self, states: [Option<u64>; 2]) {
        let SampledThread { anchors, links, .. } = &mut *self.thread;
        match states {
            // SAFETY: the state is this thread's own.
            [Some(state), None] => unsafe { anchors.mark(self.capture.sampled.walker.layout, state, links.kept()) },
            _ => anchors.forget(),
        }
    }

    fn fill(&mut self, mut room: Room<'_>, parts: &Parts, kernel_chain: &[u64; MOST_KERNEL]) {
        let Parts { extent, .. } = parts;
        room.write_value(SampleRecord {
            time_ns: sys::monotonic_ns(),
            tid: self.thread.tid as u32,
            sequence: self.thread.sequence,
            weight: parts.periods.weight,
            flags: parts.flags,
            handler_ns: self.thread.handler_ns,
            kernel: parts.kernel as u32,
            inherits: parts.inherits,
            registers: self.registers,
            stack_end: extent.to,
            stack_new: extent.new_bytes() as u32,
            links_new: parts.new_links as u32,
            links_kept: parts.known.saturating_add(parts.links).saturating_sub(parts.new_links) as u32,
            waited: parts.periods.waited,
            task_root: parts.task.map_or(0, |task| task.root),
            task_name: parts.new_task_name().len() as u32,
            awaiters: parts.new_awaiters() as u32,
            reserved: 0,
        });
        if parts.unknown_stack > 0 {
            // SAFETY: as in `number_links`.
            let copied = unsafe { self.thread.texts.assume_init_ref() };
            room.write(copied.get(..parts.unknown_stack).unwrap_or_default());
            self.thread.stack.forget();
        } else {
            // SAFETY: the extent was made of this stack a moment ago.
            unsafe { self.thread.stack.keep(extent, |piece| room.write(piece)) };
        }
        let SampledThread { links, awaiters, .. } = &mut *self.thread;
        let new_links = links.walked().iter().take(parts.new_links);
        for link in new_links.chain(awaiters.found().iter().take(parts.new_awaiters())) {
            let Link { address, number: code, instruction, scope, .. } = *link;
            room.write_value(FrameLink { code, instruction, address, scope });
        }
        for address in kernel_chain.iter().take(parts.kernel) {
            room.write_value(*address);
        }
        room.write(parts.new_task_name());
        if let Some(task) = &parts.task {
            self.thread.task_name = task.name;
        }
        if parts.new_awaiters() > 0 {
            self.thread.awaiters.keep(parts.new_awaiters());
        }
        self.thread.links.keep(parts.links, parts.known, parts.new_links);
        self.thread.sequence = self.thread.sequence.wrapping_add(1);
        room.commit(RingRecordKind::Sample);
    }
}

const _: () = assert!(size_of::<Link>() == 40);
