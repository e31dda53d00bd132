//! Models that were loaded here: beside those of the deployment, and until the host
//! ends. What is loaded was verified by whoever brings it: there is no other way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::Code;

use super::Shared;
use super::fault::Fault;
use crate::inference::{ModelSource, Served};
use crate::names::{ModelName, Reference};

/// Brings artifacts out of the device's store, verified as for a deployment.
pub trait ModelLoader: Send + Sync {
    /// The model in the artifact.
    fn load(&self, reference: Reference) -> BoxFuture<'static, Result<ModelSource, LoaderError>>;
}

/// Why there is no model in an artifact, or none that may run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LoaderError {
    pub kind: LoaderErrorKind,
    /// A stable name.
    pub code: String,
    pub message: String,
}

/// What a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaderErrorKind {
    /// It is not in the store.
    Missing,
    /// It is not verified, or is no model.
    Refused,
    /// The host has a problem.
    Failed,
}

/// What was loaded, by name.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    models: Mutex<BTreeMap<ModelName, Arc<Served>>>,
    /// One at a time: each computes for a while.
    loading: tokio::sync::Mutex<()>,
}

impl Loaded {
    pub(super) fn get(&self, name: &ModelName) -> Option<Arc<Served>> {
        self.models.lock().get(name).cloned()
    }

    pub(super) fn all(&self) -> BTreeMap<ModelName, Arc<Served>> {
        self.models.lock().clone()
    }
}

impl Shared {
    pub(super) async fn load(
        &self,
        name: ModelName,
        reference: Reference,
    ) -> Result<Arc<Served>, Fault> {
        let _one = self.loaded.loading.lock().await;
        if self.served(&name).is_some() {
            let message = format!("a model `{name}` serves already");
            return Err(Fault::new(Code::AlreadyExists, "model-exists", message));
        }
        let source = self.loader.load(reference).await?;
        let store = Arc::clone(&self.models);
        let prepare = move || store.prepare(&source);
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let interrupted = |_| Fault::new(Code::Internal, "model-interrupted", "loading broke off");
        let model = prepared.map_err(interrupted)??;
        let mut models = self.loaded.models.lock();
        let own = models.iter().map(|(own, served)| (own, served.current()));
        let all = own.chain([(&name, Arc::clone(&model))]);
        let all = all.map(|(name, model)| (name.clone(), Some(model)));
        // Only to see whether there would be too many.
        let fits = self.models.change(&self.deployments.models(), all);
        fits.map(drop)?;
        let served = Arc::new(Served::new(name.clone(), model));
        models.insert(name, Arc::clone(&served));
        Ok(served)
    }

    pub(super) fn unload(&self, name: &ModelName) -> Result<(), Fault> {
        if self.loaded.models.lock().remove(name).is_some() {
            return Ok(());
        }
        if self.deployments.models().get(name).is_some() {
            let message = format!("the model `{name}` is the deployment's");
            return Err(Fault::new(
                Code::FailedPrecondition,
                "model-of-deployment",
                message,
            ));
        }
        Err(Fault::no_model(name.as_str()))
    }

    /// Who serves under this name: the deployment's model, before any that was loaded
    /// here.
    pub(super) fn served(&self, name: &ModelName) -> Option<Arc<Served>> {
        let deployed = self.deployments.models().get(name).cloned();
        deployed.or_else(|| self.loaded.get(name))
    }
}
