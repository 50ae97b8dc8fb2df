//! The tasks and the values of labels, each with a number.

use crate::profile::Context;
use crate::view::{By, NO_TASK};
use std::collections::HashMap;

/// The number of [`NO_TASK`].
pub(super) const WITHOUT_TASK: u32 = 0;

/// What the samples of a context count for.
#[derive(Debug)]
pub(super) struct OfContext {
    pub(super) task: u32,
    pub(super) labels: Vec<u32>,
}

/// Texts with numbers.
#[derive(Debug, Default)]
struct Numbered {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Numbered {
    fn number(&mut self, text: String) -> u32 {
        let next = self.texts.len() as u32;
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }
}

/// All tasks and values that were seen.
#[derive(Debug)]
pub(super) struct Values {
    tasks: Numbered,
    keys: Numbered,
    /// For each key, the numbers of its values.
    by_key: Vec<Vec<(u32, String)>>,
    /// By the numbers of keys and the values.
    labels: HashMap<(u32, String), u32>,
}

impl Values {
    pub(super) fn new() -> Values {
        let mut tasks = Numbered::default();
        tasks.number(NO_TASK.to_owned());
        Values { tasks, keys: Numbered::default(), by_key: Vec::new(), labels: HashMap::new() }
    }

    pub(super) fn of(&mut self, strings: &[String], context: &Context) -> OfContext {
        let task = By::Task.of_context(strings, context).map_or(WITHOUT_TASK, |task| self.tasks.number(task));
        let labels = context.labels.iter().map(|(key, value)| {
            let key = self.keys.number(strings[key.index()].clone());
            let value = &strings[value.index()];
            let next = self.labels.len() as u32;
            let label = *self.labels.entry((key, value.clone())).or_insert(next);
            self.by_key.resize(self.keys.texts.len(), Vec::new());
            if label == next {
                self.by_key[key as usize].push((label, value.clone()));
            }
            label
        });
        let labels = labels.collect();
        OfContext { task, labels }
    }

    pub(super) fn tasks(&self) -> &[String] {
        &self.tasks.texts
    }

    pub(super) fn keys(&self) -> &[String] {
        &self.keys.texts
    }

    pub(super) fn of_key(&self, key: &str) -> &[(u32, String)] {
        self.keys.numbers.get(key).map_or(&[], |key| &self.by_key[*key as usize])
    }
}
