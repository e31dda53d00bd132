//! `wasi:nn`: models by name, for the guests that are granted them; and what such a
//! model takes and gives, which `wasi:nn` lacks ([`describe`]).
//!
//! Our own implementation of the standard interface, because guest data must
//! not reach a native library unchecked: a guest never loads a model, only
//! names one that the deployment grants; every tensor is checked before the
//! backend sees it; bytes and resources are bounded for each plugin; each
//! failure is a typed error whose text says what was wrong.
//!
//! The interface gives the constructor of `tensor` no way to fail. A tensor
//! whose length does not fit its shape is therefore made, empty, and `compute`
//! refuses it with the reason. Going over a quota there, or holding too many
//! resources, is a trap.

mod describe;
mod errors;
mod resources;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use tracing::debug;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use self::bindings::wasi::nn::{errors as wit_errors, graph, inference, tensor};
pub use self::errors::GuestError;
use self::errors::code_of;
use self::resources::Usage;
pub use self::resources::{Context, Graph, GuestTensor, NnLimits, QuotaError};
use crate::error_chain::ErrorChain;
use crate::inference::{ModelSet, RunError, Tensor};
use crate::names::ModelName;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/deps/nn",
        world: "ml",
        imports: {
            "wasi:nn/inference.[method]graph-execution-context.compute": async | trappable,
            default: trappable,
        },
        with: {
            "wasi:nn/errors.error": super::errors::GuestError,
            "wasi:nn/graph.graph": super::resources::Graph,
            "wasi:nn/inference.graph-execution-context": super::resources::Context,
            "wasi:nn/tensor.tensor": super::resources::GuestTensor,
        },
    });
}

type Fallible<T> = wasmtime::Result<Result<T, Resource<GuestError>>>;

/// What one plugin instance holds of inference.
#[derive(Debug)]
pub struct NnCtx {
    models: Arc<ModelSet>,
    granted: Vec<ModelName>,
    usage: Usage,
    deadline: Option<Instant>,
}

impl NnCtx {
    /// Grants those of `models` that are named in `granted`, which may name others.
    pub fn new(models: Arc<ModelSet>, granted: Vec<ModelName>, limits: NnLimits) -> Self {
        Self {
            models,
            granted,
            usage: Usage::new(limits),
            deadline: None,
        }
    }

    /// When the call into the guest that begins now has to end; `compute` ends
    /// no later.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Bytes of tensors that the guest holds.
    pub fn tensor_bytes(&self) -> u64 {
        self.usage.tensor_bytes()
    }
}

/// Access to a plugin's inference state within its store.
#[derive(Debug)]
pub struct NnView<'a> {
    pub ctx: &'a mut NnCtx,
    pub table: &'a mut ResourceTable,
}

struct HasNn;

impl HasData for HasNn {
    type Data<'a> = NnView<'a>;
}

/// Adds `wasi:nn` and `selvedge:inference` to the linker.
pub fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> NnView<'_>,
) -> wasmtime::Result<()> {
    wit_errors::add_to_linker::<T, HasNn>(linker, get)?;
    tensor::add_to_linker::<T, HasNn>(linker, get)?;
    graph::add_to_linker::<T, HasNn>(linker, get)?;
    describe::link(linker, get)?;
    inference::add_to_linker::<T, HasNn>(linker, get)
}

impl NnView<'_> {
    fn fail<T>(&mut self, code: wit_errors::ErrorCode, text: String) -> Fallible<T> {
        // Guests cause these at will: never more than a debug line.
        debug!(?code, text, "inference refused");
        self.ctx.usage.enter()?;
        Ok(Err(self.table.push(GuestError { code, text })?))
    }

    /// Whether `name` is granted: any other is refused in the same words,
    /// whether or not there is such a model.
    fn granted(&self, name: &str) -> Option<ModelName> {
        let mut granted = self.ctx.granted.iter();
        granted.find(|granted| granted.as_str() == name).cloned()
    }

    /// Takes every tensor out of the guest's hands, since `compute` consumes them.
    fn take(
        &mut self,
        inputs: Vec<(String, Resource<GuestTensor>)>,
    ) -> wasmtime::Result<Vec<(String, GuestTensor)>> {
        let mut taken = Vec::with_capacity(inputs.len());
        for (name, resource) in inputs {
            let tensor = self.table.delete(resource)?;
            self.ctx.usage.leave_tensor(&tensor);
            taken.push((name, tensor));
        }
        Ok(taken)
    }
}

