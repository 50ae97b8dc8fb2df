//! A profile while it is recorded: names and counts that grow with the recording.
//!
//! A [`Live`] takes each [`Growth`] of a session. Each address and each code object is named when it is first seen, each stack is
//! looked through once, and a step costs as much as there is new in it. What was counted in the last seconds and so far is in
//! [`Counts`]; [`Live::profile`] makes a whole profile of what has been recorded by now.

mod counts;
mod history;
mod stacks;
mod tally;
mod values;

pub use counts::{Counts, Of, Spent, WINDOW};
pub use tally::Seen;

use crate::merge;
use crate::names::Names;
use crate::native::{DEBUG_ROOT, KALLSYMS};
use crate::profile::{FunctionId, Meta, NativeFrames, Profile, PythonSupport};
use crate::registry::Registries;
use crate::view::{self, Line};
use history::History;
use pronk_sampler::Growth;
use pronk_sampler::recording::{Frame, Losses, MonotonicNs, Recording, Sample, Thread};
use stacks::Stacks;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use values::{OfContext, Values, WITHOUT_TASK};

/// What a function is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionName {
    /// See [`view::View::label`].
    pub label: String,
    /// The whole name of its file; empty where that is not known.
    pub file: String,
    shown: bool,
}

/// A profile that grows.
#[derive(Debug)]
pub struct Live {
    /// Without its samples.
    recording: Recording,
    /// What was lost before the profile begins, if it does not begin with the session.
    lost_before: Option<Losses>,
    history: History,
    registries: Registries,
    names: Names,
    native: NativeFrames,
    functions: Vec<FunctionName>,
    stacks: Stacks,
    contexts: Vec<OfContext>,
    values: Values,
    counts: Counts,
}

impl Live {
    /// A profile of a recording in which there is nothing yet. `native` says which native frames are counted.
    pub fn new(recording: Recording, native: NativeFrames) -> Live {
        let counts = Counts::new(recording.started);
        Live {
            recording,
            lost_before: None,
            history: History::default(),
            registries: Registries::default(),
            names: Names::new(Path::new(DEBUG_ROOT), Path::new(KALLSYMS)),
            native,
            functions: Vec::new(),
            stacks: Stacks::default(),
            contexts: Vec::new(),
            values: Values::new(),
            counts,
        }
    }

    /// Takes what is new.
    pub fn grow(&mut self, growth: Growth) {
        let has_stubs = growth.stacks.iter().any(|(_, frame)| matches!(frame, Frame::Stub(..)));
        // What an agent says of itself is looked for until there are samples.
        if has_stubs || !growth.processes.is_empty() || self.counts.samples().so_far == 0 {
            self.registries.read_on(&self.recording.session);
        }
        let (until, cpu_time) = (growth.until, growth.cpu_time);
        let samples = self.recording.grow(growth);
        self.take(&samples, until, cpu_time);
    }

    /// The recording is over: this is all of it, but for the samples that were handed over before.
    pub fn finish(&mut self, mut recording: Recording) {
        let samples = std::mem::take(&mut recording.samples);
        let (started, started_at) = (self.recording.started, self.recording.started_at);
        self.recording = Recording { started, started_at, ..recording };
        self.registries.read_on(&self.recording.session);
        // A recording says what was sampled, which may be less than what the processes used.
        let cpu_time = self.recording.losses.cpu_time.unwrap_or_default().max(self.counts.cpu_time().so_far);
        self.take(&samples, self.recording.ended, cpu_time);
    }

    fn take(&mut self, samples: &[Sample], until: MonotonicNs, cpu_time: Duration) {
        self.names.go_on(&self.recording, &self.registries);
        self.name_what_is_new();
        self.count(samples);
        self.history.add(samples);
        self.counts.step(until, cpu_time, self.recording.losses.clone());
    }

