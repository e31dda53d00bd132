//! Lines of the host itself: how deployments and units go.
//!
//! Only these, and in few words: all else that it logs goes to the journal, which
//! keeps more and outlives the process.

use jiff::Timestamp;

use super::super::wire::LogLine;
use super::super::wire::message::time;
use super::entries::State;
use crate::bus::Message;
use crate::deployment::report::{DeploymentReport, Phase};

/// Characters of one line.
const CHARS_MAX: usize = 2_000;
/// Faults of one deployment that are told.
const FAULTS_MAX: usize = 16;

fn line(at: Timestamp, level: &str, text: &str) -> LogLine {
    LogLine {
        at,
        plugin: None,
        level: level.to_owned(),
        text: text.chars().take(CHARS_MAX).collect(),
        dropped: 0,
    }
}

/// A deployment entered `phase`, or ended, which is told with its faults.
pub(super) fn deployment(report: &DeploymentReport, phase: Phase) -> Vec<LogLine> {
    let now = Timestamp::now();
    let (id, name, version) = (report.id, &report.name, &report.version);
    let (level, what) = match phase {
        Phase::Queued => ("info", "taken in"),
        Phase::Probation => ("info", "started"),
        Phase::Committed => ("info", "committed"),
        Phase::RolledBack => ("error", "rolled back: what ran before runs again"),
        Phase::Failed => ("error", "failed: what ran was not touched"),
        Phase::Superseded => ("warn", "superseded by a newer one"),
        Phase::Pull
        | Phase::Verify
        | Phase::Admit
        | Phase::Compile
        | Phase::Prepare
        | Phase::Swap => return Vec::new(),
    };
    let asked = match phase {
        Phase::Queued => format!(", asked for by {}", report.requested_by),
        _ => String::new(),
    };
    let mut lines = vec![line(
        now,
        level,
        &format!("deployment {id} ({name} {version}) {what}{asked}"),
    )];
    if phase.is_final() {
        let faults = report.faults.iter().take(FAULTS_MAX);
        lines.extend(faults.map(|fault| {
            let (message, code) = (&fault.message, &fault.code);
            line(now, level, &format!("deployment {id}: {message} [{code}]"))
        }));
    }
    lines
}

/// A unit's state changed, as `message` says. A kept value is no change.
pub(super) fn unit(unit: &str, message: &Message) -> Option<LogLine> {
    if message.retain {
        return None;
    }
    let State { state, error } = serde_json::from_slice(&message.payload).ok()?;
    let level = match state.as_str() {
        "given-up" => "error",
        "backing-off" => "warn",
        _ => "info",
    };
    let error = if error.is_empty() {
        error
    } else {
        format!(": {error}")
    };
    let text = format!("{unit} {state}{error}");
    Some(line(time(message.published_at), level, &text))
}
