//! Judges windows: one state for each device.
//!
//! The clock is the devices' own, so the same windows always make the same
//! anomalies. A window whose model fails changes nothing: it can be judged
//! again. A window delivered twice is judged once.

mod saved;

pub(crate) use saved::{Head, Restored, Saved};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::features::{Deviation, Features, FeaturesError};
use crate::hysteresis::{Change, Hysteresis, Raised, Sign};
use crate::score::{self, OutputError, Outputs};
use crate::threshold::Learner;

/// Windows of a device remembered in order not to judge one twice.
const RECENT_MAX: usize = 32;

/// What an anomaly does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyState {
    /// It began.
    Raised,
    /// It goes on.
    Ongoing,
    /// It ended; also said once of each device first found healthy, so that
    /// nothing kept from before a restart stays.
    Cleared,
}

/// What is published of an anomaly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anomaly {
    /// Where the device stands.
    pub site: String,
    /// Its name there.
    pub device: String,
    /// What the anomaly does.
    pub state: AnomalyState,
    /// What kind it is.
    pub kind: String,
    /// The window's score; the feature's value if a check found it.
    pub score: Option<f64>,
    /// The score from which on a window is abnormal; the check's bound.
    pub threshold: Option<f64>,
    /// End of the first abnormal window, in seconds since the Unix epoch.
    pub since: f64,
    /// Start and end of the window.
    pub window: [f64; 2],
    /// The features that deviate most from health.
    pub top_features: Vec<Deviation>,
}

/// What one window led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The model's score, or why there is none.
    pub score: Option<Result<f64, String>>,
    /// Anomalies to publish, in order.
    pub anomalies: Vec<Anomaly>,
    /// The threshold that this window completed.
    pub learned: Option<f64>,
}

/// Why a window was not judged.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum JudgeError<E> {
    /// The features are not those the configuration speaks of.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The model's outputs are not those the configuration speaks of.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The model failed.
    #[error("the model failed")]
    Model(#[source] E),
}

/// The judge of all devices.
#[derive(Debug, Clone)]
pub struct Detector {
    config: Arc<Config>,
    devices: HashMap<(String, String), State>,
    /// Counts windows, to know which device was unheard of for longest.
    windows: u64,
}

#[derive(Debug, Clone)]
struct State {
    heard: u64,
    seen: u32,
    recent: VecDeque<u64>,
    learner: Learner,
    hysteresis: Hysteresis,
    reported: f64,
    found_healthy: u32,
}

/// What is known of a window before the state changes.
struct Findings {
    /// Of the model, or why it was not asked.
    score: Result<f64, String>,
    kind: Option<String>,
    /// Kind, value and bound of a check that holds.
    check: Option<(String, f64, f64)>,
}

impl Detector {
    /// No device yet.
    ///
    /// # Errors
    /// The configuration is out of its bounds: see [`Config::check`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config: Arc::new(config),
            devices: HashMap::new(),
            windows: 0,
        })
    }

    /// Whether the device has been seen and not been forgotten.
    pub fn knows(&self, site: &str, device: &str) -> bool {
        let key = (site.to_owned(), device.to_owned());
        self.devices.contains_key(&key)
    }

    /// Starts a device with a threshold learned before.
    pub fn restore(&mut self, site: &str, device: &str, enter: f64) {
        let learner = Learner::from_enter(self.config.threshold, enter);
        self.state_of(site, device).learner = learner;
    }

    /// Judges one window; `infer` runs the model.
    ///
    /// # Errors
    /// The window was not judged and nothing changed.
    pub fn judge<E>(
        &mut self,
        features: &Features,
        infer: impl FnOnce(&[f32]) -> Result<Outputs, E>,
    ) -> Result<Outcome, JudgeError<E>> {
        let findings = self.find(features, infer)?;
        let config = Arc::clone(&self.config);
        let state = self.state_of(&features.site, &features.device);
        let window = features.end.to_bits();
        if state.recent.contains(&window) {
            return Ok(Outcome::default());
        }
        if state.recent.len() >= RECENT_MAX {
            state.recent.pop_front();
        }
        state.recent.push_back(window);
        Ok(state.judge(&config, features, findings))
    }

    /// Asks the checks and, if the window is good enough, the model.
    fn find<E>(
        &self,
        features: &Features,
        infer: impl FnOnce(&[f32]) -> Result<Outputs, E>,
    ) -> Result<Findings, JudgeError<E>> {
        let mut findings = Findings {
            score: Err("not enough good points".to_owned()),
            kind: None,
            check: None,
        };
        if let Some((check, value)) = features.failing(&self.config.checks)? {
            let bound = match (check.above, check.below) {
                (Some(above), _) if value > above => above,
                (above, below) => below.or(above).unwrap_or(value),
            };
            findings.score = Err(format!("check `{}` holds", check.kind));
            findings.check = Some((check.kind.clone(), value, bound));
            return Ok(findings);
        }
        if features.quality >= self.config.quality_min {
            match features.input(&self.config)? {
                None => findings.score = Err("a feature has no value".to_owned()),
                Some(input) => {
                    let outputs = infer(&input).map_err(JudgeError::Model)?;
                    let verdict = score::read(&self.config, &input, &outputs)?;
                    findings.score = Ok(verdict.score);
                    findings.kind = verdict.kind;
                }
            }
        }
        Ok(findings)
    }

    fn state_of(&mut self, site: &str, device: &str) -> &mut State {
        let key = (site.to_owned(), device.to_owned());
        let full = self.devices.len() >= self.config.devices_max as usize;
        if full && !self.devices.contains_key(&key) {
            let stalest = self
                .devices
                .iter()
                .min_by_key(|(_, state)| (state.hysteresis.raised().is_some(), state.heard))
                .map(|(key, _)| key.clone());
            if let Some(stalest) = stalest {
                self.devices.remove(&stalest);
            }
        }
        self.windows += 1;
        let threshold = self.config.threshold;
        let state = self.devices.entry(key).or_insert_with(|| State {
            heard: 0,
            seen: 0,
            recent: VecDeque::new(),
            learner: Learner::new(threshold),
            hysteresis: Hysteresis::default(),
            reported: f64::NEG_INFINITY,
            found_healthy: 0,
        });
        state.heard = self.windows;
        state
    }
}

