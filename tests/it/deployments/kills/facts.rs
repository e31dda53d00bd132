//! What is known of a device from outside, and what must therefore hold.
//!
//! Written down: what was submitted, what was heard of it, how it ended. After
//! each start the host's history is held against that: no number twice, each
//! ended once and for ever, kept only what can be kept, undone what was cut off.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::client::Outcome;
use super::documents::{Draft, Fate};

/// Deployments that a host remembers.
const REMEMBERED: usize = 200;

/// What is known of one device.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// By their marks: all that was handed in, also where no answer came.
    drafts: BTreeMap<u64, Draft>,
    /// The mark of each deployment.
    marks: BTreeMap<u64, u64>,
    /// Their reports, once they have ended.
    ended: BTreeMap<u64, Value>,
    /// The last phase that was heard of, before the host was killed.
    heard: BTreeMap<u64, String>,
    /// Those that got their poison as their probation began.
    poisoned: BTreeSet<u64>,
}

/// What became of what was killed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) committed: u64,
    /// Cut off after their swap, and undone.
    pub(crate) undone: u64,
    /// By itself, in its probation.
    pub(crate) rolled_back: u64,
    pub(crate) failed: u64,
    pub(crate) superseded: u64,
}

/// The text at `key`.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The number at `key`.
pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The list at `key`.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Whether it is over.
pub(crate) fn is_final(phase: &str) -> bool {
    ["committed", "rolled-back", "failed", "superseded"].contains(&phase)
}

fn has_swapped(phase: &str) -> bool {
    ["swap", "probation"].contains(&phase)
}

fn is_interrupted(report: &Value) -> bool {
    let mut faults = list(report, "faults").iter();
    faults.any(|fault| text(fault, "code") == "interrupted")
}

impl Facts {
    /// A document that is handed in now.
    pub(crate) fn draft(&mut self, draft: &Draft) {
        self.drafts.insert(draft.mark, draft.clone());
    }

    /// The number that a document was given.
    pub(crate) fn taken_in(&mut self, id: u64, mark: u64) -> Outcome<()> {
        let last = self.marks.last_key_value().map_or(0, |(id, _)| *id);
        if id <= last {
            return Err(format!("number {id} was given out after {last}").into());
        }
        self.marks.insert(id, mark);
        Ok(())
    }

    /// What was said of a deployment before the host was killed.
    pub(crate) fn heard(&mut self, id: u64, phase: &str) {
        self.heard.insert(id, phase.to_owned());
    }

    /// A plugin of it must have given up a message.
    pub(crate) fn poisoned(&mut self, id: u64) {
        self.poisoned.insert(id);
    }

    /// What a deployment is of.
    pub(crate) fn of(&self, id: u64) -> Outcome<&Draft> {
        let mark = self.marks.get(&id);
        let draft = mark.and_then(|mark| self.drafts.get(mark));
        draft.ok_or_else(|| format!("nobody deployed {id}").into())
    }

    /// Holds what the host says against what is known. Its status is asked for
    /// first. `restarted`: it has just been started again, and all that was heard
    /// before is past.
    pub(crate) fn check(
        &mut self,
        status: &Value,
        history: &Value,
        restarted: bool,
    ) -> Outcome<()> {
        let history = history.as_array().map(Vec::as_slice).unwrap_or_default();
        for report in history.iter().rev() {
            self.check_report(report, restarted)?;
        }
        if restarted {
            self.heard.clear();
        }
        let told: Vec<_> = history.iter().map(|report| number(report, "id")).collect();
        if !told.is_sorted_by(|newer, older| newer > older) {
            return Err(format!("numbers twice or in no order: {told:?}").into());
        }
        let oldest = if history.len() < REMEMBERED {
            0
        } else {
            told.last().copied().unwrap_or(0)
        };
        if let Some((lost, _)) = self
            .marks
            .range(oldest..)
            .find(|(id, _)| !told.contains(id))
        {
            return Err(format!("deployment {lost} is forgotten").into());
        }
        let expected = list(status, "under_way")
            .iter()
            .map(|report| number(report, "id"));
        let expected: Vec<_> = expected.collect();
        let open = history
            .iter()
            .filter(|report| !is_final(text(report, "phase")));
        for id in open.map(|report| number(report, "id")) {
            if !expected.contains(&id) {
                return Err(format!("deployment {id} neither goes on nor has ended").into());
            }
        }
        Ok(())
    }

    fn check_report(&mut self, report: &Value, restarted: bool) -> Outcome<()> {
        let (id, phase) = (number(report, "id"), text(report, "phase"));
        let wrong = |what: &str| -> Outcome<()> { Err(format!("{what}: {report}").into()) };
        let mark = text(report, "version").split('.').next();
        let mark: u64 = mark.unwrap_or_default().parse()?;
        match self.marks.get(&id) {
            Some(known) if *known != mark => return wrong("a number was used again"),
            Some(_) => {}
            // Its number was on the way when the host was killed.
            None if self.marks.values().any(|other| *other == mark) => {
                return wrong("taken in twice");
            }
            None => self.taken_in(id, mark)?,
        }
        if let Some(before) = self.ended.get(&id) {
            return if before == report {
                Ok(())
            } else {
                wrong("what had ended changed")
            };
        }
        let heard = self.heard.get(&id).map(String::as_str).unwrap_or_default();
        if restarted && is_final(heard) && heard != phase {
            return wrong(&format!("{heard} had been heard"));
        }
        if restarted && has_swapped(heard) && (!is_final(phase) || phase == "failed") {
            return wrong(&format!("cut off in {heard}, and not undone"));
        }
        if !is_final(phase) {
            return Ok(());
        }
        let fate = self.of(id)?.fate;
        let fits = match phase {
            "committed" => fate != Fate::Refused && !self.poisoned.contains(&id),
            "rolled-back" => {
                fate != Fate::Refused && (fate == Fate::RolledBack || is_interrupted(report))
            }
            "failed" => fate == Fate::Refused || is_interrupted(report),
            _ => true,
        };
        if !fits || report.get("ended_at").is_none() {
            return wrong(&format!("{fate:?} was to be its fate"));
        }
        self.ended.insert(id, report.clone());
        Ok(())
    }

    /// The newest that was kept.
    pub(crate) fn newest_kept(&self) -> Option<u64> {
        let mut ended = self.ended.iter().rev();
        let kept = ended.find(|(_, report)| text(report, "phase") == "committed");
        kept.map(|(id, _)| *id)
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for report in self.ended.values() {
            let count = match text(report, "phase") {
                "committed" => &mut tally.committed,
                "rolled-back" if is_interrupted(report) => &mut tally.undone,
                "rolled-back" => &mut tally.rolled_back,
                "superseded" => &mut tally.superseded,
                _ => &mut tally.failed,
            };
            *count += 1;
        }
        tally
    }
}
