//! Why models are not loaded and runs give no result.

use std::sync::Arc;

use super::golden::GoldenError;
use super::rehearsal::Mishap;
use super::store::Chosen;
use super::tensor::TensorKind;
use crate::names::{Digest, ModelName};
use crate::spec::BackendKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there are already {max} models")]
    TooMany { max: usize },
    #[error("the model has {bytes} bytes, the limit is {max}")]
    TooLarge { bytes: u64, max: u64 },
    #[error("the model has more than {max} operators")]
    TooManyOperators { max: u32 },
    #[error("the model's tensors take {bytes} bytes in one run, the limit is {max}")]
    TooMuchMemory { bytes: u64, max: u64 },
    #[error("the model has the digest {found}, not {expected}")]
    WrongDigest { expected: Digest, found: Digest },
    #[error("the backend `{}` is not built in", backend.name())]
    NoBackend { backend: BackendKind },
    #[error("no backend of this host reads it: {reasons}")]
    NoBackendFor { reasons: String },
    #[error("the backend `{}` cannot be used: {why}", backend.name())]
    BackendUnavailable { backend: BackendKind, why: String },
    #[error(
        "the target `gpu` is not available: {why}; \
         `gpu-preferred` would run on the cpu"
    )]
    NoDevice { backend: BackendKind, why: String },
    #[error("the model does not have the inputs and outputs that were promised: {what}")]
    NotAsPromised { what: String },
    #[error("the model was compiled for another device: {what}")]
    CompiledElsewhere { what: String },
    #[error("the backend `{}` cannot compile models: {why}", backend.name())]
    CannotCompile { backend: BackendKind, why: String },
    #[error("the model keeps tensor `{tensor}` in another file")]
    ExternalData { tensor: String },
    #[error("the model uses the custom operator `{domain}:{operator}`")]
    CustomOperator { domain: String, operator: String },
    #[error("the operator `{operator}` is not supported by the backend `{}`", backend.name())]
    UnsupportedOperator {
        operator: String,
        backend: BackendKind,
    },
    #[error("`{port}` of the model has the unsupported type {kind}")]
    UnsupportedKind { port: String, kind: String },
    #[error("`{port}` of the model has no fixed number of dimensions up to 8")]
    UnsupportedShape { port: String },
    #[error("the size of what `{operator}` makes depends on the data, so that it has no bound")]
    Unbounded { operator: String },
    #[error(
        "what the model is fed decides where `{operator}` reads or writes in memory, \
         which is not known to be checked"
    )]
    Addressing { operator: String },
    #[error("the model cannot be read")]
    Malformed { source: Source },
    #[error("the backend panicked over the model: {message}")]
    Panicked { message: String },
    #[error("runs of the model cannot be computed together: {why}")]
    NotBatchable { why: String },
    #[error("the shadow `{shadow}` does not take and give what `{model}` does")]
    Shadow { model: ModelName, shadow: ModelName },
    #[error(
        "the deployment was made with the backend `{}`, which is not here any more: \
         this host has {now}",
        recorded.name()
    )]
    BackendGone { recorded: BackendKind, now: String },
    #[error("the deployment was made with {recorded}, but now it would be {now}")]
    PlacementGone { recorded: Chosen, now: Chosen },
    #[error("the operator `{operator}` is not supported by the backend `{}`; {elsewhere}",
        backend.name())]
    OperatorElsewhere {
        operator: String,
        backend: BackendKind,
        elsewhere: String,
    },
    #[error("the golden vector cannot be used")]
    Golden { source: GoldenError },
    #[error("the model does not compute its golden vector")]
    Wrong { source: GoldenError },
    #[error("the model does not run")]
    Trial { source: RunError },
    #[error(
        "the model was not loaded: {mishap} when the backend `{}` tried it apart from the host",
        backend.name()
    )]
    Mishap {
        backend: BackendKind,
        mishap: Mishap,
    },
    #[error("the model could not be tried in a process of its own")]
    NotTried { source: Source },
}

