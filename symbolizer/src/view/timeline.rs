//! Which value ran when.

use super::View;

/// Which value ran when, with a row for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// How long the columns of a row are together, in nanoseconds since sampling began.
    pub span_ns: u64,
    /// The rows, the one with the most samples first, and last the one of all others.
    pub rows: Vec<TimelineRow>,
}

/// A row of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineRow {
    /// Who is in it.
    pub who: Who,
    /// The samples.
    pub samples: u64,
    /// For each column, how much of its time the samples stand for, up to 1.
    pub columns: Vec<f64>,
}

/// Who is in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The samples of this value.
    Value(String),
    /// Those of so many other values.
    Others(usize),
}

impl View<'_> {
    /// Which value ran when: at most `most` values, and the rest in one row. There are no rows where samples are not set
    /// apart.
    pub fn timeline(&self, most: usize, columns: usize) -> Timeline {
        let (meta, samples) = (&self.profile.meta, &self.profile.samples);
        let last = samples.iter().map(|sample| sample.time_ns).max().unwrap_or(0);
        let span_ns = meta.duration_ns.max(last).max(1);
        let Some(values) = &self.values else { return Timeline { span_ns, rows: Vec::new() } };
        let counts = self.value_counts();
        let rest = counts.get(most..).unwrap_or_default();
        let row = |who, samples| TimelineRow { who, samples, columns: vec![0.0; columns] };
        let mut rows: Vec<TimelineRow> =
            counts.iter().take(most).map(|(_, count)| row(Who::Value(count.value.clone()), count.samples)).collect();
        if !rest.is_empty() {
            rows.push(row(Who::Others(rest.len()), rest.iter().map(|(_, count)| count.samples).sum()));
        }
        let mut row_of_value = vec![0; values.texts.len()];
        for (row, (position, _)) in counts.iter().enumerate() {
            row_of_value[*position] = row.min(most);
        }

        let period = 1e9 / f64::from(meta.frequency.max(1));
        let per_column = span_ns as f64 / columns as f64;
        // For each thread, the time of the sample that comes next, and the beginning of what that one stands for: of two
        // with the same time, the earlier one stands for what lies before.
        let mut next = vec![None; self.profile.threads.len()];
        for sample in samples.iter().rev() {
            let next = &mut next[sample.thread.index()];
            let end = match *next {
                Some((time, begin)) if time == sample.time_ns => begin,
                _ => sample.time_ns as f64,
            };
            let begin = (end - f64::from(sample.weight) * period).max(0.0);
            *next = Some((sample.time_ns, begin));
            if self.shows(sample) {
                let row = &mut rows[row_of_value[values.position(sample)]];
                fill(&mut row.columns, begin / per_column, end / per_column);
            }
        }
        for full in rows.iter_mut().flat_map(|row| &mut row.columns) {
            *full = full.min(1.0);
        }
        Timeline { span_ns, rows }
    }
}

/// Adds to each column how much of it lies between two places, which are given in columns.
fn fill(columns: &mut [f64], begin: f64, end: f64) {
    let first = begin as usize;
    for (column, full) in columns.iter_mut().enumerate().take(end.ceil() as usize).skip(first) {
        *full += end.min((column + 1) as f64) - begin.max(column as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Meta, Profile, Sample, ThreadId};
    use crate::testing::profile;
    use crate::view::{By, ViewOptions};

    /// A profile of 10 ms with a sample a millisecond: of the thread, the time in microseconds, the weight.
    fn with(samples: &[(u32, u64, u32)]) -> Profile {
        let mut profile = profile();
        profile.meta = Meta { duration_ns: 10_000_000, frequency: 1_000, ..Meta::default() };
        let sample = |&(thread, time, weight): &(u32, u64, u32)| Sample {
            thread: ThreadId(thread),
            time_ns: time * 1_000,
            stack: None,
            context: None,
            weight,
            in_window: false,
        };
        profile.samples = samples.iter().map(sample).collect();
        profile
    }

    fn rows(profile: &Profile, options: ViewOptions, most: usize) -> Vec<(Who, Vec<f64>)> {
        let timeline = View::new(profile, &options).timeline(most, 10);
        let round = |full: f64| (full * 1e6).round() / 1e6;
        timeline.rows.into_iter().map(|row| (row.who, row.columns.into_iter().map(round).collect())).collect()
    }

    fn by_thread() -> ViewOptions {
        ViewOptions { by: Some(By::Thread), ..ViewOptions::default() }
    }

    fn value(text: &str) -> Who {
        Who::Value(text.to_owned())
    }

    #[test]
    fn a_sample_stands_for_the_time_before_it() {
        let profile = with(&[(0, 2_500, 1), (1, 4_000, 2), (0, 9_000, 3)]);
        let main = vec![0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        let worker = vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(rows(&profile, by_thread(), 5), [(value("MainThread"), main), (value("worker"), worker)]);
    }

    #[test]
    fn of_two_samples_of_one_time_the_first_stands_for_what_was_before() {
        let profile = with(&[(0, 5_000, 3), (0, 5_000, 1)]);
        let expected = vec![0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(rows(&profile, by_thread(), 5), [(value("MainThread"), expected)]);
    }

    #[test]
    fn a_column_is_never_more_than_full_and_time_begins_at_nothing() {
        let profile = with(&[(0, 1_000, 5), (0, 1_500, 2), (0, 11_000, 1)]);
        let timeline = View::new(&profile, &by_thread()).timeline(1, 11);
        assert_eq!(timeline.span_ns, 11_000_000, "a sample that came late is in it");
        let columns = [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert!(timeline.rows[0].columns.iter().zip(columns).all(|(a, b)| (a - b).abs() < 1e-9), "{timeline:?}");
    }

    #[test]
    fn those_with_few_samples_share_a_row() {
        let profile = profile();
        let by = |only: &[&str]| ViewOptions {
            by: Some(By::EachTask),
            only: only.iter().map(|only| only.parse().unwrap()).collect(),
            ..ViewOptions::default()
        };
        let rows = |options, most| -> Vec<(Who, u64)> {
            let timeline = View::new(&profile, &options).timeline(most, 3);
            timeline.rows.into_iter().map(|row| (row.who, row.samples)).collect()
        };
        assert_eq!(rows(by(&[]), 1), [(value("(no task)"), 3), (Who::Others(3), 6)]);
        assert_eq!(rows(by(&[]), 4).len(), 4);
        assert_eq!(rows(by(&["task=cleaner"]), 4), [(value("cleaner"), 1)]);
        assert_eq!(rows(ViewOptions::default(), 4), []);
    }

    #[test]
    fn numbers_without_sense_are_harmless() {
        let mut profile = with(&[(0, 0, u32::MAX), (1, 0, 0), (0, u64::MAX / 1_000, u32::MAX)]);
        profile.meta = Meta::default();
        assert_eq!(rows(&profile, by_thread(), 0).len(), 1);
        assert_eq!(View::new(&Profile::default(), &by_thread()).timeline(3, 10).span_ns, 1);
    }
}
