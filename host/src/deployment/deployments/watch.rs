//! Sees how the plugins of a deployment fare while it is in its probation.
//!
//! States of units come over the bus, so that none is missed between two looks;
//! counters are looked at again and again. What it means is said in
//! [`super::probation`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::probation::{Before, Failing, Fare, Watched};
use crate::bus::{Bus, Inbox, InboxLimits, SubscribeError};
use crate::deployment::line::{Line, Occupant};
use crate::names::PluginName;
use crate::spec::Overflow;
use crate::supervisor::{Supervisor, UnitState};

/// What waits here; more of it is the same.
const WAITING: InboxLimits = InboxLimits {
    messages_max: 4_096,
    bytes_max: 4 << 20,
    overflow: Overflow::DropNewest,
    answers: false,
};
const STATES: &str = "$selvedge/state/plugin/+";
const DEAD_LETTERS: &str = "$selvedge/dead-letter/+";
/// Messages taken at once.
const BATCH: usize = 64;

/// Sees how plugins fare, from before the swap.
#[derive(Debug)]
pub(super) struct Watch {
    bus: Bus,
    line: Line,
    states: Inbox,
    dead_letters: Inbox,
    /// Those whose failure counts: new, changed, or at work before.
    of_interest: BTreeSet<PluginName>,
    changed: BTreeSet<PluginName>,
    /// How the changed ones fared before.
    first: BTreeMap<PluginName, Fare>,
    dead: BTreeMap<PluginName, u64>,
}

#[derive(Deserialize)]
struct State {
    state: String,
    #[serde(default)]
    error: String,
}

impl Watch {
    /// Begins before the swap that puts the `changed` plugins to work.
    pub(super) fn begin(
        bus: &Bus,
        line: &Line,
        supervisor: &Supervisor,
        changed: BTreeSet<PluginName>,
    ) -> Result<Self, SubscribeError> {
        let host = bus.host_party();
        let subscribe = |filter: &str| {
            let filter = filter.parse().expect("a constant that is a filter");
            host.subscribe(&[filter], WAITING)
        };
        let (states, dead_letters) = (subscribe(STATES)?, subscribe(DEAD_LETTERS)?);
        // The kept values say how they fared before.
        while states.try_receive(BATCH, &mut Vec::new()) > 0 {}
        let at_work = supervisor.states().into_iter().filter_map(|(unit, state)| {
            let plugin = unit.strip_prefix("plugin/")?.parse().ok()?;
            (state == UnitState::Running).then_some(plugin)
        });
        let of_interest = at_work.chain(changed.iter().cloned()).collect();
        let mut watch = Self {
            bus: bus.clone(),
            line: line.clone(),
            states,
            dead_letters,
            of_interest,
            changed,
            first: BTreeMap::new(),
            dead: BTreeMap::new(),
        };
        watch.first = watch.fares();
        Ok(watch)
    }

    /// Who is judged, just before the swap: predecessors by what they did since
    /// the beginning.
    pub(super) fn predecessors(&mut self) -> BTreeMap<PluginName, Before> {
        let fares = self.fares();
        let occupants = self.line.occupants();
        let before = |(name, fare): (PluginName, Fare)| {
            let limits = &occupants.get(&name)?.generation.prepared().spec().limits;
            let (messages, bytes) = (limits.inbox_messages_max, limits.inbox_bytes_max);
            let first = self.first.get(&name).copied().unwrap_or_default();
            let before = Before {
                full: fare.is_full(messages.get().into(), bytes.get()),
                dropped: fare.dropped_total > first.dropped_total,
                flooded: fare.rate_limited_total + fare.looped_total > 0,
            };
            Some((name, before))
        };
        fares.into_iter().filter_map(before).collect()
    }

    /// Who is judged, and by what.
    pub(super) fn watched(
        &self,
        predecessors: &BTreeMap<PluginName, Before>,
    ) -> BTreeMap<PluginName, Watched> {
        let occupants = self.line.occupants();
        let watched = |name: &PluginName| {
            let limits = &occupants.get(name)?.generation.prepared().spec().limits;
            let watched = Watched {
                inbox_messages_max: limits.inbox_messages_max.get().into(),
                inbox_bytes_max: limits.inbox_bytes_max.get(),
                blocks: limits.inbox_overflow == Overflow::Block,
                predecessor: predecessors.get(name).copied(),
            };
            Some((name.clone(), watched))
        };
        self.changed.iter().filter_map(watched).collect()
    }

