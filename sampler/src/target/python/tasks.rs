//! The tasks of asyncio that are not done.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use super::threads::{Interpreter, ThreadState};
use pronk_trampolines::python::awaits::{Leads, Search};
use pronk_trampolines::python::objects::{derives_from, has_name, is_address, named_attributes};
use pronk_trampolines::python::{Link, dict, int};
use std::collections::{HashMap, HashSet};

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) address: u64,
    pub(crate) name: String,
    /// The frames of its coroutine and of those that that waits for, each for the next.
    pub(crate) links: Vec<Link>,
    /// What the last of them waits for, if that is known.
    pub(crate) waits_for: Option<u64>,
    /// The task that waits for this one, if that is certain.
    pub(crate) awaited_by: Option<u64>,
    /// The identifier of the thread whose loop it is of.
    pub(crate) identifier: Option<u64>,
}

/// The most tasks of an interpreter, and the most frames of one.
const MOST_TASKS: usize = 1 << 14;
const MOST_LINKS: usize = 512;
/// `ob_type`; `wr_object` of `PyWeakReference`; `fut_loop` of `FutureObj`; what a `FutureIter` is of.
const TYPE: u64 = 8;
const REFERENT: u64 = 16;
const LOOP: u64 = 16;
const FUTURE_OF_ITERATOR: u64 = 16;
/// `tp_basicsize`.
const BASIC_SIZE: u64 = 32;
/// The task's name is behind its coroutine (`TaskObj`, Modules/_asynciomodule.c).
const NAME_BEHIND: u64 = 8;
/// Words of `Py_AsyncioModuleDebugOffsets` (Modules/_asynciomodule.c, 3.14): `task_coro`, `task_node`; `asyncio_tasks_head` of
/// interpreters and of threads.
const COROUTINE: u64 = 5;
const NODE: u64 = 6;
const HEAD_OF_INTERPRETER: u64 = 8;
const HEAD_OF_THREAD: u64 = 12;
/// More than any of these offsets.
const LARGEST: u64 = 1 << 20;

impl Python {
    /// The tasks of an interpreter, whose threads these are, that are not done.
    pub(crate) fn tasks<P: Pages>(
        &self,
        snapshot: &Snapshot<P>,
        interpreter: &Interpreter,
        threads: &[ThreadState],
    ) -> Vec<Task> {
        let addresses = self.addresses_of_tasks(snapshot, interpreter, threads);
        let coroutine = self.coroutine_offset(snapshot, &addresses);
        let mut loops = HashMap::new();
        addresses.into_iter().filter_map(|address| self.task(snapshot, address, coroutine, &mut loops)).collect()
    }

    fn addresses_of_tasks<P: Pages>(
        &self,
        snapshot: &Snapshot<P>,
        interpreter: &Interpreter,
        threads: &[ThreadState],
    ) -> Vec<u64> {
        let global = |name: &[u8]| {
            let names: (&[u8], &[u8]) = (b"asyncio.tasks", name);
            // SAFETY: a snapshot takes any address.
            unsafe { dict::global(&snapshot, self.layout, interpreter.modules, self.values.module, names) }
        };
        let mut found = Vec::new();
        // All tasks up to 3.11; then those that are not eager, from 3.14 on of them those that are not written in C.
        for name in [&b"_all_tasks"[..], b"_scheduled_tasks"] {
            let set = global(name).and_then(|weak| self.attribute(snapshot, weak, b"data"));
            let references = set.map(|set| self.set_of(snapshot, set)).unwrap_or_default();
            found.extend(references.iter().filter_map(|reference| snapshot.word(reference.wrapping_add(REFERENT))));
        }
        found.extend(global(b"_eager_tasks").map(|set| self.set_of(snapshot, set)).unwrap_or_default());
        if let Some(node) = self.asyncio_offset(snapshot, NODE) {
            let of_interpreter = self.asyncio_offset(snapshot, HEAD_OF_INTERPRETER);
            let of_threads = self.asyncio_offset(snapshot, HEAD_OF_THREAD);
            let head = of_interpreter.map(|at| interpreter.address.wrapping_add(at));
            let heads = of_threads.map(|at| threads.iter().map(move |thread| thread.address.wrapping_add(at)));
            for head in head.into_iter().chain(heads.into_iter().flatten()) {
                found.extend(ring(snapshot, head).map(|at| at.wrapping_sub(node)));
            }
        }
        let mut seen = HashSet::new();
        found.retain(|task| is_address(*task) && seen.insert(*task));
        found.truncate(MOST_TASKS);
        found
    }

    /// The elements of what ought to be a set.
    fn set_of<P: Pages>(&self, snapshot: &Snapshot<P>, set: u64) -> Vec<u64> {
        match snapshot.word(set.wrapping_add(TYPE)) {
            Some(kind) if kind == self.values.set => self.set_items(snapshot, set, MOST_TASKS),
            _ => Vec::new(),
        }
    }

    fn asyncio_offset<P: Pages>(&self, snapshot: &Snapshot<P>, number: u64) -> Option<u64> {
        snapshot.word(self.asyncio_offsets?.wrapping_add(number * 8)).filter(|offset| (1..LARGEST).contains(offset))
    }

