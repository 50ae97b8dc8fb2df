//! Writes results: the data as JSON, a table as Markdown, in a directory of their own.

use crate::accuracy::Accuracy;
use crate::interpreter::Python;
use crate::overhead::Overhead;
use crate::sampling::Sampling;
use anyhow::{Context, Result};
use pronk_overhead::machine::Machine;
use pronk_overhead::statistics::{Estimate, Verdict};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything that was measured in one go.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The day, as `2026-01-31`.
    pub date: String,
    /// What pronk says of its version.
    pub pronk: String,
    /// The machine.
    pub machine: Machine,
    /// The interpreters that were used.
    pub pythons: Vec<Python>,
    /// Samples asked for per second of CPU time.
    pub frequency: u32,
    /// Further options of `pronk record`.
    pub options: Vec<String>,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measured,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// What pronk costs.
    Overhead(Vec<Overhead>),
    /// How right it is.
    Accuracy(Vec<Accuracy>),
    /// How sampling itself goes.
    Sampling(Vec<Sampling>),
}

impl Results {
    /// Writes the results into a new directory `<date>-<machine>` below `runs`, or with a number behind it if there is
    /// one already. Returns the directory.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, runs: &Path) -> Result<PathBuf> {
        let directory = new_directory(runs, &format!("{}-{}", self.date, self.machine.label()))?;
        let name = match self.measured {
            Measured::Overhead(_) => "overhead",
            Measured::Accuracy(_) => "accuracy",
            Measured::Sampling(_) => "sampling",
        };
        let put = |extension: &str, text: String| {
            let file = directory.join(format!("{name}.{extension}"));
            fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
        };
        put("json", serde_json::to_string_pretty(self)? + "\n")?;
        put("md", self.to_markdown())?;
        Ok(directory)
    }

    /// The results as a page for people.
    pub fn to_markdown(&self) -> String {
        let mut page = String::new();
        let (title, table) = match &self.measured {
            Measured::Overhead(overheads) => ("What pronk costs", overhead_table(overheads)),
            Measured::Accuracy(accuracies) => ("How right pronk is", accuracy_table(accuracies)),
            Measured::Sampling(samplings) => ("How sampling goes", sampling_table(samplings)),
        };
        let machine = &self.machine;
        let pythons: Vec<String> = self
            .pythons
            .iter()
            .map(|p| format!("{} ({}, {})", p.version, p.compiler, if p.shared { "shared" } else { "static" }))
            .collect();
        let _ = writeln!(page, "# {title}\n");
        let _ = writeln!(page, "- date: {}", self.date);
        let options: String = self.options.iter().map(|option| format!(", {option}")).collect();
        let _ = writeln!(page, "- {}, {} Hz{options}", self.pronk, self.frequency);
        let virtual_machine = if machine.virtual_machine { ", virtual machine" } else { "" };
        let _ = writeln!(page, "- processor: {}, {} cores{virtual_machine}", machine.cpu, machine.cores);
        let _ = writeln!(page, "- system: {}, Linux {}, {} MiB", machine.system, machine.kernel, machine.memory_mib);
        if let Some(load) = machine.load {
            let _ = writeln!(page, "- load when measuring began: {load:.2}");
        }
        let _ = writeln!(page, "- Python: {}\n\n{table}", pythons.join("; "));
        page
    }
}

fn overhead_table(overheads: &[Overhead]) -> String {
    let mut table = String::from(
        "Ratios, profiled to plain: the median of the pairs [interval that holds the true median with at least 95 %].\n\n\
         | workload | Python | pairs | time on the clock | CPU time of the target | CPU time of all | the target's CPU time |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for o in overheads {
        let python = o.python.as_deref().unwrap_or("");
        let mut verdict = match o.cpu_against_none {
            Verdict::Above => "more than plain",
            Verdict::Below => "less than plain",
            Verdict::Undecided => "not told from plain",
        }
        .to_owned();
        match o.cpu_against_budget {
            Some(Verdict::Above) => verdict.push_str(", over the budget"),
            Some(Verdict::Below) => verdict.push_str(", within the budget"),
            Some(Verdict::Undecided) => verdict.push_str(", undecided against the budget"),
            None => {}
        }
        if !o.same_output {
            verdict.push_str("; **stdout differs**");
        }
        let (wall, cpu, total) = (show(&o.wall), show(&o.cpu), show(&o.total_cpu));
        let _ = writeln!(table, "| {} | {python} | {} | {wall} | {cpu} | {total} | {verdict} |", o.name, o.pairs.len());
    }
    table
}

