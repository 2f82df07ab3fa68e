//! Medians and bootstrap confidence intervals (Efron and Tibshirani, *An
//! Introduction to the Bootstrap*, chapter 13: the percentile interval).

use std::fmt;

/// Resamples for one interval; more move the ends by less than rounds differ.
const RESAMPLES: usize = 10_000;
/// The interval holds 95 % of the resampled medians.
const TAIL: f64 = 0.025;

/// A median and the 95 % confidence interval around it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.median, self.low, self.high)
    }
}

/// The middle value, or the mean of the two middle ones; 0 without samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    median_of(&mut sorted)
}

/// The median of `samples` with its interval, the same on every call.
pub(crate) fn interval(samples: &[f64]) -> Interval {
    let median = median(samples);
    let mut random = fastrand::Rng::with_seed(0x5EED);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut resample: Vec<f64> = samples
                .iter()
                .filter_map(|_| samples.get(random.usize(..samples.len())).copied())
                .collect();
            median_of(&mut resample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * (RESAMPLES - 1) as f64).round() as usize;
        medians.get(index).copied().unwrap_or(median)
    };
    Interval {
        low: at(TAIL),
        median,
        high: at(1.0 - TAIL),
    }
}

/// Ratios of `ours` to `theirs`, round by round: what disturbs a whole round
/// disturbs both and cancels out.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .filter(|(_, theirs)| **theirs > 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

fn median_of(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    let at = |index: usize| samples.get(index).copied().unwrap_or(0.0);
    if samples.len() % 2 == 1 {
        at(middle)
    } else {
        (at(middle.wrapping_sub(1)) + at(middle)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_agreement() {
        let spread = interval(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert!(spread.low < 5.0 && spread.median == 5.0 && spread.high > 5.0);
        let agreed = interval(&[5.0, 5.0, 5.0, 5.0]);
        assert_eq!((agreed.low, agreed.high), (5.0, 5.0));
    }

    #[test]
    fn a_disturbance_of_a_whole_round_cancels_out() {
        let ours = [100.0, 50.0, 100.0];
        let theirs = [200.0, 100.0, 200.0];
        assert_eq!(ratios(&ours, &theirs), vec![0.5, 0.5, 0.5]);
    }
}
