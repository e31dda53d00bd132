//! What the operator configures, and whether it makes sense.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The plugin's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model that scores: its name in the deployment.
    pub model: String,
    /// The model's input; `f32`, `[1, number of features]`. Needed only where the
    /// model has several.
    #[serde(default)]
    pub input: Option<String>,
    /// The features in the order of the model's input; 1 to 512. They are
    /// found in a message by name; others in it are ignored.
    pub features: Vec<FeatureSpec>,
    /// Whether features are fed as `(x - mean) / std` instead of as they are.
    #[serde(default)]
    pub standardise: bool,
    /// How the model's outputs become one score; more is worse.
    pub score: Score,
    /// The output that tells kinds of anomaly apart, if there is one.
    #[serde(default)]
    pub kinds: Option<Kinds>,
    /// The kind of an anomaly that nothing tells more about.
    #[serde(default = "default_kind")]
    pub kind: String,
    /// From which score on a window is abnormal.
    pub threshold: Threshold,
    /// Anomalies seen in single features, without the model; in order of
    /// precedence, at most 64. They hold at any quality.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Abnormal windows in a row that raise an anomaly; 1 to 10,000.
    #[serde(default = "default_windows")]
    pub raise_after: u32,
    /// Normal windows in a row that clear it; 1 to 10,000.
    #[serde(default = "default_windows")]
    pub clear_after: u32,
    /// A device's first windows that are not judged; 0 to 100,000.
    #[serde(default)]
    pub warm_up: u32,
    /// Least fraction of good points for a window to be judged; 0 to 1.
    #[serde(default = "default_quality_min")]
    pub quality_min: f64,
    /// Seconds, in the device's time, between reports of an anomaly that goes
    /// on; 1 to 86,400.
    #[serde(default = "default_heartbeat_s")]
    pub heartbeat_s: u32,
    /// Features named in an anomaly as deviating most; 0 to 32.
    #[serde(default = "default_top_features_max")]
    pub top_features_max: u32,
    /// Devices remembered; 1 to 65,536. One more displaces the device unheard
    /// of for longest among those without an anomaly, else among all.
    #[serde(default = "default_devices_max")]
    pub devices_max: u32,
}

/// A feature, and what is usual for it in health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Its name in the message.
    pub name: String,
    /// Its mean in health, in its unit.
    #[serde(default)]
    pub mean: f64,
    /// Its standard deviation in health; more than 0.
    #[serde(default = "default_std")]
    pub std: f64,
}

/// How the model's outputs become one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Score {
    /// The single number in this output.
    Output(String),
    /// The mean squared difference of this output and the input: the output
    /// is the input as the model rebuilds it.
    Reconstruction(String),
    /// The largest of `kinds`' output that is not the healthy one's.
    Kinds,
}

/// An output with one number for each label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kinds {
    /// Its name.
    pub output: String,
    /// What its numbers stand for, in order; 2 to 64.
    pub labels: Vec<String>,
    /// The label that is no anomaly.
    pub healthy: String,
}

/// From which score on a window is abnormal.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// Always the same.
    Fixed {
        /// Abnormal from here on.
        enter: f64,
        /// Normal below; at most `enter`, and `enter` unless given.
        leave: Option<f64>,
    },
    /// Learned from each device's first windows, which must be healthy ones.
    Learned {
        /// Windows to learn from; 10 to 10,000.
        windows: u32,
        /// The fraction of them below the threshold; more than 0, at most 1.
        quantile: f64,
        /// What that score is multiplied by; 1 to 1,000.
        #[serde(default = "default_factor")]
        factor: f64,
        /// Normal below this fraction of the threshold; more than 0, at most 1.
        #[serde(default = "default_leave_fraction")]
        leave_fraction: f64,
        /// Whether the threshold is kept in the plugin's bucket and found
        /// again after a restart.
        #[serde(default)]
        persist: bool,
    },
}

/// An anomaly seen in one feature.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What kind of anomaly it is.
    pub kind: String,
    /// The feature's name.
    pub feature: String,
    /// Abnormal above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// Abnormal below this.
    #[serde(default)]
    pub below: Option<f64>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A number is out of its bounds.
    #[error("`{field}` is {value}, but must be {min} to {max}")]
    OutOfBounds {
        /// Which.
        field: &'static str,
        /// What it is.
        value: f64,
        /// Least.
        min: f64,
        /// Most.
        max: f64,
    },
    /// A name is empty or given twice.
    #[error("{what} `{name}` is empty or named twice")]
    Name {
        /// Of what.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// A standard deviation that nothing can be divided by.
    #[error("feature `{0}`: `mean` must be finite and `std` more than 0")]
    Scale(String),
    /// `healthy` is not a label.
    #[error("`kinds.healthy` is `{0}`, which is not among `kinds.labels`")]
    Healthy(String),
    /// `score = "kinds"` without `kinds`.
    #[error("`score` is `kinds`, but there are no `kinds`")]
    NoKinds,
    /// A check without or with unusable bounds.
    #[error("check `{0}` needs a finite `above` or `below`")]
    Check(String),
}

