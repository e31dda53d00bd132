//! Does what the cloud asks for, by the means of any operator.
//!
//! Whatever is asked for has a name (`by`) that no other order has. A deployment
//! is made in that name, so one that a crash cut off from its order is found again
//! and not made twice. What changes something goes on to its end whether anybody
//! waits for it or not. What may run is decided by `deployment`; nothing here can
//! do more than an operator.

mod changes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot, watch};

use self::changes::Changes;
use super::jobs::record::{Outcome, detail};
use super::jobs::wire::Details;
use super::order::{Order, OrderError};
use crate::deployment::deployments::Deployments;
use crate::deployment::report::{DeploymentId, DeploymentReport, FaultReport, Phase};
use crate::deployment::submission::SubmitError;
use crate::error_chain::ErrorChain;
use crate::names::{Digest, PluginName};
use crate::supervisor::{GroupFull, TaskGroup};

/// Faults of one deployment that are told.
const FAULTS_MAX: usize = 3;
/// Changes that go on at once, of which somebody waits for one.
const CHANGES_MAX: u32 = 8;

/// Who does it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Operator {
    deployments: Deployments,
    changes: Changes,
    /// Where changes go on: half of one is worse than either.
    under_way: TaskGroup,
    /// Held while a deployment is taken in: whoever undoes it waits until it is there.
    taking_in: Arc<Mutex<()>>,
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
    #[error("too much is being changed")]
    Full(#[from] GroupFull),
    #[error("the change broke off")]
    Broken,
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
        Self {
            changes: Changes::new(deployments.clone()),
            deployments,
            under_way: TaskGroup::new(CHANGES_MAX),
            taking_in: Arc::default(),
        }
    }

    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// Carries out an order, and tells how it goes on. `again`: it may have been
    /// carried out in part, before the host ended. None if the host stops
    /// meanwhile: then it is to be gone on with. Dropped, it goes on unheard.
    pub async fn carry_out(
        &self,
        order: &Order,
        by: &str,
        again: bool,
        progress: &watch::Sender<Details>,
    ) -> Option<Outcome> {
        let (changes, named) = (self.changes.clone(), by.to_owned());
        let made = match order.clone() {
            Order::Deploy(deploy) => {
                let made = async move { changes.deploy(&deploy, &named).await };
                self.in_turn(made).await
            }
            Order::Rollback { to } => {
                let made = async move { changes.roll_back(to, &named).await };
                self.in_turn(made).await
            }
            Order::RestartPlugin { plugin } => {
                return Some(self.restart(plugin, named, again).await);
            }
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
        let (changes, by) = (self.changes.clone(), by.to_owned());
        self.in_turn(async move { changes.undo(&by).await }).await
    }

    /// Breaks off what still goes on, since the host stops: the next start goes on
    /// with it.
    pub async fn end(&self) {
        self.under_way.end(Duration::ZERO).await;
    }

    async fn restart(&self, plugin: PluginName, by: String, again: bool) -> Outcome {
        let mut details = Details::new();
        details.insert("plugin".to_owned(), detail(plugin.as_str()));
        let changes = self.changes.clone();
        let restarted = async move { changes.restart(&plugin, &by, again).await };
        match self.apart(restarted).await {
            Ok(()) => Outcome::succeeded(details),
            Err(error) => refused(&error),
        }
    }

    /// The same as [`apart`](Self::apart), after what others take in.
    async fn in_turn<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, OperateError>> + Send + 'static,
    ) -> Result<T, OperateError> {
        let turn = Arc::clone(&self.taking_in).lock_owned().await;
        self.apart(async move {
            let changed = change.await;
            drop(turn);
            changed
        })
        .await
    }

    /// Waits for a change that goes on without whoever waits.
    async fn apart<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, OperateError>> + Send + 'static,
    ) -> Result<T, OperateError> {
        let (done, ended) = oneshot::channel();
        // Nobody may be there to hear of it.
        let change = async move { drop(done.send(change.await)) };
        self.under_way.start(change)?;
        ended.await.map_err(|_| OperateError::Broken)?
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
        OperateError::Full(_) => ("too-many-changes", ErrorChain(error).to_string()),
        OperateError::Broken => ("change-broken", error.to_string()),
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
