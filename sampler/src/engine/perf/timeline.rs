//! What holds for the frames and threads of a process at a time, by the moments that it has said so far.
//!
//! A sample's labels are those of the scopes that are open on its frames, from the root to the leaf, over the inherited ones;
//! its task is the one whose coroutine's frame is on its stack. What has ended is dropped, so that there is as much here as
//! is alive in the process, and no more than there may be.

use super::moments::{Moment, Scope, What};
use crate::engine::signal::scopes::{Labels, TASK};
use pronk_trampolines::wire::Token;
use std::collections::HashMap;
use std::rc::Rc;

/// The most scopes, as many as a process has at a time; the most frames with scopes; the most threads.
const MOST_SCOPES: usize = pronk_trampolines::context::MOST_SCOPES;
const MOST_THREADS: usize = 1 << 16;
/// The tasks of a thread that are remembered: those that may be under way within each other. The process remembers fewer
/// that it has said.
const MOST_TASKS: usize = 16;

/// A Python frame of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PythonFrame {
    /// The address of the interpreter's frame, of the stub that it runs through, and of its thread's state.
    pub(crate) frame: u64,
    pub(crate) stub: u64,
    pub(crate) state: u64,
    /// The registry that names its function.
    pub(crate) registry: Token,
}

/// A task, and the stub of the function that it runs with the registry that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) name: Rc<str>,
    pub(super) root: (Token, u64),
}

/// What holds for a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// The scopes that are open or inherited, by their serial numbers.
    scopes: HashMap<u64, Rc<Scope>>,
    /// The serial numbers of those that are open on a frame, and the stubs of their functions; the innermost last.
    open: HashMap<u64, Vec<(u64, u64)>>,
    /// By their states.
    threads: HashMap<u64, Thread>,
    /// When the last moment was that is known.
    time: u64,
    /// Moments for which there was no room.
    pub(super) refused: u64,
}

/// What holds for a thread.
#[derive(Clone, Debug, Default)]
struct Thread {
    /// The scope that its context inherits, or 0.
    inherits: u64,
    /// The tasks that it has run, the last one last.
    tasks: Vec<Task>,
}

/// A task that runs while its coroutine's frame is on the stack.
#[derive(Clone, Debug)]
struct Task {
    frame: u64,
    stub: u64,
    name: Rc<str>,
    /// The scope that its context inherits while the thread's is said to inherit the other one.
    inherits: Option<(u64, u64)>,
}

impl Timeline {
    /// Takes the next moment.
    pub(super) fn go_on(&mut self, moment: Moment) {
        self.time = self.time.max(moment.time);
        match moment.what {
            What::Opened { frame, stub, serial, scope } => self.open(frame, stub, serial, scope),
            What::Closed { serial, state, restored } => {
                self.close(serial);
                if let (Some(restored), Some(thread)) = (restored, self.threads.get_mut(&state)) {
                    thread.restore(serial, restored);
                }
            }
            What::Ended { serial } => {
                self.close(serial);
                self.scopes.remove(&serial);
            }
            What::Inherits { state, serial } => {
                if let Some(thread) = self.thread(state) {
                    thread.inherits = serial;
                }
            }
            What::Task { state, frame, stub, inherits, name } => {
                if let Some(thread) = self.thread(state) {
                    thread.run(frame, stub, inherits, name);
                }
            }
            What::Forget => self.forget(),
        }
    }

    /// Nothing that was said holds.
    pub(super) fn forget(&mut self) {
        *self = Timeline { time: self.time, refused: self.refused, ..Timeline::default() };
    }

    /// Whether it is past a time: what held then is not known any more.
    pub(super) fn is_past(&self, time: u64) -> bool {
        self.time > time
    }

    fn open(&mut self, frame: u64, stub: u64, serial: u64, scope: Rc<Scope>) {
        // A serial number is given once.
        if self.scopes.len() >= MOST_SCOPES || self.scopes.contains_key(&serial) {
            self.refused += 1;
            return;
        }
        self.scopes.insert(serial, scope);
        if frame != 0 {
            self.open.entry(frame).or_default().push((serial, stub));
        }
    }

