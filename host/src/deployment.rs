//! Puts a deployment into service: bring, verify, admit, compile, start.
//!
//! Everything is verified, admitted and compiled before the first plugin is
//! started; any fault leaves the host as it was, and all faults are reported
//! together, each with its place in the document. How a plugin runs is the
//! business of [`crate::runtime`]; what it may reach was decided in the
//! document.

pub mod deployments;
pub mod document;
pub mod line;
mod load;
pub mod plan;
pub mod report;
pub mod submission;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use selvedge_signing::Origin;
use tracing::{error, info};

use document::Document;
use document::fault::Location;
use document::place::Place;
use line::{Line, LineError, ReadyPlugin};

use crate::artifacts::Artifacts;
use crate::error_chain::ErrorChain;
use crate::inference::{LoadError, ModelStore};
use crate::names::{ModelName, PluginName};
use crate::runtime::{CodeCache, Engine, PrepareError, Prepared};
use crate::spec::InstanceSpec;
use crate::supervisor::Supervisor;
use crate::trust::{Gate, GateError, OpenError};

pub use load::{FindPlugin, LoadFault, Shipped};

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
            Self::Component {
                source: LoadFault::Refused(refused),
                ..
            } => refused.code(),
            Self::Component {
                source: LoadFault::Artifact(error),
                ..
            } => error.code(),
            Self::Component { .. } => "component-not-loaded",
            Self::ModelFile { .. } => "model-not-loaded",
            Self::Model { source, .. } => source.code(),
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
            } => refused.hint(),
            _ => None,
        }
    }
}

/// What went wrong, and where in the document it was asked for.
#[derive(Debug)]
pub struct Located {
    /// The place in the document.
    pub location: Location,
    /// What went wrong there.
    pub fault: DeployFault,
}

/// Why a deployment was not put into service: every fault found.
#[derive(Debug)]
pub struct DeployError(pub Vec<Located>);

impl std::fmt::Display for DeployError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Located { location, fault }) in self.0.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            let (error, code) = (ErrorChain(fault), fault.code());
            write!(f, "{newline}{location}: error: {error} [{code}]")?;
            if let Some(hint) = fault.hint() {
                write!(f, "\n  help: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for DeployError {}

/// What deployments are made ready with.
#[derive(Debug, Clone)]
pub struct Deployer {
    pub engine: Engine,
    pub cache: Arc<CodeCache>,
    pub models: Arc<ModelStore>,
    pub supervisor: Supervisor,
    pub find: FindPlugin,
    pub artifacts: Artifacts,
    pub gate: Arc<Gate>,
    pub line: Line,
    /// Components compiled at once, each on one core.
    pub compile_threads_max: usize,
}

impl Deployer {
    /// Makes everything that `document` names ready to run.
    ///
    /// # Errors
    ///
    /// All faults, each with its place.
    pub async fn make_ready(
        &self,
        document: &Document,
    ) -> Result<BTreeMap<PluginName, ReadyPlugin>, DeployError> {
        let at = |place: Place<'_>, fault| {
            let location = document.place_of(place);
            Located { location, fault }
        };
        let mut faults = Vec::new();
        for (name, model) in &document.models {
            let loaded = load::model(document, model);
            let loaded = loaded.map_err(|source| DeployFault::ModelFile {
                model: name.clone(),
                source,
            });
            let served = loaded.and_then(|source| {
                let served = self.models.load(name.clone(), &source);
                served.map_err(|source| DeployFault::Model {
                    model: name.clone(),
                    source,
                })
            });
            faults.extend(served.err().map(|fault| at(Place::Model(name), fault)));
        }
        let mut ready = BTreeMap::new();
        let mut preparing = stream::iter(&document.plugins)
            .map(|(name, plugin)| async move { (name, self.prepare(document, name, plugin).await) })
            .buffered(self.compile_threads_max);
        while let Some((name, outcome)) = preparing.next().await {
            match outcome {
                Ok((prepared, origin)) => {
                    ready.insert(name.clone(), ReadyPlugin { prepared, origin });
                }
                Err(fault) => faults.push(at(place_of(name, &fault), fault)),
            }
        }
        if faults.is_empty() {
            Ok(ready)
        } else {
            Err(DeployError(faults))
        }
    }

    /// Remembers what is about to run, on the disk before it does.
    pub async fn accept(&self, origins: Vec<Origin>) -> Result<(), DeployFault> {
        let gate = Arc::clone(&self.gate);
        let accept = move || gate.accept(&origins.iter().collect::<Vec<_>>());
        let accepted = tokio::task::spawn_blocking(accept).await;
        let accepted = accepted.map_err(|_| DeployFault::Interrupted)?;
        accepted.map_err(DeployFault::Accept)
    }

    /// Reads the trust repository again and stops what it revokes.
    ///
    /// # Errors
    ///
    /// If what was believed before can no longer be read. Nothing is stopped for
    /// that: revocation is said, not guessed.
    pub async fn stop_revoked(&self) -> Result<(), OpenError> {
        let gate = Arc::clone(&self.gate);
        let refreshed = tokio::task::spawn_blocking(move || gate.refresh()).await;
        refreshed.unwrap_or(Ok(()))?;
        let revoked: Vec<_> = {
            let refused = |(plugin, origin): (PluginName, Arc<Origin>)| {
                let refusal = self.gate.revoked(&origin)?;
                Some((plugin, origin.digest(), refusal))
            };
            let running = self.line.origins().into_iter();
            running.filter_map(refused).collect()
        };
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
        }
        Ok(())
    }

    async fn prepare(
        &self,
        document: &Document,
        name: &PluginName,
        plugin: &document::Plugin,
    ) -> Result<(Prepared, Origin), DeployFault> {
        let artifact = load::artifact(self, document, name, plugin).await;
        let artifact = artifact.map_err(|source| DeployFault::Component {
            plugin: name.clone(),
            source,
        })?;
        let origin = artifact.origin();
        info!(
            plugin = name.as_str(),
            digest = %origin.digest(),
            package = %origin.package(),
            plugin_version = %origin.version(),
            publisher = origin.publisher(),
            "plugin verified"
        );
        let spec = InstanceSpec {
            plugin: name.clone(),
            digest: artifact.origin().component_digest(),
            config: plugin.config.clone(),
            grants: plugin.grants.clone(),
            limits: plugin.limits.clone(),
        };
        let (engine, cache) = (self.engine.clone(), Arc::clone(&self.cache));
        let compile = move || {
            let prepared = Prepared::new(&engine, &cache, spec, &artifact)?;
            Ok::<_, PrepareError>((prepared, artifact.into_origin()))
        };
        let compiled = tokio::task::spawn_blocking(compile).await;
        Ok(compiled.map_err(|_| DeployFault::Interrupted)??)
    }
}

/// The part of the document that an operator would change to mend `fault`.
fn place_of<'a>(plugin: &'a PluginName, fault: &DeployFault) -> Place<'a> {
    match fault {
        DeployFault::Component { .. } | DeployFault::Prepare(PrepareError::Compile { .. }) => {
            Place::PluginField(plugin, "component")
        }
        DeployFault::Prepare(PrepareError::NotAdmitted(_)) => Place::PluginField(plugin, "grants"),
        _ => Place::Plugin(plugin),
    }
}
