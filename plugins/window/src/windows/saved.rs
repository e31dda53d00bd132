//! Windows under construction, as they are handed to the next version.
//!
//! What is written: for each device its samples, what was learned of its scale,
//! and where its next window starts. What is read may be of another
//! configuration, and is foreign: what still makes sense is kept within the
//! bounds of this one, what contradicts itself is refused.

use std::collections::{HashMap, HashSet};

use selvedge_plugin::state::StateError;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::{Device, TIME_MAX, Windows};
use crate::config::{Config, Formula, Normalise};
use crate::normalise::Running;
use crate::points::{Sample, Samples};

/// Microseconds from the epoch that no time in a state goes beyond: room for a
/// window after the last time that is believed.
#[expect(clippy::cast_possible_truncation, reason = "a whole number")]
const MICROS_MAX: i64 = 2 * (TIME_MAX as i64) * 1_000_000;

/// What the parts of a [`Saved`] stand for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// For each list of samples: the record that they were read from.
    records: Vec<String>,
    /// For each scale: what it was learned of, if any was.
    scales: Vec<Option<String>>,
}

/// One device. Times in microseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    site: String,
    device: String,
    start: i64,
    newest: i64,
    learned_until: i64,
    late_in_a_row: u32,
    /// Time since the sample before (the first: since `start`), and value.
    samples: Vec<Vec<(i64, Option<f64>)>>,
    running: Vec<Option<Running>>,
}

/// Devices read from a state, the latest heard of first.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    devices: Vec<(Device, State)>,
    known: HashSet<Device>,
}

fn text(of: &impl Serialize) -> String {
    // A configuration was read from JSON, so it can be written as such.
    serde_json::to_string(of).unwrap_or_default()
}

impl Head {
    fn of(config: &Config) -> Self {
        // Written as they are declared: the order of a `Value` depends on how
        // serde_json was built.
        let scale = |learns, of: String| match learns {
            Normalise::Running { .. } => Some(of),
            _ => None,
        };
        let series = config.series.iter().map(|series| {
            let of = (&series.record, &series.resample);
            scale(series.normalise, text(&of))
        });
        let derived = config.derived.iter().map(|derived| {
            let sources: Vec<_> = sources(&derived.from)
                .iter()
                .filter_map(|name| config.series.iter().find(|series| series.name() == *name))
                .map(|series| (series.name(), &series.record, &series.resample))
                .collect();
            scale(derived.normalise, text(&(&derived.from, sources)))
        });
        Self {
            scales: series.chain(derived).collect(),
            records: config.series.iter().map(|one| one.record.clone()).collect(),
        }
    }
}

/// The series that a derived one is computed from.
fn sources(from: &Formula) -> Vec<&str> {
    match from {
        Formula::Difference(pair) | Formula::Ratio(pair) => {
            pair.iter().map(String::as_str).collect()
        }
        Formula::Residual(residual) => {
            let of = std::iter::once(&residual.of);
            of.chain(residual.factors.keys())
                .map(String::as_str)
                .collect()
        }
    }
}

impl Windows {
    pub(crate) fn head(&self) -> Head {
        Head::of(&self.config)
    }

    /// All devices, the latest heard of first.
    pub(crate) fn saved(&self) -> impl Iterator<Item = Saved> {
        let head = self.head();
        let mut devices: Vec<_> = self.devices.iter().collect();
        devices.sort_by_key(|(_, state)| std::cmp::Reverse(state.heard));
        devices
            .into_iter()
            .map(move |(device, state)| state.saved(device, &head))
    }

    /// Takes one more device into `restored`; one too many is left out.
    pub(crate) fn restore_one(
        &self,
        head: &Head,
        saved: Saved,
        restored: &mut Restored,
    ) -> Result<(), StateError> {
        if restored.devices.len() >= self.config.devices_max as usize {
            return Ok(());
        }
        let topic = format!("x/{}/{}", saved.site, saved.device);
        let device = Device::from_topic(&topic)
            .filter(|device| device.name == saved.device)
            .ok_or_else(|| StateError::new(format!("no device is called `{topic}`")))?;
        if !restored.known.insert(device.clone()) {
            return Err(StateError::new("a device is in it twice"));
        }
        let state = self.fit(head, saved)?;
        restored.devices.push((device, state));
        Ok(())
    }

