//! What the window plugin publishes, read as far as it is needed here.

use serde::Deserialize;

use crate::config::{Check, Config};

/// One window of one device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Features {
    /// The device's name.
    pub device: String,
    /// Where it stands.
    pub site: String,
    /// Time of the first point, in seconds since the Unix epoch.
    pub start: f64,
    /// Time of the last point.
    pub end: f64,
    /// The features' names.
    pub names: Vec<String>,
    /// Their values; `None` where one could not be computed.
    pub values: Vec<Option<f64>>,
    /// Fraction of good points, 0 to 1.
    pub quality: f64,
}

/// Why features cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeaturesError {
    /// A name without a value or the other way round.
    #[error("{names} names for {values} values")]
    Lengths {
        /// Names there are.
        names: usize,
        /// Values there are.
        values: usize,
    },
    /// The window has no time.
    #[error("the window's times are not times")]
    Times,
    /// The payload speaks of a device that its topic does not.
    #[error("the topic is not <prefix>/{site}/{device}, of which the payload speaks")]
    OtherDevice {
        /// The payload's site.
        site: String,
        /// The payload's device.
        device: String,
    },
    /// The model or a check needs a feature that is not there.
    #[error("there is no feature `{0}`")]
    NotThere(String),
}

impl Features {
    /// Whether they make sense and belong to `topic`. Who may publish for one
    /// device must not speak for another.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, topic: &str) -> Result<(), FeaturesError> {
        let (names, values) = (self.names.len(), self.values.len());
        if names != values {
            return Err(FeaturesError::Lengths { names, values });
        }
        if !(self.start.is_finite() && self.end.is_finite() && self.start <= self.end) {
            return Err(FeaturesError::Times);
        }
        let rest = topic.split_once('/').map(|(_, rest)| rest);
        let named = !self.site.contains('/') && !self.device.contains('/');
        if !named || rest != Some(&format!("{}/{}", self.site, self.device)) {
            return Err(FeaturesError::OtherDevice {
                site: self.site.clone(),
                device: self.device.clone(),
            });
        }
        Ok(())
    }

    /// The value of a feature, if it could be computed.
    ///
    /// # Errors
    /// There is no such feature.
    pub(crate) fn value(&self, name: &str) -> Result<Option<f64>, FeaturesError> {
        let place = self.names.iter().position(|other| other == name);
        let value = place.and_then(|place| self.values.get(place));
        let value = value.ok_or_else(|| FeaturesError::NotThere(name.to_owned()))?;
        Ok(value.filter(|value| value.is_finite()))
    }

    /// The model's input, in its order; `None` if a value is not there.
    pub(crate) fn input(&self, config: &Config) -> Result<Option<Vec<f32>>, FeaturesError> {
        let mut input = Vec::with_capacity(config.features.len());
        for feature in &config.features {
            let Some(value) = self.value(&feature.name)? else {
                return Ok(None);
            };
            let value = if config.standardise {
                (value - feature.mean) / feature.std
            } else {
                value
            };
            #[expect(clippy::cast_possible_truncation, reason = "models take f32")]
            let value = value as f32;
            if !value.is_finite() {
                return Ok(None);
            }
            input.push(value);
        }
        Ok(Some(input))
    }

    /// The first check that holds.
    pub(crate) fn failing<'a>(
        &self,
        checks: &'a [Check],
    ) -> Result<Option<(&'a Check, f64)>, FeaturesError> {
        for check in checks {
            let Some(value) = self.value(&check.feature)? else {
                continue;
            };
            if check.above.is_some_and(|above| value > above)
                || check.below.is_some_and(|below| value < below)
            {
                return Ok(Some((check, value)));
            }
        }
        Ok(None)
    }

    /// The features that deviate most, the most deviating first.
    pub(crate) fn deviating(&self, config: &Config) -> Vec<Deviation> {
        let mut deviations: Vec<Deviation> = config
            .features
            .iter()
            .filter_map(|feature| {
                let value = self.value(&feature.name).ok()??;
                let z = (value - feature.mean) / feature.std;
                let name = feature.name.clone();
                z.is_finite().then_some(Deviation { name, z })
            })
            .collect();
        deviations.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
        deviations.truncate(config.top_features_max as usize);
        deviations
    }
}

/// How far a feature is from what is usual in health.
#[derive(Debug, Clone, PartialEq, serde::Serialize, Deserialize)]
pub struct Deviation {
    /// The feature.
    pub name: String,
    /// In standard deviations.
    pub z: f64,
}
