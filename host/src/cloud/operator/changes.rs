//! What changes something: deployments that are taken in or undone, plugins that are
//! started afresh. Each is to go on to its end once it has begun.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Made, OperateError};
use crate::cloud::order::{Deploy, Document};
use crate::deployment::deployments::{Deployments, REPORTS_MAX};
use crate::deployment::report::{DeploymentId, Reason};
use crate::deployment::submission::{Submission, SubmitError};
use crate::names::{Digest, PluginName};

/// What the document is called in faults.
const FILE: &str = "cloud.toml";

/// Who changes it. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    deployments: Deployments,
    /// The last plugin that this process began to start afresh.
    restarted: Arc<Mutex<Option<Restarted>>>,
}

#[derive(Clone, Debug)]
struct Restarted {
    by: String,
    done: bool,
}

impl Changes {
    pub(super) fn new(deployments: Deployments) -> Self {
        Self {
            deployments,
            restarted: Arc::default(),
        }
    }

    pub(super) async fn undo(&self, by: &str) -> Result<(), OperateError> {
        let under_way = self.deployments.under_way();
        if under_way
            .first()
            .is_some_and(|first| first.requested_by == by)
        {
            // Named, for one that has not begun yet would not count as under way.
            let active = self.deployments.active();
            let active = active.ok_or(SubmitError::NothingBefore)?;
            let by = format!("{by} (cancelled)");
            self.deployments.roll_back(Some(active.id), by).await?;
        }
        Ok(())
    }

    /// Starts a plugin afresh. `again`: it may have been, before the host ended.
    pub(super) async fn restart(
        &self,
        plugin: &PluginName,
        by: &str,
        again: bool,
    ) -> Result<(), OperateError> {
        let last = self.restarted.lock().clone();
        let done = match last.filter(|last| last.by == by) {
            Some(last) => last.done,
            // Begun by another process: whatever is at work has started with this one.
            None => again && self.is_at_work(plugin),
        };
        if done {
            return Ok(());
        }
        let restarted = |done| {
            let by = by.to_owned();
            *self.restarted.lock() = Some(Restarted { by, done });
        };
        restarted(false);
        self.deployments.restart_plugin(plugin).await?;
        restarted(true);
        Ok(())
    }

    pub(super) async fn deploy(&self, deploy: &Deploy, by: &str) -> Result<Made, OperateError> {
        if let Some(id) = self.made(by) {
            return Ok(Made::Deployment(id));
        }
        let text = match deploy.document()? {
            Document::Text(text) => text,
            Document::Had(digest) => {
                let had = self.had(&digest).ok_or(OperateError::NoDocument(digest))?;
                let made = self.deployments.roll_back(Some(had), by.to_owned()).await?;
                return Ok(Made::Deployment(made));
            }
        };
        let submission = Submission {
            text,
            file: PathBuf::from(FILE),
            files: deploy.files.clone(),
            requested_by: by.to_owned(),
            reason: Reason::Submitted,
            when_busy: deploy.when_busy,
        };
        if self.deployments.is_active(&submission) {
            return Ok(Made::Active);
        }
        let made = self.deployments.submit(submission).await?;
        Ok(Made::Deployment(made))
    }

    pub(super) async fn roll_back(
        &self,
        to: Option<DeploymentId>,
        by: &str,
    ) -> Result<Made, OperateError> {
        if let Some(id) = self.made(by) {
            return Ok(Made::Deployment(id));
        }
        let made = self.deployments.roll_back(to, by.to_owned()).await?;
        Ok(Made::Deployment(made))
    }

    fn is_at_work(&self, plugin: &PluginName) -> bool {
        let plugins = self.deployments.plugins();
        let mut named = plugins.iter().filter(|report| report.plugin == *plugin);
        named.any(|report| report.state == "running")
    }

    /// The deployment that was made in the name of `by`.
    fn made(&self, by: &str) -> Option<DeploymentId> {
        let history = self.deployments.history(None, REPORTS_MAX);
        let made = history.into_iter().find(|report| report.requested_by == by);
        made.map(|report| report.id)
    }

    /// The newest deployment of a document that is kept.
    fn had(&self, digest: &Digest) -> Option<DeploymentId> {
        let history = self.deployments.history(None, REPORTS_MAX).into_iter();
        let mut had = history.filter(|report| report.document == *digest);
        let kept = had.find(|report| self.deployments.document_of(report.id).is_some());
        kept.map(|report| report.id)
    }
}
