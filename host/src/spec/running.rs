//! How a model is run: where, by which library, and how much of it at once.
//!
//! These are wishes of a deployment. Whether the host has the library and the
//! device, and whether the model can be run so, is found out by `inference`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a model may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// On the processor.
    #[default]
    Cpu,
    /// On a graphics processor, or not at all.
    Gpu,
    /// On a graphics processor if there is one; says so when there is none.
    GpuPreferred,
}

/// Which native library runs a model.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Built in; needs nothing installed.
    Tract,
    /// ONNX Runtime, the library that the host's configuration names.
    Onnxruntime,
    /// OpenVINO, the library that the host's configuration names.
    Openvino,
}

impl BackendKind {
    /// As documents and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::Onnxruntime => "onnxruntime",
            Self::Openvino => "openvino",
        }
    }
}

/// Which library a model asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackendChoice {
    /// The first of `onnxruntime`, `openvino` and `tract` that this host has and
    /// that can run it. What was chosen is recorded with the deployment and kept.
    #[default]
    Auto,
    /// The one that is built in.
    Tract,
    /// ONNX Runtime or none.
    Onnxruntime,
    /// OpenVINO or none.
    Openvino,
}

impl From<BackendKind> for BackendChoice {
    fn from(kind: BackendKind) -> Self {
        match kind {
            BackendKind::Tract => Self::Tract,
            BackendKind::Onnxruntime => Self::Onnxruntime,
            BackendKind::Openvino => Self::Openvino,
        }
    }
}

/// What ONNX Runtime hands a model's operators to instead of its own code.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// NVIDIA processors.
    Cuda,
    /// NVIDIA processors, compiled for the one at hand.
    Tensorrt,
    /// Intel processors and graphics processors.
    Openvino,
}

/// In what precision a model may be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// As the model says; single precision stays single precision.
    #[default]
    Exact,
    /// Lower where the processor is faster at it: results depend on the device.
    Reduced,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// Threads of one run.
    pub threads: NonZeroU32,
    /// Runs of this model at once. If not said, one; but one for each core where
    /// they share all memory of the model (tract) and are not computed together.
    pub concurrency: Option<NonZeroU32>,
    /// In what precision it may be computed.
    pub precision: Precision,
    /// Which of the host's providers computes it; else, for a graphics processor,
    /// the first one that can.
    pub provider: Option<Provider>,
    /// Refuse it where not every operator runs on the target. Else some may run on
    /// the processor, which is told.
    pub strict: bool,
    /// Let runs of different plugins be computed together.
    pub batching: Option<Batching>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            threads: nonzero!(NonZeroU32, 1),
            concurrency: None,
            precision: Precision::Exact,
            provider: None,
            strict: true,
            batching: None,
        }
    }
}

/// Runs that are computed together: for models whose first dimension, of all
/// inputs and outputs, is decided by each run, and whose rows do not depend on
/// each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batching {
    /// Rows in one run.
    pub rows_max: NonZeroU32,
    /// Microseconds that the first waits for others, at most 10,000.
    #[schemars(range(max = BATCH_WAIT_US_MAX))]
    pub wait_us_max: u32,
}

/// Microseconds that a run may wait for others.
pub const BATCH_WAIT_US_MAX: u32 = 10_000;