    fn close(&mut self, serial: u64) {
        let Some(frame) = self.scopes.get(&serial).map(|scope| scope.frame) else { return };
        if let Some(open) = self.open.get_mut(&frame) {
            open.retain(|(one, _)| *one != serial);
            if open.is_empty() {
                self.open.remove(&frame);
            }
        }
    }

    fn thread(&mut self, state: u64) -> Option<&mut Thread> {
        if self.threads.len() >= MOST_THREADS && !self.threads.contains_key(&state) {
            self.refused += 1;
            return None;
        }
        Some(self.threads.entry(state).or_default())
    }

    /// The labels and the task of a sample with these frames, from the root to the leaf.
    pub(super) fn context<'a>(&'a self, frames: &[PythonFrame]) -> (Labels, Option<Running>) {
        let thread = frames.last().and_then(|leaf| self.threads.get(&leaf.state));
        let on_stack = |task: &'a Task| {
            let is_its = |on: &&PythonFrame| (on.frame, on.stub) == (task.frame, task.stub);
            frames.iter().position(|on| is_its(&on)).map(|position| (position, task))
        };
        let found = thread.and_then(|thread| thread.tasks.iter().rev().find_map(on_stack));
        let task = found.map(|(_, task)| task);
        let said = thread.map_or(0, |thread| thread.inherits);
        let own = task.and_then(|task| task.inherits).filter(|(while_said, _)| *while_said == said);
        let mut labels = self.inherited(own.map_or(said, |(_, inherits)| inherits));
        let mut named = None;
        for (position, on) in frames.iter().enumerate() {
            let open = self.open.get(&on.frame).into_iter().flatten();
            for (serial, _) in open.filter(|(_, stub)| *stub == on.stub) {
                let of_scope = self.scopes.get(serial).into_iter().flat_map(|scope| &scope.labels);
                labels.extend(of_scope.map(|(key, value)| (key.clone(), value.clone())));
            }
            // A block that is a task has its name as a label.
            named = labels.remove(TASK).map(|name| (position, name)).or(named);
        }
        // Of a task of asyncio and one that the program has named, the inner one runs.
        let of_asyncio = found.map(|(position, task)| (position, task.name.clone()));
        let running = of_asyncio.into_iter().chain(named).max_by_key(|(position, _)| *position);
        let running = running
            .and_then(|(position, name)| frames.get(position).map(|on| Running { name, root: (on.registry, on.stub) }));
        (labels, running)
    }

    /// The labels of a scope and of those that are inherited with it.
    fn inherited(&self, serial: u64) -> Labels {
        let mut labels = Labels::new();
        let mut at = Some(serial);
        while let Some((serial, scope)) = at.and_then(|serial| Some((serial, self.scopes.get(&serial)?))) {
            for (key, value) in &scope.labels {
                labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
            // A scope inherits one that was opened before: serial numbers only fall.
            at = Some(scope.inherits).filter(|next| *next < serial);
        }
        labels
    }
}

impl Thread {
    fn run(&mut self, frame: u64, stub: u64, inherits: Option<u64>, name: Option<Rc<str>>) {
        self.tasks.retain(|task| task.frame != frame);
        if let Some(name) = name {
            if self.tasks.len() >= MOST_TASKS {
                self.tasks.remove(0);
            }
            let inherits = inherits.map(|own| (self.inherits, own));
            self.tasks.push(Task { frame, stub, name, inherits });
        }
    }

    /// Where a scope is inherited that was closed in its own context, another one is.
    fn restore(&mut self, closed: u64, restored: u64) {
        let of_tasks = self.tasks.iter_mut().filter_map(|task| task.inherits.as_mut());
        let all = of_tasks.flat_map(|(said, own)| [said, own]).chain([&mut self.inherits]);
        all.filter(|serial| **serial == closed).for_each(|serial| *serial = restored);
    }
}

#[cfg(test)]
mod tests;
