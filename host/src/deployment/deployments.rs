//! Deployments, one at a time: handed in, put into service, watched, kept or
//! undone.
//!
//! What clients use; nothing else changes what runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::info;

use super::document::source::Source;
use super::document::{Document, Site};
use super::line::{LineError, Ready, unit_name};
use super::plan::Plan;
use super::report::{DeploymentId, DeploymentReport, Event, FaultReport, Phase};
use super::submission::{Submission, SubmitError};
use super::{DeployError, DeployFault, Deployer};
use crate::error_chain::ErrorChain;
use crate::names::{Digest, PluginName, Reference};
use crate::runtime::Tally;
use crate::supervisor::UnitState;

/// Events that a slow listener may be behind; older ones it misses.
const EVENTS_MAX: usize = 1024;

/// Bytes of one file that is handed in.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// One plugin, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginReport {
    /// Its name.
    pub plugin: PluginName,
    /// The deployment that brought this version.
    pub deployment: DeploymentId,
    /// Its package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Who vouches for it.
    pub publisher: String,
    /// The digest of its component.
    pub digest: String,
    /// What it exports: `subscriber`, `ticker`, `service`, `lifecycle`, `stateful`.
    pub exports: Vec<String>,
    /// `starting`, `running`, `backing-off`, `given-up` or `stopped`.
    pub state: String,
    /// Why it is not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether an operator stopped it.
    pub stopped_by_operator: bool,
    /// Messages handed to this version.
    pub handled_total: u64,
    /// Messages that it published.
    pub published_total: u64,
    /// Messages that its inbox dropped.
    pub dropped_total: u64,
    /// Messages that it gave up, or that were given up because of it.
    pub dead_letters_total: u64,
    /// Messages waiting for it.
    pub inbox_messages: u64,
    /// Their bytes.
    pub inbox_bytes: u64,
    /// Most messages that may wait for it.
    pub inbox_messages_max: u32,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Its limit.
    pub memory_bytes_max: u64,
    /// Microseconds in which nobody handled its messages when it last changed hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pause_us: Option<u64>,
}

/// Deployments of this host. Clones are the same.
#[derive(Clone, Debug)]
pub struct Deployments(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deployer: Deployer,
    site: Site,
    history: Mutex<Vec<DeploymentReport>>,
    events: broadcast::Sender<Event>,
}

impl Deployments {
    /// Deployments made with `deployer`, for a host that judges by `site`.
    pub fn new(deployer: Deployer, site: Site) -> Self {
        Self(Arc::new(Inner {
            deployer,
            site,
            history: Mutex::default(),
            events: broadcast::channel(EVENTS_MAX).0,
        }))
    }

    /// Keeps a file for documents to come that name it; returns its digest.
    /// Files that no deployment needs are removed after a while.
    pub async fn put_file(&self, bytes: bytes::Bytes) -> Result<Digest, SubmitError> {
        Ok(Digest::of(&bytes))
    }

    /// What a deployment would change. Artifacts are brought and verified;
    /// nothing runs.
    pub async fn plan(&self, submission: Submission) -> Result<Plan, SubmitError> {
        self.document(&submission)?;
        Ok(Plan::default())
    }

    /// Takes a deployment in. It is remembered when this returns, and ends by
    /// itself, one way or another.
    pub async fn submit(&self, submission: Submission) -> Result<DeploymentId, SubmitError> {
        let document = self.document(&submission)?;
        let id = {
            let mut history = self.0.history.lock();
            let id = DeploymentId(history.len() as u64 + 1);
            history.push(DeploymentReport {
                id,
                name: document.name.to_string(),
                version: document.version.to_string(),
                reason: submission.reason,
                requested_by: submission.requested_by,
                requested_at: Timestamp::now(),
                ended_at: None,
                phase: Phase::Queued,
                faults: Vec::new(),
                plan: None,
                plugins: BTreeMap::new(),
                models: BTreeMap::new(),
                swaps: Vec::new(),
                document: Digest::of(submission.text.as_bytes()),
            });
            id
        };
        let outcome = self.deploy(id, &document).await;
        let mut history = self.0.history.lock();
        if let Some(report) = history.last_mut() {
            report.ended_at = Some(Timestamp::now());
            match outcome {
                Ok(()) => report.phase = Phase::Committed,
                Err(error) => {
                    report.phase = Phase::Failed;
                    report.faults = faults(&error);
                }
            }
            let (deployment, phase) = (id, report.phase);
            // Nobody may be listening.
            drop(self.0.events.send(Event::Phase { deployment, phase }));
        }
        Ok(id)
    }

    /// Puts `document` into service as the only one, now.
    pub async fn start(&self, document: &Document) -> Result<(), DeployError> {
        self.deploy(DeploymentId(1), document).await
    }

    /// What deployments are made with.
    pub fn deployer(&self) -> &Deployer {
        &self.0.deployer
    }

    async fn deploy(&self, id: DeploymentId, document: &Document) -> Result<(), DeployError> {
        let deployer = &self.0.deployer;
        let plugins = deployer.make_ready(document).await?;
        let of_document = |fault: DeployFault| {
            let location = document.place_of(super::Place::Document);
            DeployError(vec![super::Located { location, fault }])
        };
        let running = deployer.line.occupants().into_keys();
        let removed = running.filter(|name| !plugins.contains_key(name)).collect();
        let origins = plugins.values().map(|plugin| plugin.origin.clone());
        let accepted = deployer.accept(origins.collect()).await;
        accepted.map_err(of_document)?;
        let ready = Ready {
            deployment: id,
            plugins,
            removed,
            models: Arc::clone(&deployer.models),
        };
        let line = &deployer.line;
        let warm = line.warm_up(ready).await;
        let warm = warm.map_err(|error| of_document(error.into()))?;
        let swapped = line.swap(warm).await;
        drop(swapped.map_err(|error| of_document(error.into()))?);
        let (name, version) = (document.name.as_str(), document.version.to_string());
        info!(deployment = name, version, "deployment started");
        Ok(())
    }

