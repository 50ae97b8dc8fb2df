//! A source file with the share of each line beside it, for people and as JSON.
//!
//! The JSON is one object, with these fields; as in the report of functions, fields may be added in version 1.
//!
//! - `version`: 1. `pronk_version`, `command`, `native`, `thread`, `only`, `compensated`, `samples`: as in the report of functions.
//! - `file`: the file, as the profile has it.
//! - `remark`: why the text is missing or may be wrong, or `null`.
//! - `lines`: for each line with samples `line` (its number, from 1 on), `source` (its text, or `null`), `self` and `total`
//!   (samples), `self_percent` and `total_percent`.
//! - `without_line`: `self` and `total`, the samples in which functions of the file were on no line that is known.

use super::Export;
use super::json::{compensated, hundredths, name_of, only};
use super::table::{cell, heading};
use crate::messages::{percent, printable};
use pronk_symbolizer::profile::{Profile, StringId};
use pronk_symbolizer::view::{LineCount, View};
use serde::Serialize;
use std::io::{self, Write};

/// The version of the JSON format.
const VERSION: u32 = 1;

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// The file, as the profile has it.
    pub file: StringId,
    /// Its lines, if they could be read.
    pub text: Option<Vec<String>>,
    /// Why the text is missing or may be wrong.
    pub remark: Option<String>,
}

impl Source {
    fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.text.as_ref()?.get(index).map(String::as_str)
    }
}

/// Writes the whole source, or the lines that were seen if it could not be read.
#[derive(Debug)]
pub struct LinesTable {
    /// The file.
    pub source: Source,
}

impl Export for LinesTable {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let all = view.sample_count();
        let source = &self.source;
        let counts = view.source(source.file);
        heading(profile, view, to)?;
        writeln!(to, "{}", printable(&profile.strings[source.file.index()]))?;
        if let Some(remark) = &source.remark {
            writeln!(to, "{}", printable(remark))?;
        }
        writeln!(to, "\n{:>18}  {:>18}  {:>5}  source", "self", "total", "line")?;
        let share = |samples| if samples == 0 { String::new() } else { cell(samples, all) };
        let mut row = |count: LineCount, line: &str, text: &str| {
            let (own, total) = (share(count.self_samples), share(count.total_samples));
            let row = format!("{own:>18}  {total:>18}  {line:>5}  {}", printable(&text.replace('\t', "    ")));
            writeln!(to, "{}", row.trim_end())
        };
        let last_of_text = source.text.as_ref().map_or(0, |text| u32::try_from(text.len()).unwrap_or(u32::MAX));
        for line in 1..=last_of_text {
            let count = counts.lines.get(&line).copied().unwrap_or_default();
            row(count, &line.to_string(), source.line(line).unwrap_or_default())?;
        }
        for (&line, &count) in counts.lines.range(last_of_text.saturating_add(1)..) {
            row(count, &line.to_string(), "")?;
        }
        if counts.without_line != LineCount::default() {
            row(counts.without_line, "", "(on no line that is known)")?;
        }
        Ok(())
    }
}

/// Writes JSON.
#[derive(Debug)]
pub struct LinesJson {
    /// The file.
    pub source: Source,
}

#[derive(Serialize)]
struct Report<'p> {
    version: u32,
    pronk_version: &'p str,
    command: &'p [String],
    file: &'p str,
    remark: Option<&'p str>,
    native: &'static str,
    thread: Option<&'p str>,
    only: Vec<String>,
    compensated: Option<u64>,
    samples: u64,
    lines: Vec<Line<'p>>,
    without_line: Unknown,
}

#[derive(Serialize)]
struct Line<'p> {
    line: u32,
    source: Option<&'p str>,
    #[serde(rename = "self")]
    itself: u64,
    total: u64,
    self_percent: f64,
    total_percent: f64,
}

#[derive(Serialize)]
struct Unknown {
    #[serde(rename = "self")]
    itself: u64,
    total: u64,
}

impl Export for LinesJson {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let counts = view.source(self.source.file);
        let samples = view.sample_count();
        let line = |(&line, count): (&u32, &LineCount)| Line {
            line,
            source: self.source.line(line),
            itself: count.self_samples,
            total: count.total_samples,
            self_percent: hundredths(percent(count.self_samples, samples)),
            total_percent: hundredths(percent(count.total_samples, samples)),
        };
        let report = Report {
            version: VERSION,
            pronk_version: &profile.meta.pronk_version,
            command: &profile.meta.command,
            file: &profile.strings[self.source.file.index()],
            remark: self.source.remark.as_deref(),
            native: name_of(view.native()),
            thread: view.options().thread.as_deref(),
            only: only(view),
            compensated: compensated(view),
            samples,
            lines: counts.lines.iter().map(line).collect(),
            without_line: Unknown {
                itself: counts.without_line.self_samples,
                total: counts.without_line.total_samples,
            },
        };
        serde_json::to_writer_pretty(&mut *to, &report)?;
        writeln!(to)
    }
}
