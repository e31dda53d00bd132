//! Windows sliding over the readings of many devices.
//!
//! The clock is the devices' own: nothing here asks for the time, so the same
//! readings always make the same features, on a gateway and in training.
//!
//! A window is finished once every series has a sample at or past its last
//! point, or the device's newest sample is `wait_ms` past it. A sample too old
//! for any unfinished window is late and dropped; as many late ones in a row as
//! a window has points mean that the device's clock was set back, and it starts
//! afresh. So does a device that was silent for more than `max_gap_ms`.

mod saved;

pub(crate) use saved::{Head, Restored, Saved};

use std::collections::HashMap;

use selvedge_plugin::senml::{Quality, Record, Value};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError, Formula, Normalise};
use crate::feature::{self, Window};
use crate::normalise::{Running, scale};
use crate::points::{Point, Sample, Samples};

/// Times beyond this many seconds from the epoch are not believed (year 5138).
const TIME_MAX: f64 = 1e11;

/// Whose readings these are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Where it stands.
    pub site: String,
    /// Its name there.
    pub name: String,
}

impl Device {
    /// From a topic `<anything>/<site>/<device>`.
    pub fn from_topic(topic: &str) -> Option<Self> {
        let mut levels = topic.split('/').skip(1);
        let (site, name) = (levels.next()?, levels.next()?);
        if site.is_empty() || name.is_empty() || levels.next().is_some() {
            return None;
        }
        Some(Self {
            site: site.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// What one window of one device amounts to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// The device's name.
    pub device: String,
    /// Where it stands.
    pub site: String,
    /// Time of the first point, in seconds since the Unix epoch.
    pub start: f64,
    /// Time of the last point.
    pub end: f64,
    /// The features' names, in the order of the configuration.
    pub names: Vec<String>,
    /// Their values, in the same order; `None` where there was nothing to
    /// compute one from.
    pub values: Vec<Option<f64>>,
    /// Fraction of good points over all configured series, 0 to 1.
    pub quality: f64,
}

/// What was left out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Samples too old for any unfinished window.
    pub late: u64,
    /// Samples displaced by newer ones, `samples_max` being reached.
    pub displaced: u64,
    /// Windows skipped, `windows_per_message_max` being reached.
    pub windows: u64,
    /// Devices forgotten, `devices_max` being reached.
    pub devices: u64,
    /// Records whose time is not a time.
    pub timeless: u64,
}

/// The windows of all devices.
#[derive(Debug, Clone)]
pub struct Windows {
    config: Config,
    names: Vec<String>,
    grid: Grid,
    devices: HashMap<Device, State>,
    /// Counts calls, to know which device was unheard of for longest.
    calls: u64,
    dropped: Dropped,
}

/// Lengths in microseconds.
#[derive(Debug, Clone, Copy)]
struct Grid {
    step: i64,
    length: i64,
    hop: i64,
    gap_max: i64,
    wait: i64,
}

impl Grid {
    /// The first start of a window at or after `time`.
    fn start_at(&self, time: i64) -> i64 {
        time.div_euclid(self.hop) * self.hop
            + if time.rem_euclid(self.hop) == 0 {
                0
            } else {
                self.hop
            }
    }

    /// The last point of the window that starts at `start`.
    fn end_of(&self, start: i64) -> i64 {
        start + self.length - self.step
    }
}

/// One device.
#[derive(Debug, Clone)]
struct State {
    heard: u64,
    samples: Vec<Samples>,
    /// For each series, then each derived one.
    running: Vec<Running>,
    /// Points before this time are in `running`.
    learned_until: i64,
    /// The start of the window to finish next.
    start: i64,
    newest: i64,
    late_in_a_row: u32,
}

impl Windows {
    /// No readings yet.
    ///
    /// # Errors
    /// The configuration is out of its bounds: see [`Config::check`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let micros = |ms: u32| i64::from(ms) * 1_000;
        let step = micros(config.step_ms);
        let grid = Grid {
            step,
            length: step * i64::from(config.length),
            hop: step * i64::from(config.hop),
            gap_max: micros(config.max_gap_ms),
            wait: micros(config.wait_ms),
        };
        Ok(Self {
            names: config.feature_names(),
            config,
            grid,
            devices: HashMap::new(),
            calls: 0,
            dropped: Dropped::default(),
        })
    }

    /// The features' names, in the order of their values.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What was left out so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Takes in readings of `device`, in any order, and returns the windows
    /// that they finish, oldest first. Records that no series names are ignored.
    pub fn push(&mut self, device: &Device, records: &[Record]) -> Vec<Features> {
        let mut samples: Vec<(usize, Sample)> = Vec::with_capacity(records.len());
        for record in records {
            for place in self.places_of(&record.name) {
                match sample(record) {
                    Some(sample) => samples.push((place, sample)),
                    None => self.dropped.timeless += 1,
                }
            }
        }
        samples.sort_by_key(|(_, sample)| sample.time);
        let Some((_, first)) = samples.first() else {
            return Vec::new();
        };
        self.make_room(device);
        self.calls += 1;
        let state = self
            .devices
            .entry(device.clone())
            .or_insert_with(|| State::new(&self.config, &self.grid, first.time));
        state.heard = self.calls;

        let mut finished = Vec::new();
        let windows_max = self.config.windows_per_message_max as usize;
        for (place, sample) in samples {
            state.take(place, sample, (&self.config, &self.grid), &mut self.dropped);
            while state.is_finished(&self.grid) {
                if finished.len() < windows_max {
                    let (values, quality) = state.features(&self.config, &self.grid);
                    let end = self.grid.end_of(state.start);
                    finished.push(Features {
                        device: device.name.clone(),
                        site: device.site.clone(),
                        start: seconds(state.start),
                        end: seconds(end),
                        names: self.names.clone(),
                        values,
                        quality,
                    });
                } else {
                    self.dropped.windows += 1;
                }
                state.advance(&self.grid);
            }
        }
        finished
    }

    fn places_of(&self, record: &str) -> Vec<usize> {
        let named = |wanted: &str| {
            record
                .strip_suffix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with(['/', ':']))
        };
        (0..)
            .zip(&self.config.series)
            .filter(|(_, series)| named(&series.record))
            .map(|(place, _)| place)
            .collect()
    }

