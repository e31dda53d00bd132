//! Whether constants have the data that they claim, all of it in the file.
//!
//! A library reserves what a tensor claims before it looks for the data.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use super::malformed;
use crate::inference::shown::shown;
use crate::inference::{InferenceLimits, LoadError};

pub(super) fn check(tensor: &pb::TensorProto) -> Result<(), LoadError> {
    let external = DataLocation::External as i32;
    if tensor.data_location == Some(external) || !tensor.external_data.is_empty() {
        return Err(LoadError::ExternalData {
            tensor: shown(&tensor.name),
        });
    }
    if tensor.segment.is_some() {
        return Err(malformed(format!(
            "`{}` is only a part of a tensor",
            shown(&tensor.name)
        )));
    }
    let claimed = elements(&tensor.dims);
    let present = present(tensor);
    if claimed.is_none_or(|claimed| claimed > present) {
        return Err(malformed(format!(
            "`{}` claims the shape {:?} and has data for {present} elements",
            shown(&tensor.name),
            tensor.dims.iter().take(8).collect::<Vec<_>>(),
        )));
    }
    Ok(())
}

/// Libraries make a dense tensor of it.
pub(super) fn check_sparse(
    sparse: &pb::SparseTensorProto,
    limits: &InferenceLimits,
) -> Result<(), LoadError> {
    let mut parts = sparse.values.iter().chain(&sparse.indices);
    parts.try_for_each(check)?;
    let elements = elements(&sparse.dims).unwrap_or(u64::MAX);
    within(elements, limits)
}

/// Refuses that many elements, of the largest kind, if they exceed what one run
/// may take.
pub(super) fn within(elements: u64, limits: &InferenceLimits) -> Result<(), LoadError> {
    let bytes = elements.saturating_mul(8);
    let max = limits.run_bytes_max.get();
    if bytes > max {
        return Err(LoadError::TooMuchMemory { bytes, max });
    }
    Ok(())
}

/// Of that shape; none if there can be no such tensor.
pub(super) fn elements(dims: &[i64]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |product, &dim| {
        product.checked_mul(u64::try_from(dim).ok()?)
    })
}

/// Elements for which there is data.
fn present(tensor: &pb::TensorProto) -> u64 {
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    if !tensor.raw_data.is_empty() {
        return count(tensor.raw_data.len()).saturating_mul(8) / bits(kind);
    }
    let packed = if bits(kind) == 4 { 2 } else { 1 };
    let numbers = [
        count(tensor.float_data.len()),
        count(tensor.int32_data.len()).saturating_mul(packed),
        count(tensor.string_data.len()),
        count(tensor.int64_data.len()),
        count(tensor.double_data.len()),
        count(tensor.uint64_data.len()),
    ];
    numbers.into_iter().max().unwrap_or(0)
}

/// Of one element. What is not known is taken for the smallest there is.
fn bits(kind: DataType) -> u64 {
    match kind {
        DataType::Complex128 => 128,
        DataType::Int64 | DataType::Double | DataType::Uint64 | DataType::Complex64 => 64,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 16,
        DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 => 4,
        DataType::Undefined | DataType::String => 2,
        DataType::Uint8
        | DataType::Int8
        | DataType::Bool
        | DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz => 8,
    }
}
