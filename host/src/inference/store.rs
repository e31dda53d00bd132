//! The models in service, by name.
//!
//! A look-up gives the current version and keeps it: replacing a model never
//! touches a run in progress, and whoever asks next gets the successor.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;

use super::backend::{Backend, Device, ModelSource, Port};
use super::errors::{LoadError, panic_message};
use super::limits::InferenceLimits;
use super::model::{Loaded, Model};
use super::run_stats::RunStatus;
use super::slots::Slots;
use super::tract::Tract;
use crate::names::{Digest, ModelName};
use crate::spec::{BackendKind, Target};

type Models = BTreeMap<ModelName, Arc<Model>>;

/// All models of the host.
pub struct ModelStore {
    limits: InferenceLimits,
    backends: Vec<Box<dyn Backend>>,
    slots: Arc<Slots>,
    /// Held while a model takes its place, not while it is loaded.
    changing: Mutex<()>,
    models: ArcSwap<Models>,
}

impl std::fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.models.load().iter()).finish()
    }
}

/// What is told of one model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelStatus {
    pub model: ModelName,
    pub digest: Digest,
    pub backend: BackendKind,
    /// Where it was to run.
    pub target: Target,
    /// Where it does run.
    pub device: Device,
    /// It was to run on a graphics processor if there is one, and there is none.
    pub degraded: bool,
    /// Seconds since the Unix epoch.
    pub loaded_at_s: u64,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    #[serde(flatten)]
    pub runs: RunStatus,
}

impl ModelStore {
    /// A store without models, with the backends that are built in.
    pub fn new(limits: InferenceLimits) -> Self {
        Self::with_backends(limits, vec![Box::new(Tract)])
    }

    pub(super) fn with_backends(limits: InferenceLimits, backends: Vec<Box<dyn Backend>>) -> Self {
        Self {
            slots: Arc::new(Slots::new(&limits)),
            limits,
            backends,
            changing: Mutex::default(),
            models: ArcSwap::default(),
        }
    }

    /// Loads a model, tries it out and puts it into service under `name`, in
    /// place of the version there. Whatever fails, that version stays.
    ///
    /// Computes for a while: not to be called on an executor's thread.
    pub fn load(&self, name: ModelName, source: &ModelSource) -> Result<(), LoadError> {
        self.check_room(&name, &self.models.load())?;
        let model = Arc::new(self.prepare(source)?);
        let _changing = self.changing.lock();
        let mut models = Models::clone(&self.models.load());
        self.check_room(&name, &models)?;
        models.insert(name, model);
        self.models.store(Arc::new(models));
        Ok(())
    }

    /// Takes a model out of service. Runs in progress end as they would.
    pub fn unload(&self, name: &ModelName) -> bool {
        let _changing = self.changing.lock();
        let mut models = Models::clone(&self.models.load());
        let found = models.remove(name).is_some();
        self.models.store(Arc::new(models));
        found
    }

    /// The version in service.
    pub fn get(&self, name: &ModelName) -> Option<Arc<Model>> {
        self.models.load().get(name).map(Arc::clone)
    }

    pub fn status(&self) -> Vec<ModelStatus> {
        let models = self.models.load();
        let status = |(name, model): (&ModelName, &Arc<Model>)| {
            let since_epoch = model.loaded_at().duration_since(SystemTime::UNIX_EPOCH);
            ModelStatus {
                model: name.clone(),
                digest: model.digest(),
                backend: model.backend(),
                target: model.target(),
                device: model.device(),
                degraded: model.degraded(),
                loaded_at_s: since_epoch.unwrap_or_default().as_secs(),
                inputs: model.inputs().to_vec(),
                outputs: model.outputs().to_vec(),
                runs: model.run_status(),
            }
        };
        models.iter().map(status).collect()
    }

    fn check_room(&self, name: &ModelName, models: &Models) -> Result<(), LoadError> {
        let max = self.limits.models_max.get();
        if models.len() >= max && !models.contains_key(name) {
            return Err(LoadError::TooMany { max });
        }
        Ok(())
    }

    fn prepare(&self, source: &ModelSource) -> Result<Model, LoadError> {
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
