//! Tensors as ONNX Runtime keeps them, and back: copied once each way, since a
//! guest's bytes are not aligned and the library's memory is not ours to keep.

use bytes::Bytes;
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType};

use crate::inference::{Tensor, TensorKind};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn kind_of(kind: TensorElementType) -> Option<TensorKind> {
    match kind {
        TensorElementType::Float16 => Some(TensorKind::Fp16),
        TensorElementType::Float32 => Some(TensorKind::Fp32),
        TensorElementType::Float64 => Some(TensorKind::Fp64),
        TensorElementType::Bfloat16 => Some(TensorKind::Bf16),
        TensorElementType::Uint8 => Some(TensorKind::U8),
        TensorElementType::Int32 => Some(TensorKind::I32),
        TensorElementType::Int64 => Some(TensorKind::I64),
        _ => None,
    }
}

/// `rank` is the model's: a single number may come as `[1]`.
pub(super) fn to_ort(tensor: &Tensor, rank: usize) -> Result<SessionInputValue<'static>, Failure> {
    match tensor.kind() {
        TensorKind::Fp16 => input(tensor, rank, f16::from_le_bytes),
        TensorKind::Fp32 => input(tensor, rank, f32::from_le_bytes),
        TensorKind::Fp64 => input(tensor, rank, f64::from_le_bytes),
        TensorKind::Bf16 => input(tensor, rank, bf16::from_le_bytes),
        TensorKind::U8 => input(tensor, rank, u8::from_le_bytes),
        TensorKind::I32 => input(tensor, rank, i32::from_le_bytes),
        TensorKind::I64 => input(tensor, rank, i64::from_le_bytes),
    }
}

fn input<T, const N: usize>(
    tensor: &Tensor,
    rank: usize,
    read: impl Fn([u8; N]) -> T,
) -> Result<SessionInputValue<'static>, Failure>
where
    T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    let dimensions = tensor.dimensions().iter().take(rank);
    let shape: Vec<i64> = dimensions.map(|&size| i64::from(size)).collect();
    let (elements, _) = tensor.data().as_chunks::<N>();
    let values: Vec<T> = elements.iter().map(|element| read(*element)).collect();
    Ok(ort::value::Tensor::from_array((shape, values))?.into())
}

/// Bytes of what the library computed; none if it is not of that kind.
pub(super) fn bytes_of(value: &DynValue, kind: TensorKind) -> Option<u64> {
    let shape = value.dtype().tensor_shape()?;
    let size = u64::try_from(kind.size()).ok()?;
    shape.iter().try_fold(size, |bytes, &dim| {
        bytes.checked_mul(u64::try_from(dim).ok()?)
    })
}

pub(super) fn from_ort(value: &DynValue, kind: TensorKind) -> Result<Tensor, Failure> {
    match kind {
        TensorKind::Fp16 => output(value, kind, f16::to_le_bytes),
        TensorKind::Fp32 => output(value, kind, f32::to_le_bytes),
        TensorKind::Fp64 => output(value, kind, f64::to_le_bytes),
        TensorKind::Bf16 => output(value, kind, bf16::to_le_bytes),
        TensorKind::U8 => output(value, kind, u8::to_le_bytes),
        TensorKind::I32 => output(value, kind, i32::to_le_bytes),
        TensorKind::I64 => output(value, kind, i64::to_le_bytes),
    }
}

fn output<T, const N: usize>(
    value: &DynValue,
    kind: TensorKind,
    write: impl Fn(T) -> [u8; N],
) -> Result<Tensor, Failure>
where
    T: PrimitiveTensorElementType + Copy,
{
    let (shape, values) = value.try_extract_tensor::<T>()?;
    let mut dimensions = shape
        .iter()
        .map(|&size| u32::try_from(size))
        .collect::<Result<Vec<_>, _>>()?;
    if dimensions.is_empty() {
        // As wasi:nn writes a single number.
        dimensions.push(1);
    }
    let mut bytes = vec![0; values.len() * N];
    let (elements, _) = bytes.as_chunks_mut::<N>();
    for (element, value) in elements.iter_mut().zip(values) {
        *element = write(*value);
    }
    Ok(Tensor::new(dimensions, kind, Bytes::from(bytes))?)
}
