//! What profilers cost, for people: a table with a row for each.

use crate::messages::printable;
use pronk_overhead::campaign::Overheads;
use pronk_overhead::measure::Run;
use pronk_overhead::results::{Compared, Costs};
use pronk_overhead::statistics::{Estimate, Verdict};
use std::io::{self, Write};

/// The name of the row that compares plain runs with each other.
const PLAIN: &str = "plain, again";

/// A program that takes less time is too short to say much of profilers.
const SHORT_SECONDS: f64 = 0.5;

/// Writes the table.
#[derive(Debug)]
pub struct OverheadTable;

const HEADINGS: [&str; 7] =
    ["profiler", "runs", "time on the clock", "CPU time", "CPU time of all", "memory", "starting and ending"];

const LEGEND: &str = "\
Ratios to plain runs of the same round: the median, and where there are 6 runs or more an interval that has the true one with at
least 95 %; \"?\" is where that contains what plain runs have. CPU time and memory are the program's own where the profiler is
another process; \"of all\" has both. The last column is how much longer an empty script takes. The first row is plain runs
against each other: the noise.";

impl OverheadTable {
    /// Writes what was measured.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, overheads: &Overheads, to: &mut dyn Write) -> io::Result<()> {
        for line in head(overheads) {
            writeln!(to, "{}", printable(&line))?;
        }
        writeln!(to)?;
        let costs = overheads.profilers.iter().map(|measured| (measured.name, &measured.costs));
        let rows = [(PLAIN, &overheads.plain)].into_iter().chain(costs).map(|(name, costs)| row(name, costs));
        let table: Vec<[String; 7]> = [HEADINGS.map(str::to_owned)].into_iter().chain(rows).collect();
        let widths: [usize; 7] =
            std::array::from_fn(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for row in &table {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(to, "{}", cells.join("  ").trim_end())?;
        }
        writeln!(to, "\n{LEGEND}")?;
        for line in remarks(overheads) {
            writeln!(to, "{}", printable(&line))?;
        }
        Ok(())
    }
}

/// What was measured, and on what.
fn head(overheads: &Overheads) -> Vec<String> {
    let python = overheads.python.as_ref().map_or_else(String::new, |python| format!("Python {}, ", python.version));
    let machine = &overheads.machine;
    let virtual_machine = if machine.virtual_machine { ", virtual machine" } else { "" };
    let load = machine.load.map_or_else(String::new, |load| format!("; load when it began: {load:.2}"));
    let of = if overheads.interrupted { format!(" of {}", overheads.runs) } else { String::new() };
    vec![
        overheads.command.clone(),
        format!("{python}{}{of} rounds, samplers at {} Hz", overheads.rounds, overheads.frequency),
        format!("{}, {} processors{virtual_machine}, Linux {}{load}", machine.cpu, machine.cores, machine.kernel),
        plain(&overheads.plain_runs),
    ]
}

/// What the ratios are to.
fn plain(rounds: &[Vec<Run>]) -> String {
    let median = |of: fn(&Run) -> f64| {
        let values: Vec<f64> = rounds.iter().flatten().map(of).collect();
        Estimate::of(&values).map_or(0.0, |estimate| estimate.median)
    };
    let (wall, cpu) = (median(|run| run.target.wall), median(|run| run.target.cpu));
    let memory = median(|run| run.target.memory_kib.unwrap_or(0) as f64) / 1024.0;
    let short = if wall < SHORT_SECONDS { "; so short a program measures starting and ending" } else { "" };
    format!("plain: {wall:.2} s on the clock, {cpu:.2} s of CPU time, {memory:.0} MiB{short}")
}

fn row(name: &str, costs: &Costs) -> [String; 7] {
    let ratio = |compared: Option<Compared>| cell(compared, 1.0, "");
    [
        name.to_owned(),
        costs.runs.to_string(),
        ratio(costs.wall),
        ratio(costs.cpu),
        ratio(costs.total_cpu),
        ratio(costs.memory),
        cell(costs.startup_seconds, 1e3, " ms"),
    ]
}

/// An estimate times `scale`.
fn cell(compared: Option<Compared>, scale: f64, unit: &str) -> String {
    let Some(Compared { estimate, against_plain }) = compared else { return "-".to_owned() };
    let number = |value: f64| {
        let value = value * scale;
        if unit.is_empty() && value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
    };
    let interval = estimate
        .interval
        .map_or_else(String::new, |interval| format!(" [{}, {}]", number(interval.low), number(interval.high)));
    let undecided = if against_plain == Verdict::Undecided { " ?" } else { "" };
    format!("{}{unit}{interval}{undecided}", number(estimate.median))
}

/// What the numbers do not say.
fn remarks(overheads: &Overheads) -> Vec<String> {
    let mut remarks = Vec::new();
    let list =
        |statuses: &std::collections::BTreeSet<u8>| statuses.iter().map(u8::to_string).collect::<Vec<_>>().join(" or ");
    let plain = list(&overheads.statuses);
    let said = overheads.plain_runs.iter().flatten().map(|run| run.said.as_str()).find(|said| !said.is_empty());
    match (overheads.statuses.len(), overheads.statuses.first()) {
        (1, Some(0)) | (0, _) => {}
        (1, _) => remarks.push(format!("the command ended with {plain} each time{}", after_colon(said))),
        _ => remarks.push(format!("the command does not do the same each time: it ended with {plain}")),
    }
    for measured in &overheads.profilers {
        let (name, costs) = (measured.name, &measured.costs);
        if !costs.other_statuses.is_empty() {
            let other = list(&costs.other_statuses);
            remarks.push(format!(
                "{name} changes the program, or fails: it ended with {other}, and plain with {plain}; such runs do not count{}",
                after_colon(costs.said_then.as_deref())
            ));
        }
        if let Some(last) = costs.failed.last() {
            remarks.push(format!("{name} failed in {} of its runs: {last}", costs.failed.len()));
        }
    }
    if overheads.profilers.iter().any(|measured| measured.costs.wall.is_some() && measured.costs.memory.is_none()) {
        remarks.push(
            "where memory is missing, the time on the clock is the profiler's and the program's together".to_owned(),
        );
    }
    if !overheads.left_out.is_empty() {
        let left_out = overheads.left_out.iter().map(|left_out| format!("{} ({})", left_out.name, left_out.reason));
        remarks.push(format!("left out: {}", left_out.collect::<Vec<_>>().join("; ")));
    }
    remarks
}

/// What was said, if anything, behind a colon.
fn after_colon(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| format!(": {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(values: &[f64], none: f64) -> Option<Compared> {
        let estimate = Estimate::of(values)?;
        Some(Compared { estimate, against_plain: estimate.compared_with(none) })
    }

    #[test]
    fn a_cell_has_what_is_known() {
        assert_eq!(cell(compared(&[1.1, 1.2, 1.3, 1.4, 1.5, 1.6], 1.0), 1.0, ""), "1.35 [1.10, 1.60]");
        assert_eq!(cell(compared(&[0.9, 0.9, 1.0, 1.1, 1.2, 1.2], 1.0), 1.0, ""), "1.05 [0.90, 1.20] ?");
        assert_eq!(cell(compared(&[2.0], 1.0), 1.0, ""), "2.00 ?", "one run decides nothing");
        assert_eq!(cell(compared(&[12.4; 6], 1.0), 1.0, ""), "12 [12, 12]");
        assert_eq!(cell(compared(&[0.0215; 6], 0.0), 1e3, " ms"), "22 ms [22, 22]");
        assert_eq!(cell(None, 1.0, ""), "-");
    }
}
