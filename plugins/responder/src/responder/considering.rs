//! Whether a rule that matches is to act: at once, after its hold-off, or not at all.
//!
//! What is not done is written down with its reason.

use selvedge_plugin::Message;

use super::{Cause, HELD_MAX, HOUR_MS, Held, Now, Place, Responder, cause, same_place};
use crate::audit::{Decision, Entry};

impl Responder {
    /// Whether the rule was considered when this anomaly was raised; from now on
    /// it was.
    pub(super) fn is_considered(&mut self, place: &Place, rule: usize) -> bool {
        let state = self.devices.get_mut(place);
        let state = state.and_then(|state| state.rules.get_mut(rule));
        state.is_some_and(|state| std::mem::replace(&mut state.considered, true))
    }

    /// A rule matches: holds off, acts, or says why not.
    pub(super) fn consider(&mut self, cause: Cause<'_>, out: &mut Vec<Message>) {
        let Cause {
            rule, now, anomaly, ..
        } = cause;
        let waiting = self
            .held
            .iter_mut()
            .find(|held| held.rule == rule && same_place(&held.anomaly, anomaly));
        if let Some(held) = waiting {
            held.anomaly = anomaly.clone();
            return;
        }
        let hold_off_ms = self.rule(rule).map_or(0, |rule| rule.hold_off_ms);
        let why = self.why_not(cause).or_else(|| {
            let full = hold_off_ms > 0 && self.held.len() >= HELD_MAX;
            full.then_some("too many hold-offs wait")
        });
        if let Some(why) = why {
            out.push(self.suppressed(cause, why));
        } else if hold_off_ms == 0 {
            self.act(cause, out);
        } else {
            self.held.push(Held {
                rule,
                due_ms: now.monotonic_ms.saturating_add(u64::from(hold_off_ms)),
                anomaly: anomaly.clone(),
            });
            let name = self.name(rule);
            let entry = Entry::of(now.unix_ms, name, anomaly, Decision::Held);
            out.push(entry.because(format!("for {hold_off_ms} ms")).message());
        }
    }

    /// Why a rule that matches is not to act now.
    pub(super) fn why_not(&mut self, cause: Cause<'_>) -> Option<&'static str> {
        let now_ms = cause.now.monotonic_ms;
        let state = self.devices.get(&cause.place())?;
        if state.acknowledged {
            return Some("acknowledged");
        }
        let config = self.config.rules.get(cause.rule)?;
        let last_ms = state.rules.get(cause.rule)?.last_ms;
        let since_ms = last_ms.map(|last_ms| now_ms.saturating_sub(last_ms));
        if since_ms.is_some_and(|since_ms| since_ms < u64::from(config.cool_down_ms)) {
            return Some("cool-down");
        }
        let acted = self.acted.get_mut(cause.rule)?;
        while acted
            .front()
            .is_some_and(|at| now_ms.saturating_sub(*at) >= HOUR_MS)
        {
            acted.pop_front();
        }
        let full = acted.len() + config.actions.len() > config.actions_per_hour_max as usize;
        full.then_some("actions_per_hour_max")
    }

    /// Gives up what is held off of a device.
    pub(super) fn drop_held(
        &mut self,
        now: Now,
        place: &Place,
        why: &'static str,
        out: &mut Vec<Message>,
    ) {
        let (site, device) = place;
        let theirs = |held: &mut Held| held.anomaly.site == *site && held.anomaly.device == *device;
        let dropped: Vec<Held> = self.held.extract_if(.., theirs).collect();
        for held in dropped {
            out.push(self.suppressed(cause(held.rule, now, &held.anomaly), why));
        }
    }
}
