//! Makes a recording of what the rings of a session say.

use super::awaits::Awaiters;
use super::durations::Durations;
use super::owner::Owner;
use super::records::{self, RawLink, Record, Sample as RawSample, Thread as RawThread};
use super::replay::Replay;
use super::rings::Ring;
use super::scopes::{Contexts, Scopes, ThreadContext};
use super::sources::Sources;
use crate::files::Mapped;
use crate::growth::SoFar;
use crate::mappings::Mapping;
use crate::maps::{self, MapsLine};
use crate::proc_text;
use crate::processes::Processes;
use crate::published::Published;
use crate::recorder::Recorded;
use crate::recording::{
    Address, CodeId, ContextId, Losses, MonotonicNs, PythonCode, Sample, StackId, StackTable, Task, TaskRoot, ThreadId,
    now,
};
use crate::unwind::Found;
use crate::unwind::evaluator::Evaluator;
use crate::unwind::merge::Link;
use crate::unwind::modules::Modules;
use crate::unwind::stack::Stack;
use crate::unwind::thread::{ThreadSample, ThreadWalk};
use pronk_trampolines::wire::{LineTableFormat, RingHeader, Token, sample_flags};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the mappings of a process are not looked up again, whatever its samples say of when they were taken, in nanoseconds.
const LOOK_UP_PERIOD: u64 = 2_000_000;
/// How often the names of threads are looked up, in nanoseconds.
const NAMES_PERIOD: u64 = 500_000_000;
/// The first version that runs several frames in one call of the evaluator: 3.11.
const FIRST_WITH_BORDERS: u32 = 0x030b_0000;
/// How many rounds the description of a code object is waited for.
const MOST_WAITED: u32 = 10;
/// What a code object is called that was not described.
const UNNAMED: &str = "[function without a name]";

/// Builds the tables of a recording.
#[derive(Debug)]
pub(super) struct Assembler {
    processes: Processes,
    published: Published,
    modules: Modules,
    codes: Vec<PythonCode>,
    /// The code objects that were referred to and are not described yet, and how often that was waited for.
    undescribed: HashSet<CodeId>,
    waited: u32,
    stacks: StackTable,
    contexts: Contexts,
    samples: Vec<Sample>,
    losses: Losses,
    /// The sources of labels.
    sources: Sources,
    durations: Durations,
    /// The CPU time of threads that were sampled and are no longer; `None` once it is not known of one of them.
    cpu_time: Option<Duration>,
    /// What was wrong, in words.
    pub(super) notes: Vec<String>,
}

/// A process that is sampled, by its ring.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) token: Token,
    pub(super) owner: Owner,
    /// CPython's `PY_VERSION_HEX`.
    hexversion: u32,
    evaluator_start: Address,
    evaluator: Option<Evaluator>,
    codes: HashMap<u64, CodeId>,
    scopes: Scopes,
    threads: HashMap<u32, SampledThread>,
    looked_up: Option<MonotonicNs>,
    names_at: Option<MonotonicNs>,
}

/// A thread that is sampled.
#[derive(Debug)]
struct SampledThread {
    id: ThreadId,
    started_cpu_ns: Option<u64>,
    replay: Replay,
    walk: ThreadWalk,
    context: ThreadContext,
    awaiters: Awaiters,
    /// The stack of its last sample, and its context.
    last: (Option<StackId>, Option<ContextId>),
}

impl Assembler {
    /// Of processes that were asked for labels from these sources.
    pub(super) fn new(sources: Sources) -> Assembler {
        Assembler {
            processes: Processes::default(),
            published: Published::default(),
            modules: Modules::new(),
            codes: Vec::new(),
            undescribed: HashSet::new(),
            waited: 0,
            stacks: StackTable::default(),
            contexts: Contexts::default(),
            samples: Vec::new(),
            losses: Losses::default(),
            sources,
            durations: Durations::default(),
            cpu_time: Some(Duration::ZERO),
            notes: Vec::new(),
        }
    }

