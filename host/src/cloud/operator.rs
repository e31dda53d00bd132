//! Does what the cloud asks for, by the means of any operator.
//!
//! Whatever is asked for has a name (`by`) that no other order has. A deployment
//! is made in that name, so one that a crash cut off from its order is found again
//! and not made twice. What may run is decided by `deployment`; nothing here can
//! do more than an operator.

use std::path::PathBuf;

use tokio::sync::watch;

use super::jobs::record::{Outcome, detail};
use super::jobs::wire::Details;
use super::order::{Deploy, Document, Order, OrderError};
use crate::deployment::deployments::{Deployments, REPORTS_MAX};
use crate::deployment::report::{DeploymentId, DeploymentReport, FaultReport, Phase, Reason};
use crate::deployment::submission::{Submission, SubmitError};
use crate::error_chain::ErrorChain;
use crate::names::{Digest, PluginName};

/// What the document is called in faults.
const FILE: &str = "cloud.toml";
/// Faults of one deployment that are told.
const FAULTS_MAX: usize = 3;

/// Who does it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Operator {
    deployments: Deployments,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("the order cannot be carried out")]
    Order(#[from] OrderError),
    #[error("it was not taken in")]
    Submit(#[from] SubmitError),
    #[error("this device has no document {0}")]
    NoDocument(Digest),
    #[error("the plugin was not started afresh")]
    Plugin(#[from] crate::deployment::line::LineError),
}

/// What a document came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It is in force already.
    Active,
    Deployment(DeploymentId),
}

impl Operator {
    pub fn new(deployments: Deployments) -> Self {
        Self { deployments }
    }

    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// Carries out an order, and tells how it goes on. `again`: it may have been
    /// carried out in part, before the host ended. None if the host stops
    /// meanwhile: then it is to be gone on with.
    pub async fn carry_out(
        &self,
        order: &Order,
        by: &str,
        again: bool,
        progress: &watch::Sender<Details>,
    ) -> Option<Outcome> {
        let made = match order {
            Order::Deploy(deploy) => self.deploy(deploy, by).await,
            Order::Rollback { to } => self.roll_back(*to, by).await,
            Order::RestartPlugin { plugin } => return Some(self.restart(plugin, again).await),
        };
        match made {
            Ok(Made::Active) => Some(Outcome::succeeded(active())),
            Ok(Made::Deployment(id)) => self.follow(id, progress).await,
            Err(OperateError::Submit(SubmitError::Stopping)) => None,
            Err(error) => Some(refused(&error)),
        }
    }

    /// Ends what was begun in the name of `by`, unless it is kept already. What only
    /// waits in line goes on: nothing ends it alone.
    pub async fn undo(&self, by: &str) -> Result<(), OperateError> {
        let under_way = self.deployments.under_way();
        if under_way
            .first()
            .is_some_and(|first| first.requested_by == by)
        {
            let by = format!("{by} (cancelled)");
            self.deployments.roll_back(None, by).await?;
        }
        Ok(())
    }

    async fn deploy(&self, deploy: &Deploy, by: &str) -> Result<Made, OperateError> {
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

    async fn roll_back(&self, to: Option<DeploymentId>, by: &str) -> Result<Made, OperateError> {
        if let Some(id) = self.made(by) {
            return Ok(Made::Deployment(id));
        }
        let made = self.deployments.roll_back(to, by.to_owned()).await?;
        Ok(Made::Deployment(made))
    }

    async fn restart(&self, plugin: &PluginName, again: bool) -> Outcome {
        let mut details = Details::new();
        details.insert("plugin".to_owned(), detail(plugin.as_str()));
        if again {
            // The host started afresh, and the plugin with it.
            return Outcome::succeeded(details);
        }
        match self.deployments.restart_plugin(plugin).await {
            Ok(()) => Outcome::succeeded(details),
            Err(error) => refused(&OperateError::Plugin(error)),
        }
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

    /// Waits for the end of a deployment, and tells where it is.
    async fn follow(&self, id: DeploymentId, progress: &watch::Sender<Details>) -> Option<Outcome> {
        let mut events = self.deployments.events();
        let mut ended = std::pin::pin!(self.deployments.ended(id));
        loop {
            if let Some(report) = self.deployments.report(id) {
                progress.send_replace(details(&report));
            }
            tokio::select! {
                report = &mut ended => {
                    let report = report?;
                    return report.phase.is_final().then(|| outcome(&report));
                }
                // Also one that was missed says that there is something new.
                _ = events.recv() => {}
            }
        }
    }
}

fn active() -> Details {
    let mut details = Details::new();
    details.insert("phase".to_owned(), "active".to_owned());
    details
}

/// Where a deployment is.
fn details(report: &DeploymentReport) -> Details {
    let mut details = Details::new();
    details.insert("deployment".to_owned(), report.id.to_string());
    details.insert("phase".to_owned(), phase(report.phase).to_owned());
    let step = format!("{}/{}", step(report.phase), STEPS);
    details.insert("step".to_owned(), step);
    details
}

/// How a deployment ended.
fn outcome(report: &DeploymentReport) -> Outcome {
    if report.phase == Phase::Committed {
        return Outcome::succeeded(details(report));
    }
    let (code, reason) = match report.faults.first() {
        Some(first) => (first.code.as_str(), faults(&report.faults)),
        None => (phase(report.phase), "a newer one took its place".to_owned()),
    };
    let mut outcome = Outcome::failed(code, &reason);
    outcome.details.extend(details(report));
    outcome
}

/// Why nothing was begun.
fn refused(error: &OperateError) -> Outcome {
    let (code, reason) = match error {
        OperateError::Submit(SubmitError::Document(found)) => {
            let code = found
                .first()
                .map_or("document-refused", |fault| &fault.code);
            return Outcome::rejected(code, &faults(found));
        }
        OperateError::Submit(error) => (error.code(), ErrorChain(error).to_string()),
        OperateError::Order(error) => (error.code(), ErrorChain(error).to_string()),
        OperateError::NoDocument(_) => ("document-unknown", error.to_string()),
        OperateError::Plugin(error) => (error.code(), ErrorChain(error).to_string()),
    };
    Outcome::rejected(code, &reason)
}

fn faults(faults: &[FaultReport]) -> String {
    let told = faults.iter().take(FAULTS_MAX).map(|fault| {
        let place = fault.place.as_ref();
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}{} [{}]", fault.message, fault.code)
    });
    let told: Vec<_> = told.collect();
    let more = faults.len().saturating_sub(FAULTS_MAX);
    let more = (more > 0).then(|| format!("and {more} more"));
    told.into_iter().chain(more).collect::<Vec<_>>().join("; ")
}

/// Phases until the end.
const STEPS: u8 = 9;

fn step(phase: Phase) -> u8 {
    match phase {
        Phase::Queued => 1,
        Phase::Pull => 2,
        Phase::Verify => 3,
        Phase::Admit => 4,
        Phase::Compile => 5,
        Phase::Prepare => 6,
        Phase::Swap => 7,
        Phase::Probation => 8,
        Phase::Committed | Phase::RolledBack | Phase::Failed | Phase::Superseded => STEPS,
    }
}

/// What a phase is called everywhere.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Pull => "pull",
        Phase::Verify => "verify",
        Phase::Admit => "admit",
        Phase::Compile => "compile",
        Phase::Prepare => "prepare",
        Phase::Swap => "swap",
        Phase::Probation => "probation",
        Phase::Committed => "committed",
        Phase::RolledBack => "rolled-back",
        Phase::Failed => "failed",
        Phase::Superseded => "superseded",
    }
}
