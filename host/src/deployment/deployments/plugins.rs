//! Every plugin as operators see it.
//!
//! What is told is what is so at this moment: by the supervisor, the bus, and the
//! version that is at work.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Absent, Deployments};
use crate::bus::PartyStatus;
use crate::deployment::line::{Occupant, unit_name};
use crate::deployment::report::{DeploymentId, Installed};
use crate::names::PluginName;
use crate::supervisor::UnitState;

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

impl Deployments {
    /// Every plugin, by name.
    pub fn plugins(&self) -> Vec<PluginReport> {
        let deployer = &self.0.deployer;
        // The last of a name is the one that counts.
        let states: BTreeMap<_, _> = deployer.supervisor.states().into_iter().collect();
        let parties = self.0.bus.parties().into_iter();
        let parties: BTreeMap<_, _> = parties
            .map(|party| (party.name.as_str().to_owned(), party))
            .collect();
        let occupants = deployer.line.occupants();
        let absent = self.0.absent.lock().clone();
        let absent = absent
            .iter()
            .filter(|(name, _)| !occupants.contains_key(*name));
        let absent = absent.map(|(name, absent)| self.report_of_absent(name, absent));
        let present = occupants.values().map(|occupant| {
            let state = states.get(unit_name(occupant.plugin()).as_str());
            let party = parties.get(occupant.plugin().as_str());
            report(occupant, state, party)
        });
        let mut reports: Vec<_> = present.chain(absent).collect();
        reports.sort_by(|one, other| one.plugin.cmp(&other.plugin));
        reports
    }

    /// Plugins that should be at work, and gave up or stopped by themselves.
    pub(super) fn down(&self) -> BTreeSet<PluginName> {
        let reports = self.plugins().into_iter();
        let down = reports.filter(|report| {
            let stopped = report.state == STOPPED && !report.stopped_by_operator;
            report.state == GIVEN_UP || stopped
        });
        down.map(|report| report.plugin).collect()
    }

    fn report_of_absent(&self, name: &PluginName, absent: &Absent) -> PluginReport {
        let installed = self.0.ledger.read(|state| {
            let report = state.reports.get(&absent.deployment)?;
            report.plugins.get(name).cloned()
        });
        let text =
            |part: fn(&Installed) -> String| installed.as_ref().map(part).unwrap_or_default();
        PluginReport {
            plugin: name.clone(),
            deployment: absent.deployment,
            package: text(|installed| installed.package.clone()),
            version: text(|installed| installed.version.clone()),
            publisher: text(|installed| installed.publisher.clone()),
            digest: text(|installed| installed.digest.to_string()),
            exports: Vec::new(),
            state: GIVEN_UP.to_owned(),
            error: Some(absent.reason.clone()),
            stopped_by_operator: self.0.ledger.read(|state| state.stopped.contains(name)),
            handled_total: 0,
            published_total: 0,
            dropped_total: 0,
            dead_letters_total: 0,
            inbox_messages: 0,
            inbox_bytes: 0,
            inbox_messages_max: 0,
            memory_bytes: 0,
            memory_bytes_max: 0,
            last_pause_us: None,
        }
    }
}

const GIVEN_UP: &str = "given-up";
const STOPPED: &str = "stopped";

fn report(
    occupant: &Occupant,
    state: Option<&UnitState>,
    party: Option<&PartyStatus>,
) -> PluginReport {
    let (state, error) = match state {
        Some(UnitState::Running) => ("running", None),
        Some(UnitState::Starting) => ("starting", None),
        Some(UnitState::BackingOff { error, .. }) => ("backing-off", Some(error.clone())),
        Some(UnitState::GivenUp { error }) => (GIVEN_UP, Some(error.clone())),
        Some(UnitState::Stopped) | None => (STOPPED, None),
    };
    let prepared = occupant.generation.prepared();
    let limits = &prepared.spec().limits;
    let tally = occupant.generation.tally();
    let exports = prepared.exports().names().into_iter();
    let pause = occupant.seat.last_pause();
    let count = |count: fn(&PartyStatus) -> u64| party.map(count).unwrap_or_default();
    PluginReport {
        plugin: occupant.plugin().clone(),
        deployment: occupant.deployment,
        package: occupant.origin.package().to_string(),
        version: occupant.origin.version().to_string(),
        publisher: occupant.origin.publisher().to_owned(),
        digest: occupant.origin.component_digest().to_string(),
        exports: exports.map(Into::into).collect(),
        state: state.to_owned(),
        error,
        stopped_by_operator: occupant.stopped,
        handled_total: tally.handled_total,
        published_total: count(|party| party.published_total),
        dropped_total: count(|party| party.dropped_total),
        dead_letters_total: tally.dead_letters_total,
        inbox_messages: count(|party| party.inbox_messages),
        inbox_bytes: count(|party| party.inbox_bytes),
        inbox_messages_max: limits.inbox_messages_max.get(),
        memory_bytes: tally.memory_bytes,
        memory_bytes_max: limits.memory_bytes_max.get(),
        last_pause_us: pause.map(|pause| u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)),
    }
}
