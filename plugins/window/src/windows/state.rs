//! One device: its samples, and where its next window lies on the grid.

use std::collections::HashMap;

use super::{Dropped, seconds};
use crate::config::{Config, Formula, Normalise};
use crate::feature::{self, Window};
use crate::normalise::{Running, scale};
use crate::points::{Point, Sample, Samples};

/// Lengths in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) step: i64,
    pub(super) length: i64,
    pub(super) hop: i64,
    pub(super) gap_max: i64,
    pub(super) wait: i64,
}

impl Grid {
    /// The first start of a window at or after `time`.
    pub(super) fn start_at(&self, time: i64) -> i64 {
        time.div_euclid(self.hop) * self.hop
            + if time.rem_euclid(self.hop) == 0 {
                0
            } else {
                self.hop
            }
    }

    /// The last point of the window that starts at `start`.
    pub(super) fn end_of(&self, start: i64) -> i64 {
        start + self.length - self.step
    }
}

/// One device.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) heard: u64,
    pub(super) samples: Vec<Samples>,
    /// For each series, then each derived one.
    pub(super) running: Vec<Running>,
    /// Points before this time are in `running`.
    pub(super) learned_until: i64,
    /// The start of the window to finish next.
    pub(super) start: i64,
    pub(super) newest: i64,
    pub(super) late_in_a_row: u32,
}

impl State {
    pub(super) fn new(config: &Config, grid: &Grid, time: i64) -> Self {
        let start = grid.start_at(time);
        Self {
            heard: 0,
            samples: vec![Samples::default(); config.series.len()],
            running: vec![Running::default(); config.series.len() + config.derived.len()],
            learned_until: start,
            start,
            newest: time,
            late_in_a_row: 0,
        }
    }

    /// Puts one sample in its place, or drops it.
    pub(super) fn take(
        &mut self,
        place: usize,
        sample: Sample,
        (config, grid): (&Config, &Grid),
        dropped: &mut Dropped,
    ) {
        if sample.time < self.start - grid.gap_max {
            dropped.late += 1;
            self.late_in_a_row += 1;
            if self.late_in_a_row < config.length {
                return;
            }
            self.restart(grid, sample.time);
        }
        self.late_in_a_row = 0;
        if sample.time > self.newest + grid.gap_max {
            self.restart(grid, sample.time);
        }
        self.newest = self.newest.max(sample.time);
        if let Some(samples) = self.samples.get_mut(place)
            && samples.insert(sample, config.samples_max() as usize)
        {
            dropped.displaced += 1;
        }
    }

    /// Starts afresh at `time`; what was learned of the scale is kept.
    pub(super) fn restart(&mut self, grid: &Grid, time: i64) {
        self.samples.fill_with(Samples::default);
        self.start = grid.start_at(time);
        self.learned_until = self.start;
        self.newest = time;
        self.late_in_a_row = 0;
    }

    pub(super) fn is_finished(&self, grid: &Grid) -> bool {
        let end = grid.end_of(self.start);
        self.newest >= end
            && (self.newest >= end + grid.wait.max(1)
                || self
                    .samples
                    .iter()
                    .all(|samples| samples.newest().is_some_and(|newest| newest >= end)))
    }

    pub(super) fn advance(&mut self, grid: &Grid) {
        self.start += grid.hop;
        for samples in &mut self.samples {
            samples.forget_before(self.start);
        }
    }

    /// The values of all features over the window that starts at `start`, and
    /// the fraction of good points.
    pub(super) fn features(&mut self, config: &Config, grid: &Grid) -> (Vec<Option<f64>>, f64) {
        let (start, end) = (self.start, self.start + grid.length);
        let series: HashMap<&str, Vec<Point>> = config
            .series
            .iter()
            .zip(&self.samples)
            .map(|(series, samples)| {
                let times = (0..i64::from(config.length)).map(|place| start + place * grid.step);
                let points = samples.points(times, series.resample, grid.gap_max);
                (series.name(), points)
            })
            .collect();
        let points_of = |name: &str| series.get(name).map(Vec::as_slice).unwrap_or_default();

        let mut values = Vec::new();
        let plain = config.series.iter().map(|series| {
            let points = points_of(series.name()).to_vec();
            let parts = (series.normalise, series.stuck_tolerance);
            (points, parts, &series.features)
        });
        let derived = config.derived.iter().map(|derived| {
            let points = derive(&derived.from, points_of);
            let parts = (derived.normalise, derived.stuck_tolerance);
            (points, parts, &derived.features)
        });
        let step = seconds(grid.step);
        for ((points, (normalise, stuck_tolerance), features), running) in
            plain.chain(derived).zip(&mut self.running)
        {
            if let Normalise::Running { seconds } = normalise {
                let known = (self.learned_until - start).max(0) / grid.step;
                let new = usize::try_from(known).unwrap_or(usize::MAX);
                running.learn(points.get(new..).unwrap_or_default(), step, seconds);
            }
            let window = Window {
                raw: &points,
                scaled: &scale(&points, normalise, running),
                step,
                stuck_tolerance,
            };
            values.extend(feature::compute(window, features));
        }
        self.learned_until = end;
        for pair in &config.correlations {
            let [a, b] = pair.of.each_ref().map(|name| points_of(name));
            values.push(feature::correlation(a, b));
        }
        // In the order of the configuration: a sum of fractions depends on it.
        let good: f64 = config
            .series
            .iter()
            .map(|series| points_of(series.name()))
            .map(|points| feature::fraction(points, |point| point.good().is_some()))
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "64 series at most")]
        let quality = good / series.len() as f64;
        (values, quality)
    }
}

/// The points of a derived series.
fn derive<'a>(from: &Formula, points_of: impl Fn(&str) -> &'a [Point]) -> Vec<Point> {
    let pairwise = |[a, b]: &[String; 2], compute: fn(f64, f64) -> f64| {
        let (a, b) = (points_of(a), points_of(b));
        a.iter()
            .zip(b)
            .map(|(a, b)| a.with(*b, compute))
            .collect::<Vec<Point>>()
    };
    match from {
        Formula::Difference(pair) => pairwise(pair, |a, b| a - b),
        Formula::Ratio(pair) => pairwise(pair, |a, b| a / b),
        Formula::Residual(residual) => {
            let mut points: Vec<Point> = points_of(&residual.of)
                .iter()
                .map(|point| point.with(Point::Good(residual.offset), |a, b| a - b))
                .collect();
            for (name, factor) in &residual.factors {
                for (point, explaining) in points.iter_mut().zip(points_of(name)) {
                    *point = point.with(*explaining, |rest, value| rest - factor * value);
                }
            }
            points
        }
    }
}
