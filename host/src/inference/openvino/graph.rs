//! A model that OpenVINO has compiled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openvino::{CompiledModel, Core, InferRequest, InferenceErrorKind, Node, PartialShape};

use super::convert::{element_of, fill, kind_of, read, tensor_like};
use super::errors::{Said, not_loaded, not_run};
use super::onnx::{self, Declared};
use super::pool::{Fed, Pool, Worker};
use super::{ir, properties};
use crate::inference::shown::shown;
use crate::inference::tensor::RANK_MAX;
use crate::inference::{
    Control, Device, Dim, Graph, InferenceLimits, LoadError, ModelFormat, ModelSource, Placement,
    Port, RunError, Tensor, TensorKind,
};
use crate::spec::Precision;

/// Runs expected to be shorter are not worth another thread, where they could be
/// stopped: that costs 8 to 30 us.
const UNSTOPPABLE_MAX: Duration = Duration::from_millis(1);
/// How often a run is asked whether it has to stop.
const CHECK_MS: i64 = 10;
/// How long is waited in one go for a run that was told to stop.
const STOP_MS: i64 = 1_000;

/// A model that is compiled for one device.
pub(super) struct OpenvinoGraph {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    pool: Pool,
    device: Device,
    run_bytes_max: u64,
    /// What a byte of input cost last, in picoseconds.
    byte_cost_ps: AtomicU64,
    /// Outlives the requests, which belong to it.
    _compiled: parking_lot::Mutex<CompiledModel>,
}

pub(super) fn load(
    source: &ModelSource,
    device: Device,
    limits: &InferenceLimits,
) -> Result<OpenvinoGraph, LoadError> {
    let mut core = Core::new().map_err(|error| malformed(&error.to_string()))?;
    let (model, declared) = match source.format {
        ModelFormat::Onnx => {
            let vetted = onnx::vet(&source.bytes, limits)?;
            // The library makes room for them when it compiles the model.
            let declared = vetted.inputs.iter().chain(&vetted.outputs);
            let declared = declared.map(|port| (port.kind, port.shape.as_deref()));
            check_size(declared, limits.run_bytes_max.get())?;
            let model = core.read_model_from_buffer(&vetted.bytes, None);
            let declared = Some((vetted.inputs, vetted.outputs));
            (model.map_err(not_loaded)?, declared)
        }
        ModelFormat::OpenvinoIr => {
            let weights = source.weights.as_deref().unwrap_or_default();
            ir::vet(&source.bytes, weights, limits)?;
            let weights = ir::tensor(weights).map_err(not_loaded)?;
            let model = core.read_model_from_buffer(&source.bytes, weights.as_ref());
            (model.map_err(not_loaded)?, ir::declared(source))
        }
    };
    let options = &source.options;
    let compiled = properties::compile(core, &model, device, options)?;
    drop(model);
    let ports = Ports::of(&compiled, declared, options.precision)?;
    let found = ports.inputs.iter().chain(&ports.outputs);
    let found = found.map(|port| (Some(port.kind), Some(&*port.shape)));
    check_size(found, limits.run_bytes_max.get())?;
    OpenvinoGraph::new(
        compiled,
        ports,
        (device, properties::concurrency(options)),
        limits,
    )
}

/// What a compiled model takes and gives, under the names that it is written with.
struct Ports {
    inputs: Vec<Port>,
    /// Which of them the library knows.
    read: Vec<bool>,
    outputs: Vec<Port>,
}

impl Ports {
    /// Asked of the compiled model: what its ports hold on to is small, and is never
    /// freed. Those of the model that it was read from hold on to all of it.
    fn of(
        compiled: &CompiledModel,
        declared: Option<(Vec<Declared>, Vec<Declared>)>,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let (inputs, outputs) = match declared {
            Some(declared) => declared,
            None => (
                ir::named(compiled.get_input_size(), |at| {
                    compiled.get_input_by_index(at)
                })?,
                ir::named(compiled.get_output_size(), |at| {
                    compiled.get_output_by_index(at)
                })?,
            ),
        };
        let mut ports = Self {
            inputs: Vec::new(),
            read: Vec::new(),
            outputs: Vec::new(),
        };
        for input in inputs {
            let node = compiled.get_input_by_name(&input.name).ok();
            ports.read.push(node.is_some());
            ports.inputs.push(port(&input, node, precision)?);
        }
        for output in outputs {
            let node = compiled
                .get_output_by_name(&output.name)
                .map_err(not_loaded)?;
            ports.outputs.push(port(&output, Some(node), precision)?);
        }
        let known = ports.read.iter().filter(|known| **known).count();
        if known != compiled.get_input_size().map_err(not_loaded)? {
            return Err(malformed("it takes inputs that it does not declare"));
        }
        Ok(ports)
    }
}

