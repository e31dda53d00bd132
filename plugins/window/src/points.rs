//! The samples of one series, and the points of the grid made of them.
//!
//! Samples are kept in the order of their time, at most so many; a second
//! sample of the same time replaces the first. A sample without a usable value
//! is kept too: points next to it are bad rather than made up.

use std::collections::VecDeque;

use crate::config::Resample;

/// One reading: `None` if it is of bad quality or not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Microseconds since the Unix epoch: whole, so that the grid is exact.
    pub(crate) time: i64,
    pub(crate) value: Option<f64>,
}

/// A point of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Point {
    Good(f64),
    /// Next to a sample of bad quality.
    Bad,
    /// No sample near enough.
    Missing,
}

impl Point {
    pub(crate) fn good(self) -> Option<f64> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad | Self::Missing => None,
        }
    }

    /// The result of computing with the values of two points.
    pub(crate) fn with(self, other: Self, compute: impl FnOnce(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Good(a), Self::Good(b)) => Self::of(compute(a, b)),
            (Self::Missing, _) | (_, Self::Missing) => Self::Missing,
            _ => Self::Bad,
        }
    }

    /// Good if it is a number that can be worked with.
    pub(crate) fn of(value: f64) -> Self {
        if value.is_finite() {
            Self::Good(value)
        } else {
            Self::Missing
        }
    }
}

/// The samples of one series of one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    held: VecDeque<Sample>,
}

impl Samples {
    /// Puts `sample` in its place; of more than `max` the oldest goes.
    /// Returns whether one went.
    pub(crate) fn insert(&mut self, sample: Sample, max: usize) -> bool {
        let place = match self.held.back() {
            Some(newest) if newest.time >= sample.time => {
                self.held.partition_point(|held| held.time < sample.time)
            }
            _ => self.held.len(),
        };
        match self.held.get_mut(place) {
            Some(held) if held.time == sample.time => *held = sample,
            _ => self.held.insert(place, sample),
        }
        let full = self.held.len() > max;
        if full {
            self.held.pop_front();
        }
        full
    }

    /// When the newest sample was taken.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.held.back().map(|sample| sample.time)
    }

    /// When the first sample at `time` or later was taken.
    pub(crate) fn first_from(&self, time: i64) -> Option<i64> {
        let place = self.held.partition_point(|held| held.time < time);
        self.held.get(place).map(|sample| sample.time)
    }

    /// Forgets what no point at `time` or later is made of.
    pub(crate) fn forget_before(&mut self, time: i64) {
        while self.held.get(1).is_some_and(|second| second.time <= time) {
            self.held.pop_front();
        }
    }

    /// All of them, in the order of their time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.held.iter()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// The points at `times`, which rise.
    pub(crate) fn points(
        &self,
        times: impl Iterator<Item = i64>,
        resample: Resample,
        gap_max: i64,
    ) -> Vec<Point> {
        let mut next = 0;
        times
            .map(|time| {
                while self.held.get(next).is_some_and(|held| held.time <= time) {
                    next += 1;
                }
                let before = next.checked_sub(1).and_then(|place| self.held.get(place));
                match resample {
                    Resample::Hold => hold(before, time, gap_max),
                    Resample::Linear => line(before, self.held.get(next), time, gap_max),
                }
            })
            .collect()
    }
}

fn hold(before: Option<&Sample>, time: i64, gap_max: i64) -> Point {
    match before {
        Some(before) if time - before.time <= gap_max => before.value.map_or(Point::Bad, Point::of),
        _ => Point::Missing,
    }
}

fn line(before: Option<&Sample>, after: Option<&Sample>, time: i64, gap_max: i64) -> Point {
    let Some(before) = before else {
        return Point::Missing;
    };
    if before.time == time {
        return before.value.map_or(Point::Bad, Point::of);
    }
    let Some(after) = after.filter(|after| after.time - before.time <= gap_max) else {
        return Point::Missing;
    };
    match (before.value, after.value) {
        (Some(from), Some(to)) => {
            let part = micros(time - before.time) / micros(after.time - before.time);
            Point::of(from + (to - from) * part)
        }
        _ => Point::Bad,
    }
}

#[expect(clippy::cast_precision_loss, reason = "only a ratio is made of it")]
fn micros(span: i64) -> f64 {
    span as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(list: &[(i64, Option<f64>)]) -> Samples {
        let mut samples = Samples::default();
        for &(time, value) in list {
            samples.insert(Sample { time, value }, 8);
        }
        samples
    }

    #[track_caller]
    fn check(list: &[(i64, Option<f64>)], resample: Resample, expected: &[Point]) {
        let times = (0..).step_by(2).take(expected.len());
        let points = samples(list).points(times, resample, 4);
        assert_eq!(points, expected);
    }

    #[test]
    fn points_lie_on_the_line_or_hold_the_sample_before() {
        let list = [(0, Some(10.0)), (4, Some(20.0)), (5, Some(30.0))];
        let (ten, twenty) = (Point::Good(10.0), Point::Good(20.0));
        check(&list, Resample::Linear, &[ten, Point::Good(15.0), twenty]);
        check(&list, Resample::Hold, &[ten, ten, twenty]);
    }

    #[test]
    fn nothing_is_made_up_across_a_gap() {
        let list = [(0, Some(1.0)), (6, Some(4.0))];
        let (gone, one, four) = (Point::Missing, Point::Good(1.0), Point::Good(4.0));
        check(&list, Resample::Linear, &[one, gone, gone, four, gone]);
        check(&list, Resample::Hold, &[one, one, one, four, four]);
    }

    #[test]
    fn points_next_to_a_bad_sample_are_bad() {
        let list = [(0, Some(1.0)), (3, None), (5, Some(4.0))];
        let (one, bad) = (Point::Good(1.0), Point::Bad);
        check(&list, Resample::Linear, &[one, bad, bad]);
        check(&list, Resample::Hold, &[one, one, bad, Point::Good(4.0)]);
    }

    #[test]
    fn samples_are_ordered_and_a_second_of_the_same_time_replaces_the_first() {
        let list = [(4, Some(2.0)), (0, Some(9.0)), (0, Some(0.0))];
        let good = |value| Point::Good(value);
        check(&list, Resample::Linear, &[good(0.0), good(1.0), good(2.0)]);
    }

    #[test]
    fn the_oldest_sample_gives_way() {
        let mut samples = Samples::default();
        let value = Some(0.0);
        for time in 0..5 {
            let sample = Sample { time, value };
            assert_eq!(samples.insert(sample, 3), time >= 3);
        }
        assert_eq!(samples.len(), 3);
        assert_eq!(samples.held[0].time, 2);
    }
}
