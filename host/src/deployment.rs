//! Puts a deployment into service: bring, verify, admit, compile, start.
//!
//! Everything is verified, admitted and compiled before the first plugin is
//! started; any fault leaves the host as it was, and all faults are reported
//! together, each with its place in the document. How a plugin runs is the
//! business of [`crate::runtime`]; what it may reach was decided in the
//! document.

pub mod document;
mod load;
mod plugin_unit;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use selvedge_signing::Origin;
use tracing::{error, info};

use document::Document;
use document::fault::Location;
use document::place::Place;
use plugin_unit::PluginUnit;

use crate::artifacts::Artifacts;
use crate::bus::Bus;
use crate::capabilities::network::Hosts;
use crate::error_chain::ErrorChain;
use crate::inference::{LoadError, ModelStore};
use crate::names::{ModelName, PluginName};
use crate::runtime::{CodeCache, Engine, PortError, PrepareError, Prepared};
use crate::spec::InstanceSpec;
use crate::storage::{BucketError, Storage};
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
    #[error("plugin `{plugin}` has no store")]
    KeyValue {
        plugin: PluginName,
        source: BucketError,
    },
    #[error(transparent)]
    Port(#[from] PortError),
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
            Self::KeyValue { .. } => "store-not-opened",
            Self::Port(_) => "bus-not-joined",
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

/// What deployments are put into service with.
#[derive(Debug, Clone)]
pub struct Deployer {
    pub engine: Engine,
    pub cache: Arc<CodeCache>,
    pub bus: Bus,
    pub models: Arc<ModelStore>,
    pub storage: Storage,
    pub supervisor: Supervisor,
    pub hosts: Arc<Hosts>,
    pub find: FindPlugin,
    pub artifacts: Artifacts,
    pub gate: Arc<Gate>,
    /// What runs, and by whose word.
    pub running: Arc<Mutex<BTreeMap<PluginName, Origin>>>,
    /// Components compiled at once, each on one core.
    pub compile_threads_max: usize,
}

impl Deployer {
    /// Puts `document` into service. On a fault nothing of it runs.
    pub async fn start(&self, document: &Document) -> Result<(), DeployError> {
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

        let (mut prepared, mut origins) = (Vec::new(), Vec::new());
        let mut preparing = stream::iter(&document.plugins)
            .map(|(name, plugin)| async move { (name, self.prepare(document, name, plugin).await) })
            .buffered(self.compile_threads_max);
        while let Some((name, outcome)) = preparing.next().await {
            match outcome {
                Ok((plugin, origin)) => {
                    prepared.push(plugin);
                    origins.push((name.clone(), origin));
                }
                Err(fault) => faults.push(at(place_of(name, &fault), fault)),
            }
        }
        drop(preparing);

        let units = prepared.into_iter().filter_map(|plugin| {
            let name = plugin.spec().plugin.clone();
            let joined = PluginUnit::join(self, plugin);
            joined
                .map_err(|fault| faults.push(at(Place::Plugin(&name), fault)))
                .ok()
        });
        let units: Vec<PluginUnit> = units.collect();
        if faults.is_empty() {
            let accepted = self.accept(&origins).await;
            faults.extend(accepted.err().map(|fault| at(Place::Document, fault)));
        }
        if !faults.is_empty() {
            return Err(DeployError(faults));
        }
        self.running.lock().extend(origins);
        // All have joined the bus before the first of them runs, so that none
        // misses what another publishes at once.
        for unit in units {
            self.supervisor.start(unit.into_unit());
        }
        let (name, version) = (document.name.as_str(), document.version.to_string());
        info!(
            deployment = name,
            version,
            plugins = document.plugins.len(),
            "deployment started"
        );
        Ok(())
    }

    /// Remembers what is about to run, on the disk before it does.
    async fn accept(&self, origins: &[(PluginName, Origin)]) -> Result<(), DeployFault> {
        let gate = Arc::clone(&self.gate);
        let origins: Vec<_> = origins.iter().map(|(_, origin)| origin.clone()).collect();
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
            let running = self.running.lock();
            let refused = |(plugin, origin): (&PluginName, &Origin)| {
                let refusal = self.gate.revoked(origin)?;
                Some((plugin.clone(), origin.digest(), refusal))
            };
            running.iter().filter_map(refused).collect()
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
            self.supervisor.stop(&plugin_unit::name(&plugin)).await;
            self.running.lock().remove(&plugin);
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
