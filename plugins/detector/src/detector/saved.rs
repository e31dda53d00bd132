//! What is known of the devices, as it is handed to the next version.
//!
//! What is read may be of another configuration, and is foreign: an anomaly
//! that was raised stays so until this version finds the device healthy; scores
//! and thresholds are kept only if they mean the same here.

use std::collections::{HashMap, HashSet, VecDeque};

use selvedge_plugin::state::{StateError, any_f64};
use serde::{Deserialize, Serialize};

use super::{Detector, RECENT_MAX, State};
use crate::config::{Config, Threshold};
use crate::hysteresis::Hysteresis;
use crate::threshold::Learner;

/// What scores and thresholds were made by.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    scored_by: String,
    /// None if thresholds are given.
    learned_by: Option<String>,
}

/// One device.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    site: String,
    device: String,
    /// The one with the largest was heard of last.
    heard: u64,
    seen: u32,
    /// The ends of the windows judged last, in seconds since the Unix epoch.
    recent: Vec<f64>,
    /// The threshold learned, if it is.
    enter: Option<f64>,
    /// Scores to learn it from, if it is not.
    scores: Vec<f64>,
    hysteresis: Hysteresis,
    #[serde(with = "any_f64")]
    reported: f64,
    found_healthy: u32,
}

/// Devices read from a state.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    devices: Vec<((String, String), State)>,
    known: HashSet<(String, String)>,
}

fn text(of: &impl Serialize) -> String {
    // A configuration was read from JSON, so it can be written as such.
    serde_json::to_string(of).unwrap_or_default()
}

impl Head {
    fn of(config: &Config) -> Self {
        // Written as it is declared: the order of a `Value` depends on how
        // serde_json was built.
        let scored_by = text(&(
            &config.model,
            &config.input,
            &config.features,
            &config.standardise,
            &config.score,
            &config.kinds,
        ));
        let learned_by = match config.threshold {
            Threshold::Fixed { .. } => None,
            Threshold::Learned {
                windows,
                quantile,
                factor,
                ..
            } => Some(text(&(windows, quantile, factor))),
        };
        Self {
            scored_by,
            learned_by,
        }
    }

    /// What a device goes on with that has learned so far what `saved` says.
    fn learner(&self, config: &Config, saved: &Saved) -> Learner {
        let own = Self::of(config);
        let threshold = config.threshold;
        match (threshold, saved.enter) {
            (Threshold::Learned { .. }, Some(enter)) if *self == own => {
                Learner::from_enter(threshold, enter)
            }
            (Threshold::Learned { windows, .. }, None) if self.scored_by == own.scored_by => {
                let scores = saved.scores.iter().take(windows as usize);
                Learner::Learning(scores.copied().collect())
            }
            _ => Learner::new(threshold),
        }
    }
}

impl Detector {
    pub(crate) fn head(&self) -> Head {
        Head::of(&self.config)
    }

    /// All devices, those with an anomaly and the latest heard of first.
    pub(crate) fn saved(&self) -> impl Iterator<Item = Saved> {
        let mut devices: Vec<_> = self.devices.iter().collect();
        devices.sort_by_key(|(_, state)| {
            std::cmp::Reverse((state.hysteresis.raised().is_some(), state.heard))
        });
        devices
            .into_iter()
            .map(|((site, device), state)| state.saved(site, device))
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
        let key = (saved.site.clone(), saved.device.clone());
        if key.0.contains('/') || key.1.contains('/') {
            return Err(StateError::new("a device's name is none"));
        }
        if !restored.known.insert(key.clone()) {
            return Err(StateError::new("a device is in it twice"));
        }
        let older = saved.recent.len().saturating_sub(RECENT_MAX);
        let recent = saved.recent.iter().skip(older);
        let state = State {
            heard: saved.heard,
            seen: saved.seen,
            recent: recent.map(|end| end.to_bits()).collect(),
            learner: head.learner(&self.config, &saved),
            hysteresis: saved.hysteresis,
            // What is not a time would never be over.
            reported: if saved.reported.is_nan() {
                f64::NEG_INFINITY
            } else {
                saved.reported
            },
            found_healthy: saved.found_healthy,
        };
        restored.devices.push((key, state));
        Ok(())
    }

    /// Goes on with `restored` in place of all that is known.
    pub(crate) fn resume(&mut self, mut restored: Restored) {
        restored.devices.sort_by_key(|(_, state)| state.heard);
        self.devices = HashMap::new();
        self.windows = 0;
        for (heard, (key, state)) in (1..).zip(restored.devices) {
            self.windows = heard;
            self.devices.insert(key, State { heard, ..state });
        }
    }
}

impl State {
    fn saved(&self, site: &str, device: &str) -> Saved {
        let ends = |recent: &VecDeque<u64>| recent.iter().copied().map(f64::from_bits).collect();
        let (enter, scores) = match &self.learner {
            Learner::Learning(scores) => (None, scores.clone()),
            Learner::Known(bounds) => (Some(bounds.enter), Vec::new()),
        };
        Saved {
            site: site.to_owned(),
            device: device.to_owned(),
            heard: self.heard,
            seen: self.seen,
            recent: ends(&self.recent),
            enter,
            scores,
            hysteresis: self.hysteresis.clone(),
            reported: self.reported,
            found_healthy: self.found_healthy,
        }
    }
}