    /// A process has made its ring. `is_fork` says that it was forked from one that is sampled.
    pub(super) fn begin(&mut self, ring: &Ring, owner: Owner, is_fork: bool) -> Sampled {
        let header = ring.header();
        let (pid, parent) = (owner.pid, owner.parent(header.parent_pid));
        let time = MonotonicNs(header.created_ns);
        let name = records::text(&header.name);
        // A child that was executed was forked before.
        if is_fork || (!self.processes.is_live(pid) && self.processes.is_live(parent)) {
            self.processes.fork(pid, pid, parent, parent, time);
        }
        if !is_fork {
            self.processes.exec(pid, pid, name, time);
        }
        self.processes.set_python(pid, header.python_hexversion);
        Sampled {
            token: ring.token(),
            owner,
            hexversion: header.python_hexversion,
            evaluator_start: Address(header.evaluator),
            evaluator: None,
            codes: HashMap::new(),
            scopes: Scopes::default(),
            threads: HashMap::new(),
            looked_up: None,
            names_at: None,
        }
    }

    /// Takes a record's contents.
    pub(super) fn record(&mut self, process: &mut Sampled, kind: u32, contents: &[u8]) {
        match records::read(kind, contents) {
            Some(Record::Sample(sample)) => self.sample(process, &sample),
            Some(Record::Code(number, code)) => {
                let id = self.code(process, number);
                if let Some(place) = self.codes.get_mut(id.index()) {
                    *place = code;
                }
                self.undescribed.remove(&id);
            }
            Some(Record::ThreadStart(thread)) => self.thread_starts(process, &thread),
            Some(Record::ThreadEnd(thread)) => self.thread_ends(process, &thread),
            Some(Record::Mappings(lines)) => {
                let lines = maps::lines(lines).filter_map(maps::parse).collect();
                self.map(process, lines, MonotonicNs(0));
            }
            Some(Record::Scope(scope)) => process.scopes.say(scope),
            Some(Record::Other) => {}
            None => self.losses.malformed += 1,
        }
    }

    /// No more of a ring is read. `is_over` says that its process writes no more either.
    pub(super) fn end(&mut self, process: &mut Sampled, ring: &Ring, is_over: bool) {
        let header = ring.header();
        let pid = process.owner.pid;
        // The process ended while it was writing a sample. Whatever came behind it cannot be read either.
        self.losses.lost = self.losses.lost.saturating_add(u64::from(is_over && ring.unread() > 0));
        for (tid, thread) in std::mem::take(&mut process.threads) {
            let cpu_ns = if is_over { None } else { cpu_ns_of(pid, process.owner.tid(tid)) };
            self.add_cpu_time(thread.started_cpu_ns, cpu_ns);
        }
        add_losses(&mut self.losses, header);
        self.sources.see(header);
        let other_driver = header.other_driver.load(Ordering::Relaxed);
        if other_driver > 0 {
            self.notes.push(format!(
                "{other_driver} threads of process {pid} were refused a perf event, and were driven by timers"
            ));
        }
        if ring.is_abandoned() {
            self.notes.push(format!(
                "process {pid} took no more samples after a while: pronk itself was stopped, or got no processor, for \
                 several seconds"
            ));
        }
        let unregistered = header.unregistered.load(Ordering::Relaxed);
        if unregistered > 0 {
            self.notes.push(format!(
                "{unregistered} frames of process {pid} are {UNNAMED}: it has more code objects than are told apart"
            ));
        }
    }

    /// Looks for the names that threads have by now.
    pub(super) fn look_up_names(&mut self, process: &mut Sampled, time: MonotonicNs) {
        if process.names_at.is_some_and(|last| time.0.saturating_sub(last.0) < NAMES_PERIOD) {
            return;
        }
        process.names_at = Some(time);
        for tid in process.threads.keys() {
            let (pid, tid) = (process.owner.pid, process.owner.tid(*tid));
            if let Some(name) = name_of(pid, tid) {
                self.processes.rename(pid, tid, name, time);
            }
        }
    }

