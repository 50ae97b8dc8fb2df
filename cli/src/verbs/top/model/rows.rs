//! The rows of each table.

use super::Model;
use crate::messages::printable;
use pronk_sampler::recording::Event;
use pronk_symbolizer::live::{Counts, Live, Of, Seen};
use pronk_symbolizer::profile::FunctionId;
use pronk_symbolizer::view::{NO_LABEL, shown};
use std::cmp::Reverse;

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Function(FunctionId),
    Caller(FunctionId),
    Callee(FunctionId),
    Thread(u32),
    Task(u32),
    Label(u32),
    NoLabel,
}

impl Id {
    /// The function that can be zoomed into.
    pub fn function(self) -> Option<FunctionId> {
        match self {
            Id::Function(function) | Id::Caller(function) | Id::Callee(function) => Some(function),
            Id::Thread(_) | Id::Task(_) | Id::Label(_) | Id::NoLabel => None,
        }
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: Id,
    pub text: String,
    /// How often it was seen by itself, if that is counted.
    pub own: Option<Seen>,
    /// How often it was seen at all.
    pub total: Seen,
    /// How many processors it kept busy in the last seconds, if that is known.
    pub processors: Option<f64>,
}

impl Row {
    fn new(id: Id, text: String, total: Seen) -> Row {
        Row { id, text, own: None, total, processors: None }
    }
}

/// The functions that have the text of the filter in their names or in that of their file.
pub(super) fn functions(model: &Model, live: &Live) -> Vec<Row> {
    let counts = model.counts(live);
    let filter = model.filter.to_lowercase();
    let matches = |text: &str| text.to_lowercase().contains(&filter);
    let functions = live.functions().iter().enumerate().filter_map(|(at, name)| {
        let id = FunctionId(at as u32);
        let total = counts.seen(Of::Total, id.0);
        let wanted = total.so_far > 0 && (filter.is_empty() || matches(&name.label) || matches(&name.file));
        wanted.then(|| function(counts, id, name.label.clone()))
    });
    sorted(model, functions.collect())
}

/// A function, those that call it above, and those that it calls below.
pub(super) fn around(model: &Model, live: &Live, zoomed: FunctionId) -> Vec<Row> {
    let counts = model.counts(live);
    let label = |id: FunctionId| live.functions().get(id.index()).map_or_else(String::new, |name| name.label.clone());
    let rows = |calls: &[(u32, FunctionId)], id: fn(FunctionId) -> Id| {
        let row = |&(call, other): &(u32, FunctionId)| Row::new(id(other), label(other), counts.seen(Of::Call, call));
        sorted(model, calls.iter().map(row).filter(|row| row.total.so_far > 0).collect())
    };
    // The most frequent caller is the one next to the function.
    let mut all = rows(live.callers(zoomed), Id::Caller);
    all.reverse();
    all.push(function(counts, zoomed, label(zoomed)));
    all.extend(rows(live.callees(zoomed), Id::Callee));
    all
}

fn function(counts: &Counts, id: FunctionId, label: String) -> Row {
    let own = Some(counts.seen(Of::Own, id.0));
    Row { own, ..Row::new(Id::Function(id), label, counts.seen(Of::Total, id.0)) }
}

/// The threads.
pub(super) fn threads(model: &Model, live: &Live) -> Vec<Row> {
    let counts = model.counts(live);
    let recording = live.recording();
    let is_of_cpu_time = matches!(recording.event, Event::TaskClock | Event::CpuClock);
    let periods = f64::from(recording.frequency) * counts.time().now.as_secs_f64();
    let threads = live.threads().iter().enumerate().map(|(at, thread)| {
        let seen = counts.seen(Of::Thread, at as u32);
        let pid = recording.processes.get(thread.process.index()).map_or(0, |process| process.pid);
        let name = printable(&thread.name);
        let text = if thread.main { format!("{name} ({pid})") } else { format!("{name} ({pid}/{})", thread.tid) };
        let processors = (is_of_cpu_time && periods > 0.0).then(|| seen.now as f64 / periods);
        Row { processors, ..Row::new(Id::Thread(at as u32), text, seen) }
    });
    sorted(model, threads.filter(|row| row.total.so_far > 0).collect())
}

/// The tasks.
pub(super) fn tasks(model: &Model, live: &Live) -> Vec<Row> {
    let counts = model.counts(live);
    let tasks = live.tasks().iter().enumerate().map(|(at, task)| {
        let at = at as u32;
        Row::new(Id::Task(at), shown(task), counts.seen(Of::Task, at))
    });
    sorted(model, tasks.filter(|row| row.total.so_far > 0).collect())
}

/// The values of a label, and how many samples have none.
pub(super) fn labels(model: &Model, live: &Live) -> Vec<Row> {
    let Some(key) = model.label(live) else { return Vec::new() };
    let counts = model.counts(live);
    let values = live.label_values(key).iter();
    let mut rows: Vec<Row> =
        values.map(|(id, value)| Row::new(Id::Label(*id), shown(value), counts.seen(Of::Label, *id))).collect();
    let all = counts.samples();
    let without = rows.iter().fold(all, |left, row| Seen {
        now: left.now.saturating_sub(row.total.now),
        so_far: left.so_far.saturating_sub(row.total.so_far),
    });
    rows.push(Row::new(Id::NoLabel, NO_LABEL.to_owned(), without));
    sorted(model, rows.into_iter().filter(|row| row.total.so_far > 0).collect())
}

/// The most frequent ones first, in the way that is asked for.
fn sorted(model: &Model, mut rows: Vec<Row>) -> Vec<Row> {
    let count = |seen: Seen| {
        let Seen { now, so_far } = seen;
        if model.by_so_far { (so_far, now) } else { (now, so_far) }
    };
    rows.sort_by_cached_key(|row| {
        let own = row.own.filter(|_| !model.by_total).map_or((0, 0), count);
        let total = count(row.total);
        // What is seen now, before what else was seen so far.
        (Reverse((own.0, total.0, own.1, total.1)), row.text.clone())
    });
    rows
}
