//! How many samples have each value by which they are set apart, for people and as JSON.
//!
//! The JSON is one object, with these fields; as in the report of functions, fields may be added in version 1.
//!
//! - `version` to `compensated`: as in the report of functions.
//! - `by`: what samples are set apart by: `task`, `task-group`, `thread`, `process`, or `label:` and the label's key.
//! - `each_task`: true if tasks with asyncio's own names are told apart, too.
//! - `samples`: the number of samples in the report; percentages are of this.
//! - `values`: for each, the most frequent first, `value`, `samples` and `percent`. The value of samples without a task is
//!   `(no task)`, that of samples without the label `(none)`.

use super::Export;
use super::json::{Head, hundredths};
use super::table::{cell, heading, rest};
use crate::messages::{percent, printable};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::{By, View, shown};
use serde::Serialize;
use std::io::{self, Write};

/// Writes a table of values.
#[derive(Debug)]
pub struct ValuesTable {
    /// What the view sets samples apart by.
    pub by: By,
    /// How many values it has at most.
    pub top: usize,
}

impl Export for ValuesTable {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let all = view.sample_count();
        let values = view.values();
        heading(profile, view, to)?;
        if values.is_empty() {
            return Ok(());
        }
        writeln!(to, "\n{:>18}  {}", "samples", printable(&self.by.to_string()))?;
        for count in values.iter().take(self.top) {
            writeln!(to, "{}  {}", cell(count.samples, all), shown(&count.value))?;
        }
        rest(values.len(), self.top, to)
    }
}

/// Writes JSON.
#[derive(Debug)]
pub struct ValuesJson {
    /// What the view sets samples apart by.
    pub by: By,
    /// How many values there are at most.
    pub top: usize,
}

#[derive(Serialize)]
struct Report<'p> {
    #[serde(flatten)]
    head: Head<'p>,
    by: String,
    each_task: bool,
    samples: u64,
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    value: String,
    samples: u64,
    percent: f64,
}

impl Export for ValuesJson {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let all = view.sample_count();
        let values = view.values().into_iter().take(self.top).map(|count| Value {
            value: count.value,
            samples: count.samples,
            percent: hundredths(percent(count.samples, all)),
        });
        let report = Report {
            head: Head::new(profile, view),
            by: self.by.to_string(),
            each_task: self.by == By::EachTask,
            samples: all,
            values: values.collect(),
        };
        serde_json::to_writer_pretty(&mut *to, &report)?;
        writeln!(to)
    }
}
