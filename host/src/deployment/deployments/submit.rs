//! Takes deployments in: judged, bounded in number, and on the disk before the
//! one who asks is told its number.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::attempt::told;
use super::journal::JournalError;
use super::state::{Kept, State};
use super::{Deployments, Running, edit};
use crate::deployment::document::Document;
use crate::deployment::document::component_source::ComponentSource;
use crate::deployment::document::fault::{Faults, plain};
use crate::deployment::document::handed::files_named;
use crate::deployment::document::source::Source;
use crate::deployment::plan::Plan;
use crate::deployment::report::{DeploymentId, DeploymentReport, Phase, Reason};
use crate::deployment::submission::{Submission, SubmitError, WhenBusy};
use crate::deployment::{DeployFault, Located};
use crate::names::{Digest, PluginName};
use crate::storage::FileError;

/// Deployments that wait in line behind the one under way.
pub const QUEUE_MAX: usize = 8;

impl Deployments {
    /// Keeps a file for documents to come that name it; returns its digest.
    /// Files that no deployment needs are removed after a while.
    ///
    /// # Errors
    ///
    /// If it is too large or does not fit beside the others.
    pub async fn put_file(&self, bytes: bytes::Bytes) -> Result<Digest, SubmitError> {
        let (files, ledger) = (self.0.files.clone(), self.0.ledger.clone());
        let put = move || match files.put(&bytes) {
            // Those that nobody needs any more make place.
            Err(FileError::Quota { .. }) => {
                files.retain(&ledger.read(State::files))?;
                files.put(&bytes)
            }
            outcome => outcome,
        };
        let put = tokio::task::spawn_blocking(put).await;
        put.map_err(|error| SubmitError::Journal(error.into()))?
            .map_err(SubmitError::File)
    }

    /// What a deployment would change. Artifacts are brought and verified;
    /// nothing runs.
    ///
    /// # Errors
    ///
    /// If it would be refused.
    pub async fn plan(&self, submission: Submission) -> Result<Plan, SubmitError> {
        let (document, _) = self.judge(&submission).await?;
        let plugins = document.plugins.keys().cloned().collect();
        let deployer = &self.0.deployer;
        let silent = |_: &PluginName| -> Box<dyn selvedge_registry::Progress> {
            Box::new(selvedge_registry::Silent)
        };
        let mut faults = deployer.pull(&document, &plugins, silent).await;
        let mut needs = BTreeMap::new();
        if faults.is_empty() {
            let (verified, of_verifying) = deployer.verify(&document, &plugins).await;
            faults = of_verifying;
            for (name, verified) in verified {
                let fault = verified.refused.map(DeployFault::from);
                let located = |fault| Located::of_plugin(&document, &name, fault);
                faults.extend(fault.map(located));
                needs.insert(name, verified.needs);
            }
        }
        if faults.is_empty() {
            Ok(self.compared(&document, needs))
        } else {
            Err(SubmitError::Document(faults.iter().map(told).collect()))
        }
    }

    /// Takes a deployment in. It is remembered when this returns, and ends by
    /// itself, one way or another.
    ///
    /// # Errors
    ///
    /// If it is not taken in: then nothing has changed.
    pub async fn submit(&self, submission: Submission) -> Result<DeploymentId, SubmitError> {
        if self.0.stopping.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let (document, kept) = self.judge(&submission).await?;
        let when_busy = submission.when_busy;
        let report = DeploymentReport {
            id: DeploymentId(0),
            name: document.name.to_string(),
            version: document.version.to_string(),
            reason: submission.reason,
            requested_by: plain(&submission.requested_by),
            requested_at: Timestamp::now(),
            ended_at: None,
            phase: Phase::Queued,
            faults: Vec::new(),
            plan: None,
            plugins: BTreeMap::new(),
            models: BTreeMap::new(),
            computed_by: BTreeMap::new(),
            swaps: Vec::new(),
            document: Digest::of(kept.text.as_bytes()),
        };
        let take_in = move |state: &mut State| take_in(state, report, kept, when_busy);
        let taken = self.0.ledger.write("take-in", take_in).await;
        let taken =
            taken.map_err(|error: JournalError| SubmitError::Journal(Box::new(error)))??;
        for id in taken.ended.into_iter().chain([taken.id]) {
            self.tell(id);
        }
        if let Some(victim) = taken.victim {
            self.0.superseded.send_if_modified(|last| {
                let later = victim.0 > *last;
                *last = victim.0.max(*last);
                later
            });
        }
        self.0.wake.notify_one();
        Ok(taken.id)
    }

