//! One deployment, from its first phase to its end.
//!
//! Each phase is on the disk before its work begins. Until the swap it can be
//! broken off at any moment and nothing has changed; from the swap on it ends
//! committed or undone. What was undone is remembered as rolled back, whether
//! this process lives to write it or the next one finds it.

mod models;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use selvedge_signing::Origin;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::journal::JournalError;
use super::state::State;
use super::{Deployments, Running};
use crate::deployment::document::Document;
use crate::deployment::line::ReadyPlugin;
use crate::deployment::plan::{Change, Plan};
use crate::deployment::report::{
    ComputedBy, DeploymentId, DeploymentReport, FaultReport, Installed, Phase,
};
use crate::deployment::{DeployFault, Located};
use crate::error_chain::ErrorChain;
use crate::inference::{Exchanges, NextModels};
use crate::names::PluginName;

/// Characters of one fault.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Why a deployment does not go on.
enum Break {
    Faults(Vec<FaultReport>),
    /// A newer one is to take its place.
    Superseded,
    /// The host stops.
    Stopping,
}

/// What there is to do.
struct Work {
    document: Arc<Document>,
    plan: Plan,
    /// To be made: new, changed, or not at work though they should be.
    changed: BTreeSet<PluginName>,
    removed: Vec<PluginName>,
}

impl From<JournalError> for Break {
    fn from(error: JournalError) -> Self {
        Self::Faults(vec![of_journal(&error)])
    }
}

pub(super) fn of_journal(error: &JournalError) -> FaultReport {
    FaultReport {
        code: "journal-failed".to_owned(),
        message: ErrorChain(error).to_string(),
        plugin: None,
        place: None,
        help: None,
    }
}

/// A fault as it is told.
pub(super) fn told(located: &Located) -> FaultReport {
    FaultReport {
        code: located.fault.code().to_owned(),
        message: cut(&ErrorChain(&located.fault).to_string()),
        plugin: located.plugin.clone(),
        place: Some(located.location.to_string()),
        help: located.fault.hint(),
    }
}

/// Foreign text in it is long enough to be understood, and one line.
fn cut(message: &str) -> String {
    let chars = message.chars().take(MESSAGE_CHARS_MAX);
    let line = chars.map(|char| if char.is_control() { ' ' } else { char });
    line.collect()
}

fn all_told(faults: &[Located]) -> Break {
    Break::Faults(faults.iter().map(told).collect())
}

/// One deployment under way.
pub(super) struct Attempt<'a> {
    pub(super) deployments: &'a Deployments,
    pub(super) id: DeploymentId,
    /// The host stops.
    pub(super) stop: &'a CancellationToken,
}

