//! What is asked to be shown of a profile, checked against what there is.

use super::candidates;
use crate::args::{Grouping, Samples};
use anyhow::{Result, bail};
use pronk_symbolizer::profile::{Counting, Profile};
use pronk_symbolizer::view::{By, Only, View, ViewOptions, label_keys, shown};
use std::collections::BTreeSet;

impl Grouping {
    /// What samples are set apart by; what is usual, if nothing is asked for.
    ///
    /// # Errors
    /// When tasks are to be told apart and it is not tasks that are asked for.
    pub fn by(&self, usual: Option<By>) -> Result<Option<By>> {
        match (self.by.clone().or(usual), self.each_task) {
            (by, false) => Ok(by),
            (Some(By::Task), true) => Ok(Some(By::EachTask)),
            (Some(by), true) => bail!("--each-task goes with --by task, and not with --by {by}"),
            (None, true) => bail!("--each-task goes with --by task: ask for that, too"),
        }
    }
}

/// Which samples of a profile to show, set apart by `by`.
///
/// # Errors
/// When no sample has what is asked for, with what there is.
pub fn options(samples: Samples, by: Option<By>, profile: &Profile) -> Result<ViewOptions> {
    if let Some(name) = &samples.thread {
        check_thread(name, profile)?;
    }
    for only in &samples.only {
        check_only(only, profile)?;
    }
    if let Some(By::Label(key)) = &by {
        check_key(key, profile)?;
    }
    if samples.unperturbed && profile.meta.stubs != "windowed" {
        bail!("--unperturbed needs a profile with stubs in windows: record it with --budget 2");
    }
    if samples.compensate && profile.quality.counting == Counting::Not {
        bail!("--compensate needs a profile with numbers of calls: record it with --stubs full");
    }
    let Samples { thread, only, unperturbed, compensate } = samples;
    Ok(ViewOptions { thread, only, unperturbed, compensate, by, ..ViewOptions::default() })
}

fn check_thread(name: &str, profile: &Profile) -> Result<()> {
    let names: BTreeSet<&str> =
        profile.threads.iter().map(|thread| profile.strings[thread.name.index()].as_str()).collect();
    let is_id = profile.threads.iter().any(|thread| thread.tid.to_string() == name);
    if !names.contains(name) && !is_id {
        let names: Vec<_> = names.into_iter().collect();
        bail!("the profile has no thread named {name}; its threads are named: {}", names.join(", "));
    }
    Ok(())
}

fn check_only(only: &Only, profile: &Profile) -> Result<()> {
    if let By::Label(key) = only.by() {
        check_key(key, profile)?;
    }
    let by = ViewOptions { by: Some(only.by().clone()), ..ViewOptions::default() };
    let values = View::new(profile, &by).values();
    if !values.is_empty() && !values.iter().any(|count| only.matches(&count.value)) {
        let values: Vec<String> = values.iter().map(|count| shown(&count.value)).collect();
        bail!("no sample has {only}; there are, by {}: {}", only.by(), candidates(values.iter().map(String::as_str)));
    }
    Ok(())
}

/// A key that no label has is a slip, except where there are no samples that could have any.
fn check_key(key: &str, profile: &Profile) -> Result<()> {
    let keys = label_keys(profile);
    if profile.samples.is_empty() || keys.contains(key) {
        return Ok(());
    }
    match keys.is_empty() {
        true => bail!("no sample has a label {key}: the profile has no labels"),
        false => bail!("no sample has a label {key}; the labels of the profile are: {}", candidates(keys)),
    }
}
