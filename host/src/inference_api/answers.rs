//! Tensors, models and names, from gRPC's words to the host's and back.

use std::sync::Arc;

use super::fault::Fault;
use super::proto;
use crate::inference::{Device, Dim, Port, RunStatus, Served, Tensor, TensorKind};
use crate::names::{Digest, ModelName};
use crate::spec::{BackendKind, Target};

/// Tensors of one message.
const TENSORS_MAX: usize = 256;
/// Bytes of the name of a tensor.
const NAME_BYTES_MAX: usize = 256;

/// A name of a model; what is none names no model.
pub(super) fn model_name(text: &str) -> Result<ModelName, Fault> {
    text.parse().map_err(|_| Fault::no_model(text))
}

pub(super) fn digest(text: &str) -> Result<Option<Digest>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let digest = text.parse();
    let invalid = |_| Fault::invalid("digest-invalid", "`digest` is not `sha256:…`");
    digest.map(Some).map_err(invalid)
}

/// Named tensors, each well-formed.
pub(super) fn tensors(given: Vec<proto::Tensor>) -> Result<Vec<(String, Tensor)>, Fault> {
    if given.len() > TENSORS_MAX {
        let message = format!(
            "there are {} tensors, at most {TENSORS_MAX} are taken",
            given.len()
        );
        return Err(Fault::invalid("tensors-too-many", message));
    }
    given.into_iter().map(tensor).collect()
}

fn tensor(given: proto::Tensor) -> Result<(String, Tensor), Fault> {
    if given.name.len() > NAME_BYTES_MAX {
        let message = format!("the name of a tensor has more than {NAME_BYTES_MAX} bytes");
        return Err(Fault::invalid("tensor-name", message));
    }
    let kind = match given.kind() {
        proto::TensorKind::Unspecified => {
            let message = format!("the kind of the tensor `{}` is not said", given.name);
            return Err(Fault::invalid("tensor-kind", message));
        }
        proto::TensorKind::Fp16 => TensorKind::Fp16,
        proto::TensorKind::Fp32 => TensorKind::Fp32,
        proto::TensorKind::Fp64 => TensorKind::Fp64,
        proto::TensorKind::Bf16 => TensorKind::Bf16,
        proto::TensorKind::U8 => TensorKind::U8,
        proto::TensorKind::I32 => TensorKind::I32,
        proto::TensorKind::I64 => TensorKind::I64,
    };
    let tensor = Tensor::new(given.dimensions, kind, given.data)?;
    Ok((given.name, tensor))
}

fn kind(kind: TensorKind) -> proto::TensorKind {
    match kind {
        TensorKind::Fp16 => proto::TensorKind::Fp16,
        TensorKind::Fp32 => proto::TensorKind::Fp32,
        TensorKind::Fp64 => proto::TensorKind::Fp64,
        TensorKind::Bf16 => proto::TensorKind::Bf16,
        TensorKind::U8 => proto::TensorKind::U8,
        TensorKind::I32 => proto::TensorKind::I32,
        TensorKind::I64 => proto::TensorKind::I64,
    }
}

pub(super) fn output((name, tensor): (Arc<str>, Tensor)) -> proto::Tensor {
    proto::Tensor {
        name: name.to_string(),
        kind: kind(tensor.kind()).into(),
        dimensions: tensor.dimensions().to_vec(),
        data: tensor.data().clone(),
    }
}

/// What is told of a model.
pub(super) fn model(served: &Served, owner: proto::Owner, captures: bool) -> proto::Model {
    let model = served.current();
    let since_epoch = model.loaded_at().duration_since(std::time::UNIX_EPOCH);
    let backend = match model.backend() {
        BackendKind::Tract => "tract",
        BackendKind::Onnxruntime => "onnxruntime",
        BackendKind::Openvino => "openvino",
    };
    let device = match model.device() {
        Device::Cpu => "cpu",
        Device::Gpu => "gpu",
    };
    let target = match model.target() {
        Target::Cpu => "cpu",
        Target::Gpu => "gpu",
        Target::GpuPreferred => "gpu-preferred",
    };
    let metadata = model.metadata().iter();
    proto::Model {
        model: served.name().to_string(),
        digest: model.digest().to_string(),
        backend: backend.to_owned(),
        provider: model.placement().provider.clone(),
        device: device.to_owned(),
        target: target.to_owned(),
        degraded: model.degraded(),
        owner: owner.into(),
        inputs: model.inputs().iter().map(port).collect(),
        outputs: model.outputs().iter().map(port).collect(),
        metadata: metadata
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect(),
        loaded_at_s: since_epoch.unwrap_or_default().as_secs(),
        captures,
    }
}

fn port(port: &Port) -> proto::Port {
    use proto::dimension::Size;
    let dimension = |dim: &Dim| proto::Dimension {
        size: match dim {
            Dim::Fixed(size) => Some(Size::Fixed(*size)),
            Dim::Named(name) => Some(Size::Named(name.to_string())),
            Dim::Any => None,
        },
    };
    proto::Port {
        name: port.name.to_string(),
        kind: kind(port.kind).into(),
        dimensions: port.shape.iter().map(dimension).collect(),
    }
}

pub(super) fn stats(served: &Served) -> proto::ModelStats {
    let model = served.current();
    let RunStatus {
        runs_total,
        failures_total,
        refused_total,
        busy_total,
        overdue,
        run_p50_us,
        run_p99_us,
        ..
    } = model.run_status();
    proto::ModelStats {
        model: served.name().to_string(),
        digest: model.digest().to_string(),
        runs_total,
        failures_total,
        refused_total,
        busy_total,
        overdue,
        run_p50_us,
        run_p99_us,
    }
}