impl Attempt<'_> {
    /// Goes on until it has ended, or the host stops.
    pub(super) async fn run(&self) {
        match self.go().await {
            Ok(()) => {}
            Err(Break::Faults(faults)) => self.end("fail", Phase::Failed, faults).await,
            Err(Break::Superseded) => {
                self.end("supersede", Phase::Superseded, Vec::new()).await;
            }
            Err(Break::Stopping) => {
                let id = self.id;
                let ledger = &self.deployments.0.ledger;
                let put_back = move |state: &mut State| state.put_back(id);
                ledger.write_or_hold("fail", put_back).await;
            }
        }
    }

    async fn go(&self) -> Result<(), Break> {
        let mut work = self.unless(self.look()).await??;
        if !work.plan.changes_anything() && work.changed.is_empty() && self.is_known(&work) {
            let plugins = self.unchanged(&work);
            let by = ComputedBy::of(&self.deployments.models(), &Exchanges::default());
            let known = move |report: &mut DeploymentReport| {
                report.plugins = plugins;
                report.computed_by = by;
            };
            self.commit(&work.document, known).await?;
            self.deployments.set_running(Running {
                document: work.document,
                models: self.deployments.models(),
            });
            return Ok(());
        }
        let deployer = &self.deployments.0.deployer;
        let (document, changed) = (&*work.document, &work.changed);
        let news = &self.deployments.0.news;
        let pulled = deployer.pull(document, changed, |plugin| {
            Box::new(news.pull(self.id, plugin))
        });
        let faults = self.unless(pulled).await?;
        if !faults.is_empty() {
            return Err(all_told(&faults));
        }
        let refused = self.verify(&mut work).await?;
        self.admit(&work, refused)?;
        let (plugins, models) = self.compile(&mut work).await?;
        self.put_in_service(work, plugins, models).await
    }

    /// What the document changes.
    async fn look(&self) -> Result<Work, Break> {
        let kept = self.deployments.0.ledger.read(|state| {
            let kept = state.documents.get(&self.id);
            kept.map(Arc::clone)
        });
        let kept = kept.ok_or_else(|| {
            Break::Faults(vec![super::state::interrupted("its document is gone")])
        })?;
        let document = self.deployments.check(&kept).await;
        let document = Arc::new(document.map_err(Break::Faults)?);
        let running = self.deployments.running();
        let running = running.as_ref().map(|running| &*running.document);
        let idle = self.deployments.idle_models(&document);
        let plan = super::compare::glance(running, &document, &idle);
        let occupants = self.deployments.0.deployer.line.occupants();
        let down = self.deployments.down();
        let names = document.plugins.keys();
        let untouched = |name: &PluginName| {
            let changes = plan.plugins.iter();
            let change = changes.filter(|change| change.plugin == *name);
            let same = change.map(|it| it.change).all(|it| it == Change::Untouched);
            same && occupants.contains_key(name) && !down.contains(name)
        };
        let changed = names.filter(|name| !untouched(name)).cloned().collect();
        let gone = occupants.into_keys();
        let removed = gone
            .filter(|name| !document.plugins.contains_key(name))
            .collect();
        Ok(Work {
            document,
            plan,
            changed,
            removed,
        })
    }

    /// Whether nothing but the number of the deployment in force is new.
    fn is_known(&self, work: &Work) -> bool {
        work.removed.is_empty()
            && self
                .deployments
                .0
                .ledger
                .read(|state| state.active.is_some())
    }

    /// By whose word the plugins run; then it is known what they need. Says which
    /// are not admitted.
    async fn verify(&self, work: &mut Work) -> Result<Vec<Located>, Break> {
        self.enter("verify", Phase::Verify, |_| {}).await?;
        let deployer = &self.deployments.0.deployer;
        let verified = deployer.verify(&work.document, &work.changed);
        let (verified, faults) = self.unless(verified).await?;
        if !faults.is_empty() {
            return Err(all_told(&faults));
        }
        let mut plugins = self.unchanged(work);
        let (mut needs, mut refused) = (BTreeMap::new(), Vec::new());
        for (name, verified) in verified {
            let component = component(&work.document, &name);
            plugins.insert(name.clone(), installed(component, &verified.origin));
            let fault = verified.refused.map(DeployFault::from);
            let located = |fault| Located::of_plugin(&work.document, &name, fault);
            refused.extend(fault.map(located));
            needs.insert(name, verified.needs);
        }
        work.plan = self.deployments.compared(&work.document, needs);
        let plan = work.plan.clone();
        let models =
            work.document.models.iter().filter_map(|(name, model)| {
                Some((name.clone(), work.document.model_digest(model)?))
            });
        let models = models.collect();
        let told = move |report: &mut DeploymentReport| {
            report.plugins = plugins;
            report.models = models;
            report.plan = Some(plan);
        };
        self.enter("admit", Phase::Admit, told).await?;
        Ok(refused)
    }

    /// What they need is compared with what they are granted, and with what the
    /// versions before them needed.
    fn admit(&self, work: &Work, refused: Vec<Located>) -> Result<(), Break> {
        let mut faults: Vec<_> = refused.iter().map(told).collect();
        faults.extend(work.plan.faults(&work.document));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Break::Faults(faults))
        }
    }

    async fn compile(
        &self,
        work: &mut Work,
    ) -> Result<(BTreeMap<PluginName, ReadyPlugin>, NextModels), Break> {
        self.enter("compile", Phase::Compile, |_| {}).await?;
        let deployer = &self.deployments.0.deployer;
        let news = &self.deployments.0.news;
        let done = |plugin: &PluginName| news.compiled(self.id, plugin);
        let models = self.deployments.models_for(&work.document, &work.plan);
        let models = self.unless(models).await?;
        if let Ok(models) = &models {
            self.spare(work, models);
        }
        let compiled = deployer.compile(&work.document, &work.changed, done);
        let (plugins, mut faults) = self.unless(compiled).await?;
        match models {
            Ok(models) if faults.is_empty() => Ok((plugins, models)),
            Ok(_) => Err(all_told(&faults)),
            Err(mut of_models) => {
                of_models.append(&mut faults);
                Err(all_told(&of_models))
            }
        }
    }

    /// It stays. One that is not in it any more is not stopped either: whatever
    /// has its name later is another plugin.
    async fn commit(
        &self,
        document: &Document,
        also: impl FnOnce(&mut DeploymentReport) + Send + 'static,
    ) -> Result<(), Break> {
        let (id, now) = (self.id, Timestamp::now());
        let named: BTreeSet<_> = document.plugins.keys().cloned().collect();
        let commit = move |state: &mut State| {
            state.change(id, also);
            state.end(id, Phase::Committed, Vec::new(), now);
            state.stopped.retain(|plugin| named.contains(plugin));
        };
        self.deployments.0.ledger.write("commit", commit).await?;
        // Not before: what ran before serves again if it is not kept.
        self.deployments.0.deployer.model_origins.keep(document);
        info!(id = id.0, "deployment committed");
        self.deployments.ended_now(id).await;
        Ok(())
    }

    /// It ends otherwise.
    async fn end(&self, step: &'static str, phase: Phase, faults: Vec<FaultReport>) {
        for fault in &faults {
            warn!(
                id = self.id.0,
                code = fault.code,
                error = fault.message,
                "deployment failed"
            );
        }
        self.deployments.end(self.id, step, phase, faults).await;
    }

    /// Goes on to `phase`, which is on the disk before its work begins.
    async fn enter(
        &self,
        step: &'static str,
        phase: Phase,
        also: impl FnOnce(&mut DeploymentReport) + Send + 'static,
    ) -> Result<(), Break> {
        let id = self.id;
        let enter = move |state: &mut State| {
            state.enter(id, phase);
            state.change(id, also);
        };
        self.deployments.0.ledger.write(step, enter).await?;
        self.deployments.tell(id);
        Ok(())
    }

    /// Waits for `work`, unless the host stops or a newer deployment comes first.
    async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Break> {
        let mut superseded = self.deployments.0.superseded.subscribe();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Break::Stopping),
            // The sender lives as long as the deployments.
            _ = superseded.wait_for(|id| *id >= self.id.0) => Err(Break::Superseded),
            done = work => Ok(done),
        }
    }

    /// The plugins that nothing is done to, as they run.
    fn unchanged(&self, work: &Work) -> BTreeMap<PluginName, Installed> {
        let origins = self.deployments.0.deployer.line.origins().into_iter();
        let named = |name: &PluginName| {
            work.document.plugins.contains_key(name) && !work.changed.contains(name)
        };
        let origins = origins.filter(|(name, _)| named(name));
        let installed = origins.map(|(name, origin)| {
            let installed = installed(component(&work.document, &name), &origin);
            (name, installed)
        });
        installed.collect()
    }
}

/// Where a plugin comes from, as the document says.
pub(super) fn component(document: &Document, name: &PluginName) -> String {
    let plugin = document.plugins.get(name);
    plugin
        .map(|plugin| plugin.component.clone().into())
        .unwrap_or_default()
}

pub(super) fn installed(component: String, origin: &Origin) -> Installed {
    Installed {
        component,
        package: origin.package().to_string(),
        version: origin.version().to_string(),
        publisher: origin.publisher().to_owned(),
        artifact: origin.digest(),
        digest: origin.component_digest(),
    }
}