/// All that has a fixed size is there from the first run on.
fn check_size<'a>(
    ports: impl Iterator<Item = (Option<TensorKind>, Option<&'a [Dim]>)>,
    max: u64,
) -> Result<(), LoadError> {
    let bytes = ports.map(|(kind, shape)| {
        let element = kind.map_or(1, TensorKind::size);
        let element = u64::try_from(element).unwrap_or(u64::MAX);
        let dims = shape.unwrap_or_default().iter();
        dims.fold(element, |bytes, dim| match dim {
            Dim::Fixed(size) => bytes.saturating_mul((*size).into()),
            Dim::Named(_) | Dim::Any => bytes,
        })
    });
    let bytes = bytes.fold(0, u64::saturating_add);
    if bytes > max {
        return Err(LoadError::TooMuchMemory { bytes, max });
    }
    Ok(())
}

/// A port as the library understood it, or, where it dropped it, as it is declared.
fn port(declared: &Declared, node: Option<Node>, precision: Precision) -> Result<Port, LoadError> {
    let shown = || shown(&declared.name);
    let (kind, shape) = match node {
        Some(node) => {
            let element = node.get_element_type().map_err(not_loaded)?;
            let kind = kind_of(element).ok_or_else(|| LoadError::UnsupportedKind {
                port: shown(),
                kind: element.to_string().to_lowercase(),
            })?;
            let shape = node.get_partial_shape().map_err(not_loaded)?;
            (Some(kind), dims(&shape, declared.shape.as_deref()))
        }
        None => (declared.kind, declared.shape.clone()),
    };
    let shape = shape.filter(|shape| shape.len() <= RANK_MAX);
    let shape = shape.ok_or_else(|| LoadError::UnsupportedShape { port: shown() })?;
    let kind = kind.ok_or_else(|| LoadError::UnsupportedKind {
        port: shown(),
        kind: "unknown".to_owned(),
    })?;
    // It does so silently, and takes what is larger than that for the largest.
    if kind == TensorKind::Fp64 && precision == Precision::Exact {
        return Err(LoadError::UnsupportedKind {
            port: shown(),
            kind: "fp64, which OpenVINO computes in single precision".to_owned(),
        });
    }
    Ok(Port {
        name: Arc::clone(&declared.name),
        kind,
        shape,
    })
}

/// None where even their number depends on the run. Names are the file's: the
/// library has none.
fn dims(shape: &PartialShape, declared: Option<&[Dim]>) -> Option<Vec<Dim>> {
    let rank = shape.get_rank();
    if rank.get_min() != rank.get_max() {
        return None;
    }
    let declared = declared.unwrap_or_default();
    let dims = shape.get_dimensions().iter().enumerate();
    let dims = dims.map(|(at, dim)| {
        let size = u32::try_from(dim.get_min()).ok();
        match (
            size.filter(|_| dim.get_min() == dim.get_max()),
            declared.get(at),
        ) {
            (Some(size), _) => Dim::Fixed(size),
            (None, Some(Dim::Named(name))) => Dim::Named(Arc::clone(name)),
            (None, _) => Dim::Any,
        }
    });
    Some(dims.collect())
}

fn malformed(what: &str) -> LoadError {
    LoadError::Malformed {
        source: Said::of(what).into(),
    }
}

impl OpenvinoGraph {
    fn new(
        mut compiled: CompiledModel,
        ports: Ports,
        (device, concurrency): (Device, u32),
        limits: &InferenceLimits,
    ) -> Result<Self, LoadError> {
        let workers = (0..concurrency).map(|_| {
            let request = compiled.create_infer_request().map_err(not_loaded)?;
            let fed = ports.inputs.iter().zip(&ports.read);
            let fed = fed.map(|(port, read)| feed(&request, port, *read));
            let inputs = fed.collect::<Result<_, _>>()?;
            Ok(Worker { request, inputs })
        });
        let workers = workers.collect::<Result<Vec<_>, LoadError>>()?;
        Ok(Self {
            inputs: ports.inputs,
            outputs: ports.outputs,
            pool: Pool::new(workers),
            device,
            run_bytes_max: limits.run_bytes_max.get(),
            byte_cost_ps: AtomicU64::new(u64::MAX),
            _compiled: parking_lot::Mutex::new(compiled),
        })
    }

