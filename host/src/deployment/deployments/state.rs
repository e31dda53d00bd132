//! What is remembered of deployments, and how it may change.
//!
//! Pure. Each change here is one step: all of it is on the disk, or none.
//! [`super::ledger`] sees to that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deployment::report::{DeploymentId, DeploymentReport, FaultReport, Phase};
use crate::names::{Digest, PluginName};

/// Deployments that are remembered.
pub const REPORTS_MAX: usize = 200;
/// Deployments whose documents and files are kept, besides the one in force, the
/// one before it, and those to come.
pub const DOCUMENTS_MAX: usize = 20;
/// Faults of one deployment; the first tell enough.
const FAULTS_MAX: usize = 100;
/// Bytes of their texts: all reports together fit the journal, and one fits a
/// message.
const FAULTS_BYTES_MAX: usize = 64 << 10;
/// Times that a deployment is begun which the end of the host interrupts before
/// it changes anything.
pub(super) const ATTEMPTS_MAX: u32 = 2;

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// The last number that was given out.
    pub(super) last: u64,
    /// The deployment in force.
    pub(super) active: Option<DeploymentId>,
    pub(super) under_way: Option<UnderWay>,
    /// Those in line behind it.
    pub(super) queue: VecDeque<DeploymentId>,
    pub(super) reports: BTreeMap<DeploymentId, Arc<DeploymentReport>>,
    pub(super) documents: BTreeMap<DeploymentId, Arc<Kept>>,
    /// Plugins of the deployment in force that an operator stopped.
    pub(super) stopped: BTreeSet<PluginName>,
}

/// The deployment that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) id: DeploymentId,
    /// What is done to it, or was when the host ended.
    pub(super) phase: Phase,
    /// From 1.
    pub(super) attempt: u32,
    /// A newer one is to take its place.
    #[serde(default)]
    pub(super) superseded: bool,
}

/// A document as it was handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) text: String,
    /// What its file is called.
    pub(super) file: String,
    pub(super) files: BTreeMap<String, Digest>,
}

/// Why a deployment ended for which nobody is to blame.
pub(super) fn interrupted(why: &str) -> FaultReport {
    FaultReport {
        code: "interrupted".to_owned(),
        message: why.to_owned(),
        plugin: None,
        place: None,
        help: None,
    }
}

impl State {
    /// Takes a deployment in, at the end of the line; its number.
    pub(super) fn take_in(&mut self, mut report: DeploymentReport, kept: Kept) -> DeploymentId {
        self.last = self.last.saturating_add(1);
        let id = DeploymentId(self.last);
        report.id = id;
        self.reports.insert(id, Arc::new(report));
        self.documents.insert(id, Arc::new(kept));
        self.queue.push_back(id);
        id
    }

    /// Begins with what comes first: what was under way when the host ended,
    /// else the first in line.
    pub(super) fn begin(&mut self) -> Option<DeploymentId> {
        let under_way = match self.under_way {
            Some(under_way) => under_way,
            None => UnderWay {
                id: self.queue.pop_front()?,
                phase: Phase::Pull,
                attempt: 1,
                superseded: false,
            },
        };
        self.under_way = Some(under_way);
        self.enter(under_way.id, Phase::Pull);
        Some(under_way.id)
    }

    /// The deployment under way enters `phase`. Nothing, if it is another one.
    pub(super) fn enter(&mut self, id: DeploymentId, phase: Phase) {
        if let Some(under_way) = self.under_way.as_mut().filter(|it| it.id == id) {
            under_way.phase = phase;
            self.change(id, |report| report.phase = phase);
        }
    }

    /// The host stops before anything was changed: it is begun again later, unless
    /// a newer one is to take its place; then the next start ends it.
    pub(super) fn put_back(&mut self, id: DeploymentId) {
        let waits = |it: UnderWay| it.id == id && !it.superseded;
        if self.under_way.is_some_and(waits) {
            self.under_way = None;
            self.queue.push_front(id);
            self.change(id, |report| report.phase = Phase::Queued);
        }
    }

    /// A deployment ends. One that ended stays as it is.
    pub(super) fn end(
        &mut self,
        id: DeploymentId,
        phase: Phase,
        mut faults: Vec<FaultReport>,
        now: Timestamp,
    ) {
        faults.truncate(FAULTS_MAX);
        let mut bytes = 0;
        faults.retain(|fault| {
            let help = fault.help.as_deref().unwrap_or_default();
            bytes += fault.message.len() + help.len();
            bytes <= FAULTS_BYTES_MAX
        });
        let over = self.reports.get(&id).is_none_or(|it| it.phase.is_final());
        if over || !phase.is_final() {
            return;
        }
        self.change(id, |report| {
            report.phase = phase;
            report.faults = faults;
            report.ended_at = Some(now);
        });
        self.queue.retain(|other| *other != id);
        self.under_way.take_if(|under_way| under_way.id == id);
        if phase == Phase::Committed {
            self.active = Some(id);
        }
        self.trim();
    }