fn show(estimate: &Estimate) -> String {
    match estimate.interval {
        Some(interval) => format!("{:.3} [{:.3}, {:.3}]", estimate.median, interval.low, interval.high),
        None => format!("{:.3} [too few pairs]", estimate.median),
    }
}

fn accuracy_table(accuracies: &[Accuracy]) -> String {
    let mut table = String::from(
        "Errors are the profile's share less the true one, in percentage points; in brackets the true share in percent.\n\n",
    );
    let names: Vec<&str> =
        accuracies.first().map(|a| a.shares.iter().map(|s| s.qualname.as_str()).collect()).unwrap_or_default();
    let _ = writeln!(table, "| Python | {} | worst | samples | per second | reach `<module>` |", names.join(" | "));
    let _ = writeln!(table, "|---|{}---|---|---|---|", "---|".repeat(names.len()));
    for a in accuracies {
        let errors: Vec<String> =
            a.shares.iter().map(|s| format!("{:+.2} ({:.2})", s.error(), s.true_percent)).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {:.2} | {} | {:.1} | {:.2} % |",
            a.python,
            errors.join(" | "),
            a.worst_error,
            a.samples,
            a.samples_per_second,
            a.complete_percent
        );
    }
    table
}

fn sampling_table(samplings: &[Sampling]) -> String {
    let mut table = String::from(
        "What a sample takes is the program's time in the signal handler, by the clock that goes on while others run.\n\n\
         | program | Python | samples | per second | lost | taken again | without Python frames | p50 | p99 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let microseconds = |ns: Option<u64>| ns.map_or("".to_owned(), |ns| format!("{:.1} \u{b5}s", ns as f64 / 1e3));
    for Sampling { program, python, quality } in samplings {
        let rate = quality.achieved_hz.map_or("".to_owned(), |hz| format!("{hz:.0}"));
        let all = quality.samples.saturating_add(quality.lost).max(1);
        let lost = format!("{} ({:.3} %)", quality.lost, 100.0 * quality.lost as f64 / all as f64);
        let [p50, p99] = [quality.handler_p50_ns, quality.handler_p99_ns].map(microseconds);
        let (samples, retaken, torn) = (quality.samples, quality.retaken, quality.torn);
        let _ = writeln!(
            table,
            "| {program} | {python} | {samples} | {rate} | {lost} | {retaken} | {torn} | {p50} | {p99} |"
        );
    }
    table
}

fn new_directory(runs: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(runs).with_context(|| format!("{} cannot be made", runs.display()))?;
    let mut number = 1u64;
    loop {
        let directory = runs.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be made", directory.display())),
        }
    }
}

/// Today's date, in UTC.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    date(seconds / 86_400)
}

/// The date so many days after 1970-01-01, by counting years and months.
fn date(mut days: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(58), "1970-02-28");
        assert_eq!(date(59), "1970-03-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(11_322), "2000-12-31");
        assert_eq!(date(11_323), "2001-01-01");
        assert_eq!(date(20_779), "2026-11-22");
    }

    #[test]
    fn results_of_one_day_do_not_replace_each_other() {
        let runs = tempfile::tempdir().expect("a directory");
        let names: Vec<_> = (0..3)
            .map(|_| new_directory(runs.path(), "2026-01-01-m").expect("a directory"))
            .map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(names, ["2026-01-01-m", "2026-01-01-m-2", "2026-01-01-m-3"].map(|n| Some(n.to_owned())));
    }

    #[test]
    fn too_few_pairs_are_said_in_the_table() {
        let estimate = Estimate::of(&[1.25, 1.5, 1.75]).expect("an estimate");
        assert_eq!(show(&estimate), "1.500 [too few pairs]");
        let estimate = Estimate::of(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]).expect("an estimate");
        assert_eq!(show(&estimate), "1.250 [1.000, 1.500]");
    }
}
