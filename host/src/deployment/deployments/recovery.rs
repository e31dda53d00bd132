//! What the host does first: what was in force runs again, and what was under
//! way when it ended goes on or is over.
//!
//! Only the deployment in force is started here, never one that was under way:
//! so plugins of two deployments never meet. Each plugin is started by itself;
//! one that may not run any more does not keep the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use selvedge_signing::Origin;
use tracing::{error, info, warn};

use super::attempt::told;
use super::journal::JournalError;
use super::state::{Kept, State};
use super::{Absent, Deployments, Running, engine};
use crate::deployment::Located;
use crate::deployment::document::Document;
use crate::deployment::line::Ready;
use crate::deployment::report::{DeploymentId, DeploymentReport, FaultReport};
use crate::error_chain::ErrorChain;
use crate::inference::Chosen;
use crate::names::{ModelName, PluginName};

impl Deployments {
    /// Starts what is in force, and begins to work on deployments. To be called
    /// once, before anything else.
    ///
    /// # Errors
    ///
    /// If what was under way cannot be brought to an end on the disk. Nothing
    /// runs then.
    pub async fn resume(&self) -> Result<(), JournalError> {
        let before = self.0.ledger.read(|state| state.under_way);
        let rolled_back = before.is_some_and(|before| before.phase.has_swapped());
        let active = self.0.ledger.read(|state| {
            let id = state.active?;
            let report = state.reports.get(&id).cloned();
            let kept = state.documents.get(&id).cloned();
            Some((id, report, kept))
        });
        if let Some((id, report, kept)) = active {
            self.start_active(id, report.as_deref(), kept).await;
        }
        if rolled_back {
            self.accept_what_runs().await;
        }
        // Last: ended here again, the next start does the same.
        let recover = |state: &mut State| state.recover(Timestamp::now());
        self.0.ledger.write("fail", recover).await?;
        if let Some(before) = before {
            let phase = self.report(before.id).map(|report| report.phase);
            warn!(id = before.id.0, was = ?before.phase, is = ?phase, "deployment was interrupted");
            self.tell(before.id);
        }
        self.0.deployer.supervisor.start(engine::unit(self));
        Ok(())
    }

    /// Begins with nothing, whatever ran before: for hosts that are started for
    /// one document. The past is remembered.
    ///
    /// # Errors
    ///
    /// If that cannot be remembered. Nothing runs then.
    pub async fn begin_afresh(&self) -> Result<(), JournalError> {
        let afresh = |state: &mut State| state.begin_afresh(Timestamp::now());
        self.0.ledger.write("fail", afresh).await?;
        self.0.deployer.supervisor.start(engine::unit(self));
        Ok(())
    }

    async fn start_active(
        &self,
        id: DeploymentId,
        report: Option<&DeploymentReport>,
        kept: Option<Arc<Kept>>,
    ) {
        let document = match kept {
            Some(kept) => self.check(&kept).await,
            None => Err(vec![super::state::interrupted("its document is gone")]),
        };
        let document = match document {
            Ok(document) => Arc::new(document),
            Err(faults) => {
                let reason: Vec<_> = faults.iter().map(ToString::to_string).collect();
                let reason = reason.join("; ");
                error!(id = id.0, error = reason, "deployment in force cannot run");
                let plugins = report.into_iter().flat_map(|report| report.plugins.keys());
                for plugin in plugins {
                    self.absent(id, plugin, &reason);
                }
                return;
            }
        };
        let recorded = report.into_iter().flat_map(|report| &report.computed_by);
        let recorded = recorded.map(|(name, by)| (name.clone(), by.into()));
        let recorded = recorded.collect();
        let faults = self.start_plugins(id, &document, recorded).await;
        for FaultReport {
            plugin,
            message,
            code,
            ..
        } in faults
        {
            error!(id = id.0, code, error = message, "plugin not resumed");
            // Plugins say themselves that a model is not there.
            if let Some(plugin) = plugin {
                self.absent(id, &plugin, &message);
            }
        }
        let name = document.name.as_str();
        info!(deployment = name, id = id.0, "deployment resumed");
    }

    /// Starts the plugins of the deployment in force, each by itself.
    async fn start_plugins(
        &self,
        id: DeploymentId,
        document: &Arc<Document>,
        recorded: BTreeMap<ModelName, Chosen>,
    ) -> Vec<FaultReport> {
        let deployer = &self.0.deployer;
        let mut faults: Vec<Located> = Vec::new();
        let named: BTreeSet<_> = document.plugins.keys().cloned().collect();
        let silent = |_: &PluginName| -> Box<dyn selvedge_registry::Progress> {
            Box::new(selvedge_registry::Silent)
        };
        let mut wanted = named;
        for fault in deployer.pull(document, &wanted.clone(), silent).await {
            wanted.retain(|name| Some(name) != fault.plugin.as_ref());
            faults.push(fault);
        }
        let all = document.models.keys().cloned().collect();
        let loaded = deployer.models_that_load(document, Arc::default(), all, recorded);
        let (next, mut of_models) = loaded.await;
        faults.append(&mut of_models);
        let models = next.set;
        drop(next.exchanges.make());
        let (plugins, mut of_plugins) = deployer.compile(document, &wanted, |_| {}).await;
        faults.append(&mut of_plugins);
        let ready = Ready {
            deployment: id,
            plugins,
            removed: Vec::new(),
            stopped: self.0.ledger.read(|state| state.stopped.clone()),
            models: Arc::clone(&models),
        };
        for error in deployer.line.resume(ready).await {
            faults.push(Located::of_document(document, error.into()));
        }
        deployer.model_origins.keep(document);
        self.set_running(Running {
            document: Arc::clone(document),
            models,
        });
        faults.iter().map(told).collect()
    }

    /// The host ended after it had accepted a deployment that it did not keep.
    async fn accept_what_runs(&self) {
        let origins = self.origins().into_iter();
        let origins = origins.map(|origin| Origin::clone(&origin)).collect();
        if let Err(error) = self.0.deployer.accept(origins).await {
            let (code, error) = (error.code(), ErrorChain(&error).to_string());
            error!(code, error, "what runs again was not remembered");
        }
    }

    /// A plugin is not on the line though it should be.
    pub(super) fn absent(&self, deployment: DeploymentId, plugin: &PluginName, reason: &str) {
        let absent = Absent {
            deployment,
            reason: reason.to_owned(),
        };
        self.0.absent.lock().insert(plugin.clone(), absent);
    }
}
