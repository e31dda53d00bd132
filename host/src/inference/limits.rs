//! What inference as a whole may cost the device.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ceilings over all models and callers. Every one is finite; the defaults suit
/// a gateway of four cores and one gigabyte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceLimits {
    /// Models loaded at once.
    pub models_max: NonZeroUsize,
    /// Bytes of one model file.
    pub model_bytes_max: NonZeroU64,
    /// Operators in one model, those of nested graphs included.
    pub model_operators_max: NonZeroU32,
    /// Bytes of all the tensors that one run makes, intermediate ones included.
    pub run_bytes_max: NonZeroU64,
    /// Milliseconds of one run, its wait for a slot included. A caller may set
    /// a shorter time.
    pub run_ms_max: NonZeroU32,
    /// Runs at once that are too long to run where they are asked for.
    pub slots: NonZeroU32,
    /// Runs that may wait for a slot; further ones are refused at once.
    pub waiting_max: NonZeroU32,
}

impl Default for InferenceLimits {
    fn default() -> Self {
        Self {
            models_max: nonzero!(NonZeroUsize, 64),
            model_bytes_max: nonzero!(NonZeroU64, 256 << 20),
            model_operators_max: nonzero!(NonZeroU32, 10_000),
            run_bytes_max: nonzero!(NonZeroU64, 256 << 20),
            run_ms_max: nonzero!(NonZeroU32, 10_000),
            slots: nonzero!(NonZeroU32, 2),
            waiting_max: nonzero!(NonZeroU32, 64),
        }
    }
}
