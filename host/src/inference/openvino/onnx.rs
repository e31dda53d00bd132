//! ONNX files on their way to OpenVINO: what must not reach its parser is refused,
//! and the names of inputs and outputs are taken from the file.
//!
//! The library knows a port by any of several names, and says one of them that the
//! model may not use; it forgets inputs that nothing reads.

use std::sync::Arc;

use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;

use super::errors::Said;
use crate::inference::onnx_file::{OnnxFile, Rules};
use crate::inference::{Dim, InferenceLimits, LoadError, TensorKind};
use crate::spec::BackendKind;

/// Operators of these are ONNX's own.
const DOMAINS: [&str; 2] = ["", "ai.onnx.ml"];

/// Within it nothing stops the library, and it may turn as long as it likes: also for
/// values that no trial had.
pub(super) const UNSTOPPABLE: &str = "Loop";

/// An input or output as the file declares it.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: Arc<str>,
    pub(super) kind: Option<TensorKind>,
    pub(super) shape: Option<Vec<Dim>>,
}

/// A model as the library may see it.
pub(super) struct Vetted {
    pub(super) bytes: Vec<u8>,
    pub(super) inputs: Vec<Declared>,
    pub(super) outputs: Vec<Declared>,
}

pub(super) fn vet(bytes: &[u8], limits: &InferenceLimits) -> Result<Vetted, LoadError> {
    // The library itself says which of these it lacks.
    let allowed =
        |domain: &str, operator: &str| DOMAINS.contains(&domain) && operator != UNSTOPPABLE;
    let rules = Rules {
        backend: BackendKind::Openvino,
        allowed: &allowed,
        limits,
    };
    let bytes = OnnxFile::vet(bytes, rules)?.bytes;
    let read = pb::ModelProto::decode(bytes.as_slice());
    let proto = read.map_err(|source| LoadError::Malformed {
        source: source.into(),
    })?;
    // Else it would be shown to the library's other parsers.
    let Some(graph) = proto.graph.as_ref().filter(|_| proto.ir_version > 0) else {
        return Err(malformed("it has no version or no graph"));
    };
    let constant = |port: &&pb::ValueInfoProto| {
        let mut weights = graph.initializer.iter();
        weights.any(|tensor| tensor.name == port.name)
    };
    let inputs = graph.input.iter().filter(|port| !constant(port));
    let inputs = inputs.map(declared).collect::<Result<_, _>>()?;
    let outputs = graph.output.iter().map(declared);
    let outputs = outputs.collect::<Result<_, _>>()?;
    Ok(Vetted {
        bytes,
        inputs,
        outputs,
    })
}

fn declared(port: &pb::ValueInfoProto) -> Result<Declared, LoadError> {
    if port.name.is_empty() || port.name.contains('\0') {
        return Err(malformed("an input or output has no usable name"));
    }
    let kind = port.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let tensor = kind.map(|pb::type_proto::Value::TensorType(tensor)| tensor);
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    Ok(Declared {
        name: port.name.as_str().into(),
        kind: tensor.and_then(|tensor| kind_of(tensor.elem_type)),
        shape: shape.map(|shape| shape.dim.iter().map(dim).collect()),
    })
}

fn dim(dimension: &pb::tensor_shape_proto::Dimension) -> Dim {
    match &dimension.value {
        Some(Value::DimValue(size)) => u32::try_from(*size).map_or(Dim::Any, Dim::Fixed),
        Some(Value::DimParam(name)) if !name.is_empty() => Dim::Named(name.as_str().into()),
        _ => Dim::Any,
    }
}

fn kind_of(onnx: i32) -> Option<TensorKind> {
    match DataType::try_from(onnx).ok()? {
        DataType::Float16 => Some(TensorKind::Fp16),
        DataType::Float => Some(TensorKind::Fp32),
        DataType::Double => Some(TensorKind::Fp64),
        DataType::Bfloat16 => Some(TensorKind::Bf16),
        DataType::Uint8 => Some(TensorKind::U8),
        DataType::Int32 => Some(TensorKind::I32),
        DataType::Int64 => Some(TensorKind::I64),
        _ => None,
    }
}

fn malformed(what: &str) -> LoadError {
    LoadError::Malformed {
        source: Said::of(what).into(),
    }
}
