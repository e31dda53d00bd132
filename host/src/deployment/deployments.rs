//! Deployments, one at a time: handed in, put into service, watched, kept or
//! undone.
//!
//! What clients use; nothing else changes what runs. What is told here is on the
//! disk before it is told. One deployment is worked on at any time, by the unit
//! in [`engine`]; what it does is in [`attempt`], and what becomes of it when the
//! host ends, in [`recovery`].

mod attempt;
mod beside;
mod compare;
mod edit;
mod engine;
pub mod fault_point;
mod journal;
mod ledger;
mod models;
mod news;
mod operate;
mod plugins;
mod probation;
mod recovery;
mod state;
mod submit;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use selvedge_signing::Origin;
use tokio::sync::{Notify, broadcast, watch as changes};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::document::handed::Files;
use super::document::source::Source;
use super::document::{Document, Site};
use super::plan::Plan;
use super::report::{DeploymentId, DeploymentReport, Event, FaultReport, Phase};
use super::submission::SubmitError;
use super::{Deployer, Located};
use crate::bus::Bus;
use crate::error_chain::ErrorChain;
use crate::inference::{ModelSet, NextModels};
use crate::names::PluginName;
use crate::storage::{FileStore, Storage};
use crate::trust::OpenError;

pub use crate::storage::FILE_BYTES_MAX;
pub use beside::{BesideFault, Cause};
pub use journal::JournalError;
pub use models::{LoadedBy, ModelOrigin, ModelReport};
pub use operate::NoAnswer;
pub use plugins::PluginReport;
pub use state::{DOCUMENTS_MAX, REPORTS_MAX};
pub use submit::QUEUE_MAX;

use beside::Beside;
use ledger::Ledger;
use news::News;
use state::{Kept, State};

/// Deployments of this host. Clones are the same.
#[derive(Clone, Debug)]
pub struct Deployments(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deployer: Deployer,
    site: Site,
    bus: Bus,
    files: FileStore,
    ledger: Ledger,
    news: News,
    /// There may be something to do.
    wake: Notify,
    /// Held while plugins change hands, are stopped or started.
    changing: tokio::sync::Mutex<()>,
    /// Deployments up to this one are to end, if they have not.
    superseded: changes::Sender<u64>,
    stopping: CancellationToken,
    running: Mutex<Option<Running>>,
    /// Plugins that an operator stopped or started since the last swap.
    operated: Mutex<BTreeSet<PluginName>>,
    /// Plugins that should be at work and have no place on the line.
    absent: Mutex<BTreeMap<PluginName, Absent>>,
    /// Models that are no deployment's.
    beside: Beside,
}

/// What runs.
#[derive(Clone, Debug)]
struct Running {
    document: Arc<Document>,
    models: Arc<ModelSet>,
}

/// Why a plugin has no place on the line.
#[derive(Clone, Debug)]
struct Absent {
    deployment: DeploymentId,
    reason: String,
}

