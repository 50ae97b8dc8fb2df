//! What is read of a process while it is stopped.

use super::kernel::{self, KernelThread, Waiting};
use super::native::{self, Copied, Copier};
use super::order::in_order;
use super::pause::{NotPaused, Paused};
use super::{DumpRequest, DumpedTask, DumpedThread, WaitsFor};
use crate::error::Error;
use crate::recording::PythonCode;
use crate::target::python::code::Codes;
use crate::target::python::find::Python;
use crate::target::python::locals::Variable;
use crate::target::python::snapshot::Snapshot;
use crate::target::python::tasks::Task;
use crate::target::python::threads::{MOST_LINKS, ThreadState};
use crate::target::{Status, Target};
use crate::unwind::merge;
use pronk_trampolines::python::layout::Border;
use pronk_trampolines::python::{End, Link};
use pronk_trampolines::wire::NO_INSTRUCTION;
use std::collections::HashMap;
use std::time::Duration;

/// How often a process is looked at again when a thread was just changing its frames, and how long it runs between.
const ATTEMPTS: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(2);
/// Where glibc keeps `gettid` in what `pthread_self` points to (`struct pthread` of nptl/descr.h, 2.31 to 2.41).
const TID_IN_PTHREAD: u64 = 720;
/// The most frames of a thread or a task whose variables are read, and the most bytes of text that all of them have.
const MOST_WITH_VARIABLES: usize = 200;
const MOST_TEXT: usize = 32 << 20;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) threads: Vec<FoundThread>,
    pub(super) tasks: Vec<FoundTask>,
    pub(super) codes: Vec<PythonCode>,
    pub(super) paused: Option<Duration>,
    pub(super) notes: Vec<String>,
}

/// A thread, and what its stack is made of.
#[derive(Debug)]
pub(super) struct FoundThread {
    pub(super) thread: DumpedThread,
    /// From the oldest on.
    pub(super) links: Vec<merge::Link>,
    /// Whether older links are missing.
    pub(super) is_cut: bool,
    pub(super) copied: Option<Copied>,
}

/// A task, and what its stack is made of.
#[derive(Debug)]
pub(super) struct FoundTask {
    pub(super) task: DumpedTask,
    /// From the oldest on.
    pub(super) links: Vec<merge::Link>,
}

/// Looks at a process.
///
/// # Errors
/// When it ends meanwhile.
pub(super) fn look(target: &Target, python: &Python, request: &DumpRequest) -> Result<Found, Error> {
    let mut notes = Vec::new();
    let mut pauses = request.pause;
    for attempt in 1.. {
        // Before it is stopped: what its threads do then is to be seen, and what takes long is done.
        let (threads, copier) = (kernel::threads(target), Copier::new(target));
        let (snapshot, room) = (Snapshot::new(target), vec![Link::default(); MOST_LINKS]);
        let paused = match pauses.then(|| Paused::new(target)).transpose() {
            Ok(paused) => paused,
            Err(why) => {
                notes.push(said(target, why));
                pauses = false;
                None
            }
        };
        let look = Look { python, request, snapshot, paused, copier, text_left: MOST_TEXT };
        let (mut found, is_torn) = look.all(&threads, room);
        if !is_torn || attempt == ATTEMPTS {
            found.notes.splice(0..0, notes);
            return Ok(found);
        }
        std::thread::sleep(BETWEEN);
    }
    Err(Error::NoProcess(target.pid()))
}

/// What to tell of a process that is not stopped.
fn said(target: &Target, why: NotPaused) -> String {
    let tracer = target.status().ok().and_then(|status| status.tracer);
    match (why, tracer) {
        (NotPaused::ByJobControl, _) => "the process is stopped already, by a signal such as SIGSTOP".to_owned(),
        (NotPaused::Refused(_), Some(tracer)) => format!(
            "process {tracer}, a debugger or strace perhaps, traces it: it was not stopped, and what changed meanwhile may be torn"
        ),
        (NotPaused::Refused(errno), None) => {
            let own = Status::own().is_some_and(|own| own.is_filtered);
            let by = if own { "a filter of system calls (seccomp)" } else { "the kernel" };
            format!("{by} refuses to stop it ({}): what changed meanwhile may be torn", errno.desc())
        }
    }
}

/// One look at a process.
struct Look<'a> {
    python: &'a Python,
    request: &'a DumpRequest,
    snapshot: Snapshot<'a>,
    paused: Option<Paused>,
    copier: Copier<'a>,
    text_left: usize,
}

