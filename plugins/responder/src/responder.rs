//! Decides what to do about anomalies, and says so.
//!
//! Pure: what happened and when goes in, messages come out, among them one on
//! `audit/<site>/<device>` for every decision. Time comes from outside as
//! [`Now`]; nothing here waits.

mod acting;
mod considering;
mod saved;

pub(crate) use saved::{Head, Parts, SavedDevice, SavedHeld, SavedPending};

use std::collections::{HashMap, VecDeque};

use selvedge_plugin::Message;
use serde::{Deserialize, Serialize};

use crate::anomaly::{Anomaly, AnomalyState};
use crate::audit::{Decision, Entry};
use crate::config::{Config, ConfigError, Rule, Steps};
use crate::pending::{Pending, Refusal};

const HOUR_MS: u64 = 3_600_000;

/// Hold-offs waiting at once; one more is not done.
const HELD_MAX: usize = 4_096;

/// The time, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back: for waiting.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch: for the audit.
    pub unix_ms: u64,
}

/// What to do about the anomalies of all devices.
#[derive(Debug, Clone)]
pub struct Responder {
    config: Config,
    steps: Vec<Steps>,
    devices: HashMap<Place, State>,
    held: Vec<Held>,
    pending: Vec<Pending>,
    /// For each rule, when it acted within the last hour.
    acted: Vec<VecDeque<u64>>,
    /// Tells this run's commands from those of earlier ones.
    run: u64,
    commands: u64,
    calls: u64,
}

type Place = (String, String);

/// One device.
#[derive(Debug, Clone, Default)]
struct State {
    heard: u64,
    active: bool,
    acknowledged: bool,
    /// Kind and beginning of the anomaly heard of last.
    told: Option<(String, f64)>,
    /// For each rule.
    rules: Vec<RuleState>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleState {
    /// Whether there is something to revert.
    acted: bool,
    /// Whether it was considered when this anomaly was raised.
    considered: bool,
    last_ms: Option<u64>,
}

/// An action that waits for its hold-off to pass.
#[derive(Debug, Clone)]
struct Held {
    rule: usize,
    due_ms: u64,
    anomaly: Anomaly,
}

/// Why a rule looks at a device now.
#[derive(Debug, Clone, Copy)]
struct Cause<'a> {
    rule: usize,
    now: Now,
    anomaly: &'a Anomaly,
    revert: bool,
}

impl Cause<'_> {
    fn place(&self) -> Place {
        (self.anomaly.site.clone(), self.anomaly.device.clone())
    }
}

/// Who acknowledged; everything is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Acknowledgement {
    by: String,
}

