//! The models that serve together: by name, and never changed.
//!
//! Whoever holds a set has its versions for as long as it likes; what comes
//! after it is another set, in which a model that stays is the same model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;

use super::backend::Device;
use super::interface::Port;
use super::model::Model;
use super::run_stats::RunStatus;
use super::served::Served;
use super::shadow::ShadowStatus;
use crate::names::{Digest, ModelName};
use crate::spec::{BackendKind, Target};

/// Models by name. Made by [`ModelStore::change`](super::ModelStore::change);
/// the default is empty.
#[derive(Clone, Debug, Default)]
pub struct ModelSet(BTreeMap<ModelName, Arc<Served>>);

/// What is told of one model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelStatus {
    /// Its name.
    pub model: ModelName,
    /// The version that its publisher gave it; a file by itself has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of its file.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// What computes it.
    pub backend: BackendKind,
    /// Where it was to run.
    pub target: Target,
    /// Where it does run.
    pub device: Device,
    /// By which part of the backend.
    pub provider: String,
    /// It was to run on a graphics processor if there is one, and there is none.
    pub degraded: bool,
    /// Seconds since the Unix epoch.
    pub loaded_at_s: u64,
    /// How often another version took its place while plugins used it.
    pub swaps_total: u64,
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
    #[serde(flatten)]
    pub runs: RunStatus,
    /// How the candidate compares that follows it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

impl ModelStatus {
    /// How the version of `served` fares that serves at this moment, and that version.
    pub fn of(served: &Served) -> (Self, Arc<Model>) {
        let model = served.current();
        let since_epoch = model.loaded_at().duration_since(SystemTime::UNIX_EPOCH);
        let status = Self {
            model: served.name().clone(),
            version: model.version().map(str::to_owned),
            digest: model.digest(),
            backend: model.backend(),
            target: model.target(),
            device: model.device(),
            provider: model.placement().provider.clone(),
            degraded: model.degraded(),
            loaded_at_s: since_epoch.unwrap_or_default().as_secs(),
            swaps_total: served.exchanges_total(),
            inputs: model.inputs().to_vec(),
            outputs: model.outputs().to_vec(),
            runs: model.run_status(),
            shadow: served.shadow_status(),
        };
        (status, model)
    }
}

impl ModelSet {
    /// This set with `changes`: each puts a model in, or takes the one of that
    /// name out. All others are the same models.
    pub(super) fn with(
        &self,
        changes: impl IntoIterator<Item = (ModelName, Option<Arc<Served>>)>,
    ) -> Self {
        let mut models = self.0.clone();
        for (name, model) in changes {
            match model {
                Some(model) => models.insert(name, model),
                None => models.remove(&name),
            };
        }
        Self(models)
    }

    /// The model of that name.
    pub fn get(&self, name: &ModelName) -> Option<&Arc<Served>> {
        self.0.get(name)
    }

    /// The names of all, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &ModelName> {
        self.0.keys()
    }

    /// How each of them fares, by name.
    pub fn status(&self) -> Vec<ModelStatus> {
        let all = self.0.values();
        all.map(|served| ModelStatus::of(served).0).collect()
    }
}
