//! What is done: notices and commands go out, wait for answers, and are undone when
//! the anomaly ends.
//!
//! Every step is written down, also one that cannot be taken.

use selvedge_plugin::Message;

use super::{Cause, Now, Responder, cause, same_place, shown};
use crate::anomaly::Anomaly;
use crate::audit::{Decision, Entry, json};
use crate::config::{CommandStep, Step};
use crate::pending::Pending;

impl Responder {
    /// Takes the steps of a rule.
    pub(super) fn act(&mut self, cause: Cause<'_>, out: &mut Vec<Message>) {
        self.abandon(cause, "the rule acts again", out);
        let now_ms = cause.now.monotonic_ms;
        let steps = self.steps.get(cause.rule);
        let actions = steps.map(|steps| steps.actions.clone());
        let mut sent = 0;
        for (place, step) in actions.iter().flatten().enumerate() {
            sent += usize::from(self.run_step(cause, (place, step), out));
        }
        if let Some(acted) = self.acted.get_mut(cause.rule) {
            acted.extend(std::iter::repeat_n(now_ms, sent));
        }
        let state = self.devices.get_mut(&cause.place());
        if let Some(state) = state.and_then(|state| state.rules.get_mut(cause.rule)) {
            state.last_ms = Some(now_ms);
            state.acted |= sent > 0;
        }
    }

    /// Takes the step at a place of its list; returns whether something was sent.
    fn run_step(
        &mut self,
        cause: Cause<'_>,
        (place, step): (usize, &Step),
        out: &mut Vec<Message>,
    ) -> bool {
        let anomaly = cause.anomaly;
        let name = self.name(cause.rule).to_owned();
        let mut entry = Entry::of(cause.now.unix_ms, &name, anomaly, Decision::Acted);
        entry.revert = cause.revert;
        match step {
            Step::Notify(template) => {
                let topic = format!("notice/{}/{}", anomaly.site, anomaly.device);
                let text = template.text(&name, anomaly);
                out.push(json(topic.clone(), &serde_json::json!({ "text": text })));
                entry.topic = Some(&topic);
                out.push(entry.message());
                true
            }
            Step::Command(command) => match self.command(cause, place, command) {
                Ok(pending) => {
                    out.push(pending.message(&self.config.reply_to));
                    entry.topic = Some(&pending.topic);
                    entry.attempt = Some(pending.attempt);
                    out.push(entry.message());
                    self.pending.push(pending);
                    true
                }
                Err(why) => {
                    entry.decision = Decision::Suppressed;
                    out.push(entry.because(why).message());
                    false
                }
            },
        }
    }

    fn command(
        &mut self,
        cause: Cause<'_>,
        place: usize,
        step: &CommandStep,
    ) -> Result<Pending, String> {
        let Cause {
            rule,
            now,
            anomaly,
            revert,
        } = cause;
        if self.pending.len() >= self.config.pending_max as usize {
            return Err("too many commands wait for an answer".to_owned());
        }
        let name = self.name(rule);
        let topic = step.topic.topic(name, anomaly);
        let topic = topic.map_err(|error| shown(&error.to_string()))?;
        let payload = step.payload.json(name, anomaly).to_string();
        self.commands += 1;
        Ok(Pending {
            rule,
            anomaly: anomaly.clone(),
            topic,
            payload,
            correlation: format!("{:x}-{:x}", self.run, self.commands),
            revert,
            attempt: 1,
            deadline_ms: now.monotonic_ms.saturating_add(step.timeout_ms),
            refused: None,
            place,
            timeout_ms: step.timeout_ms,
            attempts_max: step.attempts_max,
        })
    }

    /// An anomaly ended: nothing waits any longer, and what was done is undone.
    pub(super) fn cleared(&mut self, now: Now, anomaly: &Anomaly, out: &mut Vec<Message>) {
        let place = (anomaly.site.clone(), anomaly.device.clone());
        self.drop_held(now, &place, "cleared during the hold-off", out);
        let Some(state) = self.devices.get_mut(&place) else {
            return;
        };
        (state.active, state.acknowledged) = (false, false);
        state.told = None;
        let acted: Vec<usize> = (0..)
            .zip(&mut state.rules)
            .filter_map(|(rule, state)| std::mem::take(&mut state.acted).then_some(rule))
            .collect();
        for rule in acted {
            let mut cause = cause(rule, now, anomaly);
            self.abandon(cause, "the anomaly cleared", out);
            cause.revert = true;
            let revert = self.steps.get(rule).map(|steps| steps.revert.clone());
            for (place, step) in revert.iter().flatten().enumerate() {
                self.run_step(cause, (place, step), out);
            }
        }
    }

    /// Stops waiting for answers to what a rule told a device.
    fn abandon(&mut self, cause: Cause<'_>, why: &str, out: &mut Vec<Message>) {
        let theirs = |pending: &mut Pending| {
            pending.rule == cause.rule && same_place(&pending.anomaly, cause.anomaly)
        };
        let abandoned: Vec<Pending> = self.pending.extract_if(.., theirs).collect();
        for pending in abandoned {
            let entry = self.about(cause.now, &pending, Decision::Abandoned, why.to_owned());
            out.push(entry);
        }
    }
}