    /// Whether `submission` is what is in force, and all of it is at work.
    pub fn is_active(&self, submission: &Submission) -> bool {
        let same = self.0.ledger.read(|state| {
            let busy = state.under_way.is_some() || !state.queue.is_empty();
            let kept = state.active.and_then(|id| state.documents.get(&id));
            let same =
                |kept: &Arc<Kept>| kept.text == submission.text && kept.files == submission.files;
            !busy && kept.is_some_and(same)
        });
        let whole = |running: Running| self.idle_models(&running.document).is_empty();
        same && self.running().is_some_and(whole) && self.down().is_empty()
    }

    /// Deploys again what another deployment was: `to`, or the committed one
    /// before the active one. If one is under way that is not yet kept, it is
    /// ended, and what it would replace stays.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not taken in.
    pub async fn roll_back(
        &self,
        to: Option<DeploymentId>,
        requested_by: String,
    ) -> Result<DeploymentId, SubmitError> {
        let target = self.0.ledger.read(|state| match (to, state.under_way) {
            (Some(to), _) => Some(to),
            (None, Some(_)) => state.active,
            (None, None) => state.previous(),
        });
        let deployment = target.ok_or(SubmitError::NothingBefore)?;
        let kept = self.kept(deployment);
        let kept = kept.ok_or(SubmitError::NoDeployment(deployment))?;
        self.submit(Submission {
            text: kept.text.clone(),
            file: PathBuf::from(&kept.file),
            files: kept.files.clone(),
            requested_by,
            reason: Reason::RollBackTo { deployment },
            when_busy: WhenBusy::Supersede,
        })
        .await
    }

    /// Deploys the active document with another component for one plugin.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or it is not taken in.
    pub async fn swap(
        &self,
        plugin: PluginName,
        component: ComponentSource,
        requested_by: String,
    ) -> Result<DeploymentId, SubmitError> {
        let component = String::from(component);
        let active = self.0.ledger.read(|state| state.active);
        let kept = active.and_then(|id| self.kept(id));
        let edited = kept.and_then(|kept| {
            let text = edit::with_component(&kept.text, plugin.as_str(), &component)?;
            Some((kept, text))
        });
        let Some((kept, text)) = edited else {
            return Err(SubmitError::NoPlugin(plugin));
        };
        self.submit(Submission {
            text,
            file: PathBuf::from(&kept.file),
            files: kept.files.clone(),
            requested_by,
            reason: Reason::SwapOf { plugin },
            when_busy: WhenBusy::Queue,
        })
        .await
    }

    /// Judges a document with the files that it came with; what is kept of it.
    async fn judge(&self, submission: &Submission) -> Result<(Document, Kept), SubmitError> {
        let text = submission.text.clone().into_bytes();
        let of_one = |fault| SubmitError::of(&Faults(vec![fault]));
        let source = Source::new(&submission.file, text).map_err(of_one)?;
        let named = files_named(&source).map_err(|faults| SubmitError::of(&faults))?;
        let mut files = BTreeMap::new();
        for path in named {
            let digest = submission.files.get(&path).copied();
            match digest.filter(|digest| self.0.files.renew(digest)) {
                Some(digest) => drop(files.insert(path, digest)),
                None => {
                    let path = plain(&path);
                    return Err(SubmitError::NoFile { path });
                }
            }
        }
        let kept = Arc::new(Kept {
            text: submission.text.clone(),
            file: submission.file.to_string_lossy().into_owned(),
            files,
        });
        let document = self.check(&kept).await.map_err(SubmitError::Document)?;
        Ok((document, Arc::unwrap_or_clone(kept)))
    }
}

/// A deployment that was taken in.
struct Taken {
    id: DeploymentId,
    /// The one under way, which is to end.
    victim: Option<DeploymentId>,
    /// Those that waited in line, which have ended.
    ended: Vec<DeploymentId>,
}

fn take_in(
    state: &mut State,
    report: DeploymentReport,
    kept: Kept,
    when_busy: WhenBusy,
) -> Result<Taken, SubmitError> {
    let under_way = state.under_way.map(|under_way| under_way.id);
    let busy = under_way.or_else(|| state.queue.front().copied());
    let mut taken = Taken {
        id: DeploymentId(0),
        victim: None,
        ended: Vec::new(),
    };
    match (when_busy, busy) {
        (WhenBusy::Refuse, Some(busy)) => return Err(SubmitError::Busy(busy)),
        (WhenBusy::Supersede, _) => {
            taken.victim = state.supersede();
            taken.ended = state.supersede_queue(report.requested_at);
        }
        _ if state.queue.len() >= QUEUE_MAX => return Err(SubmitError::TooMany(QUEUE_MAX)),
        _ => {}
    }
    taken.id = state.take_in(report, kept);
    Ok(taken)
}