    /// The deployment under way is to make place; which it is.
    pub(super) fn supersede(&mut self) -> Option<DeploymentId> {
        let under_way = self.under_way.as_mut()?;
        under_way.superseded = true;
        Some(under_way.id)
    }

    /// Ends all that wait in line.
    pub(super) fn supersede_queue(&mut self, now: Timestamp) -> Vec<DeploymentId> {
        let queue: Vec<_> = std::mem::take(&mut self.queue).into();
        for &id in &queue {
            self.end(id, Phase::Superseded, Vec::new(), now);
        }
        queue
    }

    /// Changes what is told of a deployment.
    pub(super) fn change(&mut self, id: DeploymentId, change: impl FnOnce(&mut DeploymentReport)) {
        if let Some(report) = self.reports.get_mut(&id) {
            change(Arc::make_mut(report));
        }
    }

    /// The committed deployment before the one in force that can be gone back to.
    pub(super) fn previous(&self) -> Option<DeploymentId> {
        let before = |id: &DeploymentId| self.active.is_none_or(|active| *id < active);
        let mut reports = self.reports.iter().rev();
        let previous = reports.find(|(id, report)| {
            let committed = report.phase == Phase::Committed;
            committed && before(id) && self.documents.contains_key(id)
        });
        previous.map(|(id, _)| *id)
    }

    /// What was under way when the host ended goes on or ends, and what a record
    /// that was lost left behind is put in order.
    pub(super) fn recover(&mut self, now: Timestamp) {
        let newest = self.reports.keys().chain(self.documents.keys()).max();
        self.last = self.last.max(newest.map_or(0, |id| id.0));
        if let Some(under_way) = self.under_way {
            let id = under_way.id;
            if under_way.superseded {
                self.end(id, Phase::Superseded, Vec::new(), now);
            } else if under_way.phase.has_swapped() {
                let why = "the host ended before the deployment was kept";
                self.end(id, Phase::RolledBack, vec![interrupted(why)], now);
            } else if under_way.attempt >= ATTEMPTS_MAX {
                let why = "the host ended each time that the deployment was begun";
                self.end(id, Phase::Failed, vec![interrupted(why)], now);
            } else {
                self.under_way = Some(UnderWay {
                    attempt: under_way.attempt + 1,
                    ..under_way
                });
                self.enter(id, Phase::Pull);
            }
        }
        // One of which either record is lost could neither run nor end.
        let known = |id: &DeploymentId| {
            let open = self.reports.get(id).is_some_and(|it| !it.phase.is_final());
            open && self.documents.contains_key(id)
        };
        self.under_way.take_if(|under_way| !known(&under_way.id));
        self.queue.retain(known);
        let expected = |id: &DeploymentId| {
            let under_way = self.under_way.is_some_and(|under_way| under_way.id == *id);
            under_way || self.queue.contains(id)
        };
        let reports = self.reports.iter();
        let open = reports.filter(|(id, report)| !report.phase.is_final() && !expected(id));
        let lost: Vec<_> = open.map(|(id, _)| *id).collect();
        for id in lost {
            let why = "what was to be done with it is not known any more";
            self.end(id, Phase::Failed, vec![interrupted(why)], now);
        }
    }

    /// Nothing is in force and nothing to be done; the past stays.
    pub(super) fn begin_afresh(&mut self, now: Timestamp) {
        self.recover(now);
        if let Some(under_way) = self.under_way {
            let why = "the host was started for another deployment";
            self.end(under_way.id, Phase::Failed, vec![interrupted(why)], now);
        }
        self.supersede_queue(now);
        self.active = None;
        self.stopped.clear();
    }

    /// The files that documents name which are kept.
    pub(super) fn files(&self) -> BTreeSet<Digest> {
        let kept = self.documents.values();
        kept.flat_map(|kept| kept.files.values().copied()).collect()
    }

    /// Lets go of what is too old.
    fn trim(&mut self) {
        let under_way = self.under_way.map(|under_way| under_way.id);
        let needed = [self.active, self.previous(), under_way];
        let needed = needed
            .into_iter()
            .flatten()
            .chain(self.queue.iter().copied());
        let needed: BTreeSet<_> = needed.collect();
        let newest = |ids: Vec<DeploymentId>, max: usize| -> BTreeSet<DeploymentId> {
            ids.into_iter().rev().take(max).collect()
        };
        let documents = newest(self.documents.keys().copied().collect(), DOCUMENTS_MAX);
        let reports = newest(self.reports.keys().copied().collect(), REPORTS_MAX);
        self.documents
            .retain(|id, _| needed.contains(id) || documents.contains(id));
        self.reports
            .retain(|id, _| needed.contains(id) || reports.contains(id));
    }
}

#[cfg(test)]
pub(super) mod tests;
