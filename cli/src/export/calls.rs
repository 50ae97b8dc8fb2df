//! How often functions were called, and how long a call took.

use crate::messages::{percent, thousands};
use pronk_symbolizer::profile::{Counting, Meta, Profile};
use pronk_symbolizer::view::{FunctionCount, View};
use std::io::{self, Write};

/// The mark of functions that are entered each time that they go on.
const RESUMES: &str = "*";
/// The mark of functions that may have had more calls.
const AT_LEAST: &str = "+";

/// What is known of the calls of a function. Times are estimates: samples are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallTimes {
    /// How often its stub was entered.
    pub calls: u64,
    /// Of an estimate: it is not further from the truth than so, with 99 %.
    pub error: Option<u64>,
    /// Whether it is a generator or a coroutine, which is entered each time that it goes on.
    pub resumes: bool,
    /// Whether there may have been more calls.
    pub at_least: bool,
    /// Calls per second of the profile; `None` if that took no time.
    pub per_second: Option<f64>,
    /// How long a call took without what it called, in nanoseconds.
    pub self_ns: f64,
    /// How long it took with what it called.
    pub total_ns: f64,
}

impl CallTimes {
    /// Of a function, if its calls were counted.
    pub fn of(view: &View<'_>, meta: &Meta, count: &FunctionCount) -> Option<CallTimes> {
        let calls = view.calls(count.function)?;
        let sample_ns = view.samples_of_each() * 1e9 / f64::from(meta.frequency.max(1));
        let per_call = |samples: u64| samples as f64 * sample_ns / calls.count as f64;
        let seconds = meta.duration_ns as f64 / 1e9;
        Some(CallTimes {
            calls: calls.count,
            error: calls.error,
            resumes: calls.resumes,
            at_least: calls.at_least,
            per_second: (seconds > 0.0).then(|| calls.count as f64 / seconds),
            self_ns: per_call(count.self_samples),
            total_ns: per_call(count.total_samples),
        })
    }
}

/// The room for how sure an estimate is.
const DOUBT: usize = 7;

/// The heads of the columns; `estimated` says whether one is for how sure the numbers are.
pub fn columns(estimated: bool) -> String {
    let doubt = if estimated { DOUBT } else { 0 };
    format!("{:>15}{:doubt$} {:>13} {:>10} {:>10}", "calls", "", "calls/s", "self/call", "total/call")
}

/// The columns of a function.
pub fn cells(times: Option<CallTimes>, estimated: bool) -> String {
    let Some(times) = times else { return " ".repeat(columns(estimated).len()) };
    let mark = match (times.resumes, times.at_least) {
        (true, _) => RESUMES,
        (_, true) => AT_LEAST,
        _ => " ",
    };
    let per_second = times.per_second.map_or_else(String::new, rate);
    let (own, total) = (duration(times.self_ns), duration(times.total_ns));
    let room = if estimated { DOUBT } else { 0 };
    let error = times.error.map_or_else(String::new, |error| doubt(error, times.calls));
    format!("{:>14}{mark}{error:>room$} {per_second:>13} {own:>10} {total:>10}", thousands(times.calls))
}

/// What there is to say of the columns of some functions, below them.
pub fn notes(profile: &Profile, times: &[Option<CallTimes>], to: &mut dyn Write) -> io::Result<()> {
    let times = || times.iter().flatten();
    if times().any(|times| times.resumes) {
        writeln!(to, "{RESUMES} a generator or a coroutine: each time that it was begun or went on")?;
    }
    if times().any(|times| times.at_least) {
        writeln!(
            to,
            "{AT_LEAST} at least: this version of CPython runs some of these calls where nobody can count them"
        )?;
    }
    if times().any(|times| times.error.is_some()) {
        writeln!(
            to,
            "\u{b1} estimated from windows in which calls were counted; the truth is within these limits in 99 of 100 cases"
        )?;
    }
    if profile.quality.counting == Counting::Incomplete {
        writeln!(to, "calls are missing in these numbers: pronk record said which, and --json has it under quality")?;
    }
    Ok(())
}

/// How far from the truth an estimate can be, in percent of it.
fn doubt(error: u64, estimate: u64) -> String {
    match percent(error, estimate) {
        sure if sure < 9.5 => format!("\u{b1}{sure:.1}%"),
        sure if sure < 99.5 => format!("\u{b1}{sure:.0}%"),
        _ => "?".to_owned(),
    }
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { thousands(per_second.round() as u64) }
}

/// A time with three digits.
fn duration(ns: f64) -> String {
    if ns == 0.0 {
        return "-".to_owned();
    }
    let units = [("s", 1e9), ("ms", 1e6), ("\u{b5}s", 1e3), ("ns", 1.0)];
    // What would be rounded up to 1000 is one of the next unit.
    let (unit, size) = units.into_iter().find(|(_, size)| ns >= 0.9995 * size).unwrap_or(("ns", 1.0));
    let number = ns / size;
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let texts = [0.0, 0.25, 9.99, 41.0, 999.4, 999.6, 1234.0, 45_600.0, 1e6, 2.5e9, 1e12].map(duration);
        let expected = [
            "-",
            "0.25 ns",
            "9.99 ns",
            "41.0 ns",
            "999 ns",
            "1.00 \u{b5}s",
            "1.23 \u{b5}s",
            "45.6 \u{b5}s",
            "1.00 ms",
            "2.50 s",
            "1000 s",
        ];
        assert_eq!(texts, expected);
        assert_eq!([0.04, 9.94, 12.3, 1e6].map(rate), ["0.0", "9.9", "12", "1,000,000"]);
    }
}
