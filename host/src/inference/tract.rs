//! The built-in backend: tract, a pure Rust interpreter of ONNX for processors.
//!
//! A run stops between two operators when it has to; within one it cannot be
//! stopped. The memory of a run is known before it starts and bounded.

mod convert;
mod footprint;
mod vet;

use std::io::Cursor;
use std::sync::Arc;

use tract_onnx::prelude::{
    Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, OutletId, Symbol,
    SymbolValues, TDim, TValue, TVec, TypedModel, TypedSimplePlan,
};
use tract_onnx::tract_core::plan;
use tract_onnx::tract_hir::infer::{DimFact, Factoid, GenericFactoid, ShapeFactoid};

use self::convert::{from_tract, kind_of, to_tract};
use self::footprint::Footprint;
use self::vet::Vetting;
use super::backend::{Backend, BackendStatus, Device, Graph, Placement, ProviderStatus};
use super::control::Control;
use super::errors::{LoadError, RunError};
use super::interface::{Dim, Port};
use super::limits::InferenceLimits;
use super::shown::shown;
use super::source::ModelSource;
use super::tensor::{RANK_MAX, Tensor};
use crate::spec::BackendKind;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The version that is built in, as Cargo.toml pins it.
const VERSION: &str = "0.23.9";

/// Tract, for the processor only.
#[derive(Debug)]
pub(super) struct Tract;

impl Backend for Tract {
    fn kind(&self) -> BackendKind {
        BackendKind::Tract
    }

    fn devices(&self) -> &[Device] {
        &[Device::Cpu]
    }

    fn supports_operator(&self, domain: &str, operator: &str) -> Option<bool> {
        let known = tract_onnx::onnx().op_register.0.contains_key(operator);
        Some(matches!(domain, "" | "ai.onnx") && known)
    }

    fn status(&self) -> BackendStatus {
        BackendStatus {
            backend: BackendKind::Tract,
            version: Some(VERSION.to_owned()),
            library: None,
            digest: None,
            formats: self.formats().to_vec(),
            providers: vec![ProviderStatus {
                provider: "cpu".to_owned(),
                device: Device::Cpu,
                unavailable: None,
            }],
            unavailable: None,
        }
    }

    fn load(
        &self,
        source: &ModelSource,
        _device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        // Hints about what is inside the model are as likely wrong as right.
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let mut proto = onnx
            .proto_model_for_read(&mut Cursor::new(&source.bytes))
            .map_err(malformed)?;
        let supported = |operator: &str| onnx.op_register.0.contains_key(operator);
        Vetting::new(&supported, limits).model(&mut proto)?;

        let mut model = onnx.model_for_proto_model(&proto).map_err(malformed)?;
        let symbols = name_dimensions(&mut model)?;
        let names = port_names(&proto);
        // Freed before the optimiser needs room of its own.
        drop(proto);
        let model = model.into_optimized().map_err(malformed)?;
        TractGraph::new(model, &symbols, names, limits).map(|graph| Box::new(graph) as _)
    }
}

fn malformed(source: impl Into<Failure>) -> LoadError {
    LoadError::Malformed {
        source: source.into(),
    }
}

/// The names of inputs and outputs, in the order in which the library keeps them.
fn port_names(proto: &tract_onnx::pb::ModelProto) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
    let Some(graph) = &proto.graph else {
        return Default::default();
    };
    let constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs = graph.input.iter().map(|port| port.name.as_str());
    let outputs = graph.output.iter().map(|port| port.name.as_str().into());
    let inputs = inputs.filter(|name| !constant(name)).map(Arc::from);
    (inputs.collect(), outputs.collect())
}

/// Gives every unknown dimension of the inputs a name of its own, and returns
/// the names of all that are decided by each run.
fn name_dimensions(model: &mut InferenceModel) -> Result<Vec<Symbol>, LoadError> {
    let mut symbols = Vec::new();
    for index in 0..model.inputs.len() {
        let fact = model.input_fact(index).map_err(malformed)?;
        let unsupported = || LoadError::UnsupportedShape {
            port: format!("input {index}"),
        };
        let rank = fact.shape.rank().concretize().ok_or_else(unsupported)?;
        let rank = usize::try_from(rank).map_err(|_| unsupported())?;
        if rank > RANK_MAX {
            return Err(unsupported());
        }
        let mut dimensions: TVec<DimFact> = fact.shape.dims().cloned().collect();
        for dimension in &mut dimensions {
            match dimension {
                GenericFactoid::Any => {
                    let symbol = model.symbols.new_with_prefix("any");
                    symbols.push(symbol.clone());
                    *dimension = GenericFactoid::Only(symbol.into());
                }
                GenericFactoid::Only(dimension) => symbols.extend(dimension.symbols()),
            }
        }
        let kind = fact.datum_type.concretize().ok_or_else(unsupported)?;
        let fact = InferenceFact::dt_shape(kind, ShapeFactoid::closed(dimensions));
        model.set_input_fact(index, fact).map_err(malformed)?;
    }
    Ok(symbols)
}

