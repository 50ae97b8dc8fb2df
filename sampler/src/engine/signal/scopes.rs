//! For whom a thread's samples were taken: from the scopes of its frames and from its task to a context of the recording.

use super::records::{RawScope, Sample};
use crate::recording::{CodeId, Context, ContextId, ContextTable, Task, TaskRoot};
use pronk_trampolines::wire::{REMEMBERED_SCOPES, TASK_KEY};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// The most keys, the most values of a key that are told apart, and the most contexts.
const MOST_KEYS: usize = 1_000;
const MOST_VALUES: usize = 10_000;
const MOST_CONTEXTS: usize = 1 << 18;
/// The key of a label that names a task.
pub(in crate::engine) const TASK: &str = match TASK_KEY.to_str() {
    Ok(key) => key,
    Err(_) => unreachable!(),
};
/// What stands for all others.
const OTHER: &str = "other";

/// Labels by their keys.
pub(in crate::engine) type Labels = BTreeMap<Rc<str>, Rc<str>>;

/// What a process has said of its scopes, lately.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// By their serial numbers, with the number of times that anything was said before.
    said: HashMap<u64, (u64, RawScope)>,
    /// The serial numbers, in the order in which they were said.
    order: VecDeque<u64>,
    forgotten: u64,
}

impl Scopes {
    /// Takes what is said of a scope.
    pub(super) fn say(&mut self, scope: RawScope) {
        let now = self.forgotten + self.order.len() as u64;
        self.order.push_back(scope.serial);
        self.said.insert(scope.serial, (now, scope));
        if self.order.len() > REMEMBERED_SCOPES
            && let Some(oldest) = self.order.pop_front()
        {
            // What was said again since is remembered.
            if self.said.get(&oldest).is_some_and(|(said, _)| *said == self.forgotten) {
                self.said.remove(&oldest);
            }
            self.forgotten += 1;
        }
    }

    /// The labels of a scope and of those that it leads to.
    fn labels(&self, serial: u64, next: impl Fn(&RawScope) -> u64) -> Labels {
        let mut labels = Labels::new();
        let mut add = |scope: &RawScope| {
            for (key, value) in &scope.labels {
                labels.entry(key.clone()).or_insert_with(|| value.clone());
            }
        };
        let mut of_arguments = None;
        let mut at = self.said.get(&serial);
        // A scope leads to one that was opened before: serial numbers only fall.
        while let Some((_, scope)) = at {
            match scope.is_of_arguments {
                true => of_arguments = Some(scope),
                false => add(scope),
            }
            at = Some(next(scope)).filter(|next| *next < scope.serial).and_then(|next| self.said.get(&next));
        }
        // A function's blocks are within its call.
        of_arguments.into_iter().for_each(add);
        labels
    }
}

/// The labels of a thread's frames, its task, and the context that they make.
#[derive(Debug, Default)]
pub(super) struct ThreadContext {
    /// Those of the frames that have any: the position of the frame's link from the oldest on, and its labels.
    frames: Vec<(usize, Labels)>,
    inherits: u64,
    inherited: Labels,
    /// The task that runs.
    task: Option<Task>,
    /// The name of the last task of asyncio that ran.
    task_name: Rc<str>,
    context: Option<ContextId>,
    /// Values of the context that are counted as others.
    folded: u64,
}

impl ThreadContext {
    /// Forgets what the next sample could build on.
    pub(super) fn forget(&mut self) {
        *self = ThreadContext::default();
    }

