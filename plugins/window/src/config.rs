//! What the operator configures, and whether it makes sense.
//!
//! Every number has a unit in its name and a bound in its description;
//! [`Config::check`] refuses what is out of bounds before anything runs.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

const STEP_MS_MAX: u32 = 3_600_000;
const LENGTH_MAX: u32 = 4_096;
const SERIES_MAX: usize = 64;
const FEATURES_MAX: usize = 512;
const SAMPLES_MAX: u32 = 65_536;

/// The plugin's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Milliseconds between two points of the grid that all series are
    /// resampled to; 1 to 3,600,000. Points lie on multiples of it since the
    /// Unix epoch, so that the same data always make the same windows.
    pub step_ms: u32,
    /// Points in a window; 2 to 4,096. A power of two suits spectra best.
    pub length: u32,
    /// Points from the start of one window to the start of the next; 1 to
    /// `length`.
    pub hop: u32,
    /// Milliseconds between two samples beyond which nothing is made up
    /// between them. A device silent for longer starts afresh; a single series
    /// silent for longer has missing points. `step_ms` to the window's duration.
    pub max_gap_ms: u32,
    /// Milliseconds, in the device's time, that a window waits for series that
    /// lag behind the first one past it; 0 to the window's duration. It waits
    /// for `step_ms` at least.
    #[serde(default)]
    pub wait_ms: u32,
    /// Milliseconds that a record may lie ahead of the host's clock before it
    /// is dropped; 0 to 3,600,000.
    #[serde(default = "default_ahead_ms_max")]
    pub ahead_ms_max: u32,
    /// Devices remembered; 1 to 65,536. One more displaces the device unheard
    /// of for longest.
    #[serde(default = "default_devices_max")]
    pub devices_max: u32,
    /// Samples kept for one series of one device; `length` to 65,536, and
    /// eight times `length` unless given. One more displaces the oldest.
    #[serde(default)]
    pub samples_max: Option<u32>,
    /// Windows finished by one message; 1 to 65,536. The rest are skipped:
    /// the device goes on with its newest data.
    #[serde(default = "default_windows_max")]
    pub windows_per_message_max: u32,
    /// First level of the topic that features are published on; one level.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// What is read, in the order of the features; 1 to 64 with `derived`.
    pub series: Vec<Series>,
    /// What is computed point by point from several series.
    #[serde(default)]
    pub derived: Vec<Derived>,
    /// One feature for each pair: how far two series move together.
    #[serde(default)]
    pub correlations: Vec<Correlation>,
}

/// One series of every device, and the features made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The SenML record's whole name, or its end after a `/` or `:`.
    pub record: String,
    /// What its features are named after; `record` unless given.
    #[serde(default)]
    pub name: Option<String>,
    /// How a point between two samples is found.
    #[serde(default)]
    pub resample: Resample,
    /// How points are scaled before features are made of them. `stuck` and
    /// everything derived use the points as they were read.
    #[serde(default)]
    pub normalise: Normalise,
    /// Two values that differ by no more than this count as the same for
    /// `stuck`, in the series' unit; 0 or more.
    #[serde(default)]
    pub stuck_tolerance: f64,
    /// The features, in order.
    #[serde(default)]
    pub features: Vec<Feature>,
}

impl Series {
    /// What its features are named after.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.record)
    }
}

/// A series computed from others, and the features made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// What its features are named after.
    pub name: String,
    /// How it is computed.
    pub from: Formula,
    /// As in [`Series::normalise`].
    #[serde(default)]
    pub normalise: Normalise,
    /// As in [`Series::stuck_tolerance`].
    #[serde(default)]
    pub stuck_tolerance: f64,
    /// The features, in order.
    pub features: Vec<Feature>,
}

/// How a point is computed from the points of other series at the same time;
/// where one of those is missing or bad, so is the result. Names are those of
/// `series`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Formula {
    /// The first less the second.
    Difference([String; 2]),
    /// The first by the second; missing where the second is 0.
    Ratio([String; 2]),
    /// What a linear function of other series leaves unexplained.
    Residual(Residual),
}

/// `of - (offset + sum of factor * series)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The series to explain.
    pub of: String,
    /// The constant, in the unit of `of`.
    #[serde(default)]
    pub offset: f64,
    /// A factor for each explaining series.
    pub factors: BTreeMap<String, f64>,
}

/// Pearson's correlation of two series over the window: one feature, named
/// `name`. It is 0 where one of them does not move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// The feature's name.
    pub name: String,
    /// The two series, by their names.
    pub of: [String; 2],
}

/// How a point between two samples is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// On the straight line between its neighbours.
    #[default]
    Linear,
    /// As the sample before it.
    Hold,
}

