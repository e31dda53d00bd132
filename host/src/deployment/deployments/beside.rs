//! Models beside those of the deployment: what operators load for native programs,
//! out of the device's store.
//!
//! They pass the same gate, are counted with the deployment's and are withdrawn like
//! them when they are revoked. No plugin is told of them, and they are gone with the
//! process. A deployment that brings a model of the same name takes the name.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_signing::Origin;
use tokio::sync::OwnedMutexGuard;

use super::Deployments;
use crate::artifacts::ArtifactError;
use crate::deployment::load::{self, LoadFault};
use crate::inference::{LoadError, Place, Served};
use crate::names::{ModelName, Reference};
use crate::trust::GateError;

/// Why a model is not put beside those of the deployment.
#[derive(Debug, thiserror::Error)]
pub enum BesideFault {
    #[error("a model `{0}` serves already")]
    Exists(ModelName),
    #[error("cannot load the model")]
    Artifact(#[from] LoadFault),
    #[error("the model is not fit to serve")]
    Model(#[from] LoadError),
    #[error("cannot remember what was accepted")]
    Accept(#[source] GateError),
    #[error("loading the model did not end")]
    Interrupted,
}

impl BesideFault {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "model-exists",
            Self::Artifact(fault) => fault.code().unwrap_or("model-not-loaded"),
            Self::Model(error) => error.code(),
            Self::Accept(error) => error.code(),
            Self::Interrupted => "model-interrupted",
        }
    }

    /// What a caller can do about it.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Exists(_) => Cause::NameTaken,
            Self::Artifact(LoadFault::Artifact(ArtifactError::Missing(_))) => Cause::Missing,
            Self::Artifact(
                LoadFault::Refused(_)
                | LoadFault::Description(_)
                | LoadFault::Artifact(ArtifactError::TooLarge { .. } | ArtifactError::Unpinned(_)),
            ) => Cause::Refused,
            Self::Model(LoadError::TooMany { .. }) => Cause::TooMany,
            Self::Model(_) => Cause::Refused,
            Self::Artifact(_) | Self::Accept(_) | Self::Interrupted => Cause::Failed,
        }
    }
}

/// What a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Take another name.
    NameTaken,
    /// Bring it into the store.
    Missing,
    /// It may not run here, or is not fit to.
    Refused,
    /// Take another out of service.
    TooMany,
    /// Nothing: the host has a problem.
    Failed,
}

/// What was loaded, by name.
#[derive(Debug, Default)]
pub(super) struct Beside {
    models: Mutex<BTreeMap<ModelName, Loaded>>,
    /// One at a time: each computes for a while.
    loading: Arc<tokio::sync::Mutex<()>>,
}

/// What loading a model holds, until that has really ended: a client may go away.
#[derive(Debug)]
struct Loading {
    _one: OwnedMutexGuard<()>,
    place: Place,
}

impl Loading {
    /// What `prepare` makes, on a thread of its own.
    async fn apart<T: Send + 'static>(
        self,
        prepare: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Self), BesideFault> {
        let prepared = tokio::task::spawn_blocking(move || (prepare(), self)).await;
        prepared.map_err(|_| BesideFault::Interrupted)
    }
}

#[derive(Debug)]
struct Loaded {
    served: Arc<Served>,
    origin: Arc<Origin>,
    _place: Place,
}

impl Beside {
    /// By whose word they serve.
    pub(super) fn origins(&self) -> Vec<Arc<Origin>> {
        let models = self.models.lock();
        models.values().map(|it| Arc::clone(&it.origin)).collect()
    }

    /// Each, and by whose word it serves.
    pub(super) fn all(&self) -> Vec<(Arc<Served>, Arc<Origin>)> {
        let models = self.models.lock();
        let each = models.values();
        each.map(|it| (Arc::clone(&it.served), Arc::clone(&it.origin)))
            .collect()
    }
}

impl Deployments {
    /// Puts the model of an artifact into service under a name of its own. The
    /// artifact must be in the device's store.
    ///
    /// # Errors
    ///
    /// If the name is taken, the artifact is not there or may not run here, the model
    /// is not fit, or there would be too many.
    pub async fn load_model(
        &self,
        name: ModelName,
        reference: Reference,
    ) -> Result<Arc<Served>, BesideFault> {
        let inner = &self.0;
        let one = Arc::clone(&inner.beside.loading).lock_owned().await;
        if self.served(&name).is_some() {
            return Err(BesideFault::Exists(name));
        }
        let deployer = inner.deployer.clone();
        let place = deployer.models.place_beside(&self.models())?;
        let loading = Loading { _one: one, place };
        let prepare = move || load::prepared_alone(&deployer, &reference);
        let (prepared, loading) = loading.apart(prepare).await?;
        let (model, origin) = prepared?;
        // What is accepted is said anew as a whole, and not by two at once.
        let _changing = inner.changing.lock().await;
        let origins = self.origins();
        let origins = origins.iter().map(|origin| Origin::clone(origin));
        let origins = origins.chain([origin.clone()]).collect();
        let accepted = inner.deployer.accept_origins(origins).await;
        accepted
            .ok_or(BesideFault::Interrupted)?
            .map_err(BesideFault::Accept)?;
        let served = Arc::new(Served::new(name.clone(), model));
        let loaded = Loaded {
            served: Arc::clone(&served),
            origin: Arc::new(origin),
            _place: loading.place,
        };
        inner.beside.models.lock().insert(name, loaded);
        Ok(served)
    }

    /// Takes one out of service that was put there by
    /// [`load_model`](Self::load_model); whether there was one.
    pub fn unload_model(&self, name: &ModelName) -> bool {
        self.0.beside.models.lock().remove(name).is_some()
    }

    /// Who serves native programs under this name: the deployment's model, before
    /// any beside it.
    pub fn served(&self, name: &ModelName) -> Option<Arc<Served>> {
        let deployed = self.models().get(name).cloned();
        deployed.or_else(|| {
            let models = self.0.beside.models.lock();
            models.get(name).map(|it| Arc::clone(&it.served))
        })
    }

    /// All who serve native programs, by name.
    pub fn all_served(&self) -> BTreeMap<ModelName, Arc<Served>> {
        let beside = self.0.beside.all().into_iter();
        let deployed = self.models();
        let deployed = deployed.names().filter_map(|name| deployed.get(name));
        let all = beside.map(|(served, _)| served).chain(deployed.cloned());
        all.map(|served| (served.name().clone(), served)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use tokio::sync::Mutex;

    use super::Loading;
    use crate::inference::{InferenceLimits, LoadError, ModelSet, ModelStore};

    #[tokio::test]
    async fn a_load_whose_client_is_gone_keeps_its_turn_and_its_place_until_it_ends() {
        let models = ModelStore::new(InferenceLimits {
            models_max: 1.try_into().unwrap(),
            ..InferenceLimits::default()
        });
        let one = Arc::new(Mutex::new(()));
        let loading = Loading {
            _one: Arc::clone(&one).lock_owned().await,
            place: models.place_beside(&ModelSet::default()).unwrap(),
        };
        let (go, go_on) = sync_channel(1);
        let mut asked = Box::pin(loading.apart(move || go_on.recv().is_ok()));
        assert!(futures::poll!(&mut asked).is_pending());
        drop(asked);
        assert!(one.try_lock().is_err());
        let error = models.place_beside(&ModelSet::default()).unwrap_err();
        assert!(matches!(error, LoadError::TooMany { max: 1 }), "{error}");
        go.send(()).unwrap();
        drop(one.lock().await);
    }
}
