//! What takes a place, on its way there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use selvedge_signing::Origin;

use super::Occupant;
use crate::deployment::plan::Needs;
use crate::deployment::report::{DeploymentId, SwapReport};
use crate::inference::ModelSet;
use crate::names::PluginName;
use crate::runtime::Prepared;

/// A plugin that was verified, admitted and compiled.
#[derive(Clone, Debug)]
pub struct ReadyPlugin {
    pub prepared: Prepared,
    pub origin: Origin,
    pub needs: Needs,
}

/// What is to be changed: plugins that are not named stay untouched.
#[derive(Debug)]
pub struct Ready {
    pub deployment: DeploymentId,
    /// To be added, or to take the place of the one of that name.
    pub plugins: BTreeMap<PluginName, ReadyPlugin>,
    /// To be taken off.
    pub removed: Vec<PluginName>,
    /// Those that an operator stopped: they take their places and rest.
    pub stopped: BTreeSet<PluginName>,
    /// The models of the deployment.
    pub models: Arc<ModelSet>,
}

/// The same, with instances that wait to take over.
#[derive(Debug)]
pub struct Warm {
    pub(super) successors: Vec<Occupant>,
    pub(super) removed: Vec<PluginName>,
}

impl Warm {
    /// Those that an operator `stopped` take their places and rest, no others.
    pub fn rest(&mut self, stopped: &BTreeSet<PluginName>) {
        for successor in &mut self.successors {
            successor.stopped = stopped.contains(successor.plugin());
        }
    }

    /// By whose word the successors run.
    pub fn origins(&self) -> Vec<Arc<Origin>> {
        let origin = |successor: &Occupant| Arc::clone(&successor.origin);
        self.successors.iter().map(origin).collect()
    }
}

/// What a swap did: kept until it is certain that it stays. Dropping it lets go
/// of the predecessors.
#[derive(Debug, Default)]
pub struct Swapped {
    pub(super) changes: Vec<Change>,
    /// How the plugins changed hands.
    pub reports: Vec<SwapReport>,
}

/// One change of a swap.
#[derive(Debug)]
pub enum Change {
    Added(Occupant),
    Replaced {
        predecessor: Occupant,
        successor: Occupant,
    },
    Removed(Occupant),
}