    /// What failed during the swap. That a predecessor stopped, or failed before
    /// it did, is no failure; nor that those are stopped which are `operated` on.
    pub(super) fn during_swap(&mut self, operated: &BTreeSet<PluginName>) -> Vec<Failing> {
        let (mut failing, mut stopped) = (BTreeMap::new(), BTreeSet::new());
        for (plugin, state) in self.take_states() {
            stopped.remove(&plugin);
            match state.state.as_str() {
                "stopped" => {
                    failing.remove(&plugin);
                    stopped.insert(plugin);
                }
                "backing-off" | "given-up" => {
                    let error = state.error;
                    let failed = Failing::Failed {
                        plugin: plugin.clone(),
                        error,
                    };
                    failing.insert(plugin, failed);
                }
                _ => {}
            }
        }
        let occupants = self.line.occupants();
        stopped.retain(|plugin| {
            let rests = |occupant: &Occupant| occupant.stopped || operated.contains(plugin);
            occupants.get(plugin).is_some_and(|it| !rests(it))
        });
        let stopped = stopped.into_iter();
        let stopped = stopped.map(|plugin| Failing::Stopped { plugin });
        failing.into_values().chain(stopped).collect()
    }

    /// What fails from now on; resolves when something does. That those stop
    /// which are `operated` on is well.
    pub(super) async fn failure(
        &mut self,
        operated: impl Fn() -> BTreeSet<PluginName>,
    ) -> Vec<Failing> {
        loop {
            let mut batch = Vec::new();
            self.states.receive(BATCH, &mut batch).await;
            let (operated, occupants) = (operated(), self.line.occupants());
            let states = batch.iter().filter_map(|message| self.state(message));
            let failing = states.filter_map(|(plugin, state)| {
                // Who was taken off is not at work, and that is well.
                if !occupants.contains_key(&plugin) {
                    return None;
                }
                match state.state.as_str() {
                    "stopped" if operated.contains(&plugin) => None,
                    "stopped" => Some(Failing::Stopped { plugin }),
                    "backing-off" | "given-up" => {
                        let error = state.error;
                        Some(Failing::Failed { plugin, error })
                    }
                    _ => None,
                }
            });
            let failing: Vec<_> = failing.collect();
            if !failing.is_empty() {
                return failing;
            }
        }
    }

    fn take_states(&mut self) -> Vec<(PluginName, State)> {
        let mut batch = Vec::new();
        while self.states.try_receive(BATCH, &mut batch) > 0 {}
        let states = batch.iter().filter_map(|message| self.state(message));
        states.collect()
    }

    fn state(&self, message: &crate::bus::Message) -> Option<(PluginName, State)> {
        let plugin = last_level(message)?;
        let state = serde_json::from_slice(&message.payload).ok()?;
        self.of_interest
            .contains(&plugin)
            .then_some((plugin, state))
    }

    /// How the new and changed plugins fare now.
    pub(super) fn fares(&mut self) -> BTreeMap<PluginName, Fare> {
        let mut batch = Vec::new();
        while self.dead_letters.try_receive(BATCH, &mut batch) > 0 {}
        for plugin in batch.iter().filter_map(|message| last_level(message)) {
            *self.dead.entry(plugin).or_default() += 1;
        }
        let (occupants, parties) = (self.line.occupants(), self.bus.parties());
        let fare = |name: &PluginName| {
            let tally = occupants.get(name)?.generation.tally();
            let party = parties.iter().find(|it| it.name.as_str() == name.as_str());
            let letters = self.dead.get(name).copied().unwrap_or_default();
            let mut fare = Fare {
                dead_letters_total: tally.dead_letters_total.max(letters),
                rate_limited_total: tally.rate_limited_total,
                looped_total: tally.looped_total,
                ..Fare::default()
            };
            if let Some(party) = party {
                fare.inbox_messages = party.inbox_messages;
                fare.inbox_bytes = party.inbox_bytes;
                fare.dropped_total = party.dropped_total;
            }
            Some((name.clone(), fare))
        };
        self.changed.iter().filter_map(fare).collect()
    }
}

/// The plugin that a system topic is about.
fn last_level(message: &crate::bus::Message) -> Option<PluginName> {
    let (_, plugin) = message.topic.as_str().rsplit_once('/')?;
    plugin.parse().ok()
}
