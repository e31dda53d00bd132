//! How a unit fares.

use std::time::Duration;

use serde::Serialize;

/// The state of a unit, as far as it is true right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum UnitState {
    /// It was started and has not said yet that it is at work.
    Starting,
    /// It is at work.
    Running,
    /// It failed and will be started again after `delay`.
    BackingOff {
        /// Why it failed.
        error: String,
        /// How long it waits.
        #[serde(rename = "delay_ms", serialize_with = "millis")]
        delay: Duration,
    },
    /// It failed too often and stays down.
    GivenUp {
        /// Why it failed the last time.
        error: String,
    },
    /// It ended or was stopped.
    Stopped,
}

fn millis<S: serde::Serializer>(delay: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}
