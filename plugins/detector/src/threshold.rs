//! The scores from which on a window is abnormal, given or learned.

use crate::config::Threshold;

/// Abnormal from `enter` on, normal below `leave`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) enter: f64,
    pub(crate) leave: f64,
}

/// What one device's bounds are, or will be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Learner {
    /// Scores of healthy windows so far; at most as many as are wanted.
    Learning(Vec<f64>),
    Known(Bounds),
}

impl Learner {
    pub(crate) fn new(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Fixed { enter, leave } => Self::Known(Bounds {
                enter,
                leave: leave.unwrap_or(enter),
            }),
            Threshold::Learned { .. } => Self::Learning(Vec::new()),
        }
    }

    /// The bounds learned before, found again.
    pub(crate) fn from_enter(threshold: Threshold, enter: f64) -> Self {
        match threshold {
            Threshold::Learned { leave_fraction, .. } if enter.is_finite() => {
                Self::Known(bounds(enter, leave_fraction))
            }
            _ => Self::new(threshold),
        }
    }

    pub(crate) fn bounds(&self) -> Option<Bounds> {
        match self {
            Self::Learning(_) => None,
            Self::Known(bounds) => Some(*bounds),
        }
    }

    /// Takes in a healthy window's score. Returns the bounds it completes.
    pub(crate) fn learn(&mut self, threshold: Threshold, score: f64) -> Option<Bounds> {
        let Threshold::Learned {
            windows,
            quantile,
            factor,
            leave_fraction,
            persist: _,
        } = threshold
        else {
            return None;
        };
        let Self::Learning(scores) = self else {
            return None;
        };
        scores.push(score);
        if scores.len() < windows as usize {
            return None;
        }
        scores.sort_by(f64::total_cmp);
        let highest = at_quantile(scores, quantile);
        // Scores may lie below 0, where multiplying would lower the bound.
        let enter = highest + highest.abs() * (factor - 1.0);
        let known = bounds(enter, leave_fraction);
        *self = Self::Known(known);
        Some(known)
    }
}

fn bounds(enter: f64, leave_fraction: f64) -> Bounds {
    let leave = enter - enter.abs() * (1.0 - leave_fraction);
    Bounds { enter, leave }
}

/// The smallest score that `quantile` of the sorted scores do not exceed.
fn at_quantile(sorted: &[f64], quantile: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "10,000 scores at most, and a quantile between 0 and 1"
    )]
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    let place = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(scores: impl Iterator<Item = f64>, quantile: f64) -> Option<Bounds> {
        let threshold = Threshold::Learned {
            windows: 10,
            quantile,
            factor: 1.5,
            leave_fraction: 0.5,
            persist: false,
        };
        let mut learner = Learner::new(threshold);
        let mut last = None;
        for score in scores {
            assert_eq!(learner.bounds(), None);
            last = learner.learn(threshold, score);
        }
        assert_eq!(learner.bounds(), last);
        last
    }

    #[test]
    fn the_threshold_is_the_quantile_times_the_factor() {
        let scores = || [3, 1, 2, 10, 4, 6, 5, 7, 9, 8].into_iter().map(f64::from);
        let of = |enter, leave| Some(Bounds { enter, leave });
        assert_eq!(learned(scores(), 1.0), of(15.0, 7.5));
        assert_eq!(learned(scores(), 0.8), of(12.0, 6.0));
        assert_eq!(learned(scores(), 0.01), of(1.5, 0.75));
        assert_eq!(learned(scores().map(|score| -score), 1.0), of(-0.5, -0.75));
        assert_eq!(learned(scores().take(9), 1.0), None);
    }
}