    /// Forgets the device unheard of for longest if `device` is one too many.
    fn make_room(&mut self, device: &Device) {
        let full = self.devices.len() >= self.config.devices_max as usize;
        if !full || self.devices.contains_key(device) {
            return;
        }
        let stalest = self.devices.iter().min_by_key(|(_, state)| state.heard);
        if let Some(stalest) = stalest.map(|(device, _)| device.clone()) {
            self.devices.remove(&stalest);
            self.dropped.devices += 1;
        }
    }
}

impl State {
    fn new(config: &Config, grid: &Grid, time: i64) -> Self {
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
    fn take(
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
    fn restart(&mut self, grid: &Grid, time: i64) {
        self.samples.fill_with(Samples::default);
        self.start = grid.start_at(time);
        self.learned_until = self.start;
        self.newest = time;
        self.late_in_a_row = 0;
    }

    fn is_finished(&self, grid: &Grid) -> bool {
        let end = grid.end_of(self.start);
        self.newest >= end
            && (self.newest >= end + grid.wait.max(1)
                || self
                    .samples
                    .iter()
                    .all(|samples| samples.newest().is_some_and(|newest| newest >= end)))
    }

    fn advance(&mut self, grid: &Grid) {
        self.start += grid.hop;
        for samples in &mut self.samples {
            samples.forget_before(self.start);
        }
    }

    /// The values of all features over the window that starts at `start`, and
    /// the fraction of good points.
    fn features(&mut self, config: &Config, grid: &Grid) -> (Vec<Option<f64>>, f64) {
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
        let good: f64 = series
            .values()
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

/// What a record says; `None` if its time is not a time.
fn sample(record: &Record) -> Option<Sample> {
    if !record.time.is_finite() || record.time.abs() > TIME_MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let time = (record.time * 1e6).round() as i64;
    let value = match (&record.value, &record.quality) {
        (Value::Bool(bool), quality) if !matches!(quality, Quality::Bad(_)) => {
            Some(f64::from(u8::from(*bool)))
        }
        _ => record.number(),
    };
    Some(Sample { time, value })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests;
