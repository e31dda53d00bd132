//! Makes models: loads them, tries them out, and says which may serve together.
//!
//! Keeps none of them. Which models serve is said by a [`ModelSet`]; what all
//! models share is here: backends, limits, and the slots that they run in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, Device};
use super::backends::Backends;
use super::compiled::{Compiled, this_cpu};
use super::errors::{LoadError, panic_message};
use super::exchange::NextModels;
use super::interface::{Dim, Interface, Port};
use super::limits::InferenceLimits;
use super::model::{Loaded, Model};
use super::model_set::ModelSet;
use super::places::{Place, Places, Reserved};
use super::rehearsal::Rehearsal;
use super::served::Served;
use super::slots::Slots;
use super::source::ModelSource;
use crate::names::{Digest, ModelName};
use crate::spec::{BackendChoice, BackendKind, Models, ShadowOptions, Target};

/// Inputs of a model, and as many outputs.
const PORTS_MAX: usize = 256;
/// Bytes of the name of an input, an output or a dimension: they are told to
/// plugins and programs, and stand in logs.
const NAME_BYTES_MAX: usize = 256;

/// What computes a model, to be remembered: the library, which part of it, and on
/// which processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub backend: BackendKind,
    pub provider: String,
    pub device: Device,
}

impl Chosen {
    pub fn of(model: &Model) -> Self {
        Self {
            backend: model.backend(),
            provider: model.placement().provider.clone(),
            device: model.device(),
        }
    }
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let device = match self.device {
            Device::Cpu => "cpu",
            Device::Gpu => "gpu",
        };
        let (backend, provider) = (self.backend.name(), &self.provider);
        write!(f, "`{backend}` by `{provider}` on the {device}")
    }
}

/// What all models of the host share.
pub struct ModelStore {
    limits: InferenceLimits,
    backends: Backends,
    slots: Arc<Slots>,
    places: Arc<Places>,
    rehearsal: Option<Rehearsal>,
}

impl std::fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelStore")
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

impl ModelStore {
    /// A store with the backends that are built in.
    pub fn new(limits: InferenceLimits) -> Self {
        Self::with(limits, Backends::built_in())
    }

    /// A store with the backends that this host has.
    pub fn with(limits: InferenceLimits, backends: Backends) -> Self {
        Self {
            slots: Arc::new(Slots::new(&limits)),
            places: Arc::new(Places::new(limits.models_max.get())),
            limits,
            backends,
            rehearsal: None,
        }
    }

    /// One that loads no model before it was tried in a process of its own.
    pub fn rehearsing(mut self, rehearsal: Option<Rehearsal>) -> Self {
        self.rehearsal = rehearsal;
        self
    }

    #[cfg(test)]
    pub(super) fn with_backends(limits: InferenceLimits, backends: Vec<Box<dyn Backend>>) -> Self {
        Self::with(limits, Backends::of(backends))
    }

    /// What this host can run models with.
    pub fn backends(&self) -> &Backends {
        &self.backends
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
        let changes = changes.into_iter().map(|(name, model)| {
            let served = model.map(|model| Arc::new(Served::new(name.clone(), model)));
            (name, served)
        });
        let set = before.with(changes);
        drop(self.reserve(&set)?);
        Ok(Arc::new(set))
    }

    /// The same, for a set that serves: where a model takes and gives what the one
    /// before it does, those who use it need not be told. Changes nothing yet.
    /// `shadows` says which of them are to be followed by which others.
    ///
    /// # Errors
    ///
    /// If more models than may be would serve together, or a shadow does not take
    /// and give what it is to be compared with.
    pub fn next(
        &self,
        before: &ModelSet,
        changes: impl IntoIterator<Item = (ModelName, Option<Arc<Model>>)>,
        shadows: &Models<ShadowOptions>,
    ) -> Result<NextModels, LoadError> {
        let mut next = before.next(changes, shadows)?;
        next.reserved = self.reserve(&next.set)?;
        Ok(next)
    }

    /// Keeps places for `set` until it serves or will not.
    fn reserve(&self, set: &ModelSet) -> Result<Reserved, LoadError> {
        self.places.reserve(set.names().len())
    }

    /// A place for one model beside those of `serving`.
    ///
    /// # Errors
    ///
    /// If there would be more models than may be.
    pub fn place_beside(&self, serving: &ModelSet) -> Result<Place, LoadError> {
        self.places.beside(serving.names().len())
    }

    /// Whether so many models may serve together: to be asked before they are
    /// loaded.
    ///
    /// # Errors
    ///
    /// If they are too many.
    pub fn fits(&self, models: usize) -> Result<(), LoadError> {
        self.places.fits(models)
    }

    /// Loads a model and tries it out. Nobody can run it before it is in a set.
    ///
    /// Computes for a while: not to be called on an executor's thread.
    pub fn prepare(&self, source: &ModelSource) -> Result<Arc<Model>, LoadError> {
        self.load(source).map(Arc::new)
    }

    /// The same, as when it was taken into service, or not at all: with the library
    /// that was chosen where `source` leaves it open, and by the same part of it. On
    /// another processor only where it was merely preferred.
    pub fn prepare_as(
        &self,
        source: &ModelSource,
        recorded: &Chosen,
    ) -> Result<Arc<Model>, LoadError> {
        let mut source = source.clone();
        if source.backend == BackendChoice::Auto {
            if !self.backends.has(recorded.backend) {
                let (recorded, now) = (recorded.backend, self.backends.names());
                return Err(LoadError::BackendGone { recorded, now });
            }
            source.backend = recorded.backend.into();
        }
        let model = self.prepare(&source)?;
        let now = Chosen::of(&model);
        let moved = source.target == Target::GpuPreferred && now.device != recorded.device;
        // Where the document names the library, it is as it says.
        if moved || now.backend != recorded.backend || now == *recorded {
            return Ok(model);
        }
        let recorded = recorded.clone();
        Err(LoadError::PlacementGone { recorded, now })
    }