    /// Where in tasks that are written in C the coroutine is: before 3.14, where one of them has one, and its name behind.
    fn coroutine_offset<P: Pages>(&self, snapshot: &Snapshot<P>, tasks: &[u64]) -> Option<u64> {
        if let Some(offset) = self.asyncio_offset(snapshot, COROUTINE) {
            return Some(offset);
        }
        let type_at = |place: u64| {
            let object = snapshot.word(place).filter(|object| is_address(*object))?;
            snapshot.word(object.wrapping_add(TYPE))
        };
        tasks.iter().filter(|task| self.is_c_task(snapshot, **task)).find_map(|task| {
            let kind = snapshot.word(task.wrapping_add(TYPE))?;
            let size = snapshot.word(kind.wrapping_add(BASIC_SIZE)).filter(|size| *size < 4096)?;
            (16..size).step_by(8).find(|at| {
                let is_coroutine = type_at(task.wrapping_add(*at)) == Some(self.types.coroutine);
                is_coroutine && self.name_at(snapshot, task.wrapping_add(at + NAME_BEHIND)).is_some()
            })
        })
    }

    fn is_c_task<P: Pages>(&self, snapshot: &Snapshot<P>, task: u64) -> bool {
        let kind = snapshot.word(task.wrapping_add(TYPE)).filter(|kind| is_address(*kind));
        // SAFETY: a snapshot takes any address.
        kind.is_some_and(|kind| unsafe { derives_from(&snapshot, kind, b"_asyncio.Task\0") })
    }

    /// A name that is a text, or a number that nobody has asked the name of yet (3.13).
    fn name_at<P: Pages>(&self, snapshot: &Snapshot<P>, place: u64) -> Option<String> {
        let name = snapshot.word(place).filter(|name| is_address(*name))?;
        if snapshot.word(name.wrapping_add(TYPE))? == self.values.int {
            // SAFETY: a snapshot takes any address.
            return unsafe { int::number(&snapshot, self.layout, name) }.map(|number| format!("Task-{number}"));
        }
        self.text_of(snapshot, name)
    }

    fn task<P: Pages>(
        &self,
        snapshot: &Snapshot<P>,
        address: u64,
        offset: Option<u64>,
        loops: &mut HashMap<u64, Option<u64>>,
    ) -> Option<Task> {
        let is_c_task = self.is_c_task(snapshot, address);
        let (coroutine, name, its_loop) = if is_c_task {
            let place = address.wrapping_add(offset?);
            let name = self.name_at(snapshot, place.wrapping_add(NAME_BEHIND)).unwrap_or_default();
            (snapshot.word(place)?, name, snapshot.word(address.wrapping_add(LOOP)))
        } else {
            let name = self.attribute(snapshot, address, b"_name").and_then(|name| self.text_of(snapshot, name));
            let its_loop = self.attribute(snapshot, address, b"_loop");
            (self.attribute(snapshot, address, b"_coro")?, name.unwrap_or_default(), its_loop)
        };
        let mut search = Search::new(snapshot, &self.types, &self.walker, offset.unwrap_or(0));
        let mut links = vec![Link::default(); MOST_LINKS];
        // SAFETY: a snapshot takes any address.
        let (count, leads) = unsafe { search.coroutines(coroutine, &mut links) }.filter(|(count, _)| *count > 0)?;
        links.truncate(count);
        // SAFETY: as above.
        let awaited_by = unsafe { search.awaiter_of(address, 0) }.filter(|_| is_c_task && offset.is_some());
        let waits_for = match leads {
            Leads::To(object) => Some(self.behind_iterator(snapshot, object)),
            Leads::Nowhere => None,
        };
        let identifier = its_loop.and_then(|it| *loops.entry(it).or_insert_with(|| self.thread_of_loop(snapshot, it)));
        Some(Task { address, name, links, waits_for, awaited_by, identifier })
    }

    /// The future of an iterator over it.
    fn behind_iterator<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64) -> u64 {
        let kind = snapshot.word(object.wrapping_add(TYPE)).filter(|kind| is_address(*kind));
        // SAFETY: a snapshot takes any address.
        let is_iterator = kind.is_some_and(|kind| unsafe { has_name(&snapshot, kind, b"_asyncio.FutureIter\0") });
        let future = || snapshot.word(object.wrapping_add(FUTURE_OF_ITERATOR)).filter(|future| is_address(*future));
        is_iterator.then(future).flatten().unwrap_or(object)
    }

    /// The thread that runs a loop that is written in Python (`BaseEventLoop._thread_id`, Lib/asyncio/base_events.py).
    fn thread_of_loop<P: Pages>(&self, snapshot: &Snapshot<P>, its_loop: u64) -> Option<u64> {
        let object = self.attribute(snapshot, its_loop, b"_thread_id")?;
        if snapshot.word(object.wrapping_add(TYPE))? != self.values.int {
            return None;
        }
        // SAFETY: a snapshot takes any address.
        unsafe { int::number(&snapshot, self.layout, object) }.map(i64::cast_unsigned)
    }

    /// The attribute of an instance.
    pub(crate) fn attribute<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64, name: &[u8]) -> Option<u64> {
        /// How many attributes are looked through.
        const MOST: usize = 1024;
        // SAFETY: a snapshot takes any address.
        let pairs = unsafe { named_attributes(&snapshot, self.layout, object)?.read(snapshot) };
        let is_it = |(key, value): &(u64, u64)| {
            is_address(*value)
                && is_address(*key)
                && pronk_trampolines::python::text::is_text(&snapshot, &self.layout.text, *key, name)
        };
        pairs.take(MOST).find(is_it).map(|(_, value)| value)
    }
}

/// The nodes of a list that is linked into a ring, without its head (`struct llist_node`, Include/internal/pycore_llist.h).
fn ring<P: Pages>(snapshot: &Snapshot<P>, head: u64) -> impl Iterator<Item = u64> {
    let next = |node: &u64| snapshot.word(*node).filter(|next| *next != 0);
    std::iter::successors(next(&head), next).take_while(move |node| *node != head).take(MOST_TASKS)
}