/// A model in tract's form, ready to run.
struct TractGraph {
    plan: Arc<TypedSimplePlan>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Which dimension of which input decides which symbol.
    binds: Vec<(usize, usize, Symbol)>,
    footprint: Footprint,
    run_bytes_max: u64,
}

impl TractGraph {
    fn new(
        model: TypedModel,
        symbols: &[Symbol],
        (input_names, output_names): (Vec<Arc<str>>, Vec<Arc<str>>),
        limits: &InferenceLimits,
    ) -> Result<Self, LoadError> {
        let footprint = Footprint::of(&model, symbols)?;
        let max = limits.run_bytes_max.get();
        let mut smallest = SymbolValues::default();
        for symbol in symbols {
            smallest.set(symbol, 1);
        }
        let bytes = footprint.bytes(&smallest);
        if bytes > max {
            return Err(LoadError::TooMuchMemory { bytes, max });
        }
        let inputs = ports(&model, &model.inputs, input_names)?;
        let outputs = ports(&model, &model.outputs, output_names)?;
        let mut binds = Vec::new();
        for (index, outlet) in model.inputs.iter().enumerate() {
            let fact = model.outlet_fact(*outlet).map_err(malformed)?;
            for (axis, dimension) in fact.shape.iter().enumerate() {
                if let TDim::Sym(symbol) = dimension {
                    binds.push((index, axis, symbol.clone()));
                }
            }
        }
        let plan = model.into_runnable().map_err(malformed)?;
        Ok(Self {
            plan,
            inputs,
            outputs,
            binds,
            footprint,
            run_bytes_max: max,
        })
    }
}

fn ports(
    model: &TypedModel,
    outlets: &[OutletId],
    names: Vec<Arc<str>>,
) -> Result<Vec<Port>, LoadError> {
    if names.len() != outlets.len() {
        let found = outlets.len();
        let names = names.len();
        return Err(malformed(format!("{names} ports are named, {found} found")));
    }
    let port = |(outlet, name): (&OutletId, Arc<str>)| {
        let fact = model.outlet_fact(*outlet).map_err(malformed)?;
        if fact.rank() > RANK_MAX {
            let port = shown(&name);
            return Err(LoadError::UnsupportedShape { port });
        }
        let dim = |dimension: &TDim| match dimension {
            TDim::Val(size) => u32::try_from(*size).map_or(Dim::Any, Dim::Fixed),
            TDim::Sym(symbol) => Dim::Named(symbol.to_string().into()),
            _ => Dim::Any,
        };
        Ok(Port {
            kind: kind_of(fact.datum_type).ok_or_else(|| LoadError::UnsupportedKind {
                port: shown(&name),
                kind: format!("{:?}", fact.datum_type),
            })?,
            shape: fact.shape.iter().map(dim).collect(),
            name,
        })
    };
    outlets.iter().zip(names).map(port).collect()
}

/// Why tract stopped; put into its error and taken out again.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

impl Graph for TractGraph {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn placement(&self) -> Placement {
        Placement {
            device: Device::Cpu,
            provider: "cpu".to_owned(),
            whole: true,
        }
    }

    fn run(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError> {
        self.check_footprint(inputs)?;
        let values: TVec<TValue> = inputs
            .iter()
            .zip(&self.inputs)
            .map(|(tensor, port)| to_tract(tensor, port.shape.len()))
            .collect::<Result<_, _>>()
            .map_err(|source| RunError::Failed { source })?;
        let outputs = self.plan.spawn().and_then(|mut state| {
            state.run_plan_with_eval(values, |context, op_state, node, values| {
                if control.check().is_err() {
                    return Err(Stopped.into());
                }
                plan::eval(context, op_state, node, values)
            })
        });
        let outputs = outputs.map_err(|error| {
            if error.is::<Stopped>() {
                RunError::Deadline
            } else {
                RunError::Failed {
                    source: error.into(),
                }
            }
        })?;
        outputs
            .iter()
            .zip(&self.outputs)
            .map(|(value, port)| from_tract(value, port.kind))
            .collect::<Result<_, _>>()
            .map_err(|source| RunError::Failed { source })
    }
}

impl TractGraph {
    fn check_footprint(&self, inputs: &[Tensor]) -> Result<(), RunError> {
        if !self.footprint.varies() {
            return Ok(());
        }
        let mut values = SymbolValues::default();
        for (index, axis, symbol) in &self.binds {
            let tensor = inputs.get(*index);
            let size = tensor.and_then(|tensor| tensor.dimensions().get(*axis));
            values.set(symbol, size.copied().unwrap_or(1).into());
        }
        let bytes = self.footprint.bytes(&values);
        if bytes > self.run_bytes_max {
            let max = self.run_bytes_max;
            return Err(RunError::TooMuchMemory { bytes, max });
        }
        Ok(())
    }
}
