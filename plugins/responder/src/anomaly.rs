//! What the detector publishes, read as far as rules need it.

use serde::{Deserialize, Serialize};

/// Bytes in a kind; a longer one is refused.
const KIND_MAX: usize = 128;

/// What an anomaly does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyState {
    /// It began.
    Raised,
    /// It goes on.
    Ongoing,
    /// It ended.
    Cleared,
}

/// One message of the detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Where the device stands.
    pub site: String,
    /// Its name there.
    pub device: String,
    /// What the anomaly does.
    pub state: AnomalyState,
    /// What kind it is.
    pub kind: String,
    /// How bad it is.
    pub score: Option<f64>,
    /// From which score on it is one.
    pub threshold: Option<f64>,
    /// When it began, in seconds since the Unix epoch.
    pub since: f64,
}

/// Why a message is not an anomaly of its topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnomalyError {
    /// The payload speaks of a device that its topic does not.
    #[error("the topic is not <prefix>/{0}/{1}, of which the payload speaks")]
    OtherDevice(String, String),
    /// The kind cannot be shown.
    #[error("the kind is empty, longer than 128 bytes or holds control characters")]
    Kind,
}

impl Anomaly {
    /// Whether it makes sense and belongs to `topic`. Who may publish for one
    /// device must not speak for another.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, topic: &str) -> Result<(), AnomalyError> {
        if place_of(topic) != Some((&self.site, &self.device)) {
            let (site, device) = (self.site.clone(), self.device.clone());
            return Err(AnomalyError::OtherDevice(site, device));
        }
        let length = self.kind.len();
        if length == 0 || length > KIND_MAX || self.kind.chars().any(char::is_control) {
            return Err(AnomalyError::Kind);
        }
        Ok(())
    }
}

/// Site and device of a topic `<prefix>/<site>/<device>`.
pub(crate) fn place_of(topic: &str) -> Option<(&str, &str)> {
    let (_, rest) = topic.split_once('/')?;
    let (site, device) = rest.split_once('/')?;
    let plain = !site.is_empty() && !device.is_empty() && !device.contains('/');
    plain.then_some((site, device))
}
