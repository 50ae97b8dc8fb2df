//! For whom the kernel's samples were taken: the moments of all processes' rings, joined with the samples by time.
//!
//! A moment is in its ring before a sample can be taken that it matters for. So who reads the rings when the kernel's buffers
//! have been emptied, and then takes the samples from those, has all moments that came before them.

use super::moments::{self, Moment};
use super::timeline::{PythonFrame, Running, Timeline};
use crate::engine::signal::owner::Owner;
use crate::engine::signal::rings::{Ring, RingDirectory};
use crate::engine::signal::scopes::Contexts;
use crate::recording::{Address, Context, ContextId, ContextTable, Losses, Task, TaskRoot};
use pronk_trampolines::ring::Damaged;
use pronk_trampolines::wire::{RingRecord, RingRecordKind};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// The most moments of a ring that wait for the samples of their time. More are left in the ring.
const MOST_WAITING: usize = 1 << 18;

/// Reads the rings of a session, and knows what holds at the time of a sample.
#[derive(Debug)]
pub(crate) struct Rings {
    directory: RingDirectory,
    open: Vec<Open>,
    /// By the process's id.
    timelines: HashMap<u32, Timeline>,
    contexts: Contexts,
    unrecorded_scopes: u64,
    folded_values: u64,
    malformed: u64,
    notes: Vec<String>,
}

/// A ring.
#[derive(Debug)]
struct Open {
    /// `None` once there is no more in it.
    ring: Option<Ring>,
    owner: Owner,
    waiting: VecDeque<Moment>,
    /// Since when moments are missing, because the process could not say them or because they were not read yet; 0 where none
    /// are.
    missing_since: u64,
}

impl Rings {
    /// Those in a directory.
    pub(crate) fn new(directory: PathBuf) -> Rings {
        Rings {
            directory: RingDirectory::new(directory, None),
            open: Vec::new(),
            timelines: HashMap::new(),
            contexts: Contexts::default(),
            unrecorded_scopes: 0,
            folded_values: 0,
            malformed: 0,
            notes: Vec::new(),
        }
    }

    /// Reads what is in the rings. To be called between emptying the kernel's buffers and taking samples from those.
    pub(crate) fn read(&mut self) {
        let (new, problems) = self.directory.new_rings();
        self.notes.extend(problems);
        self.open.extend(new.into_iter().map(|ring| Open {
            owner: ring.owner(),
            ring: Some(ring),
            waiting: VecDeque::new(),
            missing_since: 0,
        }));
        let mut contents = Vec::new();
        for open in &mut self.open {
            let was_over = !open.owner.is_alive();
            let Some(ring) = &mut open.ring else { continue };
            let read = read_ring(ring, &mut open.waiting, &mut contents, &mut self.malformed);
            open.missing_since = *read.as_ref().unwrap_or(&0);
            if read.is_err() {
                // What was open would be so for good.
                let pid = open.owner.pid;
                self.notes.push(format!("the ring of process {pid} is damaged; its labels end there"));
                open.waiting.clear();
                self.timelines.remove(&pid);
            }
            if read.is_err() || (was_over && open.waiting.len() < MOST_WAITING) {
                self.unrecorded_scopes += end(ring);
                open.ring = None;
            }
        }
    }

    /// Time has come so far: there are no more samples from before.
    pub(crate) fn go_on(&mut self, time: u64) {
        for open in &mut self.open {
            go_on(open, &mut self.timelines, time);
        }
        self.open.retain(|open| open.ring.is_some() || !open.waiting.is_empty());
    }

    /// A process begins as a copy of another one.
    pub(crate) fn fork(&mut self, parent: u32, child: u32, time: u64) {
        self.go_on_with(parent, time);
        let is_whole = self.is_whole(parent, time);
        match self.timelines.get(&parent).filter(|_| is_whole) {
            Some(timeline) => self.timelines.insert(child, timeline.clone()),
            None => self.timelines.remove(&child),
        };
    }