    fn name_what_is_new(&mut self) {
        let Names { tables, .. } = &self.names;
        let strings = tables.strings();
        for function in &tables.functions()[self.functions.len()..] {
            self.functions.push(FunctionName {
                label: view::label(strings, function, Line::Begins),
                file: function.file.map_or_else(String::new, |file| strings[file.index()].clone()),
                shown: view::shows(strings, function, self.native),
            });
        }
        for stack in &tables.stacks()[self.stacks.len()..] {
            let function = tables.frames()[stack.frame.index()].function;
            let shown = self.functions[function.index()].shown.then_some(function);
            self.stacks.push(stack.below.map(|below| below.index()), shown);
        }
        for context in &self.recording.contexts.all()[self.contexts.len()..] {
            let stacks = self.names.stacks();
            // In a table of its own, since a profile has its texts in another order.
            let mut tables = crate::tables::Tables::new();
            let context = merge::context(context, &self.recording.codes, &self.registries, stacks, &mut tables);
            self.contexts.push(self.values.of(tables.strings(), &context));
        }
    }

    fn count(&mut self, samples: &[Sample]) {
        let mut by_stack: HashMap<usize, u64> = HashMap::new();
        for sample in samples {
            let times = u64::from(sample.weight);
            self.counts.add_samples(times);
            self.counts.add(Of::Thread, sample.thread.0, times);
            let context = sample.context.and_then(|context| self.contexts.get(context.index()));
            self.counts.add(Of::Task, context.map_or(WITHOUT_TASK, |context| context.task), times);
            for &label in context.iter().flat_map(|context| &context.labels) {
                self.counts.add(Of::Label, label, times);
            }
            if let Some(stack) = sample.stack.and_then(|stack| self.names.stacks().get(stack.index())) {
                *by_stack.entry(stack.index()).or_default() += times;
            }
        }
        for (stack, times) in by_stack {
            if let Some(newest) = self.stacks.newest(stack) {
                self.counts.add(Of::Own, newest.0, times);
            }
            self.stacks.functions(stack).for_each(|function| self.counts.add(Of::Total, function, times));
            self.stacks.calls(stack).for_each(|call| self.counts.add(Of::Call, call, times));
        }
    }

    /// What was counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The functions, by their numbers.
    pub fn functions(&self) -> &[FunctionName] {
        &self.functions
    }

    /// The calls that lead to a function: their numbers, and who makes them.
    pub fn callers(&self, function: FunctionId) -> &[(u32, FunctionId)] {
        self.stacks.callers(function)
    }

    /// The calls that a function makes: their numbers, and to whom.
    pub fn callees(&self, function: FunctionId) -> &[(u32, FunctionId)] {
        self.stacks.callees(function)
    }

    /// The threads, by their numbers.
    pub fn threads(&self) -> &[Thread] {
        &self.recording.threads
    }

    /// The tasks, by their numbers: see [`view::By::Task`].
    pub fn tasks(&self) -> &[String] {
        self.values.tasks()
    }

    /// The keys of labels.
    pub fn label_keys(&self) -> &[String] {
        self.values.keys()
    }

    /// The values of a label, with their numbers.
    pub fn label_values(&self, key: &str) -> &[(u32, String)] {
        self.values.of_key(key)
    }

    /// Why nothing is seen in a process, where that is so.
    pub fn refusal(&self) -> Option<String> {
        let known = self.recording.processes.iter().map(|process| (process.pid, self.registries.support(process)));
        let others = self.registries.refused_elsewhere(&self.recording.processes);
        known.chain(others).find_map(|(pid, support)| match support {
            PythonSupport::Refused(why) => Some(format!("process {pid}: {why}")),
            PythonSupport::NotPython | PythonSupport::Stubs(_) => None,
        })
    }

    /// The recording so far, without its samples.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// A whole profile of what has been recorded so far.
    pub fn profile(&mut self, meta: Meta) -> Profile {
        self.recording.samples = self.history.samples();
        let losses = self.recording.losses.clone();
        if let Some(before) = &self.lost_before {
            self.recording.losses = losses.since(before);
        }
        let tables = self.names.tables.clone();
        let profile = merge::put_together(&self.recording, &self.registries, &self.names, tables, meta);
        self.recording.losses = losses;
        self.recording.samples = Vec::new();
        profile
    }

    /// The same; what is recorded from now on makes another profile, in which there is nothing of what was so far.
    pub fn turn(&mut self, meta: Meta) -> Profile {
        let profile = self.profile(meta).part(|_| true);
        self.history = History::default();
        self.lost_before = Some(self.recording.losses.clone());
        let Recording { started, ended, started_at, .. } = &mut self.recording;
        *started_at += Duration::from_nanos(ended.0.saturating_sub(started.0));
        *started = *ended;
        profile
    }
}

#[cfg(test)]
mod tests;