    /// The tables as they are, up to a time, with what the rings that are read have lost so far. `None` when a code object is
    /// not described yet: its description is on its way in another thread of the program, and its name is asked for once.
    pub(super) fn so_far<'r>(&mut self, open: impl Iterator<Item = &'r Ring>, until: MonotonicNs) -> Option<SoFar<'_>> {
        self.waited += 1;
        if !self.undescribed.is_empty() && self.waited <= MOST_WAITED {
            return None;
        }
        self.undescribed.clear();
        self.waited = 0;
        let mut losses = self.losses.clone();
        open.for_each(|ring| add_losses(&mut losses, ring.header()));
        Some(SoFar {
            until,
            processes: &mut self.processes,
            mappings: &self.published.mappings,
            codes: &self.codes,
            stacks: &self.stacks,
            contexts: self.contexts.all(),
            samples: &mut self.samples,
            losses,
        })
    }

    /// The tables, complete, and the CPU time of what was sampled.
    pub(super) fn finish(mut self) -> (Recorded, Option<Duration>) {
        self.samples.sort_by_key(|sample| sample.time);
        self.losses.handler = self.durations.percentiles();
        self.notes.extend(self.sources.unused());
        let (processes, threads) = self.processes.finish();
        let Assembler { published, codes, stacks, contexts, samples, losses, notes, .. } = self;
        let (mappings, contexts) = (published.mappings, contexts.finish());
        let recorded = Recorded { processes, threads, mappings, codes, stacks, contexts, samples, losses, notes };
        (recorded, self.cpu_time)
    }

    /// The place of a process's code object in the recording. It may be referred to before it is described.
    fn code(&mut self, process: &mut Sampled, number: u64) -> CodeId {
        *process.codes.entry(number).or_insert_with(|| {
            self.codes.push(PythonCode {
                module: String::new(),
                qualname: UNNAMED.to_owned(),
                file: String::new(),
                first_line: 0,
                line_table_format: LineTableFormat::None,
                line_table: Vec::new(),
            });
            let id = CodeId(self.codes.len() as u32 - 1);
            self.undescribed.insert(id);
            id
        })
    }

    fn thread_starts(&mut self, process: &mut Sampled, thread: &RawThread) {
        let time = MonotonicNs(thread.time_ns);
        let (pid, tid) = (process.owner.pid, process.owner.tid(thread.tid));
        if tid != pid && !process.threads.contains_key(&thread.tid) {
            self.processes.fork(pid, tid, pid, pid, time);
        }
        let sampled = self.thread(process, thread.tid, time);
        sampled.started_cpu_ns = Some(thread.cpu_ns);
        self.processes.rename(pid, tid, thread.name.clone(), time);
    }

    fn thread_ends(&mut self, process: &mut Sampled, thread: &RawThread) {
        let time = MonotonicNs(thread.time_ns);
        let (pid, tid) = (process.owner.pid, process.owner.tid(thread.tid));
        process.owner.forget(thread.tid);
        self.processes.rename(pid, tid, thread.name.clone(), time);
        let started = process.threads.remove(&thread.tid).and_then(|sampled| sampled.started_cpu_ns);
        self.add_cpu_time(started, Some(thread.cpu_ns));
        self.processes.exit(pid, tid, time);
    }

    /// Adds the CPU time of a thread, from what it had when it began and when it ended.
    fn add_cpu_time(&mut self, started_ns: Option<u64>, ended_ns: Option<u64>) {
        let ran = started_ns.zip(ended_ns).map(|(started, ended)| Duration::from_nanos(ended.saturating_sub(started)));
        self.cpu_time = self.cpu_time.zip(ran).and_then(|(sum, ran)| sum.checked_add(ran));
    }

    fn thread<'p>(&mut self, process: &'p mut Sampled, tid: u32, time: MonotonicNs) -> &'p mut SampledThread {
        let border_below_each = process.hexversion < FIRST_WITH_BORDERS;
        process.threads.entry(tid).or_insert_with(|| {
            let (pid, tid) = (process.owner.pid, process.owner.tid(tid));
            let id = self.processes.thread(pid, tid, time);
            if let Some(name) = name_of(pid, tid) {
                self.processes.rename(pid, tid, name, time);
            }
            let replay = Replay::new(border_below_each);
            SampledThread {
                id,
                started_cpu_ns: None,
                replay,
                walk: ThreadWalk::default(),
                context: ThreadContext::default(),
                awaiters: Awaiters::default(),
                last: (None, None),
            }
        })
    }

    /// Adds mappings that are not known yet. Whether there were any.
    fn map(&mut self, process: &mut Sampled, lines: Vec<MapsLine>, time: MonotonicNs) -> bool {
        let mut changed = false;
        for line in lines {
            let mapped = Mapped { pid: process.owner.pid, range: line.range.clone(), offset: line.offset };
            let image = self.published.image(&line.file, &mapped, &mut self.modules);
            let mapping = Mapping::new(line.range, line.offset, image);
            if !self.processes.mappings(process.owner.pid).has_like(&mapping) {
                self.processes.map(process.owner.pid, mapping, time);
                changed = true;
            }
        }
        if changed {
            process.evaluator = None;
        }
        changed
    }

    /// Looks up what a process has mapped, unless that was done after the sample was taken, or just now. Whether there is something
    /// new.
    fn look_up_mappings(&mut self, process: &mut Sampled, time: MonotonicNs) -> bool {
        // By the clock, too: the times of samples can be anything, and looking up may take long.
        let is_done = |last: MonotonicNs| time <= last || now().0.saturating_sub(last.0) < LOOK_UP_PERIOD;
        if process.looked_up.is_some_and(is_done) {
            return false;
        }
        let begins = now();
        let lines = maps::read(process.owner.pid);
        process.looked_up = Some(begins);
        self.map(process, lines, time)
    }

    fn sample(&mut self, process: &mut Sampled, sample: &RawSample) {
        let time = MonotonicNs(sample.time_ns);
        if self.processes.mappings(process.owner.pid).find(sample.registers.pc).is_none() {
            self.look_up_mappings(process, time);
        }
        self.thread(process, sample.tid, time);
        let Some(mut thread) = process.threads.remove(&sample.tid) else { return };
        let merged = self.put_together(process, &mut thread, sample, time);
        let (id, (last, last_context)) = (thread.id, thread.last);
        let (mut context, mut folded) = (None, 0);
        match merged {
            Some(stack) => {
                let task = self.task(process, &mut thread, sample);
                let begins = |position| (thread.replay.code_at(position), thread.replay.frames_below(position));
                (context, folded) = thread.context.sample(sample, task, begins, &process.scopes, &mut self.contexts);
                thread.last = (stack, context);
            }
            None => {
                thread.context.forget();
                thread.awaiters.forget();
            }
        }
        process.threads.insert(sample.tid, thread);
        if sample.handler_ns > 0 {
            self.durations.add(sample.handler_ns);
        }
        let Some(stack) = merged else {
            self.losses.malformed += 1;
            return;
        };
        let weight = sample.weight.max(1);
        let waited = if last.is_some() { sample.waited.min(weight - 1) } else { 0 };
        let in_window = sample.flags & sample_flags::STUBS_ON != 0;
        let alike = |stack, context, weight| Sample { thread: id, time, stack, context, weight, in_window };
        self.samples.extend((waited > 0).then(|| alike(last, last_context, waited)));
        self.samples.push(alike(stack, context, weight - waited));
        self.losses.folded_values += folded.saturating_mul((weight - waited).into());
    }

    /// A sample's stack. `None` when the sample does not fit to the thread's one before.
    fn put_together(
        &mut self,
        process: &mut Sampled,
        thread: &mut SampledThread,
        sample: &RawSample,
        time: MonotonicNs,
    ) -> Option<Option<StackId>> {
        let SampledThread { replay, walk, .. } = thread;
        let whole = replay.sample(sample, |link| self.link(process, link))?;
        let cut = sample.flags & sample_flags::STACK_CUT != 0;
        // The copy begins at the stack pointer, rounded down to a multiple of 8.
        let stack = Stack::new(whole.stack_start, whole.stack, cut);
        let kernel = sample.kernel();
        let (mut unchanged_from, mut links_kept) = (whole.unchanged_from, whole.links_kept);
        let merged = loop {
            let mappings = self.processes.mappings(process.owner.pid);
            let start = process.evaluator_start;
            let modules = &mut self.modules;
            let evaluator = process.evaluator.get_or_insert_with(|| Evaluator::find(start, &mappings, modules));
            let sample = ThreadSample {
                mappings: &mappings,
                evaluator,
                registers: sample.registers,
                general: &sample.general,
                stack: &stack,
                unchanged_from,
                links: whole.links,
                links_kept,
                links_cut: sample.flags & sample_flags::LINKS_CUT != 0,
                torn: sample.flags & sample_flags::TORN != 0,
                kernel: &kernel,
            };
            let (published, mut unknown) = (&mut self.published, false);
            let publish = |modules: &mut Modules, found: Found<'_>| {
                unknown |= matches!(found, Found::Unmapped(_));
                published.frame(found, modules)
            };
            let merged = walk.sample(&sample, modules, publish, &mut self.stacks);
            // Where frames are missing, a library may have been loaded since, or memory for stubs been mapped.
            if (merged.gap || unknown) && self.look_up_mappings(process, time) {
                (unchanged_from, links_kept) = (whole.stack_start, whole.links.len());
                continue;
            }
            break merged;
        };
        self.losses.gaps += u64::from(merged.gap);
        self.losses.truncated += u64::from(merged.truncated);
        self.losses.without_stack += u64::from(merged.stack.is_none());
        Some(merged.stack)
    }

    /// A sample's task, but for its name, which may be that of the one before.
    fn task(&mut self, process: &mut Sampled, thread: &mut SampledThread, sample: &RawSample) -> Option<Task> {
        let position = sample.task_root?;
        let mut stacks = std::mem::take(&mut self.stacks);
        let code = |link: RawLink| self.code(process, link.code.into());
        let awaiters = thread.awaiters.sample(sample, &mut stacks, code);
        self.stacks = stacks;
        let root = thread.replay.code_at(position).map(TaskRoot::Code);
        let below = thread.replay.frames_below(position);
        Some(Task { name: String::new(), root, below, awaiters })
    }

    fn link(&mut self, process: &mut Sampled, link: RawLink) -> Link {
        let code = (link.code != 0).then(|| self.code(process, link.code.into()));
        Link { code, instruction: link.instruction, address: link.address }
    }
}

/// Adds what the program has counted in a ring.
fn add_losses(losses: &mut Losses, header: &RingHeader) {
    let add = |sum: &mut u64, counter: &AtomicU64| *sum = sum.saturating_add(counter.load(Ordering::Relaxed));
    add(&mut losses.lost, &header.lost);
    add(&mut losses.retaken, &header.retaken);
    add(&mut losses.torn, &header.torn);
    add(&mut losses.held_back, &header.held_back);
    add(&mut losses.unsampled_threads, &header.unsampled_threads);
    add(&mut losses.unrecorded_scopes, &header.unrecorded_scopes);
}

/// The CPU time that a thread has used so far, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn cpu_ns_of(pid: u32, tid: u32) -> Option<u64> {
    let statistics = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    statistics.split_ascii_whitespace().next()?.parse().ok()
}

/// The name that a thread has now.
fn name_of(pid: u32, tid: u32) -> Option<String> {
    let name = proc_text::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}
