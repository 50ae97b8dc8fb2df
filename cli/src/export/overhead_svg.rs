//! `.svg`: what profilers cost, as bars with their intervals. It needs no script.

use super::svg::{escaped, head};
use super::timeline::shortened;
use pronk_overhead::campaign::Overheads;
use pronk_overhead::results::{Compared, Costs};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Where the bars begin; left of them are the names.
const LEFT: f64 = 200.0;
/// How wide the widest bar can be.
const SPAN: f64 = 860.0;
/// The width of all: behind the bars is room for a number.
const WIDTH: f64 = LEFT + SPAN + 100.0;
/// Where the bars begin; above them are the title, the meaning of the colours, and the scale.
const TOP: f64 = 84.0;
/// The height of a bar.
const BAR: f64 = 13.0;
/// The room between two profilers.
const GAP: f64 = 10.0;

/// From this ratio of the highest to the lowest value on, the scale is logarithmic.
const LOGARITHMIC_FROM: f64 = 8.0;

/// What is drawn of each profiler: name, colour, value.
type Series = (&'static str, &'static str, fn(&Costs) -> Option<Compared>);

const SERIES: [Series; 3] = [
    ("time on the clock", "rgb(176,212,246)", |costs| costs.wall),
    ("CPU time of the program", "rgb(110,168,224)", |costs| costs.cpu),
    ("CPU time of all processes", "rgb(240,154,66)", |costs| costs.total_cpu),
];

/// Draws bars.
#[derive(Debug)]
pub struct OverheadSvg;