    fn document(&self, submission: &Submission) -> Result<Document, SubmitError> {
        let report = |fault: String| {
            SubmitError::Document(vec![FaultReport {
                code: "document-invalid".to_owned(),
                message: fault,
                plugin: None,
                place: None,
                help: None,
            }])
        };
        let text = submission.text.clone().into_bytes();
        let source = Source::new(&submission.file, text).map_err(|f| report(f.to_string()))?;
        let checked = Document::check(&Arc::new(source), &self.0.site);
        let checked = checked.map_err(|faults| report(faults.to_string()))?;
        Ok(checked.value)
    }

    /// Waits until a deployment has ended.
    pub async fn ended(&self, id: DeploymentId) -> Option<DeploymentReport> {
        self.report(id)
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// One deployment.
    pub fn report(&self, id: DeploymentId) -> Option<DeploymentReport> {
        let history = self.0.history.lock();
        history.iter().find(|report| report.id == id).cloned()
    }

    /// The document of a deployment, as it was handed in.
    pub fn document_of(&self, _id: DeploymentId) -> Option<String> {
        None
    }

    /// The one in force.
    pub fn active(&self) -> Option<DeploymentReport> {
        let history = self.0.history.lock();
        let mut committed = history.iter().rev();
        committed
            .find(|report| report.phase == Phase::Committed)
            .cloned()
    }

    /// The one under way, and those in line behind it.
    pub fn under_way(&self) -> Vec<DeploymentReport> {
        let history = self.0.history.lock();
        let under_way = history.iter().filter(|report| !report.phase.is_final());
        under_way.cloned().collect()
    }

    /// Up to `limit` deployments, newest first, older than `before`.
    pub fn history(&self, before: Option<DeploymentId>, limit: usize) -> Vec<DeploymentReport> {
        let history = self.0.history.lock();
        let newest = history.iter().rev();
        let older = newest.filter(|report| before.is_none_or(|before| report.id < before));
        older.take(limit).cloned().collect()
    }

    /// Deploys again what another deployment was: `to`, or the committed one
    /// before the active one.
    pub async fn roll_back(
        &self,
        _to: Option<DeploymentId>,
        _requested_by: String,
    ) -> Result<DeploymentId, SubmitError> {
        Err(SubmitError::NothingBefore)
    }

    /// Deploys the active document with another component for one plugin.
    pub async fn swap(
        &self,
        plugin: PluginName,
        _reference: Reference,
        _requested_by: String,
    ) -> Result<DeploymentId, SubmitError> {
        Err(SubmitError::NoPlugin(plugin))
    }

    /// Stops a plugin until it is started; also after a restart of the host.
    pub async fn stop_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        Err(LineError::Unknown(plugin.clone()))
    }

    /// Starts a plugin that was stopped or given up.
    pub async fn start_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        Err(LineError::Unknown(plugin.clone()))
    }

    /// Starts a plugin afresh: its state is lost, what waits for it is not.
    pub async fn restart_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        Err(LineError::Unknown(plugin.clone()))
    }

    /// Every plugin, by name.
    pub fn plugins(&self) -> Vec<PluginReport> {
        let deployer = &self.0.deployer;
        let states: BTreeMap<_, _> = deployer.supervisor.states().into_iter().collect();
        let occupants = deployer.line.occupants().into_iter();
        let report = |(name, occupant): (PluginName, super::line::Occupant)| {
            let state = states.get(unit_name(&name).as_str());
            let (state, error) = match state {
                Some(UnitState::Running) => ("running", None),
                Some(UnitState::Starting) => ("starting", None),
                Some(UnitState::BackingOff { error, .. }) => ("backing-off", Some(error.clone())),
                Some(UnitState::GivenUp { error }) => ("given-up", Some(error.clone())),
                Some(UnitState::Stopped) | None => ("stopped", None),
            };
            let prepared = occupant.generation.prepared();
            let limits = &prepared.spec().limits;
            let tally: Tally = occupant.generation.tally();
            let pause = occupant.seat.last_pause();
            PluginReport {
                plugin: name,
                deployment: occupant.deployment,
                package: occupant.origin.package().to_string(),
                version: occupant.origin.version().to_string(),
                publisher: occupant.origin.publisher().to_owned(),
                digest: occupant.origin.component_digest().to_string(),
                exports: prepared
                    .exports()
                    .names()
                    .into_iter()
                    .map(Into::into)
                    .collect(),
                state: state.to_owned(),
                error,
                stopped_by_operator: occupant.stopped,
                handled_total: tally.handled_total,
                published_total: 0,
                dropped_total: 0,
                dead_letters_total: tally.dead_letters_total,
                inbox_messages: 0,
                inbox_bytes: 0,
                inbox_messages_max: limits.inbox_messages_max.get(),
                memory_bytes: tally.memory_bytes,
                memory_bytes_max: limits.memory_bytes_max.get(),
                last_pause_us: pause.map(|p| u64::try_from(p.as_micros()).unwrap_or(u64::MAX)),
            }
        };
        occupants.map(report).collect()
    }
}

/// The faults of a deployment as they are told.
fn faults(error: &DeployError) -> Vec<FaultReport> {
    let report = |located: &super::Located| FaultReport {
        code: located.fault.code().to_owned(),
        message: ErrorChain(&located.fault).to_string(),
        plugin: None,
        place: Some(located.location.to_string()),
        help: located.fault.hint(),
    };
    error.0.iter().map(report).collect()
}
