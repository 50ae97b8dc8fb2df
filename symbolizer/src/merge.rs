//! Turns a recording into a profile: names for every frame, native and Python frames in one stack.

use crate::counts::Counts;
use crate::names::Names;
use crate::native::{DEBUG_ROOT, KALLSYMS};
use crate::profile::{self, Meta, Profile, Quality, StackId};
use crate::registry::{Registries, full_name};
use crate::tables::{FunctionText, Tables};
use pronk_sampler::recording::{self, Event, Recording, TaskRoot};
use std::collections::BTreeMap;
use std::path::Path;

/// Gives names to a recording.
///
/// Reads the registries in the recording's session directory, and the files that are mapped, so it must run while the
/// session's directory is there. What cannot be read costs names; [`Quality`] says how many.
pub fn symbolize(recording: &Recording, meta: Meta) -> Profile {
    symbolize_with(recording, meta, Path::new(DEBUG_ROOT), Path::new(KALLSYMS))
}

/// [`symbolize`] with another directory of debug files and another list of the kernel's symbols.
pub(crate) fn symbolize_with(recording: &Recording, meta: Meta, debug_root: &Path, kallsyms: &Path) -> Profile {
    let registries = Registries::load(&recording.session);
    let mut names = Names::new(debug_root, kallsyms);
    names.go_on(recording, &registries);
    let tables = std::mem::take(&mut names.tables);
    put_together(recording, &registries, &names, tables, meta)
}

/// The profile of a recording of which every stack has its names, with the tables that these are in.
pub(crate) fn put_together(
    recording: &Recording,
    registries: &Registries,
    names: &Names,
    mut tables: Tables,
    meta: Meta,
) -> Profile {
    let stacks = names.stacks();
    let processes = processes(recording, registries, &mut tables);
    let threads = recording.threads.iter().map(|thread| profile::Thread {
        process: profile::ProcessId(thread.process.0),
        tid: thread.tid,
        name: tables.string(&thread.name),
        main: thread.main,
    });
    let threads = threads.collect();
    let contexts: Vec<profile::Context> = recording
        .contexts
        .all()
        .iter()
        .map(|context| self::context(context, &recording.codes, registries, stacks, &mut tables))
        .collect();
    let known_context =
        |id: recording::ContextId| Some(profile::ContextId(id.0)).filter(|id| id.index() < contexts.len());
    let mut samples: Vec<profile::Sample> = recording
        .samples
        .iter()
        .map(|sample| profile::Sample {
            thread: profile::ThreadId(sample.thread.0),
            time_ns: sample.time.0.saturating_sub(recording.started.0),
            stack: sample.stack.and_then(|stack| stacks.get(stack.index()).copied()),
            context: sample.context.and_then(known_context),
            weight: sample.weight,
            in_window: sample.in_window,
        })
        .collect();
    samples.sort_by_key(|sample| sample.time_ns);
    let counts = Counts::load(&recording.counts, registries);
    let calls = calls(&counts, &mut tables);
    let quality = quality(recording, registries, names, &counts);
    let (strings, functions, frames, stacks) = tables.finish();
    Profile { meta, quality, strings, processes, threads, functions, frames, stacks, contexts, samples, calls }
}

/// The functions that were called, by their rows. What differs in nothing that is shown is one.
fn calls(counts: &Counts, tables: &mut Tables) -> Vec<profile::Calls> {
    let mut calls: BTreeMap<profile::FunctionId, profile::Calls> = BTreeMap::new();
    for (function, called) in &counts.calls {
        let text = FunctionText {
            name: &function.name,
            file: function.file.as_deref(),
            first_line: function.first_line,
            binary: None,
            category: profile::Category::Python,
        };
        let id = tables.function(text);
        let nothing =
            profile::Calls { function: id, count: 0, error: None, cost_ns: 0, resumes: false, at_least: false };
        let one = calls.entry(id).or_insert(nothing);
        one.count = one.count.saturating_add(called.count());
        one.error = match (one.error, called.error()) {
            (Some(error), Some(more)) => Some(error.saturating_add(more)),
            (error, more) => error.or(more),
        };
        one.cost_ns = one.cost_ns.saturating_add(called.cost_ps() / 1000);
        one.resumes |= function.kind.resumes();
        one.at_least |= function.led_round;
    }
    calls.into_values().collect()
}