impl Config {
    /// Whether everything is within its bounds.
    ///
    /// # Errors
    /// Names the first thing that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let whole = |field, value: u32, min: u32, max: u32| {
            bound(field, f64::from(value), f64::from(min), f64::from(max))
        };
        whole("raise_after", self.raise_after, 1, 10_000)?;
        whole("clear_after", self.clear_after, 1, 10_000)?;
        whole("warm_up", self.warm_up, 0, 100_000)?;
        whole("heartbeat_s", self.heartbeat_s, 1, 86_400)?;
        whole("top_features_max", self.top_features_max, 0, 32)?;
        whole("devices_max", self.devices_max, 1, 65_536)?;
        bound("quality_min", self.quality_min, 0.0, 1.0)?;
        length("features", self.features.len(), 1, 512)?;
        length("checks", self.checks.len(), 0, 64)?;
        let names = self.features.iter().map(|feature| feature.name.as_str());
        distinct("feature", names)?;
        for feature in &self.features {
            let usable = feature.mean.is_finite() && feature.std.is_finite() && feature.std > 0.0;
            if !usable {
                return Err(ConfigError::Scale(feature.name.clone()));
            }
        }
        for check in &self.checks {
            let mut bounds = check.above.iter().chain(&check.below).peekable();
            if bounds.peek().is_none() || !bounds.all(|bound| bound.is_finite()) {
                return Err(ConfigError::Check(check.kind.clone()));
            }
        }
        self.check_kinds()?;
        self.check_threshold()
    }

    fn check_kinds(&self) -> Result<(), ConfigError> {
        let own = self.checks.iter().map(|check| check.kind.as_str());
        if let Some(empty) = own.chain([self.kind.as_str()]).find(|kind| kind.is_empty()) {
            let (what, name) = ("kind", empty.to_owned());
            return Err(ConfigError::Name { what, name });
        }
        let Some(kinds) = &self.kinds else {
            return match self.score {
                Score::Kinds => Err(ConfigError::NoKinds),
                _ => Ok(()),
            };
        };
        length("kinds.labels", kinds.labels.len(), 2, 64)?;
        distinct("label", kinds.labels.iter().map(String::as_str))?;
        if !kinds.labels.contains(&kinds.healthy) {
            return Err(ConfigError::Healthy(kinds.healthy.clone()));
        }
        Ok(())
    }

    fn check_threshold(&self) -> Result<(), ConfigError> {
        match self.threshold {
            Threshold::Fixed { enter, leave } => {
                bound("threshold.fixed.enter", enter, f64::MIN, f64::MAX)?;
                let leave = leave.unwrap_or(enter);
                bound("threshold.fixed.leave", leave, f64::MIN, enter)
            }
            Threshold::Learned {
                windows,
                quantile,
                factor,
                leave_fraction,
                persist: _,
            } => {
                let least = f64::MIN_POSITIVE;
                let windows = f64::from(windows);
                bound("threshold.learned.windows", windows, 10.0, 10_000.0)?;
                bound("threshold.learned.quantile", quantile, least, 1.0)?;
                bound("threshold.learned.factor", factor, 1.0, 1_000.0)?;
                bound(
                    "threshold.learned.leave_fraction",
                    leave_fraction,
                    least,
                    1.0,
                )
            }
        }
    }
}

fn bound(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        field,
        value,
        min,
        max,
    })
}

fn length(field: &'static str, value: usize, min: u32, max: u32) -> Result<(), ConfigError> {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    bound(field, f64::from(value), f64::from(min), f64::from(max))
}

fn distinct<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            let name = name.to_owned();
            return Err(ConfigError::Name { what, name });
        }
    }
    Ok(())
}

fn default_kind() -> String {
    "anomaly".to_owned()
}

fn default_windows() -> u32 {
    3
}

fn default_quality_min() -> f64 {
    0.8
}

fn default_heartbeat_s() -> u32 {
    60
}

fn default_top_features_max() -> u32 {
    3
}

fn default_devices_max() -> u32 {
    256
}

fn default_std() -> f64 {
    1.0
}

fn default_factor() -> f64 {
    1.2
}

fn default_leave_fraction() -> f64 {
    0.8
}

#[cfg(test)]
mod tests;
