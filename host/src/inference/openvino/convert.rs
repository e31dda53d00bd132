//! Tensors as OpenVINO keeps them, and back.

use bytes::Bytes;
use openvino::{ElementType, InferenceError, Shape};

use super::errors::{Said, not_run};
use crate::inference::{RunError, Tensor, TensorKind};

pub(super) fn kind_of(element: ElementType) -> Option<TensorKind> {
    match element {
        ElementType::F16 => Some(TensorKind::Fp16),
        ElementType::F32 => Some(TensorKind::Fp32),
        ElementType::F64 => Some(TensorKind::Fp64),
        ElementType::Bf16 => Some(TensorKind::Bf16),
        ElementType::U8 => Some(TensorKind::U8),
        ElementType::I32 => Some(TensorKind::I32),
        ElementType::I64 => Some(TensorKind::I64),
        _ => None,
    }
}

pub(super) fn element_of(kind: TensorKind) -> ElementType {
    match kind {
        TensorKind::Fp16 => ElementType::F16,
        TensorKind::Fp32 => ElementType::F32,
        TensorKind::Fp64 => ElementType::F64,
        TensorKind::Bf16 => ElementType::Bf16,
        TensorKind::U8 => ElementType::U8,
        TensorKind::I32 => ElementType::I32,
        TensorKind::I64 => ElementType::I64,
    }
}

/// A tensor of the library's with the shape of `tensor`, which has dimensions: the
/// library cannot make one without.
pub(super) fn tensor_like(tensor: &Tensor) -> Result<openvino::Tensor, InferenceError> {
    let dimensions: Vec<i64> = tensor
        .dimensions()
        .iter()
        .map(|&size| size.into())
        .collect();
    let shape = Shape::new(&dimensions)?;
    openvino::Tensor::new(element_of(tensor.kind()), &shape)
}

/// Copies the numbers of `tensor` to one of the library's of the same shape.
pub(super) fn fill(to: &mut openvino::Tensor, tensor: &Tensor) -> Result<(), RunError> {
    if tensor.kind() == TensorKind::I64 && !fits_32_bits(tensor.data()) {
        return Err(failed(
            "an input has numbers that do not fit 32 bits, to which OpenVINO cuts them",
        ));
    }
    // Where there are none there is no address either.
    if tensor.data().is_empty() {
        return Ok(());
    }
    let bytes = to.get_raw_data_mut().map_err(not_run)?;
    if bytes.len() != tensor.data().len() {
        return Err(failed("an input does not have the model's shape"));
    }
    bytes.copy_from_slice(tensor.data());
    Ok(())
}

fn fits_32_bits(data: &[u8]) -> bool {
    data.as_chunks().0.iter().all(|&number| {
        let number = i64::from_le_bytes(number);
        i32::try_from(number).is_ok()
    })
}

/// What a run gave, of at most `bytes_max`.
pub(super) fn read(
    from: &openvino::Tensor,
    (kind, rank): (TensorKind, usize),
    bytes_max: u64,
) -> Result<Tensor, RunError> {
    if from.get_element_type().map_err(not_run)? != element_of(kind) {
        return Err(failed("an output is not of the model's type"));
    }
    let bytes = from.get_byte_size().map_err(not_run)?;
    let wide = u64::try_from(bytes).unwrap_or(u64::MAX);
    if wide > bytes_max {
        let (bytes, max) = (wide, bytes_max);
        return Err(RunError::TooMuchMemory { bytes, max });
    }
    // The library cannot say the shape of a single number, and wasi:nn writes it so.
    let dimensions = match rank {
        0 => vec![1],
        _ => {
            let shape = from.get_shape().map_err(not_run)?;
            let sizes = shape
                .get_dimensions()
                .iter()
                .map(|&size| u32::try_from(size));
            let sizes: Result<Vec<_>, _> = sizes.collect();
            sizes.map_err(|_| failed("an output is too large"))?
        }
    };
    let data = match bytes {
        0 => Bytes::new(),
        _ => Bytes::copy_from_slice(from.get_raw_data().map_err(not_run)?),
    };
    Tensor::new(dimensions, kind, data).map_err(|source| RunError::Failed {
        source: source.into(),
    })
}

fn failed(what: &str) -> RunError {
    RunError::Failed {
        source: Said::of(what).into(),
    }
}
