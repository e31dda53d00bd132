//! Every model as operators see it: how it fares, and by whose word it serves.

use schemars::JsonSchema;
use selvedge_signing::Origin;
use serde::Serialize;

use super::Deployments;
use crate::inference::ModelStatus;
use crate::names::Digest;

/// One model, as operators see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelReport {
    #[serde(flatten)]
    pub status: ModelStatus,
    /// Where it comes from; of a model that is a file, nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<ModelOrigin>,
    /// Why it is out of service, if so: what it came with is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
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
    /// Every model in service, by name.
    pub fn model_reports(&self) -> Vec<ModelReport> {
        let Some(running) = self.running() else {
            return Vec::new();
        };
        let known = &self.0.deployer.model_origins;
        let report = |status: ModelStatus| {
            let served = running.models.get(&status.model);
            // While another version is watched, it is not the document's.
            let model = served.map(|served| served.current());
            let artifact = model.as_ref().and_then(|model| model.artifact());
            let origin = artifact.and_then(|artifact| known.of_artifact(&artifact));
            ModelReport {
                origin: origin.map(|origin| ModelOrigin::of(&origin)),
                withdrawn: model.and_then(|model| model.withdrawn().map(str::to_owned)),
                status,
            }
        };
        running.models.status().into_iter().map(report).collect()
    }
}