impl LoadError {
    /// Whether another backend might do better with the same model.
    pub(super) fn is_of_backend(&self) -> bool {
        matches!(
            self,
            Self::UnsupportedOperator { .. }
                | Self::OperatorElsewhere { .. }
                | Self::CustomOperator { .. }
                | Self::UnsupportedKind { .. }
                | Self::UnsupportedShape { .. }
                | Self::Unbounded { .. }
                | Self::Addressing { .. }
                | Self::NoDevice { .. }
                | Self::BackendUnavailable { .. }
        )
    }

    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "models-too-many",
            Self::TooLarge { .. } => "model-too-large",
            Self::TooManyOperators { .. } => "model-too-many-operators",
            Self::TooMuchMemory { .. } => "model-too-much-memory",
            Self::WrongDigest { .. } => "model-wrong-digest",
            Self::NoBackend { .. } => "model-backend-unavailable",
            Self::NoBackendFor { .. } => "model-backend-none",
            Self::BackendUnavailable { .. } => "model-backend-unusable",
            Self::NotAsPromised { .. } => "model-not-as-promised",
            Self::CompiledElsewhere { .. } => "model-compiled-elsewhere",
            Self::CannotCompile { .. } => "model-cannot-compile",
            Self::NoDevice { .. } => "model-target-unavailable",
            Self::ExternalData { .. } => "model-external-data",
            Self::CustomOperator { .. } => "model-custom-operator",
            Self::UnsupportedOperator { .. } | Self::OperatorElsewhere { .. } => {
                "model-unsupported-operator"
            }
            Self::NotBatchable { .. } => "model-not-batchable",
            Self::Shadow { .. } => "model-shadow-differs",
            Self::BackendGone { .. } => "model-backend-gone",
            Self::PlacementGone { .. } => "model-placement-gone",
            Self::UnsupportedKind { .. } => "model-unsupported-kind",
            Self::UnsupportedShape { .. } => "model-unsupported-shape",
            Self::Unbounded { .. } => "model-unbounded",
            Self::Addressing { .. } => "model-addressing",
            Self::Malformed { .. } => "model-malformed",
            Self::Panicked { .. } => "model-panicked",
            Self::Golden { .. } => "model-golden-invalid",
            Self::Wrong { .. } => "model-golden-wrong",
            Self::Trial { .. } => "model-trial-failed",
            Self::Mishap { mishap, .. } => match mishap {
                Mishap::Memory { .. } => "model-too-much-memory",
                Mishap::Time { .. } => "model-endless",
                Mishap::Crash { .. } => "model-crashed",
            },
            Self::NotTried { .. } => "model-not-tried",
        }
    }
}

/// Why a run gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("input `{name}` is given twice")]
    RepeatedInput { name: String },
    #[error("there is no input `{name}`; the model takes {takes}")]
    UnknownInput { name: String, takes: String },
    #[error("input `{name}` is missing")]
    MissingInput { name: Arc<str> },
    #[error("input `{name}` is {given}, the model takes {takes}")]
    WrongKind {
        name: Arc<str>,
        given: TensorKind,
        takes: TensorKind,
    },
    #[error("input `{name}` has the shape {given:?}, the model takes [{takes}]")]
    WrongShape {
        name: Arc<str>,
        given: Vec<u32>,
        takes: String,
    },
    #[error("input `{name}` has the shape {given:?}, which has no elements")]
    EmptyInput { name: Arc<str>, given: Vec<u32> },
    #[error("dimension `{dimension}` of input `{name}` is {given}, but {before} elsewhere")]
    DimensionsDiffer {
        name: Arc<str>,
        dimension: Arc<str>,
        given: u32,
        before: u32,
    },
    #[error("inputs of this size take {bytes} bytes to run, the limit is {max}")]
    TooMuchMemory { bytes: u64, max: u64 },
    #[error("busy: {overdue} earlier runs of the model go on past the limit of the host")]
    Overdue { overdue: u32 },
    #[error("busy: no slot became free in time")]
    NoSlot,
    #[error("busy: the {max} runs at once of the model did not end in time")]
    NoTurn { max: usize },
    #[error("the run did not end in time")]
    Deadline,
    #[error("the model was taken out of service: {reason}")]
    Withdrawn { reason: String },
    #[error("the backend failed")]
    Failed { source: Source },
    #[error("the backend panicked: {message}")]
    Panicked { message: String },
}

impl RunError {
    /// Whether the caller can do better by asking differently.
    pub fn is_callers_fault(&self) -> bool {
        match self {
            Self::RepeatedInput { .. }
            | Self::UnknownInput { .. }
            | Self::MissingInput { .. }
            | Self::WrongKind { .. }
            | Self::WrongShape { .. }
            | Self::EmptyInput { .. }
            | Self::DimensionsDiffer { .. }
            | Self::TooMuchMemory { .. } => true,
            Self::Overdue { .. }
            | Self::NoSlot
            | Self::NoTurn { .. }
            | Self::Deadline
            | Self::Withdrawn { .. }
            | Self::Failed { .. }
            | Self::Panicked { .. } => false,
        }
    }

    /// Whether the host refused the run for lack of room.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Overdue { .. } | Self::NoSlot | Self::NoTurn { .. }
        )
    }
}

/// What a panic said, cut to a line that fits a log.
pub(super) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(200).collect()
}