impl Responder {
    /// Nothing known yet. `run` should differ from run to run.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Config, run: u64) -> Result<Self, ConfigError> {
        let steps = config.compile()?;
        Ok(Self {
            acted: vec![VecDeque::new(); steps.len()],
            steps,
            config,
            devices: HashMap::new(),
            held: Vec::new(),
            pending: Vec::new(),
            run,
            commands: 0,
            calls: 0,
        })
    }

    /// An anomaly began, goes on or ended.
    pub fn anomaly(&mut self, now: Now, anomaly: &Anomaly) -> Vec<Message> {
        let mut out = Vec::new();
        let place = (anomaly.site.clone(), anomaly.device.clone());
        if anomaly.state == AnomalyState::Cleared {
            self.cleared(now, anomaly, &mut out);
            return out;
        }
        if !self.make_room(&place) {
            let entry = entry(now, anomaly, Decision::Suppressed);
            out.push(entry.because("too many devices have an anomaly").message());
            return out;
        }
        self.calls += 1;
        let state = self.devices.entry(place.clone()).or_insert_with(|| State {
            rules: vec![RuleState::default(); self.steps.len()],
            ..State::default()
        });
        state.heard = self.calls;
        // After a restart the first word of an anomaly may be that it goes on.
        let first = !std::mem::replace(&mut state.active, true);
        let effective = if first {
            AnomalyState::Raised
        } else {
            anomaly.state
        };
        let told = Some((anomaly.kind.clone(), anomaly.since));
        if state.told != told {
            state.told = told;
            for rule in &mut state.rules {
                rule.considered = false;
            }
        }
        for rule in 0..self.steps.len() {
            let matches = |rule: &&Rule| rule.matches(anomaly) && rule.states.contains(&effective);
            if self.config.rules.get(rule).filter(matches).is_none() {
                continue;
            }
            // What is kept or not acknowledged is delivered again, after an
            // update for example: an anomaly is raised once.
            let again = effective == AnomalyState::Raised && self.is_considered(&place, rule);
            if !again {
                self.consider(cause(rule, now, anomaly), &mut out);
            }
        }
        out
    }

    /// An operator has seen the anomaly of this device: repeats and what is
    /// held off are suppressed until it clears.
    pub fn acknowledge(
        &mut self,
        now: Now,
        (site, device): (&str, &str),
        payload: &[u8],
    ) -> Vec<Message> {
        let mut out = Vec::new();
        let given: Acknowledgement = serde_json::from_slice(payload).unwrap_or_default();
        let place = (site.to_owned(), device.to_owned());
        let active = self.devices.get_mut(&place).filter(|state| state.active);
        let Some(state) = active else {
            let entry = Entry::new(now.unix_ms, site, device, Decision::Suppressed);
            out.push(entry.because("nothing to acknowledge").message());
            return out;
        };
        state.acknowledged = true;
        let mut entry = Entry::new(now.unix_ms, site, device, Decision::Acknowledged);
        if !given.by.is_empty() {
            entry = entry.because(format!("by {}", shown(&given.by)));
        }
        out.push(entry.message());
        self.drop_held(now, &place, "acknowledged", &mut out);
        out
    }

    /// A device answers a command. `None` if no command waits for it.
    pub fn reply(&mut self, now: Now, correlation: &[u8], payload: &[u8]) -> Option<Vec<Message>> {
        let waits = |pending: &Pending| pending.correlation.as_bytes() == correlation;
        let place = self.pending.iter().position(waits)?;
        let pending = self.pending.get_mut(place)?;
        let refusal = Refusal::read(payload).map(|Refusal(reason)| shown(&reason));
        let last = pending.attempt >= pending.attempts_max;
        let decision = match &refusal {
            // It may do better when it is asked again, which is when this
            // attempt's time is over.
            Some(_) if !last => {
                pending.refused = refusal;
                return Some(Vec::new());
            }
            Some(_) => Decision::Failed,
            None => Decision::Confirmed,
        };
        let pending = self.pending.remove(place);
        let message = self.about(now, &pending, decision, refusal.unwrap_or_default());
        Some(vec![message])
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) -> Vec<Message> {
        let mut out = Vec::new();
        let due = |held: &mut Held| held.due_ms <= now.monotonic_ms;
        let held: Vec<Held> = self.held.extract_if(.., due).collect();
        for held in held {
            let cause = cause(held.rule, now, &held.anomaly);
            match self.why_not(cause) {
                None => self.act(cause, &mut out),
                Some(why) => out.push(self.suppressed(cause, why)),
            }
        }
        let due = |pending: &mut Pending| pending.deadline_ms <= now.monotonic_ms;
        let late: Vec<Pending> = self.pending.extract_if(.., due).collect();
        for mut pending in late {
            let refused = pending.refused.take();
            let reason = refused.clone().unwrap_or_else(|| "no answer".to_owned());
            if pending.attempt < pending.attempts_max {
                pending.attempt += 1;
                pending.deadline_ms = now.monotonic_ms.saturating_add(pending.timeout_ms);
                out.push(pending.message(&self.config.reply_to));
                out.push(self.about(now, &pending, Decision::Retried, reason));
                self.pending.push(pending);
            } else if refused.is_some() {
                out.push(self.about(now, &pending, Decision::Failed, reason));
            } else {
                out.push(self.about(now, &pending, Decision::TimedOut, reason));
            }
        }
        out
    }

    /// Milliseconds between two ticks.
    pub fn tick_ms(&self) -> u32 {
        self.config.tick_ms
    }

    /// Where commands are answered.
    pub fn reply_to(&self) -> &str {
        &self.config.reply_to
    }

    /// Whether `place` is known or may become so.
    fn make_room(&mut self, place: &Place) -> bool {
        let full = self.devices.len() >= self.config.devices_max as usize;
        if !full || self.devices.contains_key(place) {
            return true;
        }
        let stalest = self
            .devices
            .iter()
            .filter(|(_, state)| !state.active)
            .min_by_key(|(_, state)| state.heard)
            .map(|(place, _)| place.clone());
        stalest.is_some_and(|stalest| self.devices.remove(&stalest).is_some())
    }

    fn rule(&self, rule: usize) -> Option<&Rule> {
        self.config.rules.get(rule)
    }

    fn name(&self, rule: usize) -> &str {
        self.rule(rule).map_or("", |rule| rule.name.as_str())
    }

    fn suppressed(&self, cause: Cause<'_>, why: &str) -> Message {
        let name = self.name(cause.rule);
        Entry::of(cause.now.unix_ms, name, cause.anomaly, Decision::Suppressed)
            .because(why)
            .message()
    }

    /// The entry about what became of a command.
    fn about(&self, now: Now, pending: &Pending, decision: Decision, reason: String) -> Message {
        let name = self.name(pending.rule);
        let mut entry = Entry::of(now.unix_ms, name, &pending.anomaly, decision);
        entry.topic = Some(&pending.topic);
        entry.attempt = Some(pending.attempt);
        entry.revert = pending.revert;
        entry.reason = Some(reason).filter(|reason| !reason.is_empty());
        entry.message()
    }
}

fn cause(rule: usize, now: Now, anomaly: &Anomaly) -> Cause<'_> {
    Cause {
        rule,
        now,
        anomaly,
        revert: false,
    }
}

fn entry(now: Now, anomaly: &Anomaly, decision: Decision) -> Entry<'_> {
    let mut entry = Entry::new(now.unix_ms, &anomaly.site, &anomaly.device, decision);
    entry.kind = Some(&anomaly.kind);
    entry
}

fn same_place(a: &Anomaly, b: &Anomaly) -> bool {
    a.site == b.site && a.device == b.device
}

/// Foreign text as it may be shown: one line, 256 characters at most.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(256).map(plain).collect()
}

#[cfg(test)]
mod tests;
