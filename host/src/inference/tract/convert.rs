//! Tensors as tract keeps them, and back.

use bytes::Bytes;
use tract_onnx::prelude::{DatumType, TValue, Tensor as TractTensor};

use super::Failure;
use crate::inference::{Tensor, TensorKind};

pub(super) fn kind_of(datum: DatumType) -> Option<TensorKind> {
    match datum {
        DatumType::F16 => Some(TensorKind::Fp16),
        DatumType::F32 => Some(TensorKind::Fp32),
        DatumType::F64 => Some(TensorKind::Fp64),
        DatumType::U8 => Some(TensorKind::U8),
        DatumType::I32 => Some(TensorKind::I32),
        // Sizes of tensors are 64-bit integers to ONNX.
        DatumType::I64 | DatumType::TDim => Some(TensorKind::I64),
        _ => None,
    }
}

fn datum_of(kind: TensorKind) -> Option<DatumType> {
    match kind {
        TensorKind::Fp16 => Some(DatumType::F16),
        TensorKind::Fp32 => Some(DatumType::F32),
        TensorKind::Fp64 => Some(DatumType::F64),
        TensorKind::Bf16 => None,
        TensorKind::U8 => Some(DatumType::U8),
        TensorKind::I32 => Some(DatumType::I32),
        TensorKind::I64 => Some(DatumType::I64),
    }
}

/// Copies the bytes, since tract wants them aligned. `rank` is the model's: a
/// single number may come as `[1]`.
pub(super) fn to_tract(tensor: &Tensor, rank: usize) -> Result<TValue, Failure> {
    let datum = datum_of(tensor.kind()).ok_or("bf16 is not supported by this backend")?;
    let dimensions = tensor.dimensions().iter().take(rank);
    let shape = dimensions
        .map(|&size| usize::try_from(size))
        .collect::<Result<Vec<_>, _>>()?;
    let mut value = TractTensor::zero_dt(datum, &shape)?;
    let bytes = value.as_bytes_mut();
    if bytes.len() != tensor.data().len() {
        return Err("the tensor does not have the model's shape".into());
    }
    bytes.copy_from_slice(tensor.data());
    Ok(value.into())
}

pub(super) fn from_tract(value: &TValue, kind: TensorKind) -> Result<Tensor, Failure> {
    let datum = datum_of(kind).ok_or("bf16 is not supported by this backend")?;
    let value = value.cast_to_dt(datum)?;
    let mut dimensions = value
        .shape()
        .iter()
        .map(|&size| u32::try_from(size))
        .collect::<Result<Vec<_>, _>>()?;
    if dimensions.is_empty() {
        // As wasi:nn writes a single number.
        dimensions.push(1);
    }
    let data = Bytes::copy_from_slice(value.as_bytes());
    Ok(Tensor::new(dimensions, kind, data)?)
}