/// How points are scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalise {
    /// Not at all.
    #[default]
    None,
    /// `(x - mean) / std`.
    Standard {
        /// Subtracted.
        mean: f64,
        /// Divided by; more than 0.
        std: f64,
    },
    /// `(x - min) / (max - min)`.
    Range {
        /// Becomes 0.
        min: f64,
        /// Becomes 1; more than `min`.
        max: f64,
    },
    /// `(x - mean) / std` with a mean and deviation learned for each device
    /// from all points so far, older ones weighing less.
    Running {
        /// Seconds after which a point weighs 1/e of a new one; more than 0.
        seconds: f64,
    },
}

/// What is made of one series over one window. Missing and bad points are
/// left out, except in `missing` and `bad`; a feature without a good point to
/// make it of is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Feature {
    /// Arithmetic mean.
    Mean,
    /// Standard deviation of the population.
    Std,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Largest less smallest.
    Range,
    /// Rise per second of the straight line through the points (least squares).
    Slope,
    /// Root of the mean square.
    Rms,
    /// Fourth moment by the squared second: 3 for Gaussian noise, 0 if nothing moves.
    Kurtosis,
    /// Largest magnitude by `rms`; 0 if all points are 0.
    Crest,
    /// The newest point.
    Last,
    /// Longest run of unchanged points, as a fraction of the window.
    Stuck,
    /// Fraction of points that no sample was there for.
    Missing,
    /// Fraction of points next to a sample of bad quality.
    Bad,
    /// Frequency with the most energy, in Hz; 0 if nothing moves.
    DominantHz,
    /// Mean square within a band of frequencies; all bands together make the
    /// variance.
    Band {
        /// Lower bound in Hz, included; 0 or more.
        from_hz: f64,
        /// Upper bound in Hz, excluded; more than `from_hz`, at most half the
        /// grid's rate (that rate itself is included).
        to_hz: f64,
    },
}

impl Feature {
    /// Its name after the name of the series.
    pub fn name(&self) -> String {
        match self {
            Self::Mean => "mean",
            Self::Std => "std",
            Self::Min => "min",
            Self::Max => "max",
            Self::Range => "range",
            Self::Slope => "slope",
            Self::Rms => "rms",
            Self::Kurtosis => "kurtosis",
            Self::Crest => "crest",
            Self::Last => "last",
            Self::Stuck => "stuck",
            Self::Missing => "missing",
            Self::Bad => "bad",
            Self::DominantHz => "dominant_hz",
            Self::Band { from_hz, to_hz } => return format!("band_{from_hz}_{to_hz}"),
        }
        .to_owned()
    }
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
        value: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// A name is not that of a series.
    #[error("`{user}` uses `{name}`, which is not the name of a series")]
    UnknownSeries {
        /// The derived series or correlation.
        user: String,
        /// What it names.
        name: String,
    },
    /// Two things have one name.
    #[error("`{0}` is named twice")]
    Duplicate(String),
    /// A number cannot be worked with.
    #[error("`{name}`: {what}")]
    Unusable {
        /// The series, derived series or correlation.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The topic is not one plain level.
    #[error("`topic` is `{0}`, but must be one topic level without `+`, `#` and `/`")]
    Topic(String),
}

impl Config {
    /// Whether everything is within its bounds and every name is known.
    ///
    /// # Errors
    /// Names the first thing that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let duration_ms = self.step_ms.saturating_mul(self.length);
        bound("step_ms", self.step_ms, 1, STEP_MS_MAX)?;
        bound("length", self.length, 2, LENGTH_MAX)?;
        bound("hop", self.hop, 1, self.length)?;
        bound("max_gap_ms", self.max_gap_ms, self.step_ms, duration_ms)?;
        bound("wait_ms", self.wait_ms, 0, duration_ms)?;
        bound("ahead_ms_max", self.ahead_ms_max, 0, 3_600_000)?;
        bound("devices_max", self.devices_max, 1, 65_536)?;
        bound("samples_max", self.samples_max(), self.length, SAMPLES_MAX)?;
        let windows_max = self.windows_per_message_max;
        bound("windows_per_message_max", windows_max, 1, 65_536)?;
        count("series", self.series.len(), 1, SERIES_MAX)?;
        let all = self.series.len() + self.derived.len();
        count("series and derived", all, 1, SERIES_MAX)?;
        count("correlations", self.correlations.len(), 0, FEATURES_MAX)?;
        let plain = |c: char| !matches!(c, '+' | '#' | '/' | '$') && !c.is_control();
        if self.topic.is_empty() || self.topic.len() > 64 || !self.topic.chars().all(plain) {
            return Err(ConfigError::Topic(self.topic.clone()));
        }
        self.check_series()?;
        self.check_names()
    }

    /// Samples kept for one series.
    pub fn samples_max(&self) -> u32 {
        let usual = self.length.saturating_mul(8).min(SAMPLES_MAX);
        self.samples_max.unwrap_or(usual)
    }

