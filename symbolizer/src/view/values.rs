//! The value of each sample by which samples are set apart, and how many samples have it.

use super::View;
use super::by::By;
use crate::profile::{Profile, Sample};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// How many samples have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// The samples that have it.
    pub samples: u64,
}

/// The value of each sample of a profile.
#[derive(Clone, Debug)]
pub(super) struct Values {
    /// Each value once.
    pub(super) texts: Vec<String>,
    /// The position of the value of each thread; or of that of samples without a context, and of each context.
    positions: Vec<usize>,
    of_threads: bool,
}

impl Values {
    pub(super) fn new(profile: &Profile, by: &By) -> Values {
        let of_threads = by.is_of_threads();
        let values: Vec<String> = if of_threads {
            profile.threads.iter().map(|thread| by.of_thread(profile, thread)).collect()
        } else {
            let of_contexts = profile.contexts.iter().map(|context| by.of_context(&profile.strings, context));
            let lacking = by.lacking().unwrap_or_default();
            [None].into_iter().chain(of_contexts).map(|value| value.unwrap_or_else(|| lacking.to_owned())).collect()
        };
        let mut texts = Vec::new();
        let mut known = HashMap::new();
        let positions = values.into_iter().map(|value| {
            *known.entry(value).or_insert_with_key(|value| {
                texts.push(value.clone());
                texts.len() - 1
            })
        });
        let positions = positions.collect();
        Values { texts, positions, of_threads }
    }

    /// The position of a sample's value in the texts.
    pub(super) fn position(&self, sample: &Sample) -> usize {
        match self.of_threads {
            true => self.positions[sample.thread.index()],
            false => self.positions[sample.context.map_or(0, |context| context.index() + 1)],
        }
    }
}

impl View<'_> {
    /// How many samples have each value, for those that are shown; the most frequent first, then by value. Nothing where
    /// samples are not set apart.
    pub fn values(&self) -> Vec<ValueCount> {
        self.value_counts().into_iter().map(|(_, count)| count).collect()
    }

    /// The same, with the values' positions.
    pub(super) fn value_counts(&self) -> Vec<(usize, ValueCount)> {
        let Some(values) = &self.values else { return Vec::new() };
        let mut counts = vec![None; values.texts.len()];
        for sample in self.shown_samples() {
            *counts[values.position(&sample)].get_or_insert(0) += u64::from(sample.weight);
        }
        let counts = counts.into_iter().zip(&values.texts).enumerate();
        let mut counts: Vec<(usize, ValueCount)> = counts
            .filter_map(|(at, (samples, value))| Some((at, ValueCount { value: value.clone(), samples: samples? })))
            .collect();
        counts.sort_by(|(_, a), (_, b)| (Reverse(a.samples), &a.value).cmp(&(Reverse(b.samples), &b.value)));
        counts
    }
}

