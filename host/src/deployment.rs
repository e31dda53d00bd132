//! Puts a deployment into service: pull, verify, admit, compile, prepare, swap,
//! watch, and keep it or go back.
//!
//! Everything is verified, admitted and compiled before the first plugin is
//! touched; all faults of a step are reported together, each with its place in
//! the document. Which step is taken when, and what is remembered of it, is in
//! [`deployments`]. How a plugin runs is the business of [`crate::runtime`];
//! what it may reach was decided in the document.

pub mod deployments;
pub mod document;
pub mod line;
mod load;
pub mod model_artifact;
mod model_origins;
pub mod plan;
pub mod report;
mod rights;
mod stages;
pub mod submission;
mod turns;

use std::sync::Arc;

use selvedge_signing::Origin;
use tracing::error;

use document::Document;
use document::fault::Location;
use line::{Line, LineError};

use crate::artifacts::{ArtifactError, Artifacts};
use crate::capture::Capture;
use crate::error_chain::ErrorChain;
use crate::inference::{Exchanged, LoadError, Model, ModelSet, ModelSource, ModelStore, Served};
use crate::names::{ModelName, PluginName, Reference};
use crate::runtime::{CodeCache, Engine, PrepareError};
use crate::supervisor::Supervisor;
use crate::trust::{Gate, GateError, OpenError};

pub use load::{FindPlugin, LoadFault, Shipped};
pub(crate) use model_origins::ModelOrigins;
pub use turns::Turns;

/// Why a part of a deployment was not put into service.
#[derive(Debug, thiserror::Error)]
pub enum DeployFault {
    #[error("cannot load plugin `{plugin}`")]
    Component {
        plugin: PluginName,
        source: LoadFault,
    },
    #[error("cannot load model `{model}`")]
    ModelFile { model: ModelName, source: LoadFault },
    #[error("model `{model}` is not fit to serve")]
    Model { model: ModelName, source: LoadError },
    #[error("the models cannot serve together")]
    Models(#[source] LoadError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the compiler did not finish")]
    Interrupted,
    #[error("cannot remember what was accepted")]
    Accept(#[source] GateError),
}

impl DeployFault {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Component { source, .. } => source.code().unwrap_or("component-not-loaded"),
            Self::ModelFile { source, .. } => source.code().unwrap_or("model-not-loaded"),
            Self::Model { source, .. } | Self::Models(source) => source.code(),
            Self::Prepare(source) => source.code(),
            Self::Line(source) => source.code(),
            Self::Interrupted => "interrupted",
            Self::Accept(source) => source.code(),
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Component {
                source: LoadFault::Refused(refused),
                ..
            }
            | Self::ModelFile {
                source: LoadFault::Refused(refused),
                ..
            } => refused.hint(),
            Self::Component {
                source: LoadFault::Artifact(ArtifactError::Missing(reference)),
                ..
            } => Some(brought_by("selvedge pull", reference)),
            Self::ModelFile {
                source: LoadFault::Artifact(ArtifactError::Missing(reference)),
                ..
            } => Some(brought_by("selvedge model pull", reference)),
            _ => None,
        }
    }
}

fn brought_by(command: &str, reference: &Reference) -> String {
    format!("`{command} {reference}` brings it; so does a host with `[registry] pull = true`")
}

/// What went wrong, and where in the document it was asked for.
#[derive(Debug)]
pub struct Located {
    /// The place in the document.
    pub location: Location,
    /// The plugin that it is about.
    pub plugin: Option<PluginName>,
    /// What went wrong there.
    pub fault: DeployFault,
}

/// What deployments are made ready with.
#[derive(Debug, Clone)]
pub struct Deployer {
    pub engine: Engine,
    pub cache: Arc<CodeCache>,
    pub models: Arc<ModelStore>,
    pub capture: Capture,
    pub supervisor: Supervisor,
    pub find: FindPlugin,
    pub artifacts: Artifacts,
    pub gate: Arc<Gate>,
    pub line: Line,
    /// By whose word models serve.
    pub(crate) model_origins: ModelOrigins,
    /// At compiling components, each on one core.
    pub compiling: Turns,
    /// At loading the models of a deployment.
    pub loading: Turns,
}

impl Deployer {
    /// Remembers what is about to run, on the disk before it does.
    pub async fn accept(&self, origins: Vec<Origin>) -> Result<(), DeployFault> {
        let accepted = self.accept_origins(origins).await;
        accepted
            .ok_or(DeployFault::Interrupted)?
            .map_err(DeployFault::Accept)
    }

    /// The same; nothing if it did not end.
    async fn accept_origins(&self, origins: Vec<Origin>) -> Option<Result<(), GateError>> {
        let gate = Arc::clone(&self.gate);
        let accept = move || gate.accept(&origins.iter().collect::<Vec<_>>());
        tokio::task::spawn_blocking(accept).await.ok()
    }