/// The states of a thread, with its links newest first.
struct Known {
    states: Vec<ThreadState>,
    links: Vec<Link>,
    end: End,
}

impl Look<'_> {
    /// All that is to be found, and whether a thread was just changing its frames.
    fn all(mut self, kernel_threads: &[KernelThread], mut room: Vec<Link>) -> (Found, bool) {
        let mut codes = Codes::default();
        let places = self.places(kernel_threads);
        let mut known: HashMap<Option<u32>, Known> = HashMap::new();
        let (mut names, mut tasks) = (HashMap::new(), Vec::new());
        for interpreter in self.python.interpreters(&self.snapshot) {
            let states = self.python.threads(&self.snapshot, &interpreter);
            // A thread of several interpreters has the name that it has in the first one.
            for (identifier, name) in self.python.thread_names(&self.snapshot, &interpreter) {
                names.entry(identifier).or_insert(name);
            }
            tasks.extend(self.python.tasks(&self.snapshot, &interpreter, &states));
            for state in states {
                let tid = self.tid_of(&state, kernel_threads, &places);
                let pc = tid.and_then(|tid| places.get(&tid)).map_or(0, |(pc, _)| *pc);
                let chain = self.python.chain(&self.snapshot, state.address, pc, &mut room);
                let thread =
                    known.entry(tid).or_insert_with(|| Known { states: vec![], links: vec![], end: End::Base });
                thread.add(state, chain.links, chain.end);
            }
        }
        let of_kernel = kernel_threads.iter().map(|thread| (Some(thread.tid), Some(thread)));
        let of_none = known.contains_key(&None).then_some((None, None));
        let mut threads = Vec::new();
        let mut positions: HashMap<u64, usize> = HashMap::new();
        let mut frames: HashMap<u64, usize> = HashMap::new();
        for (tid, thread) in of_kernel.chain(of_none) {
            let Known { states, links, end } =
                known.remove(&tid).unwrap_or(Known { states: vec![], links: vec![], end: End::Base });
            let position = threads.len();
            positions.extend(states.iter().map(|state| (state.identifier, position)));
            frames.extend(links.iter().filter(|link| link.code != 0).map(|link| (link.address, position)));
            threads.push(self.thread(thread, &states, &links, end, &names, &mut codes));
        }
        let tasks = self.tasks(&in_order(tasks), &positions, &frames, &mut codes);
        // Only what is stopped can be torn so that a moment later it is not.
        let is_torn = self.paused.is_some() && threads.iter().any(|thread| thread.thread.torn);
        let mut notes = Vec::new();
        if self.snapshot.is_full() {
            notes.push("there was more to read than is read at most: some of it is missing".to_owned());
        }
        let paused = self.paused.take().map(Paused::end);
        (Found { threads, tasks, codes: codes.all, paused, notes }, is_torn)
    }

    /// The instructions that stopped threads are at, and what `pthread_self` gives in them.
    fn places(&self, threads: &[KernelThread]) -> HashMap<u32, (u64, u64)> {
        let Some(paused) = &self.paused else { return HashMap::new() };
        let place = |thread: &KernelThread| Some((thread.tid, native::place_of(paused.thread(thread.tid)?)?));
        threads.iter().filter_map(place).collect()
    }

    /// The kernel's thread of a state.
    fn tid_of(&self, state: &ThreadState, threads: &[KernelThread], places: &HashMap<u32, (u64, u64)>) -> Option<u32> {
        let by_own = |own: u32| threads.iter().find(|thread| thread.own_tid == own).map(|thread| thread.tid);
        if let Some(own) = state.native_id.and_then(|own| u32::try_from(own).ok()) {
            return by_own(own);
        }
        let by_register = places.iter().find(|(_, (_, this))| *this == state.identifier).map(|(tid, _)| *tid);
        by_register.or_else(|| {
            let own = self.snapshot.number(state.identifier.wrapping_add(TID_IN_PTHREAD))?;
            by_own(u32::try_from(own).ok()?)
        })
    }

    fn thread(
        &mut self,
        thread: Option<&KernelThread>,
        states: &[ThreadState],
        links: &[Link],
        end: End,
        names: &HashMap<u64, String>,
        codes: &mut Codes,
    ) -> FoundThread {
        let tid = thread.map(|thread| thread.tid);
        let stopped = tid.and_then(|tid| self.paused.as_ref()?.thread(tid));
        let copied = stopped.filter(|_| self.request.native).and_then(|stopped| self.copier.copy(stopped));
        let dumped = DumpedThread {
            tid,
            name: thread.map_or_else(String::new, |thread| thread.name.clone()),
            python_name: states.iter().find_map(|state| names.get(&state.identifier)).cloned(),
            interpreters: states.iter().map(|state| state.interpreter.id).collect(),
            holds_lock: states.iter().any(|state| state.holds_lock),
            waiting: thread.map_or(Waiting::In(None), |thread| thread.waiting.clone()),
            stopped: stopped.is_some(),
            torn: end == End::Torn,
            variables: self.variables(links),
        };
        FoundThread {
            thread: dumped,
            links: self.recorded(links.iter().rev(), codes),
            is_cut: end != End::Base,
            copied,
        }
    }

    fn tasks(
        &mut self,
        tasks: &[Task],
        threads: &HashMap<u64, usize>,
        frames: &HashMap<u64, usize>,
        codes: &mut Codes,
    ) -> Vec<FoundTask> {
        let positions: HashMap<u64, usize> = tasks.iter().map(|task| task.address).zip(0..).collect();
        let position = |address: Option<u64>| address.and_then(|address| positions.get(&address).copied());
        let mut found = Vec::new();
        for task in tasks {
            let running_in = task.links.first().and_then(|root| frames.get(&root.address)).copied();
            let waits_for = task.waits_for.map(|object| match positions.get(&object) {
                Some(task) => WaitsFor::Task(*task),
                None => WaitsFor::Object(self.type_of(object)),
            });
            let newest_first: Vec<Link> = task.links.iter().rev().copied().collect();
            let dumped = DumpedTask {
                name: task.name.clone(),
                running_in,
                thread: task.identifier.and_then(|identifier| threads.get(&identifier)).copied(),
                waits_for: waits_for.filter(|_| running_in.is_none()),
                awaited_by: position(task.awaited_by),
                variables: self.variables(&newest_first),
            };
            found.push(FoundTask { task: dumped, links: self.recorded(task.links.iter(), codes) });
        }
        found
    }

    fn type_of(&self, object: u64) -> String {
        /// `ob_type`.
        const TYPE: u64 = 8;
        let kind = self.snapshot.word(object.wrapping_add(TYPE));
        kind.and_then(|kind| self.python.type_name(&self.snapshot, kind)).unwrap_or_default()
    }

    /// The variables of frames, if they were asked for.
    fn variables(&mut self, links: &[Link]) -> Vec<Vec<Variable>> {
        if !self.request.locals {
            return Vec::new();
        }
        let mut all = Vec::new();
        for link in links.iter().filter(|link| link.code != 0).take(MOST_WITH_VARIABLES) {
            let variables = self.python.variables(&self.snapshot, link);
            let size = variables.iter().map(|variable| variable.name.len() + variable.value.len()).sum();
            match self.text_left.checked_sub(size) {
                Some(left) => self.text_left = left,
                None => break,
            }
            all.push(variables);
        }
        all
    }

    /// What links are in a recording.
    fn recorded<'l>(&self, links: impl Iterator<Item = &'l Link>, codes: &mut Codes) -> Vec<merge::Link> {
        let mut recorded = |link: &'l Link| merge::Link {
            code: (link.code != 0).then(|| codes.id(self.python, &self.snapshot, link)),
            instruction: Some(link.instruction).filter(|instruction| *instruction != NO_INSTRUCTION),
            address: if link.code == 0 { link.address } else { 0 },
        };
        match self.python.layout.links.border {
            Border::Everywhere => links.flat_map(|link| [merge::Link::BORDER, recorded(link)]).collect(),
            Border::Flag(_) | Border::Frame(_) => links.map(recorded).collect(),
        }
    }
}

impl Known {
    /// Takes another state of the thread's, such as that of an interpreter that the first one has started: both have their frames
    /// on one stack.
    fn add(&mut self, state: ThreadState, links: Vec<Link>, end: End) {
        // The stack grows down. Up to 3.10 there are no addresses on it: then what has started last is the newer one.
        let place = |links: &[Link]| links.iter().find(|link| link.code == 0).map(|link| link.address);
        let is_older = place(&links).zip(place(&self.links)).is_some_and(|(new, known)| new > known);
        let older = if is_older { links } else { std::mem::replace(&mut self.links, links) };
        self.links.extend(older);
        if end != End::Base {
            self.end = end;
        }
        self.states.push(state);
    }
}
