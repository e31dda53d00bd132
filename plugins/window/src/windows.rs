//! Windows sliding over the readings of many devices.
//!
//! The clock is the devices' own: nothing here asks for the time, so the same
//! readings always make the same features, on a gateway and in training.
//!
//! A window is finished once every series has a sample at or past its last
//! point, or the device one that is `wait_ms` (at least a step) later than the
//! first of those. All samples of one time in a message are taken in before.
//! A sample too old for any unfinished window is late and dropped; as many late
//! ones in a row as a window has points mean that the device's clock was set
//! back, and it starts afresh. So does a device that was silent for more than
//! `max_gap_ms`. The windows that wait then are finished with what there is.

mod saved;
mod state;

pub(crate) use saved::{Head, Restored, Saved};

use std::collections::HashMap;

use selvedge_plugin::senml::{Quality, Record, Value};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};
use crate::points::Sample;
use state::{Grid, State, Turn};

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
            // Readings of one round of polls are some milliseconds apart.
            wait: micros(config.wait_ms).max(step),
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
        let mut finish = |state: &mut State, dropped: &mut Dropped| {
            if finished.len() < self.config.windows_per_message_max as usize {
                let (values, quality) = state.features(&self.config, &self.grid);
                finished.push(Features {
                    device: device.name.clone(),
                    site: device.site.clone(),
                    start: seconds(state.start),
                    end: seconds(self.grid.end_of(state.start)),
                    names: self.names.clone(),
                    values,
                    quality,
                });
            } else {
                dropped.windows += 1;
            }
            state.advance(&self.grid);
        };
        for group in samples.chunk_by(|(_, a), (_, b)| a.time == b.time) {
            let Some((_, first)) = group.first() else {
                continue;
            };
            let turn = state.turn(first.time, group.len(), self.config.length, &self.grid);
            if matches!(turn, Turn::Late | Turn::SetBack) {
                self.dropped.late += group.len() as u64;
            }
            match turn {
                Turn::Next => {}
                Turn::Late => continue,
                Turn::SetBack | Turn::Silence => {
                    while state.is_past(&self.grid) {
                        finish(state, &mut self.dropped);
                    }
                    state.restart(&self.grid, first.time);
                }
            }
            let samples_max = self.config.samples_max();
            for (place, sample) in group {
                let displaced = state.take(*place, *sample, samples_max);
                self.dropped.displaced += u64::from(displaced);
            }
            while state.is_finished(&self.grid) {
                finish(state, &mut self.dropped);
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