impl graph::Host for NnView<'_> {
    fn load(
        &mut self,
        _builder: Vec<Vec<u8>>,
        _encoding: graph::GraphEncoding,
        _target: graph::ExecutionTarget,
    ) -> Fallible<Resource<Graph>> {
        let text = "models are not loaded from bytes here: use load-by-name";
        self.fail(wit_errors::ErrorCode::UnsupportedOperation, text.to_owned())
    }

    fn load_by_name(&mut self, name: String) -> Fallible<Resource<Graph>> {
        let Some(granted) = self.granted(&name) else {
            let shown: String = name.chars().take(64).collect();
            let text = format!("model `{shown}` is not granted to this plugin");
            return self.fail(wit_errors::ErrorCode::Security, text);
        };
        let Some(model) = self.ctx.models.get(&granted).map(Arc::clone) else {
            let text = format!("model `{granted}` is not loaded");
            return self.fail(wit_errors::ErrorCode::NotFound, text);
        };
        self.ctx.usage.enter()?;
        Ok(Ok(self.table.push(Graph { model })?))
    }
}

impl graph::HostGraph for NnView<'_> {
    fn init_execution_context(&mut self, graph: Resource<Graph>) -> Fallible<Resource<Context>> {
        let model = Arc::clone(&self.table.get(&graph)?.model);
        self.ctx.usage.enter()?;
        Ok(Ok(self.table.push(Context { model })?))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(graph)?;
        self.ctx.usage.leave();
        Ok(())
    }
}

impl inference::Host for NnView<'_> {}

impl inference::HostGraphExecutionContext for NnView<'_> {
    async fn compute(
        &mut self,
        context: Resource<Context>,
        inputs: Vec<(String, Resource<GuestTensor>)>,
    ) -> Fallible<Vec<(String, Resource<GuestTensor>)>> {
        let model = Arc::clone(&self.table.get(&context)?.model);
        let mut tensors = Vec::with_capacity(inputs.len());
        for (name, tensor) in self.take(inputs)? {
            match tensor.into_valid() {
                Ok(tensor) => tensors.push((name, tensor)),
                Err(reason) => {
                    let shown: String = name.chars().take(64).collect();
                    let text = format!("input `{shown}` is not valid: {reason}");
                    return self.fail(wit_errors::ErrorCode::InvalidArgument, text);
                }
            }
        }
        match model.run(tensors, self.ctx.deadline).await {
            Ok(outputs) => self.give(outputs),
            Err(error) => self.fail_run(&error),
        }
    }

    fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        self.ctx.usage.leave();
        Ok(())
    }
}

impl NnView<'_> {
    fn fail_run<T>(&mut self, error: &RunError) -> Fallible<T> {
        self.fail(code_of(error), ErrorChain(error).to_string())
    }

    /// Hands the outputs to the guest, all or none.
    fn give(
        &mut self,
        outputs: Vec<(Arc<str>, Tensor)>,
    ) -> Fallible<Vec<(String, Resource<GuestTensor>)>> {
        let bytes = outputs.iter().map(|(_, tensor)| tensor.data().len()).sum();
        if let Err(over) = self.ctx.usage.fits(bytes) {
            let text = format!("the outputs do not fit: {over}");
            return self.fail(wit_errors::ErrorCode::TooLarge, text);
        }
        let mut given = Vec::with_capacity(outputs.len());
        for (name, tensor) in outputs {
            let tensor = GuestTensor::from(tensor);
            self.ctx.usage.enter_tensor(&tensor)?;
            given.push((name.to_string(), self.table.push(tensor)?));
        }
        Ok(Ok(given))
    }
}

impl tensor::Host for NnView<'_> {}

impl tensor::HostTensor for NnView<'_> {
    fn new(
        &mut self,
        dimensions: Vec<u32>,
        kind: tensor::TensorType,
        data: Vec<u8>,
    ) -> wasmtime::Result<Resource<GuestTensor>> {
        let tensor = GuestTensor::new(dimensions, kind.into(), data.into());
        self.ctx.usage.enter_tensor(&tensor)?;
        Ok(self.table.push(tensor)?)
    }

    fn dimensions(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions().to_vec())
    }

    fn ty(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<tensor::TensorType> {
        Ok(self.table.get(&tensor)?.kind().into())
    }

    fn data(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&tensor)?.data().to_vec())
    }

    fn drop(&mut self, tensor: Resource<GuestTensor>) -> wasmtime::Result<()> {
        let tensor = self.table.delete(tensor)?;
        self.ctx.usage.leave_tensor(&tensor);
        Ok(())
    }
}

impl wit_errors::Host for NnView<'_> {}

impl wit_errors::HostError for NnView<'_> {
    fn code(&mut self, error: Resource<GuestError>) -> wasmtime::Result<wit_errors::ErrorCode> {
        Ok(self.table.get(&error)?.code)
    }

    fn data(&mut self, error: Resource<GuestError>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.text.clone())
    }

    fn drop(&mut self, error: Resource<GuestError>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        self.ctx.usage.leave();
        Ok(())
    }
}
