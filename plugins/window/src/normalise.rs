//! Scaling of points.

use selvedge_plugin::state::any_f64;
use serde::{Deserialize, Serialize};

use crate::config::Normalise;
use crate::points::Point;

/// Mean and variance of all points so far, older ones weighing less.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Running {
    seen: u32,
    #[serde(with = "any_f64")]
    mean: f64,
    #[serde(with = "any_f64")]
    variance: f64,
}

impl Running {
    /// Takes in points taken every `step` seconds; a point weighs 1/e after
    /// `seconds`. The first points count evenly, so that there is no start-up bias.
    pub(crate) fn learn(&mut self, points: &[Point], step: f64, seconds: f64) {
        let weight_min = 1.0 - (-step / seconds).exp();
        for value in points.iter().filter_map(|point| point.good()) {
            self.seen = self.seen.saturating_add(1);
            let weight = weight_min.max(1.0 / f64::from(self.seen));
            let off = value - self.mean;
            self.mean += weight * off;
            self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        }
    }
}

/// The points scaled; a learned deviation of 0 makes every point 0.
pub(crate) fn scale(points: &[Point], how: Normalise, running: &Running) -> Vec<Point> {
    let (base, scale) = match how {
        Normalise::None => return points.to_vec(),
        Normalise::Standard { mean, std } => (mean, std),
        Normalise::Range { min, max } => (min, max - min),
        Normalise::Running { .. } => (running.mean, running.variance.sqrt()),
    };
    points
        .iter()
        .map(|point| match point.good() {
            Some(_) if scale == 0.0 => Point::Good(0.0),
            Some(value) => Point::of((value - base) / scale),
            None => *point,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_scales_are_applied_to_good_points_only() {
        let points = [Point::Good(12.0), Point::Bad, Point::Missing];
        let check = |how, expected| {
            let scaled = scale(&points, how, &Running::default());
            assert_eq!(scaled, [Point::Good(expected), Point::Bad, Point::Missing]);
        };
        check(Normalise::None, 12.0);
        check(
            Normalise::Standard {
                mean: 10.0,
                std: 4.0,
            },
            0.5,
        );
        check(
            Normalise::Range {
                min: 2.0,
                max: 22.0,
            },
            0.5,
        );
    }

    #[test]
    fn the_running_scale_starts_as_the_plain_mean_and_deviation() {
        let points: Vec<Point> = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
            .map(Point::Good)
            .into();
        let mut running = Running::default();
        running.learn(&points, 1.0, 1e6);
        assert!((running.mean - 5.0).abs() < 1e-12);
        assert!((running.variance - 4.0).abs() < 1e-12);
        let how = Normalise::Running { seconds: 1e6 };
        let scaled = scale(&[Point::Good(9.0)], how, &running);
        assert!((scaled[0].good().unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_running_scale_follows_a_step() {
        let mut running = Running::default();
        running.learn(&[Point::Good(0.0); 100], 1.0, 10.0);
        running.learn(&[Point::Good(8.0); 100], 1.0, 10.0);
        assert!((running.mean - 8.0).abs() < 0.01);
        let how = Normalise::Running { seconds: 10.0 };
        let constant = scale(&[Point::Good(3.0)], how, &Running::default());
        assert_eq!(constant, [Point::Good(0.0)]);
    }
}
