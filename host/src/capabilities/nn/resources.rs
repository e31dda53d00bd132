//! What a guest holds of inference, and how much of it it may hold.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use bytes::Bytes;

use crate::inference::{Served, Tensor, TensorError, TensorKind};

/// The resource `graph`: a model that is granted.
#[derive(Debug)]
pub struct Graph {
    pub(super) model: Arc<Served>,
}

/// The resource `graph-execution-context`: the same, to be run.
#[derive(Debug)]
pub struct Context {
    pub(super) model: Arc<Served>,
}

/// The resource `tensor`: well-formed, or the reason why it is not.
#[derive(Debug)]
pub struct GuestTensor {
    kind: TensorKind,
    tensor: Result<Tensor, TensorError>,
    /// What the guest handed in, which counts even where it was not kept.
    bytes: usize,
}

impl GuestTensor {
    pub(super) fn new(dimensions: Vec<u32>, kind: TensorKind, data: Bytes) -> Self {
        Self {
            kind,
            bytes: data.len(),
            tensor: Tensor::new(dimensions, kind, data),
        }
    }

    pub(super) fn kind(&self) -> TensorKind {
        self.kind
    }

    /// None if it is not well-formed.
    pub(super) fn dimensions(&self) -> &[u32] {
        self.tensor.as_ref().map_or(&[], Tensor::dimensions)
    }

    /// None if it is not well-formed.
    pub(super) fn data(&self) -> &[u8] {
        self.tensor.as_ref().map_or(&[], |tensor| tensor.data())
    }

    pub(super) fn into_valid(self) -> Result<Tensor, TensorError> {
        self.tensor
    }
}

impl From<Tensor> for GuestTensor {
    fn from(tensor: Tensor) -> Self {
        Self {
            kind: tensor.kind(),
            bytes: tensor.data().len(),
            tensor: Ok(tensor),
        }
    }
}

/// What one plugin may hold of inference.
#[derive(Clone, Copy, Debug)]
pub struct NnLimits {
    /// Bytes of all its tensors.
    pub tensor_bytes_max: NonZeroU64,
    /// Tensors, graphs, contexts and errors together.
    pub resources_max: NonZeroU32,
}

/// Why a guest may not hold more. Traps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    #[error("tensors of {bytes} bytes in all, the limit `tensor_bytes_max` is {max}")]
    TensorBytes { bytes: u64, max: u64 },
    #[error("more than {max} tensors, graphs, contexts and errors, the limit `resources_max`")]
    Resources { max: u32 },
}

/// What one plugin holds.
#[derive(Debug)]
pub(super) struct Usage {
    limits: NnLimits,
    tensor_bytes: u64,
    resources: u32,
}

impl Usage {
    pub(super) fn new(limits: NnLimits) -> Self {
        Self {
            limits,
            tensor_bytes: 0,
            resources: 0,
        }
    }

    pub(super) fn tensor_bytes(&self) -> u64 {
        self.tensor_bytes
    }

    #[cfg(test)]
    pub(super) fn resources(&self) -> u32 {
        self.resources
    }

    /// Whether `bytes` more of tensors fit; returns what it would make in all.
    pub(super) fn fits(&self, bytes: usize) -> Result<u64, QuotaError> {
        let max = self.limits.tensor_bytes_max.get();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let bytes = self.tensor_bytes.saturating_add(bytes);
        if bytes > max {
            return Err(QuotaError::TensorBytes { bytes, max });
        }
        Ok(bytes)
    }

    pub(super) fn enter(&mut self) -> Result<(), QuotaError> {
        let max = self.limits.resources_max.get();
        if self.resources >= max {
            return Err(QuotaError::Resources { max });
        }
        self.resources += 1;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.resources = self.resources.saturating_sub(1);
    }

    pub(super) fn enter_tensor(&mut self, tensor: &GuestTensor) -> Result<(), QuotaError> {
        let tensor_bytes = self.fits(tensor.bytes)?;
        self.enter()?;
        self.tensor_bytes = tensor_bytes;
        Ok(())
    }

    pub(super) fn leave_tensor(&mut self, tensor: &GuestTensor) {
        let bytes = u64::try_from(tensor.bytes).unwrap_or(u64::MAX);
        self.tensor_bytes = self.tensor_bytes.saturating_sub(bytes);
        self.leave();
    }
}