impl Deployments {
    /// Deployments made with `deployer`, for a host that judges by `site`, as
    /// they are remembered in `storage`. Nothing runs before
    /// [`resume`](Self::resume). Blocks.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn open(
        deployer: Deployer,
        site: Site,
        storage: &Storage,
        bus: &Bus,
    ) -> Result<Self, JournalError> {
        Ok(Self(Arc::new(Inner {
            deployer,
            site,
            bus: bus.clone(),
            files: storage.files()?,
            ledger: Ledger::open(storage)?,
            news: News::new(bus.host_party()),
            wake: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            superseded: changes::channel(0).0,
            stopping: CancellationToken::new(),
            running: Mutex::default(),
            operated: Mutex::default(),
            absent: Mutex::default(),
            beside: Beside::default(),
        })))
    }

    /// Ends the work on deployments, so that nothing new starts. What is under way
    /// is broken off if it has changed nothing; else the next start finds it.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        let supervisor = &self.0.deployer.supervisor;
        supervisor.stop_within(engine::UNIT, engine::GRACE).await;
    }

    /// What deployments are made with.
    pub fn deployer(&self) -> &Deployer {
        &self.0.deployer
    }

    /// The files that were handed in.
    pub fn files(&self) -> &FileStore {
        &self.0.files
    }

    /// What keeps deployments from being remembered: the host is not healthy.
    pub fn troubles(&self) -> Vec<String> {
        self.0.ledger.troubles()
    }

    /// Waits until a deployment has ended, or the host stops.
    pub async fn ended(&self, id: DeploymentId) -> Option<DeploymentReport> {
        self.reached(id, Phase::is_final).await
    }

    /// Waits until a deployment is in one of the phases that are `wanted`, or has
    /// ended, or the host stops.
    pub async fn reached(
        &self,
        id: DeploymentId,
        wanted: impl Fn(Phase) -> bool,
    ) -> Option<DeploymentReport> {
        let mut revision = self.0.ledger.watch();
        loop {
            revision.mark_unchanged();
            let report = self.report(id)?;
            if report.phase.is_final() || wanted(report.phase) {
                return Some(report);
            }
            tokio::select! {
                changed = revision.changed() => {
                    if changed.is_err() {
                        return Some(report);
                    }
                }
                () = self.0.stopping.cancelled() => return self.report(id),
            }
        }
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.news.listen()
    }

    /// One deployment.
    pub fn report(&self, id: DeploymentId) -> Option<DeploymentReport> {
        let report = self.0.ledger.read(|state| state.reports.get(&id).cloned());
        report.map(Arc::unwrap_or_clone)
    }

    /// The document of a deployment, as it was handed in, while it is kept.
    pub fn document_of(&self, id: DeploymentId) -> Option<String> {
        let kept = self.kept(id)?;
        Some(kept.text.clone())
    }

    /// The one in force.
    pub fn active(&self) -> Option<DeploymentReport> {
        let active = |state: &State| state.reports.get(&state.active?).cloned();
        self.0.ledger.read(active).map(Arc::unwrap_or_clone)
    }

    /// The one under way, and those in line behind it.
    pub fn under_way(&self) -> Vec<DeploymentReport> {
        self.0.ledger.read(|state| {
            let under_way = state.under_way.map(|under_way| under_way.id);
            let ids = under_way.into_iter().chain(state.queue.iter().copied());
            let reports = ids.filter_map(|id| state.reports.get(&id));
            reports
                .map(|report| DeploymentReport::clone(report))
                .collect()
        })
    }

    /// Up to `limit` deployments, newest first, older than `before`.
    pub fn history(&self, before: Option<DeploymentId>, limit: usize) -> Vec<DeploymentReport> {
        self.0.ledger.read(|state| {
            let newest = state.reports.iter().rev();
            let older = newest.filter(|(id, _)| before.is_none_or(|before| **id < before));
            let reports = older.map(|(_, report)| DeploymentReport::clone(report));
            reports.take(limit).collect()
        })
    }

    /// Reads the trust repository again and stops what it revokes.
    ///
    /// # Errors
    ///
    /// If what was believed before can no longer be read. Nothing is stopped for
    /// that: revocation is said, not guessed.
    pub async fn stop_revoked(&self) -> Result<(), OpenError> {
        self.0.deployer.read_trust().await?;
        self.take_off_revoked().await;
        Ok(())
    }

    /// Not while plugins change hands: what is taken off would come back.
    async fn take_off_revoked(&self) {
        if let Some(running) = self.running() {
            let (document, models) = (&running.document, &running.models);
            self.0.deployer.withdraw_revoked(document, models);
        }
        for (served, origin) in self.0.beside.all() {
            self.0.deployer.withdraw_beside(&served, &origin);
        }
        let _changing = self.0.changing.lock().await;
        let occupants = self.0.deployer.line.occupants();
        for (plugin, reason) in self.0.deployer.take_off_revoked().await {
            if let Some(occupant) = occupants.get(&plugin) {
                self.absent(occupant.deployment, &plugin, &reason);
            }
        }
    }

    /// By whose word all that runs does, plugins and models.
    fn origins(&self) -> Vec<Arc<Origin>> {
        let deployer = &self.0.deployer;
        let running = self.running();
        let models = running.map(|running| deployer.model_origins.of(&running.document));
        let models = models.into_iter().flat_map(BTreeMap::into_values);
        let plugins = deployer.line.origins();
        let beside = self.0.beside.origins();
        plugins.into_values().chain(models).chain(beside).collect()
    }

    fn kept(&self, id: DeploymentId) -> Option<Arc<Kept>> {
        self.0
            .ledger
            .read(|state| state.documents.get(&id).cloned())
    }

    /// Reads a document that was handed in, with the files it came with.
    async fn check(&self, kept: &Arc<Kept>) -> Result<Document, Vec<FaultReport>> {
        let (inner, kept) = (Arc::clone(&self.0), Arc::clone(kept));
        let check = move || {
            let files = Files::Handed(inner.files.clone(), kept.files.clone());
            let text = kept.text.clone().into_bytes();
            let source = Source::new(Path::new(&kept.file), text);
            let source = source.map_err(|fault| super::document::fault::Faults(vec![fault]))?;
            Document::check_with(&Arc::new(source), &inner.site, files)
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(Ok(checked)) => Ok(checked.value),
            Ok(Err(faults)) => match SubmitError::of(&faults) {
                SubmitError::Document(faults) => Err(faults),
                other => Err(vec![state::interrupted(&ErrorChain(&other).to_string())]),
            },
            Err(_) => Err(vec![state::interrupted("the check did not end")]),
        }
    }

    fn running(&self) -> Option<Running> {
        self.0.running.lock().clone()
    }

    fn set_running(&self, running: Running) {
        let occupants = self.0.deployer.line.occupants();
        let names = &running.document.plugins;
        self.0
            .absent
            .lock()
            .retain(|name, _| names.contains_key(name) && !occupants.contains_key(name));
        self.in_force(Some(running));
    }

    /// What runs from now on, and what of it is captured.
    fn in_force(&self, running: Option<Running>) {
        if let Some(Running { document, models }) = &running {
            let asked = document.models.iter();
            let asked = asked.filter_map(|(name, model)| Some((name, model.capture.as_ref()?)));
            self.0.deployer.capture.apply(models, asked);
            // What was revoked while it was on its way here was not yet among them.
            self.0.deployer.withdraw_revoked(document, models);
        }
        *self.0.running.lock() = running;
    }

    /// Says of plugins that are no longer on the line that they are missing.
    fn miss(&self) {
        let (Some(running), Some(active)) = (self.running(), self.active()) else {
            return;
        };
        let occupants = self.0.deployer.line.occupants();
        let names = running.document.plugins.keys();
        for name in names.filter(|name| !occupants.contains_key(*name)) {
            if !self.0.absent.lock().contains_key(name) {
                self.absent(active.id, name, "it could not be brought back");
            }
        }
    }

    /// The models of what runs.
    pub fn models(&self) -> Arc<ModelSet> {
        let running = self.running();
        running.map(|running| running.models).unwrap_or_default()
    }

    /// The models of a deployment: those that `plan` does not touch are those that
    /// run.
    async fn models_for(
        &self,
        document: &Arc<Document>,
        plan: &Plan,
    ) -> Result<NextModels, Vec<Located>> {
        let touched = plan.models.iter();
        let touched = touched.filter(|model| model.loads());
        let changed = touched.map(|model| model.model.clone()).collect();
        let deployer = &self.0.deployer;
        deployer.models(document, self.models(), changed).await
    }

    /// A deployment ends, also if the disk does not take it.
    async fn end(
        &self,
        id: DeploymentId,
        step: &'static str,
        phase: Phase,
        faults: Vec<FaultReport>,
    ) {
        let now = Timestamp::now();
        let end = move |state: &mut State| state.end(id, phase, faults.clone(), now);
        self.0.ledger.write_or_hold(step, end).await;
        self.ended_now(id).await;
    }

    /// Tells that a deployment ended, and lets go of files that nobody needs.
    async fn ended_now(&self, id: DeploymentId) {
        self.tell(id);
        let (files, needed) = (self.0.files.clone(), self.0.ledger.read(State::files));
        let retained = tokio::task::spawn_blocking(move || files.retain(&needed)).await;
        if let Ok(Err(error)) = retained {
            let error = ErrorChain(&error).to_string();
            warn!(error, "files not removed that nobody needs");
        }
    }

    /// Tells the phase of a deployment.
    fn tell(&self, id: DeploymentId) {
        if let Some(report) = self.report(id) {
            self.0.news.phase(&report);
        }
    }
}
