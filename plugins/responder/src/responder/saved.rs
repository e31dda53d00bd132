//! What was decided and what is waited for, as it is handed to the next version.
//!
//! What is read may be of another configuration, and is foreign. A command that
//! waits for its answer is kept only if a rule of this configuration says the
//! very same: no state can make this version send what its rules do not name.
//! What is not kept is written down in the audit.

use std::collections::{HashMap, VecDeque};

use selvedge_plugin::Message;
use selvedge_plugin::state::StateError;
use serde::{Deserialize, Serialize};

use super::{HELD_MAX, Held, Now, Place, Responder, RuleState, State, cause, shown};
use crate::anomaly::{Anomaly, place_of};
use crate::audit::{Decision, Entry};
use crate::config::Step;
use crate::pending::Pending;

/// No clock and no count is beyond this.
const NUMBER_MAX: u64 = 1 << 53;
/// Bytes of a correlation that may be waited for: what a message can carry.
const CORRELATION_BYTES_MAX: usize = 128;
/// Why something is not kept.
const CHANGED: &str = "the configuration changed";

/// When it was written, and the rules that the rest speaks of by their place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The clock on which all times in the state are.
    pub(crate) monotonic_ms: u64,
    commands: u64,
    rules: Vec<SavedRule>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRule {
    name: String,
    acted_ms: Vec<u64>,
}

/// One device.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedDevice {
    site: String,
    device: String,
    heard: u64,
    active: bool,
    acknowledged: bool,
    told: Option<(String, f64)>,
    rules: Vec<RuleState>,
}

/// An action that waits for its hold-off to pass.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedHeld {
    rule: usize,
    due_ms: u64,
    anomaly: Anomaly,
}

/// A command that waits for its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedPending {
    rule: usize,
    place: usize,
    revert: bool,
    anomaly: Anomaly,
    topic: String,
    payload: String,
    correlation: String,
    attempt: u32,
    deadline_ms: u64,
    refused: Option<String>,
}

/// All but the head.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Those with an anomaly and the latest heard of first.
    pub(crate) devices: Vec<SavedDevice>,
    pub(crate) held: Vec<SavedHeld>,
    pub(crate) pending: Vec<SavedPending>,
}

impl Responder {
    pub(crate) fn head(&self, now: Now) -> Head {
        let rules = self.config.rules.iter().zip(&self.acted);
        let rules = rules.map(|(rule, acted)| SavedRule {
            name: rule.name.clone(),
            acted_ms: acted.iter().copied().collect(),
        });
        Head {
            monotonic_ms: now.monotonic_ms,
            commands: self.commands,
            rules: rules.collect(),
        }
    }

    pub(crate) fn parts(&self) -> Parts {
        let mut devices: Vec<_> = self.devices.iter().collect();
        devices.sort_by_key(|(_, state)| std::cmp::Reverse((state.active, state.heard)));
        let devices = devices.into_iter().map(|(place, state)| SavedDevice {
            site: place.0.clone(),
            device: place.1.clone(),
            heard: state.heard,
            active: state.active,
            acknowledged: state.acknowledged,
            told: state.told.clone(),
            rules: state.rules.clone(),
        });
        let held = self.held.iter().map(|held| SavedHeld {
            rule: held.rule,
            due_ms: held.due_ms,
            anomaly: held.anomaly.clone(),
        });
        let pending = self.pending.iter().map(|pending| SavedPending {
            rule: pending.rule,
            place: pending.place,
            revert: pending.revert,
            anomaly: pending.anomaly.clone(),
            topic: pending.topic.clone(),
            payload: pending.payload.clone(),
            correlation: pending.correlation.clone(),
            attempt: pending.attempt,
            deadline_ms: pending.deadline_ms,
            refused: pending.refused.clone(),
        });
        Parts {
            devices: devices.collect(),
            held: held.collect(),
            pending: pending.collect(),
        }
    }

