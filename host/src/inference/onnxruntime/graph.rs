//! A model that ONNX Runtime has loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, ValueType};

use super::convert::{Failure, bytes_of, from_ort, kind_of, to_ort};
use super::pool::{Place as Slot, Pool};
use super::session::{Place, malformed};
use crate::inference::native_library::line_of;
use crate::inference::onnx_file::OnnxFile;
use crate::inference::shown::shown;
use crate::inference::tensor::RANK_MAX;
use crate::inference::{Control, Dim, Graph, LoadError, Placement, Port, RunError, Tensor};

pub(super) struct OrtGraph {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    pool: Pool,
    place: Place,
    run_bytes_max: u64,
    loops: bool,
}

impl OrtGraph {
    pub(super) fn new(
        sessions: Vec<Session>,
        file: &OnnxFile,
        place: Place,
    ) -> Result<Self, LoadError> {
        let first = sessions.first();
        let first = first.ok_or_else(|| malformed("no session was made"))?;
        let inputs = first.inputs().iter().map(port);
        let inputs = inputs.collect::<Result<_, _>>()?;
        let outputs = first.outputs().iter().map(|outlet| {
            let port = port(outlet)?;
            // A shape that is not known is told as if it were a single number.
            if port.shape.is_empty() && file.unshaped.iter().any(|name| **name == *port.name) {
                let port = shown(&port.name);
                return Err(LoadError::UnsupportedShape { port });
            }
            Ok(port)
        });
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(Self {
            inputs,
            outputs,
            pool: Pool::new(sessions).map_err(|error| malformed(line_of(error.message())))?,
            place,
            run_bytes_max: u64::MAX,
            loops: file.loops,
        })
    }

    /// With that many bytes of inputs and outputs at most.
    pub(super) fn bounded(mut self, run_bytes_max: u64) -> Self {
        self.run_bytes_max = run_bytes_max;
        self
    }

    fn within(&self, bytes: u64) -> Result<(), RunError> {
        let max = self.run_bytes_max;
        if bytes > max {
            return Err(RunError::TooMuchMemory { bytes, max });
        }
        Ok(())
    }

    fn run_in(
        &self,
        slot: &mut Slot,
        inputs: &[SessionInputValue<'_>],
        stopped: &AtomicBool,
    ) -> Result<Vec<Tensor>, RunError> {
        let outputs = slot.session.run_with_options(inputs, &slot.options);
        let outputs = outputs.map_err(|error| {
            if stopped.load(Ordering::Acquire) {
                RunError::Deadline
            } else {
                failed(line_of(error.message()))
            }
        })?;
        let sized = outputs.values().zip(&self.outputs);
        let bytes = sized.fold(0_u64, |bytes, (value, port)| {
            bytes.saturating_add(bytes_of(&value, port.kind).unwrap_or(u64::MAX))
        });
        self.within(bytes)?;
        outputs
            .values()
            .zip(&self.outputs)
            .map(|(value, port)| from_ort(&value, port.kind).map_err(failed))
            .collect()
    }
}

fn failed(source: impl Into<Failure>) -> RunError {
    RunError::Failed {
        source: source.into(),
    }
}

fn port(outlet: &Outlet) -> Result<Port, LoadError> {
    let name = outlet.name();
    let unsupported = |kind: String| LoadError::UnsupportedKind {
        port: shown(name),
        kind,
    };
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = outlet.dtype()
    else {
        return Err(unsupported("of something else than a tensor".to_owned()));
    };
    if shape.len() > RANK_MAX {
        return Err(LoadError::UnsupportedShape { port: shown(name) });
    }
    let dim = |(&size, symbol): (&i64, &String)| match u32::try_from(size) {
        Ok(size) => Dim::Fixed(size),
        Err(_) if symbol.is_empty() => Dim::Any,
        Err(_) => Dim::Named(symbol.as_str().into()),
    };
    Ok(Port {
        name: name.into(),
        kind: kind_of(*ty).ok_or_else(|| unsupported(ty.to_string()))?,
        shape: shape
            .iter()
            .zip(dimension_symbols.iter())
            .map(dim)
            .collect(),
    })
}

impl Graph for OrtGraph {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn placement(&self) -> Placement {
        self.place.placement()
    }

    fn is_steady(&self) -> bool {
        !self.loops
    }

    fn concurrency(&self) -> usize {
        self.pool.size()
    }

    fn run(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError> {
        let bytes: usize = inputs.iter().map(|tensor| tensor.data().len()).sum();
        self.within(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        let values = inputs.iter().zip(&self.inputs);
        let values = values.map(|(tensor, port)| to_ort(tensor, port.shape.len()));
        let values = values.collect::<Result<Vec<_>, _>>().map_err(failed)?;

        let mut taken = self.pool.take(control)?;
        let slot = taken.place();
        let slot = slot.ok_or_else(|| failed("its session is gone"))?;
        let options = Arc::clone(&slot.options);
        let stopped = Arc::new(AtomicBool::new(false));
        let result = {
            let (its_options, its_stopped) = (Arc::clone(&options), Arc::clone(&stopped));
            let _cancels = control.on_cancel(move || {
                its_stopped.store(true, Ordering::Release);
                // Fails for no reason that could be told to anyone.
                drop(its_options.terminate());
            });
            self.run_in(slot, &values, &stopped)
        };
        // Nothing can stop it from here on: the next run begins anew.
        if stopped.load(Ordering::Acquire) {
            options
                .unterminate()
                .map_err(|error| failed(line_of(error.message())))?;
        }
        result
    }
}
