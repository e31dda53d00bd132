//! How long a new deployment is watched before it stays, and by what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds that a deployment may be watched.
const SECONDS_MAX: u32 = 3_600;

/// When a deployment is kept. One that fails in its probation is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Probation {
    /// Seconds that it is watched after its plugins took over; 0 for none.
    #[schemars(range(max = SECONDS_MAX))]
    pub seconds: u32,
    /// Dead letters of new and changed plugins that are tolerated meanwhile.
    pub dead_letters_max: u32,
}

impl Default for Probation {
    fn default() -> Self {
        Self {
            seconds: 10,
            dead_letters_max: 16,
        }
    }
}
