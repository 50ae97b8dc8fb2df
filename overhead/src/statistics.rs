//! Estimates that claim no more than the data allows.
//!
//! The estimate of a ratio is the median of the ratios of the pairs, with an interval between two order statistics
//! (David and Nagaraja, Order Statistics, 3rd edition, section 7.1). It assumes nothing about the distribution, and is
//! not moved by a few runs that something else on the machine disturbed.

use serde::Serialize;

/// The probability with which an interval is to contain the true median.
pub const CONFIDENCE: f64 = 0.95;

/// A range that contains the true median with at least [`CONFIDENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The probability that the true median is in between, never less than [`CONFIDENCE`].
    pub confidence: f64,
}

/// The median of some values and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval; `None` when there are too few values for one.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// Estimates the median. `None` when there are no values, or when one of them is not a finite number.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Estimate { median: median_of_sorted(&sorted), interval: interval_of_sorted(&sorted) })
    }

    /// Whether a ratio is above, below or within a limit, as far as the interval tells.
    pub fn compared_with(&self, limit: f64) -> Verdict {
        match self.interval {
            Some(interval) if interval.low > limit => Verdict::Above,
            Some(interval) if interval.high < limit => Verdict::Below,
            _ => Verdict::Undecided,
        }
    }
}

/// What an interval says about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The whole interval is above the limit.
    Above,
    /// The whole interval is below the limit.
    Below,
    /// The interval contains the limit, or there is none: the data does not tell.
    Undecided,
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

/// The narrowest symmetric interval between order statistics that is sure enough.
///
/// The number of values below the true median is binomial with p = 1/2. So the median is below the k-th smallest value
/// with probability P(X < k), and above the k-th largest with the same.
fn interval_of_sorted(sorted: &[f64]) -> Option<Interval> {
    let n = sorted.len();
    let mut best = None;
    let mut below = 0.0; // P(X < k)
    let mut term = 0.5f64.powi(i32::try_from(n).ok()?); // P(X = k - 1)
    for k in 1..=n / 2 {
        below += term;
        let confidence = 1.0 - 2.0 * below;
        if confidence < CONFIDENCE {
            break;
        }
        best = Some(Interval { low: sorted[k - 1], high: sorted[n - k], confidence });
        term *= (n - k + 1) as f64 / k as f64;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_two() {
        assert_eq!(Estimate::of(&[3.0, 1.0, 2.0]).map(|e| e.median), Some(2.0));
        assert_eq!(Estimate::of(&[4.0, 1.0, 2.0, 3.0]).map(|e| e.median), Some(2.5));
        assert_eq!(Estimate::of(&[7.0]).map(|e| e.median), Some(7.0));
    }

    #[test]
    fn nothing_is_estimated_from_nothing_or_from_what_is_not_a_number() {
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[1.0, f64::NAN]), None);
        assert_eq!(Estimate::of(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn five_values_are_too_few_and_six_are_enough() {
        // Between the smallest and the largest of five: 1 - 2/32 = 0.9375. Of six: 1 - 2/64 = 0.96875.
        assert_eq!(Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).and_then(|e| e.interval), None);
        let six = Estimate::of(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]).and_then(|e| e.interval).expect("an interval");
        assert_eq!((six.low, six.high), (1.0, 6.0));
        assert!(close(six.confidence, 0.96875));
    }

    #[test]
    fn the_interval_is_the_narrowest_that_is_sure_enough() {
        // n = 15: P(X < 4) = (1 + 15 + 105 + 455) / 32768 = 576 / 32768, so 1 - 2 * that = 0.96484375;
        // one further in, P(X < 5) adds 1365 / 32768 and 0.8815... is not enough.
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let interval = Estimate::of(&values).and_then(|e| e.interval).expect("an interval");
        assert_eq!((interval.low, interval.high), (4.0, 12.0));
        assert!(close(interval.confidence, 0.96484375));
        // n = 20: P(X < 6) = (1 + 20 + 190 + 1140 + 4845 + 15504) / 1048576 = 21700 / 1048576.
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let interval = Estimate::of(&values).and_then(|e| e.interval).expect("an interval");
        assert_eq!((interval.low, interval.high), (6.0, 15.0));
        assert!(close(interval.confidence, 1.0 - 2.0 * 21700.0 / 1048576.0));
    }

    #[test]
    fn one_wild_value_moves_neither_the_median_nor_the_interval() {
        let mut values: Vec<f64> = (1..=15).map(f64::from).collect();
        let calm = Estimate::of(&values);
        values[14] = 1e9;
        assert_eq!(Estimate::of(&values), calm);
    }

    #[test]
    fn a_limit_within_the_interval_or_no_interval_leaves_it_undecided() {
        let estimate = Estimate::of(&[1.01, 1.02, 1.03, 1.04, 1.05, 1.06]).expect("an estimate");
        assert_eq!(estimate.compared_with(1.0), Verdict::Above);
        assert_eq!(estimate.compared_with(1.1), Verdict::Below);
        assert_eq!(estimate.compared_with(1.03), Verdict::Undecided);
        assert_eq!(estimate.compared_with(1.01), Verdict::Undecided);
        let few = Estimate::of(&[2.0, 2.0, 2.0]).expect("an estimate");
        assert_eq!(few.compared_with(1.0), Verdict::Undecided);
    }

    #[test]
    fn many_values_do_not_break_the_binomial() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let interval = Estimate::of(&values).and_then(|e| e.interval).expect("an interval");
        // The normal approximation: 499.5 -+ 1.96 * sqrt(1000) / 2 = 31 positions to each side.
        assert!((465.0..=471.0).contains(&interval.low), "{interval:?}");
        assert!((528.0..=534.0).contains(&interval.high), "{interval:?}");
    }
}
