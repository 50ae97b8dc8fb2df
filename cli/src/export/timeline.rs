//! `.svg`: which value ran when. A row for each, and time from left to right; it needs no script.

use super::Export;
use super::svg::{escaped, head, without_samples};
use crate::messages::{percent, thousands};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::{NO_LABEL, NO_TASK, TimelineRow, View, Who, shown};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Into how many columns time is divided. Each is a pixel wide.
const COLUMNS: usize = 1000;

/// Where the columns begin; left of them are the rows' names.
const LEFT: usize = 340;
/// The width of all.
const WIDTH: usize = LEFT + COLUMNS + 20;
/// Where the rows begin; above them are the title and the times.
const TOP: usize = 76;
/// The height of a row.
const ROW: usize = 18;
/// The height of the bars in it.
const BAR: usize = 14;

/// How many characters of a name there is room for.
const LONGEST_NAME: usize = 36;

/// How many degrees of fullness are told apart: with more of them, fewer columns are one bar.
const DEGREES: u8 = 10;

/// How many times are on the axis at most, besides the first.
const MOST_TIMES: u64 = 10;

/// Draws a timeline.
#[derive(Debug)]
pub struct TimelineSvg {
    /// The title; the command that was profiled if there is none.
    pub title: Option<String>,
    /// How many values have a row of their own.
    pub top: usize,
}

impl Export for TimelineSvg {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let title = self.title.clone().unwrap_or_else(|| profile.meta.command.join(" "));
        let all = view.sample_count();
        let timeline = view.timeline(self.top, COLUMNS);
        if timeline.rows.is_empty() {
            return without_samples(&title, to);
        }
        let height = TOP + timeline.rows.len() * ROW + 10;
        head(to, (WIDTH, height), &title, &subtitle(profile, view))?;
        for (at, text) in times(timeline.span_ns) {
            let x = LEFT as f64 + at * COLUMNS as f64;
            writeln!(to, r#"<text x="{x:.1}" y="64" text-anchor="middle" fill="rgb(96,96,96)">{text}</text>"#)?;
            writeln!(to, r#"<path stroke="rgb(214,214,214)" d="M{x:.1} 68V{}"/>"#, height - 10)?;
        }
        for (index, row) in timeline.rows.iter().enumerate() {
            to.write_all(self::row(row, TOP + index * ROW, all).as_bytes())?;
        }
        writeln!(to, "</svg>")
    }
}

fn subtitle(profile: &Profile, view: &View<'_>) -> String {
    let seconds = profile.meta.duration_ns as f64 / 1e9;
    let by = view.options().by.as_ref().map_or_else(String::new, |by| format!(" by {}", shown(&by.to_string())));
    let samples = thousands(view.sample_count());
    format!("{samples} samples in {seconds:.1} s{by} | the darker, the more of that time")
}

/// A row: a name, its share of the samples, and the bars, one shape for each degree of fullness.
fn row(row: &TimelineRow, y: usize, all: u64) -> String {
    let name = match &row.who {
        Who::Value(value) => shown(value),
        Who::Others(1) => "1 other".to_owned(),
        Who::Others(count) => format!("{} others", thousands(*count as u64)),
    };
    // Grey is who is nobody in particular.
    let colour = match &row.who {
        Who::Value(value) if value != NO_TASK && value != NO_LABEL => "rgb(38,98,160)",
        _ => "rgb(112,112,112)",
    };
    let (samples, share) = (thousands(row.samples), percent(row.samples, all));
    let (baseline, percent_end) = (y + BAR - 3, LEFT - 10);
    let mut text = format!("<g fill=\"{colour}\"><title>{}: {samples} samples, {share:.2}%</title>\n", escaped(&name));
    // What the pointer is over: the whole row.
    let _ = writeln!(text, r#"<rect y="{y}" width="{WIDTH}" height="{BAR}" fill-opacity="0.04"/>"#);
    let _ = writeln!(text, r#"<text x="10" y="{baseline}" fill="black">{}</text>"#, escaped(&shortened(&name)));
    let _ =
        writeln!(text, r#"<text x="{percent_end}" y="{baseline}" text-anchor="end" fill="black">{share:.2}%</text>"#);
    for degree in 1..=DEGREES {
        let bars: String = bars(&row.columns, degree)
            .map(|(begin, width)| format!("M{} {y}h{width}v{BAR}h-{width}z", LEFT + begin))
            .collect();
        if !bars.is_empty() {
            let opacity = f64::from(degree) / f64::from(DEGREES);
            let _ = writeln!(text, r#"<path fill-opacity="{opacity}" d="{bars}"/>"#);
        }
    }
    text + "</g>\n"
}

/// The runs of columns that are full to this degree: where each begins, and how wide it is.
fn bars(columns: &[f64], degree: u8) -> impl Iterator<Item = (usize, usize)> + '_ {
    // A column in which there is anything at all can be seen.
    let degree_of = |full: f64| (full * f64::from(DEGREES)).ceil() as u8;
    let mut at = 0;
    let runs = columns.chunk_by(move |&a, &b| degree_of(a) == degree_of(b)).map(move |run| {
        at += run.len();
        (at - run.len(), run)
    });
    runs.filter(move |(_, run)| degree_of(run[0]) == degree).map(|(begin, run)| (begin, run.len()))
}

pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        None => name.to_owned(),
        Some(_) => name.chars().take(LONGEST_NAME - 1).chain(['\u{2026}']).collect(),
    }
}

/// The times on the axis: where each is, as a part of all, and what it is called.
fn times(span_ns: u64) -> Vec<(f64, String)> {
    let steps = (0..19).flat_map(|zeros| [1, 2, 5].map(|first| first * 10_u64.pow(zeros)));
    let step = steps.into_iter().find(|step| span_ns / step <= MOST_TIMES).unwrap_or(u64::MAX);
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "\u{b5}s"), (1, "ns")];
    let (unit, name) = units.into_iter().find(|(unit, _)| step >= *unit).unwrap_or((1, "ns"));
    let times = (0..=span_ns / step).map(|count| count * step);
    times.map(|time| (time as f64 / span_ns as f64, format!("{} {name}", thousands(time / unit)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_round() {
        let texts = |span: u64| -> Vec<String> { times(span).into_iter().map(|(_, text)| text).collect() };
        assert_eq!(texts(1_250_000_000)[..3], ["0 ms", "200 ms", "400 ms"]);
        assert_eq!(texts(10_000_000_000)[9..], ["9 s", "10 s"]);
        assert_eq!(texts(3), ["0 ns", "1 ns", "2 ns", "3 ns"]);
        assert_eq!(times(1_000)[1].0, 0.1);
        for span in [1, 7, 123_456_789, u64::MAX] {
            let times = times(span);
            assert!((2..=11).contains(&times.len()) && times.iter().all(|(at, _)| (0.0..=1.0).contains(at)), "{span}");
        }
    }

    #[test]
    fn columns_that_are_equally_full_are_one_bar() {
        let columns = [0.0, 1.0, 1.0, 0.95, 0.01, 0.0, 0.1];
        let bars = |degree| bars(&columns, degree).collect::<Vec<_>>();
        assert_eq!(bars(10), [(1, 3)]);
        assert_eq!(bars(1), [(4, 1), (6, 1)]);
        assert_eq!(bars(5), []);
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"\u{fc}".repeat(36)), "\u{fc}".repeat(36));
        assert_eq!(shortened(&"\u{fc}".repeat(37)), "\u{fc}".repeat(35) + "\u{2026}");
    }
}