    fn set(&self, worker: &mut Worker, inputs: &[Tensor]) -> Result<(), RunError> {
        let Worker {
            request,
            inputs: fed,
        } = worker;
        for ((port, tensor), fed) in self.inputs.iter().zip(inputs).zip(fed) {
            match fed {
                Fed::Nowhere => {}
                Fed::Fixed(to) => fill(to, tensor)?,
                Fed::Varying(Some((shape, to))) if shape == tensor.dimensions() => {
                    fill(to, tensor)?;
                }
                Fed::Varying(before) => {
                    *before = None;
                    let mut to = tensor_like(tensor).map_err(not_run)?;
                    fill(&mut to, tensor)?;
                    request.set_tensor(&port.name, &to).map_err(not_run)?;
                    *before = Some((tensor.dimensions().to_vec(), to));
                }
            }
        }
        Ok(())
    }

    /// Whether a run on so many bytes should be over before it could be stopped.
    fn is_short(&self, bytes: u64) -> bool {
        let cost = self.byte_cost_ps.load(Ordering::Relaxed);
        let expected = Duration::from_nanos(cost.saturating_mul(bytes) / 1_000);
        expected <= UNSTOPPABLE_MAX
    }

    fn compute(
        &self,
        request: &mut InferRequest,
        bytes: u64,
        control: &Control,
    ) -> Result<(), RunError> {
        let started = Instant::now();
        if self.is_short(bytes) {
            request.infer().map_err(not_run)?;
        } else {
            stoppable(request, control)?;
        }
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cost = took.saturating_mul(1_000) / bytes;
        self.byte_cost_ps.store(cost, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self, request: &InferRequest) -> Result<Vec<Tensor>, RunError> {
        let mut left = self.run_bytes_max;
        let outputs = self.outputs.iter().map(|port| {
            let tensor = request.get_tensor(&port.name).map_err(not_run)?;
            let tensor = read(&tensor, (port.kind, port.shape.len()), left)?;
            left = left.saturating_sub(u64::try_from(tensor.data().len()).unwrap_or(u64::MAX));
            Ok(tensor)
        });
        outputs.collect()
    }
}

/// The tensor that feeds an input of `request`.
fn feed(request: &InferRequest, port: &Port, read: bool) -> Result<Fed, LoadError> {
    if !read {
        return Ok(Fed::Nowhere);
    }
    if port.shape.iter().any(|dim| !matches!(dim, Dim::Fixed(_))) {
        return Ok(Fed::Varying(None));
    }
    let own = request.get_tensor(&port.name).map_err(not_loaded)?;
    if own.get_element_type().map_err(not_loaded)? != element_of(port.kind) {
        return Err(malformed("an input is not of the type that it says"));
    }
    Ok(Fed::Fixed(own))
}

/// Runs it on a thread of the library's, and stops it when `control` says so.
fn stoppable(request: &mut InferRequest, control: &Control) -> Result<(), RunError> {
    request.infer_async().map_err(not_run)?;
    let mut stopped = None;
    loop {
        let wait_ms = if stopped.is_some() { STOP_MS } else { CHECK_MS };
        match request.wait(wait_ms) {
            Err(error) if error.kind == InferenceErrorKind::ResultNotReady => {}
            ended => {
                let ended = ended.map_err(not_run);
                return stopped.map_or(ended, Err);
            }
        }
        if let (None, Err(error)) = (&stopped, control.check()) {
            // If it cannot be told, it still has to be waited for.
            stopped = Some(request.cancel().map_or_else(not_run, |()| error));
        }
    }
}

impl Graph for OpenvinoGraph {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn placement(&self) -> Placement {
        let provider = match self.device {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
        };
        Placement {
            device: self.device,
            provider: provider.to_owned(),
            whole: true,
        }
    }

    fn concurrency(&self) -> usize {
        self.pool.size()
    }

    fn run(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError> {
        let bytes = inputs
            .iter()
            .map(|tensor| tensor.data().len())
            .sum::<usize>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).max(1);
        let mut lent = self.pool.take(control)?;
        let Some(worker) = lent.get() else {
            return Err(RunError::NoSlot);
        };
        self.set(worker, inputs)?;
        self.compute(&mut worker.request, bytes, control)?;
        self.read(&worker.request)
    }
}