    fn check_series(&self) -> Result<(), ConfigError> {
        for series in &self.series {
            let name = series.name();
            check_one(name, &series.normalise, series.stuck_tolerance)?;
            self.check_bands(name, &series.features)?;
        }
        for derived in &self.derived {
            let name = &derived.name;
            check_one(name, &derived.normalise, derived.stuck_tolerance)?;
            self.check_bands(name, &derived.features)?;
            if let Formula::Residual(residual) = &derived.from {
                let numbers = residual.factors.values().chain([&residual.offset]);
                if !numbers.into_iter().all(|number| number.is_finite()) {
                    return Err(unusable(name, "a factor is not finite"));
                }
            }
        }
        Ok(())
    }

    fn check_bands(&self, name: &str, features: &[Feature]) -> Result<(), ConfigError> {
        let highest = 500.0 / f64::from(self.step_ms);
        for feature in features {
            if let Feature::Band { from_hz, to_hz } = *feature {
                let ordered = 0.0 <= from_hz && from_hz < to_hz && to_hz <= highest;
                if !ordered {
                    let what = "a band must satisfy 0 <= from_hz < to_hz <= 500 / step_ms";
                    return Err(unusable(name, what));
                }
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        let derived = self.derived.iter().map(|derived| derived.name.as_str());
        let series = self.series.iter().map(Series::name);
        for name in series.clone().chain(derived) {
            if name.is_empty() || !names.insert(name) {
                return Err(ConfigError::Duplicate(name.to_owned()));
            }
        }
        let known: HashSet<&str> = series.collect();
        let uses = self
            .derived
            .iter()
            .flat_map(|derived| derived.from.sources().map(|name| (&derived.name, name)))
            .chain(
                self.correlations
                    .iter()
                    .flat_map(|pair| pair.of.iter().map(|name| (&pair.name, name.as_str()))),
            );
        for (user, name) in uses {
            if !known.contains(name) {
                let (user, name) = (user.clone(), name.to_owned());
                return Err(ConfigError::UnknownSeries { user, name });
            }
        }
        let mut features = HashSet::new();
        for name in self.feature_names() {
            if !features.insert(name.clone()) {
                return Err(ConfigError::Duplicate(name));
            }
        }
        count("features", features.len(), 1, FEATURES_MAX)
    }

    /// The names of all features, in the order of their values.
    pub fn feature_names(&self) -> Vec<String> {
        let of = |name: &str, features: &[Feature]| -> Vec<String> {
            features
                .iter()
                .map(|feature| format!("{name}.{}", feature.name()))
                .collect()
        };
        self.series
            .iter()
            .flat_map(|series| of(series.name(), &series.features))
            .chain(
                self.derived
                    .iter()
                    .flat_map(|derived| of(&derived.name, &derived.features)),
            )
            .chain(self.correlations.iter().map(|pair| pair.name.clone()))
            .collect()
    }
}

impl Formula {
    /// The series it reads.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let (pair, residual) = match self {
            Self::Difference(pair) | Self::Ratio(pair) => (Some(pair), None),
            Self::Residual(residual) => (None, Some(residual)),
        };
        let explained = residual
            .into_iter()
            .flat_map(|residual| residual.factors.keys().chain([&residual.of]));
        pair.into_iter()
            .flatten()
            .chain(explained)
            .map(String::as_str)
    }
}

fn check_one(name: &str, normalise: &Normalise, tolerance: f64) -> Result<(), ConfigError> {
    let (scale, base) = match *normalise {
        Normalise::None => (1.0, 0.0),
        Normalise::Standard { mean, std } => (std, mean),
        Normalise::Range { min, max } => (max - min, min),
        Normalise::Running { seconds } => (seconds, 0.0),
    };
    if !(scale.is_finite() && scale > 0.0 && base.is_finite()) {
        return Err(unusable(
            name,
            "`normalise` needs finite numbers and a scale above 0",
        ));
    }
    if !(tolerance.is_finite() && tolerance >= 0.0) {
        return Err(unusable(name, "`stuck_tolerance` must be 0 or more"));
    }
    Ok(())
}

fn unusable(name: &str, what: &'static str) -> ConfigError {
    let name = name.to_owned();
    ConfigError::Unusable { name, what }
}

fn bound(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), ConfigError> {
    let (value, min, max) = (u64::from(value), u64::from(min), u64::from(max));
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

fn count(field: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        field,
        value: value as u64,
        min: min as u64,
        max: max as u64,
    })
}

fn default_ahead_ms_max() -> u32 {
    60_000
}

fn default_devices_max() -> u32 {
    256
}

fn default_windows_max() -> u32 {
    256
}

fn default_topic() -> String {
    "feature".to_owned()
}

#[cfg(test)]
mod tests;