    /// Writes to `to` what the library of `source` makes of it for this processor.
    /// What it is worth shows when that is loaded with golden vectors.
    ///
    /// Computes for a while, as [`Self::prepare`] does.
    pub fn compile(&self, source: &ModelSource, to: &Path) -> Result<(), LoadError> {
        let mut candidates = self.backends.candidates(source)?.into_iter();
        let backend = candidates.next().ok_or_else(|| LoadError::NoBackendFor {
            reasons: "none is left".to_owned(),
        })?;
        let compile = AssertUnwindSafe(|| backend.compile(source, to, &self.limits));
        catch_unwind(compile).unwrap_or_else(|payload| {
            Err(LoadError::Panicked {
                message: panic_message(payload.as_ref()),
            })
        })
    }

    fn load(&self, source: &ModelSource) -> Result<Model, LoadError> {
        // The weights are the larger part, where a format keeps them apart.
        let weights = source.weights.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = source.bytes.len().saturating_add(weights);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let max = self.limits.model_bytes_max.get();
        if bytes > max {
            return Err(LoadError::TooLarge { bytes, max });
        }
        let found = Digest::of(&source.bytes);
        if found != source.digest {
            let expected = source.digest;
            return Err(LoadError::WrongDigest { expected, found });
        }
        let compiled = Compiled::of(&source.metadata)?;
        let mut refused = Vec::new();
        for backend in self.backends.candidates(source)? {
            if let Some(compiled) = &compiled {
                compiled.check(&backend.status(), &this_cpu())?;
            }
            let loaded = self.load_with(backend, source);
            match loaded.map_err(|error| self.backends.say_elsewhere(error)) {
                Ok(model) => return Ok(model),
                // Another may have the operators that one lacks.
                Err(error) if source.backend == BackendChoice::Auto && error.is_of_backend() => {
                    refused.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(of_all(refused))
    }

    fn load_with(&self, backend: &dyn Backend, source: &ModelSource) -> Result<Model, LoadError> {
        match source.target {
            Target::Cpu => self.load_on(backend, source, Device::Cpu),
            Target::Gpu => self.load_on(backend, source, Device::Gpu),
            // The only one that may get less than it asks for.
            Target::GpuPreferred => match self.load_on(backend, source, Device::Gpu) {
                Err(LoadError::NoDevice { .. }) => self.load_on(backend, source, Device::Cpu),
                loaded => loaded,
            },
        }
    }

    fn load_on(
        &self,
        backend: &dyn Backend,
        source: &ModelSource,
        device: Device,
    ) -> Result<Model, LoadError> {
        if !backend.devices().contains(&device) {
            let kind = backend.kind();
            let why = format!("the backend `{}` has none here", kind.name());
            return Err(LoadError::NoDevice { backend: kind, why });
        }
        if let Some(rehearsal) = &self.rehearsal {
            rehearsal.of(source, (backend.kind(), device), &self.limits)?;
        }
        let loaded = Loaded {
            backend: backend.kind(),
            run_time_max: Duration::from_millis(self.limits.run_ms_max.get().into()),
            slots: Arc::clone(&self.slots),
        };
        let load = AssertUnwindSafe(|| {
            let graph = backend.load(source, device, &self.limits)?;
            let model = Model::new(graph, source, loaded);
            bounded(&model.interface())?;
            if let Some(promised) = &source.promised {
                promised.check(&model.interface())?;
            }
            model.try_out(&source.golden)?;
            Ok(model)
        });
        catch_unwind(load).unwrap_or_else(|payload| {
            Err(LoadError::Panicked {
                message: panic_message(payload.as_ref()),
            })
        })
    }
}

/// What is told where each library has refused a model: of a device that none has,
/// what each says; else what the last one says.
fn of_all(mut refused: Vec<LoadError>) -> LoadError {
    let whys = refused.iter().map(|error| match error {
        LoadError::NoDevice { backend, why } => Some((*backend, why.as_str())),
        _ => None,
    });
    if let Some(whys) = whys.collect::<Option<Vec<_>>>()
        && let [(backend, _), _, ..] = *whys
    {
        let whys: Vec<_> = whys.iter().map(|(_, why)| *why).collect();
        let why = whys.join("; ");
        return LoadError::NoDevice { backend, why };
    }
    refused.pop().unwrap_or_else(|| LoadError::NoBackendFor {
        reasons: "none is left".to_owned(),
    })
}

/// Whether what a model says of itself can be told to others.
pub(super) fn bounded(interface: &Interface) -> Result<(), LoadError> {
    let refuse = |why: String| Err(LoadError::Malformed { source: why.into() });
    let Interface { inputs, outputs } = interface;
    if inputs.len().max(outputs.len()) > PORTS_MAX {
        return refuse(format!("it has more than {PORTS_MAX} inputs or outputs"));
    }
    let is_long = |name: &str| name.len() > NAME_BYTES_MAX;
    let ports = inputs.iter().chain(outputs);
    let long = |port: &Port| {
        let mut dimensions = port.shape.iter();
        let long = |dim: &Dim| matches!(dim, Dim::Named(name) if is_long(name));
        is_long(&port.name) || dimensions.any(long)
    };
    if { ports }.any(long) {
        return refuse(format!(
            "an input, output or dimension has a name of more than {NAME_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}
