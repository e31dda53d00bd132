//! What a guest is told when inference fails.

use super::bindings::wasi::nn::errors::ErrorCode;
use super::bindings::wasi::nn::tensor::TensorType;
use crate::inference::{RunError, TensorKind};

/// The resource `error`.
#[derive(Debug)]
pub struct GuestError {
    pub(super) code: ErrorCode,
    pub(super) text: String,
}

/// A busy host and a late result are both `timeout`: trying again may help.
pub(super) fn code_of(error: &RunError) -> ErrorCode {
    match error {
        RunError::RepeatedInput { .. }
        | RunError::UnknownInput { .. }
        | RunError::MissingInput { .. }
        | RunError::WrongKind { .. }
        | RunError::WrongShape { .. }
        | RunError::EmptyInput { .. }
        | RunError::DimensionsDiffer { .. } => ErrorCode::InvalidArgument,
        RunError::TooMuchMemory { .. } => ErrorCode::TooLarge,
        RunError::Overdue { .. }
        | RunError::NoSlot
        | RunError::NoTurn { .. }
        | RunError::Deadline => ErrorCode::Timeout,
        RunError::Withdrawn { .. } | RunError::Failed { .. } | RunError::Panicked { .. } => {
            ErrorCode::RuntimeError
        }
    }
}

impl From<TensorType> for TensorKind {
    fn from(kind: TensorType) -> Self {
        match kind {
            TensorType::Fp16 => Self::Fp16,
            TensorType::Fp32 => Self::Fp32,
            TensorType::Fp64 => Self::Fp64,
            TensorType::Bf16 => Self::Bf16,
            TensorType::U8 => Self::U8,
            TensorType::I32 => Self::I32,
            TensorType::I64 => Self::I64,
        }
    }
}

impl From<TensorKind> for TensorType {
    fn from(kind: TensorKind) -> Self {
        match kind {
            TensorKind::Fp16 => Self::Fp16,
            TensorKind::Fp32 => Self::Fp32,
            TensorKind::Fp64 => Self::Fp64,
            TensorKind::Bf16 => Self::Bf16,
            TensorKind::U8 => Self::U8,
            TensorKind::I32 => Self::I32,
            TensorKind::I64 => Self::I64,
        }
    }
}