    /// The context of the next sample, and how many of its values are counted as others. `task` is its task of asyncio, but for
    /// the name; `begins` gives, by the position of a frame's link from the oldest on, the code object with which a task begins
    /// there, and how many frames are below.
    pub(super) fn sample(
        &mut self,
        sample: &Sample,
        task: Option<Task>,
        begins: impl Fn(usize) -> (Option<CodeId>, u32),
        scopes: &Scopes,
        contexts: &mut Contexts,
    ) -> (Option<ContextId>, u64) {
        let before = self.frames.len();
        self.frames.truncate(self.frames.partition_point(|(link, _)| *link < sample.links_kept));
        let mut changed = self.frames.len() < before;
        for (index, link) in sample.links().rev().enumerate().filter(|(_, link)| link.scope != 0) {
            self.frames.push((sample.links_kept + index, scopes.labels(link.scope, |scope| scope.outer)));
            changed = true;
        }
        if sample.inherits != self.inherits {
            self.inherits = sample.inherits;
            self.inherited = scopes.labels(sample.inherits, |scope| scope.inherits);
            changed = true;
        }
        if let (Some(_), Some(name)) = (sample.task_root, sample.task_name) {
            self.task_name = String::from_utf8_lossy(name).into();
        }
        // Of a task of asyncio and one that the program has named, the inner one runs.
        let named = self.frames.iter().rev().find_map(|(link, labels)| Some((*link, labels.get(TASK)?)));
        let named = named.filter(|(link, _)| sample.task_root.is_none_or(|root| *link > root));
        let task = match named {
            Some((link, name)) => {
                let (root, below) = begins(link);
                Some(Task { name: String::from(&**name), root: root.map(TaskRoot::Code), below, awaiters: None })
            }
            None => task.map(|task| Task { name: String::from(&*self.task_name), ..task }),
        };
        if task != self.task {
            self.task = task;
            changed = true;
        }
        if changed {
            let of_frames = self.frames.iter().flat_map(|(_, labels)| labels).filter(|(key, _)| &***key != TASK);
            let labels: Labels =
                self.inherited.iter().chain(of_frames).map(|(key, value)| (key.clone(), value.clone())).collect();
            (self.context, self.folded) = contexts.of(labels, self.task.clone());
        }
        (self.context, self.folded)
    }
}

/// The contexts of a recording, of which there are not too many.
#[derive(Debug, Default)]
pub(in crate::engine) struct Contexts {
    table: ContextTable,
    /// The values of each key.
    values: HashMap<Rc<str>, HashSet<Rc<str>>>,
}

impl Contexts {
    /// The context with these labels and this task, and how many of the labels' values are counted as others.
    pub(in crate::engine) fn of(&mut self, labels: Labels, task: Option<Task>) -> (Option<ContextId>, u64) {
        if labels.is_empty() && task.is_none() {
            return (None, 0);
        }
        let mut folded = 0;
        let mut known = |key: Rc<str>, value: Rc<str>| {
            let is_room = self.values.contains_key(&key) || self.values.len() < MOST_KEYS;
            let key = if is_room { key } else { OTHER.into() };
            let values = self.values.entry(key.clone()).or_default();
            let is_known =
                is_room && (values.contains(&value) || (values.len() < MOST_VALUES && values.insert(value.clone())));
            folded += u64::from(!is_known);
            (String::from(&*key), if is_known { String::from(&*value) } else { OTHER.to_owned() })
        };
        let labels: BTreeMap<_, _> = labels.into_iter().map(|(key, value)| known(key, value)).collect();
        let labels: Vec<_> = labels.into_iter().collect();
        if let Some(id) = self.table.find_or_add(Context { labels: labels.clone(), task: task.clone() }, MOST_CONTEXTS)
        {
            return (Some(id), folded);
        }
        let folded = labels.len() as u64;
        let others = labels.into_iter().map(|(key, _)| (key, OTHER.to_owned())).collect();
        let task = task.map(|task| Task { awaiters: None, ..task });
        (Some(self.table.id(Context { labels: others, task })), folded)
    }

    /// The contexts so far.
    pub(in crate::engine) fn all(&self) -> &[Context] {
        self.table.all()
    }