impl State {
    fn judge(&mut self, config: &Config, features: &Features, findings: Findings) -> Outcome {
        let mut outcome = Outcome::default();
        self.seen = self.seen.saturating_add(1);
        let warm = self.seen > config.warm_up;
        let bounds = self.learner.bounds();
        let sign = match (&findings.check, &findings.score, bounds) {
            _ if !warm => Sign::Unknown,
            (Some((kind, ..)), _, _) => Sign::Abnormal(kind),
            (None, Err(_), _) => Sign::Unknown,
            (None, Ok(score), None) => {
                let learned = self.learner.learn(config.threshold, *score);
                outcome.learned = learned.map(|bounds| bounds.enter);
                Sign::Unknown
            }
            (None, Ok(score), Some(bounds)) if *score >= bounds.enter => {
                Sign::Abnormal(findings.kind.as_deref().unwrap_or(&config.kind))
            }
            (None, Ok(score), Some(bounds)) if *score < bounds.leave => Sign::Normal,
            _ => Sign::Between,
        };
        let (raise_after, clear_after) = (config.raise_after, config.clear_after);
        let change = self
            .hysteresis
            .step(sign, features.end, raise_after, clear_after);
        let normal = sign == Sign::Normal;
        let states = self.report(config, change, normal, features.end);
        let (score, threshold) = match &findings.check {
            Some((_, value, bound)) => (Some(*value), Some(*bound)),
            None => (
                findings.score.as_ref().ok().copied(),
                bounds.map(|bounds| bounds.enter),
            ),
        };
        outcome.anomalies = states
            .into_iter()
            .map(|(state, raised)| Anomaly {
                site: features.site.clone(),
                device: features.device.clone(),
                state,
                kind: raised.kind,
                score,
                threshold,
                since: raised.since,
                window: [features.start, features.end],
                top_features: features.deviating(config),
            })
            .collect();
        outcome.score = Some(findings.score);
        outcome
    }

    /// What is to be said of a change, or of none.
    fn report(
        &mut self,
        config: &Config,
        change: Change,
        normal: bool,
        end: f64,
    ) -> Vec<(AnomalyState, Raised)> {
        let now = self.hysteresis.raised().cloned();
        let began = now.clone().map(|now| (AnomalyState::Raised, now));
        let said: Vec<_> = match change {
            Change::Raised => began.into_iter().collect(),
            Change::Turned(former) => {
                let ended = (AnomalyState::Cleared, former);
                std::iter::once(ended).chain(began).collect()
            }
            Change::Cleared(former) => vec![(AnomalyState::Cleared, former)],
            Change::None => now
                .filter(|_| self.is_due(config, end))
                .map(|now| (AnomalyState::Ongoing, now))
                .or_else(|| self.first_healthy(config, normal, end))
                .into_iter()
                .collect(),
        };
        if !said.is_empty() {
            self.reported = end;
            self.found_healthy = u32::MAX;
        }
        said
    }

    /// Whether a report is due; at once if the device's clock was set back.
    fn is_due(&self, config: &Config, end: f64) -> bool {
        end < self.reported || end - self.reported >= f64::from(config.heartbeat_s)
    }

    /// Said once of a device about which nothing was said yet.
    fn first_healthy(
        &mut self,
        config: &Config,
        normal: bool,
        end: f64,
    ) -> Option<(AnomalyState, Raised)> {
        if self.found_healthy == u32::MAX {
            return None;
        }
        self.found_healthy = if normal { self.found_healthy + 1 } else { 0 };
        if self.found_healthy < config.clear_after {
            return None;
        }
        let kind = config.kind.clone();
        Some((AnomalyState::Cleared, Raised { kind, since: end }))
    }
}

#[cfg(test)]
mod tests;