    /// Goes on with `restored` in place of all that is known.
    pub(crate) fn resume(&mut self, restored: Restored) {
        let ranked = (1..).zip(restored.devices.into_iter().rev());
        self.devices = HashMap::new();
        self.calls = 0;
        for (heard, (device, state)) in ranked {
            self.calls = heard;
            self.devices.insert(device, State { heard, ..state });
        }
    }

    fn fit(&self, head: &Head, saved: Saved) -> Result<State, StateError> {
        let (config, grid) = (&self.config, &self.grid);
        let known = -MICROS_MAX..=MICROS_MAX;
        let times = [saved.start, saved.newest, saved.learned_until];
        if !times.iter().all(|time| known.contains(time)) {
            return Err(StateError::new("a time in it is none"));
        }
        let counts = (saved.samples.len(), saved.running.len());
        if counts != (head.records.len(), head.scales.len()) {
            return Err(StateError::new("a device has other series than its head"));
        }
        let samples_max = config.samples_max() as usize;
        let mut samples = Vec::new();
        for series in &config.series {
            let same = |record: &String| *record == series.record;
            let list = head.records.iter().position(same);
            let list = list.and_then(|place| saved.samples.get(place));
            let list = list.map(Vec::as_slice).unwrap_or_default();
            samples.push(rising(list, (saved.start, saved.newest), samples_max)?);
        }
        let scales = Head::of(config).scales.into_iter().map(|scale| {
            let same = |other: &Option<String>| scale.is_some() && *other == scale;
            let place = head.scales.iter().position(same)?;
            saved.running.get(place).copied().flatten()
        });
        let start = grid.start_at(saved.start);
        let mut state = State {
            heard: 0,
            samples,
            running: scales.map(Option::unwrap_or_default).collect(),
            learned_until: saved.learned_until.min(start + grid.length),
            start,
            newest: saved.newest,
            late_in_a_row: saved.late_in_a_row.min(config.length),
        };
        // With another grid its next window may be long past or far ahead.
        let skipped = grid.hop * i64::from(config.windows_per_message_max);
        let waiting = grid.gap_max + grid.wait;
        let past = state.newest - start > grid.length + waiting + skipped;
        if past || start > state.newest + grid.hop {
            state.restart(grid, state.newest);
        }
        Ok(state)
    }
}

impl State {
    fn saved(&self, device: &Device, head: &Head) -> Saved {
        let mut lists = Vec::new();
        for samples in &self.samples {
            let mut before = self.start;
            let pair = |sample: &Sample| {
                let since = sample.time - before;
                before = sample.time;
                (since, sample.value)
            };
            lists.push(samples.iter().map(pair).collect());
        }
        let learned = head.scales.iter().zip(&self.running);
        Saved {
            site: device.site.clone(),
            device: device.name.clone(),
            start: self.start,
            newest: self.newest,
            learned_until: self.learned_until,
            late_in_a_row: self.late_in_a_row,
            samples: lists,
            running: learned
                .map(|(scale, running)| scale.is_some().then_some(*running))
                .collect(),
        }
    }
}

/// Samples in the order of their time, the newest `max` of them.
fn rising(
    list: &[(i64, Option<f64>)],
    (start, newest): (i64, i64),
    max: usize,
) -> Result<Samples, StateError> {
    let mut samples = Samples::default();
    let mut before = start;
    for (place, (since, value)) in list.iter().enumerate() {
        let time = before
            .checked_add(*since)
            .filter(|time| (-MICROS_MAX..=newest).contains(time))
            .filter(|_| place == 0 || *since > 0);
        let time = time.ok_or_else(|| StateError::new("the times of samples do not rise"))?;
        let value = value.filter(|value| value.is_finite());
        samples.insert(Sample { time, value }, max);
        before = time;
    }
    Ok(samples)
}