    /// The table.
    pub(in crate::engine) fn finish(self) -> ContextTable {
        self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(serial: u64, outer: u64, inherits: u64, labels: &[(&str, &str)]) -> RawScope {
        let labels = labels.iter().map(|&(key, value)| (key.into(), value.into())).collect();
        RawScope { serial, outer, inherits, is_of_arguments: false, labels }
    }

    fn labels_of(contexts: &Contexts, id: Option<ContextId>) -> Vec<(&str, &str)> {
        let context = &contexts.table.all()[id.unwrap().index()];
        context.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn the_inner_scope_counts() {
        let mut scopes = Scopes::default();
        scopes.say(scope(1, 0, 0, &[("a", "1"), ("b", "1")]));
        scopes.say(scope(2, 1, 0, &[("a", "2")]));
        scopes.say(scope(3, 0, 2, &[("c", "3")]));
        assert_eq!(scopes.labels(2, |scope| scope.outer), labels(&[("a", "2"), ("b", "1")]));
        assert_eq!(scopes.labels(3, |scope| scope.outer), labels(&[("c", "3")]));
        assert_eq!(scopes.labels(3, |scope| scope.inherits), labels(&[("a", "2"), ("c", "3")]));
        assert_eq!(scopes.labels(9, |scope| scope.outer), labels(&[]));
    }

    #[test]
    fn a_block_counts_over_the_arguments_of_its_function() {
        let mut scopes = Scopes::default();
        scopes.say(scope(1, 0, 0, &[("a", "block")]));
        scopes.say(RawScope { is_of_arguments: true, ..scope(9, 1, 0, &[("a", "argument"), ("b", "argument")]) });
        assert_eq!(scopes.labels(9, |scope| scope.outer), labels(&[("a", "block"), ("b", "argument")]));
    }

    #[test]
    fn scopes_that_lead_in_a_circle_have_an_end() {
        let mut scopes = Scopes::default();
        scopes.say(scope(1, 2, 1, &[("a", "1")]));
        scopes.say(scope(2, 1, 1, &[("b", "2")]));
        assert_eq!(scopes.labels(2, |scope| scope.outer), labels(&[("a", "1"), ("b", "2")]));
        assert_eq!(scopes.labels(1, |scope| scope.inherits), labels(&[("a", "1")]));
    }

    #[test]
    fn what_was_said_long_ago_is_forgotten_unless_it_was_said_again() {
        let mut scopes = Scopes::default();
        let said = |scopes: &mut Scopes, serial| scopes.say(scope(serial, 0, 0, &[("k", "v")]));
        said(&mut scopes, 1);
        said(&mut scopes, 2);
        said(&mut scopes, 1);
        (3..REMEMBERED_SCOPES as u64 + 2).for_each(|serial| said(&mut scopes, serial));
        let known = |scopes: &Scopes, serial| !scopes.labels(serial, |_| 0).is_empty();
        assert!(known(&scopes, 1) && !known(&scopes, 2) && known(&scopes, 3));
        said(&mut scopes, u64::MAX);
        assert!(!known(&scopes, 1) && known(&scopes, 3) && known(&scopes, u64::MAX));
    }

    #[test]
    fn too_many_values_are_one() {
        let mut contexts = Contexts::default();
        for value in 0..MOST_VALUES {
            let (_, folded) = contexts.of(labels(&[("user", &value.to_string())]), None);
            assert_eq!(folded, 0);
        }
        let (id, folded) = contexts.of(labels(&[("job", "x"), ("user", "one more")]), None);
        assert_eq!((labels_of(&contexts, id), folded), (vec![("job", "x"), ("user", OTHER)], 1));
        let (id, folded) = contexts.of(labels(&[("user", "77")]), None);
        assert_eq!((labels_of(&contexts, id), folded), (vec![("user", "77")], 0));
        for key in 0..MOST_KEYS {
            contexts.of(labels(&[(&format!("key {key}"), "v")]), None);
        }
        let (id, folded) = contexts.of(labels(&[("one key more", "v")]), None);
        assert_eq!((labels_of(&contexts, id), folded), (vec![(OTHER, OTHER)], 1));
    }
}
