//! Which share of a model's runs is looked at, and for what: to compare another
//! model with it, or to keep what it was given and gave.
//!
//! A share is parsed when it is read: from 0 to 1, and never a NaN.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{ModelName, Topic};

/// A model that is run beside another, on a sample of what that one is given, to
/// compare them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowOptions {
    /// The model that is tried out: another one of the deployment, which takes and
    /// gives the same.
    pub model: ModelName,
    /// The share of runs that it is given as well, from 0 to 1.
    #[serde(default = "Ratio::tenth")]
    pub fraction: Ratio,
    /// How far a value may be off before it is counted, relatively to values
    /// beyond 1, from 0 to 1.
    #[serde(default = "Ratio::thousandth")]
    pub tolerance: Ratio,
}

/// What of a model's runs is captured, for training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureOptions {
    /// Which part of all runs, from 0 to 1, to one millionth. Every n-th is taken:
    /// with 0.01, the hundredth, the two hundredth and so on. With 0, only what
    /// programs hand in themselves.
    pub fraction: Ratio,
    /// At most so many in one second.
    #[serde(default = "capture_per_s_max")]
    pub per_s_max: NonZeroU32,
    /// Where it is published; else on `capture/<model>`.
    #[serde(default)]
    pub topic: Option<Topic>,
    /// Keep what the model was given.
    #[serde(default = "yes")]
    pub inputs: bool,
    /// Keep what it gave.
    #[serde(default = "yes")]
    pub outputs: bool,
}

fn capture_per_s_max() -> NonZeroU32 {
    nonzero!(NonZeroU32, 5)
}

fn yes() -> bool {
    true
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

/// It is never a NaN.
impl Eq for Ratio {}

impl Ratio {
    /// The whole in millionths.
    pub const WHOLE_PPM: u32 = 1_000_000;

    /// It as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// It in millionths.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 1"
    )]
    pub fn ppm(self) -> u32 {
        (self.0 * f64::from(Self::WHOLE_PPM)).round() as u32
    }

    fn tenth() -> Self {
        Self(0.1)
    }

    fn thousandth() -> Self {
        Self(0.001)
    }
}

/// Why a number is no ratio.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not from 0 to 1")]
pub struct RatioError(f64);

impl TryFrom<f64> for Ratio {
    type Error = RatioError;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        let valid = (0.0..=1.0).contains(&number);
        valid.then_some(Self(number)).ok_or(RatioError(number))
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

impl JsonSchema for Ratio {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}