    /// Reads the trust repository again.
    ///
    /// # Errors
    ///
    /// If what was believed before can no longer be read.
    pub async fn read_trust(&self) -> Result<(), OpenError> {
        let gate = Arc::clone(&self.gate);
        let refreshed = tokio::task::spawn_blocking(move || gate.refresh()).await;
        refreshed.unwrap_or(Ok(()))
    }

    /// Takes the models of `document` out of service that the trust repository
    /// revokes. Plugins that use them go on, and are told at each run.
    pub(crate) fn withdraw_revoked(&self, document: &Document, models: &ModelSet) {
        for name in models.names() {
            // The version that serves may be another than the document's: one under
            // way is watched behind the same name.
            if let Some(served) = models.get(name) {
                self.withdraw_if_revoked(document, name, &served.current());
            }
        }
    }

    /// The same for those that were replaced and may serve again.
    pub(crate) fn withdraw_replaced(&self, document: &Document, exchanged: &Exchanged) {
        for (name, model) in exchanged.previous() {
            self.withdraw_if_revoked(document, name, model);
        }
    }

    fn withdraw_if_revoked(&self, document: &Document, name: &ModelName, model: &Model) {
        let Some((code, reason)) = self.model_revoked(model) else {
            return;
        };
        if model.withdraw(reason.clone()) {
            let used_by = document.plugins.iter();
            let used_by = used_by.filter(|(_, plugin)| plugin.grants.models.contains(name));
            let used_by: Vec<_> = used_by.map(|(plugin, _)| plugin.as_str()).collect();
            error!(
                model = name.as_str(),
                digest = %model.digest(),
                used_by = used_by.join(", "),
                code,
                error = reason,
                "model taken out of service: it is revoked"
            );
        }
    }

    /// The same for one beside those of the deployment.
    fn withdraw_beside(&self, served: &Served, origin: &Origin) {
        let Some(refusal) = self.gate.revoked(origin) else {
            return;
        };
        let (code, reason) = (refusal.code(), ErrorChain(&refusal).to_string());
        let model = served.current();
        if model.withdraw(reason.clone()) {
            error!(
                model = served.name().as_str(),
                digest = %model.digest(),
                code,
                error = reason,
                "loaded model taken out of service: it is revoked"
            );
        }
    }

    /// Why the model may not serve any more, if so; its code and the reason.
    fn model_revoked(&self, model: &Model) -> Option<(&'static str, String)> {
        let artifact = model.artifact();
        let origin = artifact.and_then(|artifact| self.model_origins.of_artifact(&artifact));
        if let Some(origin) = origin {
            let refusal = self.gate.revoked(&origin)?;
            return Some((refusal.code(), ErrorChain(&refusal).to_string()));
        }
        // A file by itself: only its digest can be revoked.
        let digests = [artifact, Some(model.digest())].into_iter().flatten();
        let refused = digests.map(|digest| self.gate.unless_revoked(&digest));
        let refused = refused.filter_map(Result::err).next()?;
        Some((refused.code(), ErrorChain(&refused).to_string()))
    }

    /// The model of an artifact that is in the device's store, verified as for a
    /// deployment; and by whose word it may serve. Blocks.
    ///
    /// # Errors
    ///
    /// If it is not there, may not run here, or is no model that this host
    /// understands.
    pub fn stored_model(&self, reference: &Reference) -> Result<(ModelSource, Origin), LoadFault> {
        load::stored_model(self, reference)
    }

    /// Stops what the trust repository revokes; which, and why.
    pub(crate) async fn take_off_revoked(&self) -> Vec<(PluginName, String)> {
        let revoked: Vec<_> = {
            let refused = |(plugin, origin): (PluginName, Arc<Origin>)| {
                let refusal = self.gate.revoked(&origin)?;
                Some((plugin, origin.digest(), refusal))
            };
            let running = self.line.origins().into_iter();
            running.filter_map(refused).collect()
        };
        let mut taken_off = Vec::new();
        for (plugin, digest, refusal) in revoked {
            let (code, reason) = (refusal.code(), ErrorChain(&refusal).to_string());
            error!(
                plugin = plugin.as_str(),
                digest = %digest,
                code,
                error = reason,
                "plugin stopped: it is revoked"
            );
            self.line.take_off(&plugin).await;
            taken_off.push((plugin, reason));
        }
        taken_off
    }
}

#[cfg(test)]
mod tests {
    use super::{ArtifactError, DeployFault, LoadFault};
    use crate::names::{Digest, Reference};

    #[test]
    fn of_an_artifact_that_is_not_here_it_is_said_what_brings_it() {
        let reference = format!("registry.example/acme/pump@{}", Digest::of(b""));
        let missing: Reference = reference.parse().unwrap();
        let fault = DeployFault::ModelFile {
            model: "pump".parse().unwrap(),
            source: LoadFault::Artifact(ArtifactError::Missing(Box::new(missing))),
        };
        let hint = fault.hint().unwrap();
        let command = format!("`selvedge model pull {reference}`");
        assert!(hint.starts_with(&command), "{hint}");
    }
}
