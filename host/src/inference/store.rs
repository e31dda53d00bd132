//! Makes models: loads them, tries them out, and says which may serve together.
//!
//! Keeps none of them. Which models serve is said by a [`ModelSet`]; what all
//! models share is here: backends, limits, and the slots that they run in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, Device, ModelSource};
use super::errors::{LoadError, panic_message};
use super::limits::InferenceLimits;
use super::model::{Loaded, Model};
use super::model_set::ModelSet;
use super::slots::Slots;
use super::tract::Tract;
use crate::names::{Digest, ModelName};
use crate::spec::Target;

/// What all models of the host share.
pub struct ModelStore {
    limits: InferenceLimits,
    backends: Vec<Box<dyn Backend>>,
    slots: Arc<Slots>,
}

impl std::fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let backends = self.backends.iter().map(|backend| backend.kind());
        f.debug_list().entries(backends).finish()
    }
}

impl ModelStore {
    /// A store with the backends that are built in.
    pub fn new(limits: InferenceLimits) -> Self {
        Self::with_backends(limits, vec![Box::new(Tract)])
    }

    pub(super) fn with_backends(limits: InferenceLimits, backends: Vec<Box<dyn Backend>>) -> Self {
        Self {
            slots: Arc::new(Slots::new(&limits)),
            limits,
            backends,
        }
    }

    /// The set after `before`: each change puts a model in, or takes the one of
    /// that name out. What is not named stays, and is not loaded again.
    ///
    /// # Errors
    ///
    /// If more models than may be would serve together.
    pub fn change(
        &self,
        before: &ModelSet,
        changes: impl IntoIterator<Item = (ModelName, Option<Arc<Model>>)>,
    ) -> Result<Arc<ModelSet>, LoadError> {
        let set = before.with(changes);
        let max = self.limits.models_max.get();
        if set.names().len() > max {
            return Err(LoadError::TooMany { max });
        }
        Ok(Arc::new(set))
    }

    /// Loads a model and tries it out. Nobody can run it before it is in a set.
    ///
    /// Computes for a while: not to be called on an executor's thread.
    pub fn prepare(&self, source: &ModelSource) -> Result<Arc<Model>, LoadError> {
        self.load(source).map(Arc::new)
    }

    fn load(&self, source: &ModelSource) -> Result<Model, LoadError> {
        let bytes = u64::try_from(source.bytes.len()).unwrap_or(u64::MAX);
        let max = self.limits.model_bytes_max.get();
        if bytes > max {
            return Err(LoadError::TooLarge { bytes, max });
        }
        let found = Digest::of(&source.bytes);
        if found != source.digest {
            let expected = source.digest;
            return Err(LoadError::WrongDigest { expected, found });
        }
        let backend = source.backend;
        let backend = self
            .backends
            .iter()
            .find(|candidate| candidate.kind() == backend)
            .ok_or(LoadError::NoBackend { backend })?;
        let device = choose(source.target, backend.as_ref())?;
        let loaded = Loaded {
            device,
            run_time_max: Duration::from_millis(self.limits.run_ms_max.get().into()),
            slots: Arc::clone(&self.slots),
        };
        let load = AssertUnwindSafe(|| {
            let graph = backend.load(source, device, &self.limits)?;
            let model = Model::new(graph, source, loaded);
            model.try_out(source.golden.as_ref())?;
            Ok(model)
        });
        catch_unwind(load).unwrap_or_else(|payload| {
            Err(LoadError::Panicked {
                message: panic_message(payload.as_ref()),
            })
        })
    }
}

/// The one place that decides where a model runs: only `gpu-preferred` may get
/// less than it asks for.
fn choose(target: Target, backend: &dyn Backend) -> Result<Device, LoadError> {
    let has_gpu = backend.devices().contains(&Device::Gpu);
    match target {
        Target::Cpu => Ok(Device::Cpu),
        Target::Gpu | Target::GpuPreferred if has_gpu => Ok(Device::Gpu),
        Target::GpuPreferred => Ok(Device::Cpu),
        Target::Gpu => Err(LoadError::NoDevice {
            backend: backend.kind(),
        }),
    }
}