pub(crate) fn context(
    context: &recording::Context,
    codes: &[recording::PythonCode],
    registries: &Registries,
    stacks: &[StackId],
    tables: &mut Tables,
) -> profile::Context {
    let labels = context.labels.iter().map(|(key, value)| (tables.string(key), tables.string(value))).collect();
    let root = |task: &recording::Task| {
        let name = task.root.and_then(|root| match root {
            TaskRoot::Code(id) => codes.get(id.index()).map(|code| full_name(&code.module, &code.qualname)),
            TaskRoot::Stub(token, stub) => registries.function(token, stub).map(|function| function.name.clone()),
        });
        name.unwrap_or_default()
    };
    let task = context.task.as_ref().map(|task| profile::Task {
        name: tables.string(&task.name),
        root: tables.string(&root(task)),
        below: task.below,
        awaiters: task.awaiters.and_then(|awaiters| stacks.get(awaiters.index()).copied()),
    });
    profile::Context { labels, task }
}

fn processes(recording: &Recording, registries: &Registries, tables: &mut Tables) -> Vec<profile::Process> {
    let mut processes: Vec<profile::Process> = Vec::new();
    for process in &recording.processes {
        let parent = process.parent.filter(|parent| parent.index() < processes.len());
        let mut python = registries.support(process);
        if let (profile::PythonSupport::NotPython, Some(parent)) = (&python, parent) {
            // A fork is what its parent is. An image of another program has the same process id as its parent.
            let forked = processes.get(parent.index()).filter(|parent| parent.pid != process.pid);
            if let Some(refused @ profile::PythonSupport::Refused(_)) = forked.map(|parent| &parent.python) {
                python = refused.clone();
            }
        }
        processes.push(profile::Process {
            pid: process.pid,
            parent: parent.map(|parent| profile::ProcessId(parent.0)),
            name: tables.string(&process.name),
            python,
        });
    }
    for (pid, python) in registries.refused_elsewhere(&recording.processes) {
        processes.push(profile::Process { pid, parent: None, name: tables.string("python"), python });
    }
    processes
}

fn quality(recording: &Recording, registries: &Registries, names: &Names, counts: &Counts) -> Quality {
    let losses = &recording.losses;
    let samples = recording.sample_count();
    // The CPU time says nothing of the samples that are taken while a thread waits, or only while it holds a lock.
    let is_of_cpu_time = !matches!(recording.event, Event::Wall | Event::Gil);
    let cpu_time = losses.cpu_time.filter(|_| is_of_cpu_time);
    let cpu_seconds = cpu_time.map(|time| time.as_secs_f64()).filter(|&seconds| seconds > 0.0);
    let mut notes = [registries.notes.as_slice(), &counts.notes, &recording.notes].concat();
    if losses.malformed > 0 {
        notes.push(format!("{} records could not be read", losses.malformed));
    }
    Quality {
        samples,
        achieved_hz: cpu_seconds.map(|seconds| samples as f64 / seconds),
        lost: losses.lost,
        throttled: losses.throttled,
        truncated: losses.truncated,
        gaps: losses.gaps,
        without_stack: losses.without_stack,
        retaken: losses.retaken,
        torn: losses.torn,
        held_back: losses.held_back,
        unsampled_threads: losses.unsampled_threads,
        folded_values: losses.folded_values,
        unrecorded_scopes: losses.unrecorded_scopes,
        handler_p50_ns: losses.handler.map(|times| times.p50_ns),
        handler_p99_ns: losses.handler.map(|times| times.p99_ns),
        unresolved_frames: names.unresolved(),
        unnamed_stubs: names.unnamed(),
        unregistered_functions: registries.unregistered(),
        deep_stops: registries.deep_stops(),
        counting: counts.counting,
        stubs: counts.stubs,
        kernel_excluded: losses.kernel_excluded,
        notes,
    }
}

#[cfg(test)]
mod tests;