impl OverheadSvg {
    /// Draws what was measured.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, overheads: &Overheads, to: &mut dyn Write) -> io::Result<()> {
        let costs = overheads.profilers.iter().map(|measured| (measured.name, &measured.costs));
        let rows: Vec<(&str, &Costs)> = [("plain, again", &overheads.plain)].into_iter().chain(costs).collect();
        let scale = Scale::of(&rows);
        let row_height = BAR * SERIES.len() as f64 + GAP;
        let bottom = TOP + rows.len() as f64 * row_height;
        let logarithmic = if scale.logarithmic { ", logarithmic" } else { "" };
        let size = (WIDTH as usize, bottom as usize + 10);
        head(to, size, &overheads.command, &subtitle(overheads, logarithmic))?;
        for (index, (name, colour, _)) in SERIES.iter().enumerate() {
            let x = LEFT + index as f64 * 230.0;
            writeln!(to, r#"<rect x="{x}" y="51" width="10" height="10" fill="{colour}"/>"#)?;
            writeln!(to, r#"<text x="{}" y="60">{name}</text>"#, x + 15.0)?;
        }
        for value in scale.marks() {
            let x = scale.place(value);
            let colour = if value == 1.0 { "rgb(96,96,96)" } else { "rgb(214,214,214)" };
            writeln!(to, r#"<text x="{x:.1}" y="77" text-anchor="middle" fill="rgb(96,96,96)">{value}</text>"#)?;
            writeln!(to, r#"<path stroke="{colour}" d="M{x:.1} 80V{bottom}"/>"#)?;
        }
        for (index, (name, costs)) in rows.iter().enumerate() {
            to.write_all(row(name, costs, TOP + index as f64 * row_height, &scale).as_bytes())?;
        }
        writeln!(to, "</svg>")
    }
}

fn subtitle(overheads: &Overheads, logarithmic: &str) -> String {
    let python = overheads.python.as_ref().map_or_else(String::new, |python| format!("Python {}, ", python.version));
    let load = overheads.machine.load.map_or_else(String::new, |load| format!(", load {load:.2}"));
    let machine = &overheads.machine.cpu;
    format!("times as much as plain{logarithmic}: medians of {} rounds | {python}{machine}{load}", overheads.rounds)
}

/// A profiler: its name, and a bar for each series, with its interval and its number.
fn row(name: &str, costs: &Costs, top: f64, scale: &Scale) -> String {
    let mut text = String::new();
    let baseline = top + BAR * SERIES.len() as f64 / 2.0 + 4.0;
    let _ = writeln!(text, r#"<text x="10" y="{baseline}">{}</text>"#, escaped(&shortened(name)));
    for (index, (series, colour, value)) in SERIES.iter().enumerate() {
        let Some(Compared { estimate, .. }) = value(costs) else { continue };
        let y = top + index as f64 * BAR;
        let (one, end) = (scale.place(1.0), scale.place(estimate.median));
        let (x, width) = (one.min(end), (end - one).abs().max(1.0));
        let mut said = format!("{:.2}", estimate.median);
        let mut right = end.max(one);
        if let Some(interval) = estimate.interval {
            let _ = write!(said, " [{:.2}, {:.2}]", interval.low, interval.high);
            right = right.max(scale.place(interval.high));
        }
        let _ = writeln!(text, "<g><title>{}, {series}: {said}</title>", escaped(name));
        let _ =
            writeln!(text, r#"<rect x="{x:.1}" y="{y}" width="{width:.1}" height="{}" fill="{colour}"/>"#, BAR - 2.0);
        if let Some(interval) = estimate.interval {
            let (low, high) = (scale.place(interval.low), scale.place(interval.high));
            let (middle, from) = (y + (BAR - 2.0) / 2.0, y + 2.0);
            let cap = BAR - 6.0;
            let _ = writeln!(
                text,
                r#"<path stroke="black" d="M{low:.1} {middle}H{high:.1}M{low:.1} {from}v{cap}M{high:.1} {from}v{cap}"/>"#
            );
        }
        let _ = writeln!(
            text,
            r#"<text x="{:.1}" y="{}" font-size="11">{:.2}</text></g>"#,
            right + 6.0,
            y + 9.5,
            estimate.median
        );
    }
    text
}

/// Where values are.
#[derive(Debug)]
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// A scale for all values, and for 1.
    fn of(rows: &[(&str, &Costs)]) -> Scale {
        let values = rows.iter().flat_map(|(_, costs)| SERIES.iter().filter_map(|(.., value)| value(costs)));
        let ends = values.flat_map(|Compared { estimate, .. }| {
            let (low, high) = estimate.interval.map_or((estimate.median, estimate.median), |i| (i.low, i.high));
            [low, high]
        });
        // A value of nothing, or without an end, has no place.
        let ends = ends.filter(|end| end.is_finite() && *end > 0.0);
        let (low, high) = ends.fold((1.0, 1.05), |(low, high): (f64, f64), end| (low.min(end), high.max(end)));
        Scale { low, high, logarithmic: high / low >= LOGARITHMIC_FROM }
    }

    fn place(&self, value: f64) -> f64 {
        let along = |value: f64| if self.logarithmic { value.max(self.low).ln() } else { value };
        LEFT + SPAN * (along(value) - along(self.low)) / (along(self.high) - along(self.low))
    }

    /// Round values to draw lines at; 1 is always among them.
    fn marks(&self) -> Vec<f64> {
        let tens = (-3..7).map(|power| 10_f64.powi(power));
        let candidates: Vec<f64> = if self.logarithmic {
            tens.flat_map(|ten| [1.0, 1.5, 2.0, 3.0, 5.0, 7.0].map(|first| first * ten)).collect()
        } else {
            let steps = tens.flat_map(|ten| [1.0, 2.0, 5.0].map(|first| first * ten));
            let step = steps.into_iter().find(|step| (self.high - self.low) / step <= 10.0).unwrap_or(1.0);
            (0..=200).map(|count| 1.0 + f64::from(count - 100) * step).collect()
        };
        let inside = candidates.into_iter().filter(|value| (self.low..=self.high).contains(value));
        // What is not round in binary is shown as it is meant.
        inside.map(|value| (value * 1e6).round() / 1e6).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(low: f64, high: f64) -> Scale {
        Scale { low, high, logarithmic: high / low >= LOGARITHMIC_FROM }
    }

    #[test]
    fn marks_are_round_and_have_one_among_them() {
        assert_eq!(scale(1.0, 1.05).marks(), [1.0, 1.01, 1.02, 1.03, 1.04, 1.05]);
        assert_eq!(scale(0.98, 3.1).marks(), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(scale(0.9, 13.0).marks(), [1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0]);
    }

    #[test]
    fn places_are_within_the_picture() {
        for scale in [scale(1.0, 1.05), scale(0.9, 3.0), scale(0.5, 90.0)] {
            assert_eq!((scale.place(scale.low), scale.place(scale.high)), (LEFT, LEFT + SPAN));
            assert!((LEFT..LEFT + SPAN).contains(&scale.place(1.0)));
        }
        assert!((scale(0.1, 1000.0).place(10.0) - (LEFT + SPAN / 2.0)).abs() < 1e-9, "logarithmic");
    }
}
