//! The report for people: a table of functions.

use super::Export;
use super::calls::{self, CallTimes};
use crate::messages::{percent, printable, thousands};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::{FunctionCount, View, ViewOptions};
use std::cmp::Reverse;
use std::io::{self, Write};

/// By what functions are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By the samples in the function itself.
    #[default]
    Itself,
    /// By the samples in the function and in what it called.
    Total,
    /// By the number of its calls; with functions that are in no sample.
    Calls,
}

impl Order {
    /// The functions of a view, in this order.
    pub fn functions(self, view: &View<'_>) -> Vec<FunctionCount> {
        let mut functions = view.functions();
        match self {
            Order::Itself => {}
            Order::Total => functions.sort_by_key(|count| Reverse((count.total_samples, count.self_samples))),
            Order::Calls => {
                functions.extend(view.functions_without_samples());
                functions.sort_by_key(|count| Reverse(view.calls(count.function).map_or(0, |calls| calls.count)));
            }
        }
        functions
    }
}

/// What a report for people begins with: what was profiled, and how many samples the report is of.
pub fn heading(profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
    let meta = &profile.meta;
    let (command, event) = (printable(&meta.command.join(" ")), printable(&meta.event));
    let (samples, seconds) = (thousands(view.sample_count()), meta.duration_ns as f64 / 1e9);
    writeln!(to, "{command}\n{samples} samples of {event} at {} Hz in {seconds:.1} s", meta.frequency)?;
    let ViewOptions { thread, only, unperturbed, compensate, .. } = view.options();
    if let Some(thread) = thread {
        writeln!(to, "only threads named {}", printable(thread))?;
    }
    if *unperturbed {
        writeln!(to, "only samples outside of windows with stubs")?;
    }
    if *compensate {
        let taken = thousands(view.compensated());
        writeln!(
            to,
            "compensated: calls through stubs are estimated to have cost {taken} samples, which are left out"
        )?;
    }
    only.iter().try_for_each(|only| writeln!(to, "only {}", printable(&only.to_string())))
}

/// A number of samples, and what share it is of all.
pub fn cell(samples: u64, all: u64) -> String {
    format!("{:>10} {:>6.2}%", thousands(samples), percent(samples, all))
}

/// Writes a table of functions.
#[derive(Debug)]
pub struct Table {
    /// By what it is sorted.
    pub order: Order,
    /// How many functions it has at most.
    pub top: usize,
}

impl Export for Table {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let all = view.sample_count();
        heading(profile, view, to)?;
        let functions = self.order.functions(view);
        if functions.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = functions.iter().take(self.top).collect();
        let times: Vec<_> = rows.iter().map(|count| CallTimes::of(view, &profile.meta, count)).collect();
        let is_counted = times.iter().any(Option::is_some);
        let estimated = times.iter().flatten().any(|times| times.error.is_some());
        let columns = if is_counted { calls::columns(estimated) + "  " } else { String::new() };
        writeln!(to, "\n{:>18}  {:>18}  {columns}function", "self", "total")?;
        for (count, times) in rows.into_iter().zip(&times) {
            let (own, total) = (cell(count.self_samples, all), cell(count.total_samples, all));
            let calls = if is_counted { calls::cells(*times, estimated) + "  " } else { String::new() };
            writeln!(to, "{own}  {total}  {calls}{}", view.label(count.function))?;
        }
        if is_counted {
            calls::notes(profile, &times, to)?;
        }
        rest(functions.len(), self.top, to)
    }
}

/// What a table ends with: how many more rows there are than it has.
pub fn rest(all: usize, top: usize, to: &mut dyn Write) -> io::Result<()> {
    match all.saturating_sub(top) {
        0 => Ok(()),
        more => writeln!(to, "{more} more: --top {all} shows all"),
    }
}