    /// Goes on with a state in place of all that is known. `now` is the head's
    /// time. Returns what the audit says of it.
    pub(crate) fn resume(
        &mut self,
        now: Now,
        head: &Head,
        parts: Parts,
    ) -> Result<Vec<Message>, StateError> {
        if head.monotonic_ms > NUMBER_MAX || head.commands > NUMBER_MAX {
            return Err(StateError::new("a number in it is too large"));
        }
        let rules = Rules::new(self, head);
        let devices = self.fit_devices(head, &rules, parts.devices)?;
        let (mut held, mut pending, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for saved in parts.held {
            check(&saved.anomaly)?;
            let name = rules.name(saved.rule)?;
            let Some(fitting) = self.fit_held(now, &rules, &saved, &devices) else {
                let entry = Entry::of(now.unix_ms, &name, &saved.anomaly, Decision::Suppressed);
                out.push(entry.because(CHANGED).message());
                continue;
            };
            if held.len() < HELD_MAX {
                held.push(fitting);
            }
        }
        for saved in parts.pending {
            check(&saved.anomaly)?;
            let name = rules.name(saved.rule)?;
            let room = pending.len() < self.config.pending_max as usize;
            match self.fit_pending(now, &rules, &saved).filter(|_| room) {
                Some(fitting) => pending.push(fitting),
                None => {
                    let entry = Entry::of(now.unix_ms, &name, &saved.anomaly, Decision::Abandoned);
                    let mut entry = entry.because(CHANGED);
                    entry.revert = saved.revert;
                    out.push(entry.message());
                }
            }
        }
        self.acted = self.fit_acted(head, &rules);
        self.calls = devices.values().map(|state| state.heard).max().unwrap_or(0);
        self.commands = head.commands;
        (self.devices, self.held, self.pending) = (devices, held, pending);
        Ok(out)
    }

    /// Whether `message` is a command that waits for its answer.
    pub(crate) fn awaits(&self, message: &Message) -> bool {
        let correlation = message.correlation.as_deref();
        self.pending.iter().any(|pending| {
            correlation == Some(pending.correlation.as_bytes())
                && message.topic == pending.topic
                && message.payload == pending.payload.as_bytes()
                && message.reply_to.as_ref() == Some(&self.config.reply_to)
        })
    }

    fn fit_devices(
        &self,
        head: &Head,
        rules: &Rules,
        saved: Vec<SavedDevice>,
    ) -> Result<HashMap<Place, State>, StateError> {
        let mut kept: Vec<SavedDevice> = saved;
        kept.truncate(self.config.devices_max as usize);
        kept.sort_by_key(|device| device.heard);
        let mut devices = HashMap::new();
        for (heard, saved) in (1..).zip(kept) {
            if place_of(&format!("x/{}/{}", saved.site, saved.device)).is_none()
                || saved.site.contains('/')
            {
                return Err(StateError::new("a device's name is none"));
            }
            if saved.rules.len() != head.rules.len() {
                return Err(StateError::new("a device has other rules than its head"));
            }
            let of_rule = |own: usize| {
                let saved = rules.former(own).and_then(|place| saved.rules.get(place));
                let state = saved.copied().unwrap_or_default();
                RuleState {
                    last_ms: state.last_ms.map(|ms| ms.min(head.monotonic_ms)),
                    ..state
                }
            };
            let state = State {
                heard,
                active: saved.active,
                acknowledged: saved.acknowledged,
                rules: (0..self.steps.len()).map(of_rule).collect(),
                told: saved.told,
            };
            if devices.insert((saved.site, saved.device), state).is_some() {
                return Err(StateError::new("a device is in it twice"));
            }
        }
        Ok(devices)
    }

    fn fit_acted(&self, head: &Head, rules: &Rules) -> Vec<VecDeque<u64>> {
        let of_rule = |(own, rule): (usize, &crate::config::Rule)| {
            let saved = rules.former(own).and_then(|place| head.rules.get(place));
            let mut acted = saved
                .map(|saved| saved.acted_ms.clone())
                .unwrap_or_default();
            acted.retain(|ms| *ms <= head.monotonic_ms);
            acted.sort_unstable();
            let older = acted
                .len()
                .saturating_sub(rule.actions_per_hour_max as usize);
            acted.into_iter().skip(older).collect()
        };
        let own = self.config.rules.iter().enumerate();
        own.map(of_rule).collect()
    }

    fn fit_held(
        &self,
        now: Now,
        rules: &Rules,
        saved: &SavedHeld,
        devices: &HashMap<Place, State>,
    ) -> Option<Held> {
        let rule = rules.own(saved.rule)?;
        let config = self
            .rule(rule)
            .filter(|rule| rule.matches(&saved.anomaly))?;
        let place = cause(rule, now, &saved.anomaly).place();
        devices.get(&place).filter(|state| state.active)?;
        let latest_ms = now.monotonic_ms.saturating_add(config.hold_off_ms.into());
        Some(Held {
            rule,
            due_ms: saved.due_ms.min(latest_ms),
            anomaly: saved.anomaly.clone(),
        })
    }

    fn fit_pending(&self, now: Now, rules: &Rules, saved: &SavedPending) -> Option<Pending> {
        let rule = rules.own(saved.rule)?;
        let (config, steps) = (self.rule(rule)?, self.steps.get(rule)?);
        let (list, matches) = if saved.revert {
            (&steps.revert, config.is_for(&saved.anomaly))
        } else {
            (&steps.actions, config.matches(&saved.anomaly))
        };
        let Step::Command(step) = list.get(saved.place)? else {
            return None;
        };
        let (name, anomaly) = (self.name(rule), &saved.anomaly);
        let topic = step.topic.topic(name, anomaly).ok()?;
        let payload = step.payload.json(name, anomaly).to_string();
        let same = topic == saved.topic && payload == saved.payload;
        if !matches || !same || saved.correlation.len() > CORRELATION_BYTES_MAX {
            return None;
        }
        let latest_ms = now.monotonic_ms.saturating_add(step.timeout_ms);
        Some(Pending {
            rule,
            anomaly: anomaly.clone(),
            topic: saved.topic.clone(),
            payload: saved.payload.clone(),
            correlation: saved.correlation.clone(),
            revert: saved.revert,
            attempt: saved.attempt.clamp(1, step.attempts_max),
            deadline_ms: saved.deadline_ms.min(latest_ms),
            refused: saved.refused.as_deref().map(shown),
            place: saved.place,
            timeout_ms: step.timeout_ms,
            attempts_max: step.attempts_max,
        })
    }
}

/// An anomaly of a state is as foreign as one of the bus.
fn check(anomaly: &Anomaly) -> Result<(), StateError> {
    let topic = format!("x/{}/{}", anomaly.site, anomaly.device);
    anomaly.check(&topic).map_err(StateError::new)
}

/// Which rule of a state is which of this configuration: by their names.
struct Rules {
    /// Of each rule of the state: its name, and the place of ours.
    of_state: Vec<(String, Option<usize>)>,
}

impl Rules {
    fn new(responder: &Responder, head: &Head) -> Self {
        let own = |saved: &SavedRule| {
            let mut own = responder.config.rules.iter();
            let place = own.position(|rule| rule.name == saved.name);
            (shown(&saved.name), place)
        };
        Self {
            of_state: head.rules.iter().map(own).collect(),
        }
    }

    /// Our place of the state's rule.
    fn own(&self, place: usize) -> Option<usize> {
        self.of_state.get(place)?.1
    }

    /// The state's place of our rule.
    fn former(&self, own: usize) -> Option<usize> {
        self.of_state
            .iter()
            .position(|(_, place)| *place == Some(own))
    }

    fn name(&self, place: usize) -> Result<String, StateError> {
        let rule = self.of_state.get(place);
        let rule = rule.ok_or_else(|| StateError::new("it speaks of a rule without a name"))?;
        Ok(rule.0.clone())
    }
}
