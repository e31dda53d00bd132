//! How long a new deployment is watched before it stays, and by what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds that a deployment may be watched.
const SECONDS_MAX: u32 = 3_600;

/// When a deployment that was put into service stays: what ran before runs again
/// if a plugin of it fails meanwhile, or too many messages are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Probation {
    /// Seconds that it is watched, at most an hour; 0 for not at all.
    #[schemars(range(max = SECONDS_MAX))]
    pub seconds: u32,
    /// Messages that the plugins it changed may give up meanwhile.
    pub dead_letters_max: u32,
    /// Runs of each model that it changed that may fail meanwhile; those that are
    /// refused for what they are given, or for lack of room, do not count.
    pub model_failures_max: u32,
}

impl Default for Probation {
    fn default() -> Self {
        Self {
            seconds: 10,
            dead_letters_max: 16,
            model_failures_max: 16,
        }
    }
}
