//! How surely a message arrives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Quality of service (MQTT 5.0 section 4.3), weakest first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Qos {
    /// 0: it may be lost.
    AtMostOnce,
    /// 1: it may come more than once.
    #[default]
    AtLeastOnce,
    /// 2: it comes once.
    ExactlyOnce,
}

impl Qos {
    /// As packets write it.
    pub fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// Of two bits of a packet; 3 is none.
    pub fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}
