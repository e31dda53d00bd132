//! Every model as operators see it: how it fares, and by whose word it serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use selvedge_signing::Origin;
use serde::{Deserialize, Serialize};

use super::{Deployments, Running};
use crate::deployment::document::Document;
use crate::inference::{ModelStatus, Served};
use crate::names::{Digest, ModelName, PluginName};

/// One model, as operators see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelReport {
    #[serde(flatten)]
    pub status: ModelStatus,
    /// Who brought it.
    pub loaded_by: LoadedBy,
    /// The plugins that may run it.
    pub granted_to: Vec<PluginName>,
    /// Where it comes from; of a model that is a file, nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<ModelOrigin>,
    /// Why it is out of service, if so: what it came with is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// Who brought a model into service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadedBy {
    /// The deployment in force.
    #[default]
    Deployment,
    /// A native program, over the inference API.
    InferenceApi,
}

impl LoadedBy {
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::InferenceApi => "inference-api",
        }
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelOrigin {
    /// Its package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Who vouches for it.
    pub publisher: String,
    /// The digest of its artifact.
    #[schemars(with = "String")]
    pub artifact: Digest,
}

impl ModelOrigin {
    fn of(origin: &Origin) -> Self {
        Self {
            package: origin.package().to_string(),
            version: origin.version().to_string(),
            publisher: origin.publisher().to_owned(),
            artifact: origin.digest(),
        }
    }
}

impl Deployments {
    /// Every model in service, by name: the deployment's, and those that native
    /// programs loaded beside them.
    pub fn model_reports(&self) -> Vec<ModelReport> {
        let mut reports = Vec::new();
        // Looked at first: what is loaded meanwhile is told the next time.
        let beside = self.0.beside.all();
        let running = self.running();
        let models = running.as_ref().map(|running| Arc::clone(&running.models));
        let models = models.unwrap_or_default();
        if let Some(Running { document, .. }) = &running {
            let served = models.names().filter_map(|name| models.get(name));
            reports.extend(served.map(|served| self.report_of_deployed(served, document)));
        }
        // A deployment that brings a model of the same name takes the name.
        let beside = { beside.iter() }.filter(|(served, _)| models.get(served.name()).is_none());
        reports.extend(beside.map(|(served, origin)| report_of_beside(served, origin)));
        reports.sort_by(|one, other| one.status.model.cmp(&other.status.model));
        reports
    }

    /// Models of what runs that were not loaded, and the plugins that may run them.
    pub fn missing_models(&self) -> BTreeMap<ModelName, Vec<PluginName>> {
        let Some(Running { document, models }) = self.running() else {
            return BTreeMap::new();
        };
        let names = document.models.keys();
        let missing = names.filter(|name| models.get(name).is_none());
        missing
            .map(|name| (name.clone(), granted_to(&document, name)))
            .collect()
    }

    /// Models of `document` that are those of what runs as well, and serve nobody:
    /// they were not loaded, or were withdrawn.
    pub(super) fn idle_models(&self, document: &Document) -> BTreeSet<ModelName> {
        let Some(running) = self.running() else {
            return BTreeSet::new();
        };
        let names = document.models.keys();
        let named = names.filter(|name| running.document.models.contains_key(*name));
        let idle = named.filter(|name| {
            let served = running.models.get(name);
            served.is_none_or(|served| served.current().withdrawn().is_some())
        });
        idle.cloned().collect()
    }

    fn report_of_deployed(&self, served: &Served, document: &Document) -> ModelReport {
        // While another version is watched, it is not the document's.
        let (status, model) = ModelStatus::of(served);
        let known = &self.0.deployer.model_origins;
        let origin = model
            .artifact()
            .and_then(|artifact| known.of_artifact(&artifact));
        ModelReport {
            granted_to: granted_to(document, &status.model),
            loaded_by: LoadedBy::Deployment,
            origin: origin.map(|origin| ModelOrigin::of(&origin)),
            withdrawn: model.withdrawn().map(str::to_owned),
            status,
        }
    }
}

fn granted_to(document: &Document, model: &ModelName) -> Vec<PluginName> {
    let plugins = document.plugins.iter();
    let granted = plugins.filter(|(_, plugin)| plugin.grants.models.contains(model));
    granted.map(|(name, _)| name.clone()).collect()
}

fn report_of_beside(served: &Served, origin: &Origin) -> ModelReport {
    let (status, model) = ModelStatus::of(served);
    ModelReport {
        loaded_by: LoadedBy::InferenceApi,
        granted_to: Vec::new(),
        origin: Some(ModelOrigin::of(origin)),
        withdrawn: model.withdrawn().map(str::to_owned),
        status,
    }
}