/// The keys of all labels of a profile.
pub fn label_keys(profile: &Profile) -> BTreeSet<&str> {
    let labels = profile.contexts.iter().flat_map(|context| &context.labels);
    labels.map(|(key, _)| profile.strings[key.index()].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;
    use crate::view::{NO_LABEL, Only, ViewOptions};

    /// The values by which the samples of a profile are set apart, with how many have each.
    fn values(by: By, only: &[&str]) -> Vec<(String, u64)> {
        let only = only.iter().map(|only| only.parse::<Only>().unwrap()).collect();
        let profile = profile();
        let view = View::new(&profile, &ViewOptions { by: Some(by), only, ..Default::default() });
        let values = view.values();
        assert_eq!(values.iter().map(|count| count.samples).sum::<u64>(), view.sample_count());
        values.into_iter().map(|count| (count.value, count.samples)).collect()
    }

    fn expect(values: &[(&str, u64)]) -> Vec<(String, u64)> {
        values.iter().map(|&(value, samples)| (value.to_owned(), samples)).collect()
    }

    #[test]
    fn each_sample_has_one_value() {
        let by_task = expect(&[("shop.serve (Task-*)", 5), ("(no task)", 3), ("cleaner", 1)]);
        assert_eq!(values(By::Task, &[]), by_task);
        let by_each = expect(&[("(no task)", 3), ("Task-12", 3), ("Task-1", 2), ("cleaner", 1)]);
        assert_eq!(values(By::EachTask, &[]), by_each);
        assert_eq!(values(By::TaskGroup, &[]), expect(&[("shop.serve", 5), ("(no task)", 3), ("cleaner", 1)]));
        assert_eq!(values(By::Thread, &[]), expect(&[("MainThread", 6), ("worker", 3)]));
        assert_eq!(values(By::Process, &[]), expect(&[("python3 (7)", 9)]));
        let label = |key: &str| By::Label(key.to_owned());
        assert_eq!(values(label("tenant"), &[]), expect(&[("(none)", 3), ("a", 3), ("b", 3)]));
        assert_eq!(values(label("route"), &[]), expect(&[("(none)", 8), ("/x", 1)]));
        assert_eq!(values(label("nothing"), &[]), expect(&[("(none)", 9)]));
    }

    #[test]
    fn a_task_that_asyncio_named_and_of_which_no_function_is_known_is_one_all_the_same() {
        let mut profile = profile();
        let root = profile.contexts[2].task.unwrap().root;
        profile.contexts[0].task.as_mut().unwrap().root = root;
        let values = |by| -> Vec<String> {
            let view = View::new(&profile, &ViewOptions { by: Some(by), ..Default::default() });
            view.values().into_iter().map(|count| count.value).collect()
        };
        assert_eq!(values(By::Task), ["(no task)", "shop.serve (Task-*)", "Task-*", "cleaner"]);
        assert_eq!(values(By::TaskGroup), ["(no task)", "shop.serve", "Task-1", "cleaner"]);
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let thread = |only: &[&str]| values(By::Thread, only);
        assert_eq!(thread(&["label:tenant=a"]), expect(&[("MainThread", 2), ("worker", 1)]));
        assert_eq!(thread(&["label:tenant=a", "thread=work*"]), expect(&[("worker", 1)]));
        assert_eq!(thread(&["label:tenant=a", "label:tenant=b"]), []);
        assert_eq!(thread(&["label:tenant=(none)"]), expect(&[("worker", 2), ("MainThread", 1)]));
        assert_eq!(thread(&["task=Task-*"]), expect(&[("MainThread", 5)]));
        assert_eq!(thread(&["task=Task-?"]), expect(&[("MainThread", 2)]));
        assert_eq!(thread(&["task=*"]), expect(&[("MainThread", 5), ("worker", 1)]));
        assert_eq!(thread(&["task=(no task)"]), expect(&[("worker", 2), ("MainThread", 1)]));
        assert_eq!(thread(&["task-group=shop.*"]), expect(&[("MainThread", 5)]));
        assert_eq!(thread(&["process=python3 (?)"]), expect(&[("MainThread", 6), ("worker", 3)]));
        assert_eq!(thread(&["process=git*"]), []);
    }

    #[test]
    fn what_is_chosen_is_chosen_everywhere() {
        let profile = profile();
        let only = vec!["label:tenant=b".parse().unwrap()];
        let view = View::new(&profile, &ViewOptions { only, ..Default::default() });
        let stack = "__main__.<module> (shop.py:1);shop.sort:er  (<string>:1);list_sort (python3.12)";
        assert_eq!(view.folded().into_iter().collect::<Vec<_>>(), [(stack.to_owned(), 3)]);
        assert_eq!((view.sample_count(), view.samples().count()), (3, 1));
        assert_eq!(view.functions().iter().map(|count| count.self_samples).sum::<u64>(), 3);
        let files: Vec<u64> = view.files().iter().map(|count| count.total_samples).collect();
        assert_eq!(files, [3, 3]);
        let lines = view.source(view.files()[0].file);
        assert_eq!(lines.lines.values().chain([&lines.without_line]).map(|count| count.total_samples).sum::<u64>(), 3);
        assert_eq!(view.values(), []);
    }

    #[test]
    fn a_value_is_the_root_of_its_stacks() {
        let mut profile = profile();
        let route = profile.contexts[2].labels[0].1;
        profile.strings[route.index()] = "GET /x;y\n".to_owned();
        let by = Some(By::Label("route".to_owned()));
        let with = |by| View::new(&profile, &ViewOptions { by, ..Default::default() }).folded();
        let (apart, together) = (with(by), with(None));
        assert_eq!(apart.len(), together.len());
        for (stack, count) in &together {
            let root = if stack.contains("page_fault") { "GET /x:y" } else { NO_LABEL };
            assert_eq!(apart.get(&format!("{root};{stack}")), Some(count));
        }
    }

    #[test]
    fn the_keys_of_labels_are_each_there_once() {
        assert_eq!(label_keys(&profile()).into_iter().collect::<Vec<_>>(), ["route", "tenant"]);
    }
}
