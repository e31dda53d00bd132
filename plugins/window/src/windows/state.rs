//! One device: its samples, and where its next window lies on the grid.

use std::collections::HashMap;

use super::seconds;
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

/// What becomes of samples of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// They are taken in.
    Next,
    /// Too old for any unfinished window.
    Late,
    /// As late as those before: the device's clock was set back.
    SetBack,
    /// The first after the device was silent for too long.
    Silence,
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

    /// What becomes of `count` samples of one time.
    pub(super) fn turn(&mut self, time: i64, count: usize, length: u32, grid: &Grid) -> Turn {
        if time < self.start - grid.gap_max {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.late_in_a_row = self.late_in_a_row.saturating_add(count);
            return if self.late_in_a_row < length {
                Turn::Late
            } else {
                Turn::SetBack
            };
        }
        self.late_in_a_row = 0;
        if time > self.newest + grid.gap_max {
            return Turn::Silence;
        }
        Turn::Next
    }

    /// Puts one sample in its place. Returns whether it displaced one.
    pub(super) fn take(&mut self, place: usize, sample: Sample, samples_max: u32) -> bool {
        self.newest = self.newest.max(sample.time);
        let samples = self.samples.get_mut(place);
        samples.is_some_and(|samples| samples.insert(sample, samples_max as usize))
    }

    /// Starts afresh at `time`; what was learned of the scale is kept.
    pub(super) fn restart(&mut self, grid: &Grid, time: i64) {
        self.samples.fill_with(Samples::default);
        self.start = grid.start_at(time);
        self.learned_until = self.start;
        self.newest = time;
        self.late_in_a_row = 0;
    }

    /// Whether every series has a sample at or past the last point of the next
    /// window, or the device one that is `wait` later than the first of those.
    pub(super) fn is_finished(&self, grid: &Grid) -> bool {
        let end = grid.end_of(self.start);
        if self.newest < end {
            return false;
        }
        let past = |samples: &Samples| samples.newest().is_some_and(|newest| newest >= end);
        if self.samples.iter().all(past) {
            return true;
        }
        if self.newest < end + grid.wait {
            return false;
        }
        let first = self
            .samples
            .iter()
            .filter_map(|one| one.first_from(end))
            .min();
        // It may have been displaced meanwhile. It was no later than this: a
        // device that is silent for longer starts afresh.
        let latest = end + grid.gap_max;
        self.newest >= first.map_or(latest, |first| first.min(latest)) + grid.wait
    }

    /// Whether the device has gone past the next window: nothing but series that
    /// lag can still be waited for.
    pub(super) fn is_past(&self, grid: &Grid) -> bool {
        self.newest >= grid.end_of(self.start)
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