    /// A process executes another program, or has ended.
    pub(crate) fn forget(&mut self, pid: u32, time: u64) {
        self.go_on_with(pid, time);
        self.timelines.remove(&pid);
    }

    /// The context of a sample with these frames, from the root to the leaf.
    pub(crate) fn context(&mut self, pid: u32, frames: &[PythonFrame], time: u64) -> Option<ContextId> {
        self.go_on_with(pid, time);
        let is_whole = self.is_whole(pid, time);
        let timeline = self.timelines.get(&pid).filter(|timeline| is_whole && !timeline.is_past(time))?;
        let (labels, task) = timeline.context(frames);
        let task = task.map(|Running { name, root: (registry, stub) }| Task {
            name: name.to_string(),
            root: Some(TaskRoot::Stub(registry, Address(stub))),
            below: 0,
            awaiters: None,
        });
        let (context, folded) = self.contexts.of(labels, task);
        self.folded_values += folded;
        context
    }

    /// Whether no moment of a process is missing up to a time.
    fn is_whole(&self, pid: u32, time: u64) -> bool {
        let mut missing = self.open.iter().filter(|open| open.owner.pid == pid && open.missing_since != 0);
        missing.all(|open| time < open.missing_since)
    }

    fn go_on_with(&mut self, pid: u32, time: u64) {
        for open in self.open.iter_mut().filter(|open| open.owner.pid == pid) {
            go_on(open, &mut self.timelines, time);
        }
    }

    /// The contexts so far.
    pub(crate) fn contexts(&self) -> &[Context] {
        self.contexts.all()
    }

    /// The table of contexts, complete, and what was lost and wrong.
    pub(crate) fn finish(mut self, losses: &mut Losses, notes: &mut Vec<String>) -> ContextTable {
        for open in &mut self.open {
            self.unrecorded_scopes += open.ring.as_mut().map_or(0, end);
        }
        let refused: u64 = self.timelines.values().map(|timeline| timeline.refused).sum();
        losses.unrecorded_scopes += self.unrecorded_scopes.saturating_add(refused);
        losses.folded_values += self.folded_values;
        losses.malformed += self.malformed;
        notes.append(&mut self.notes);
        self.contexts.finish()
    }
}

/// Takes the moments of a ring up to a time.
fn go_on(open: &mut Open, timelines: &mut HashMap<u32, Timeline>, time: u64) {
    while open.waiting.front().is_some_and(|moment| moment.time <= time) {
        let timeline = timelines.entry(open.owner.pid).or_default();
        open.waiting.pop_front().into_iter().for_each(|moment| timeline.go_on(moment));
    }
}

/// Reads what is finished in a ring and is there by now; since when moments are missing, or 0.
fn read_ring(
    ring: &mut Ring,
    waiting: &mut VecDeque<Moment>,
    contents: &mut Vec<u8>,
    malformed: &mut u64,
) -> Result<u64, Damaged> {
    // Looked at first: a process that has said since what is missing has said so in the ring.
    let mut missing_since = ring.header().unsaid_since.load(Ordering::Acquire);
    let mut left = ring.unread();
    while left > 0 && waiting.len() < MOST_WAITING {
        let Some(kind) = ring.read(contents)? else { break };
        left = left.saturating_sub((size_of::<RingRecord>() + contents.len()) as u64);
        match moments::read(kind, contents) {
            Some(moment) => waiting.push_back(moment),
            None => *malformed += u64::from(kind != RingRecordKind::Padding as u32),
        }
    }
    if let Some(last) = waiting.back().filter(|_| left > 0 && waiting.len() >= MOST_WAITING) {
        let unread_since = last.time.saturating_add(1);
        missing_since = if missing_since == 0 { unread_since } else { missing_since.min(unread_since) };
    }
    Ok(missing_since)
}

/// Has a process say no more in its ring, and removes that; the scopes that it could not say.
fn end(ring: &mut Ring) -> u64 {
    ring.stop();
    ring.remove();
    ring.header().unrecorded_scopes.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
