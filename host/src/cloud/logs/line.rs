//! One line, as it comes from the bus and as it leaves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Dropped;
use crate::bus::Message;
use crate::cloud::config::LineLevel;
use crate::deployment::report::{DeploymentReport, Phase};

/// Where plugins' lines are published, and how deployments and units go.
pub const LOGS: &str = "$selvedge/log/";
pub const STATES: &str = "$selvedge/state/";
pub const DEPLOYMENT: &str = "$selvedge/deployment";
/// Who says what the host says.
pub const HOST: &str = "selvedge";
/// Faults of one deployment that are told.
const FAULTS_MAX: usize = 3;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    pub source: String,
    pub level: LineLevel,
    pub text: String,
    /// Lines before it that were dropped where they were made.
    pub dropped: u64,
}

/// A line as ports publish it.
#[derive(Deserialize)]
struct Published {
    level: LineLevel,
    #[serde(default)]
    context: String,
    text: String,
    #[serde(default)]
    dropped: u64,
}

/// A state as the host publishes it.
#[derive(Deserialize)]
struct State {
    state: String,
    #[serde(default)]
    error: String,
}

/// A line as it leaves.
#[derive(Serialize)]
struct Told<'a> {
    at: Timestamp,
    source: &'a str,
    level: LineLevel,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<&'a Dropped>,
}

impl Line {
    /// The line that a message on the bus is, if it is one.
    pub fn of(message: &Message) -> Option<Self> {
        let topic = message.topic.as_str();
        let at = i128::from(message.published_at);
        let at = Timestamp::from_nanosecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let line = |source: &str, level, text| Self {
            at,
            source: source.to_owned(),
            level,
            text,
            dropped: 0,
        };
        if let Some(plugin) = topic.strip_prefix(LOGS) {
            let published: Published = serde_json::from_slice(&message.payload).ok()?;
            let Published {
                level,
                context,
                text,
                dropped,
            } = published;
            let text = if context.is_empty() {
                text
            } else {
                format!("{context}: {text}")
            };
            return Some(Self {
                dropped,
                ..line(plugin, level, text)
            });
        }
        if message.retain {
            // How it was before is no news.
            return None;
        }
        if let Some(unit) = topic.strip_prefix(STATES) {
            let State { state, error } = serde_json::from_slice(&message.payload).ok()?;
            let level = match state.as_str() {
                "given-up" => LineLevel::Error,
                "backing-off" => LineLevel::Warn,
                _ => LineLevel::Info,
            };
            let why = if error.is_empty() {
                error
            } else {
                format!(": {error}")
            };
            return Some(line(HOST, level, format!("{unit} {state}{why}")));
        }
        if topic == DEPLOYMENT {
            let report: DeploymentReport = serde_json::from_slice(&message.payload).ok()?;
            let (level, text) = of_deployment(&report);
            return Some(line(HOST, level, text));
        }
        None
    }

    /// As JSON, in about `bytes_max` at most: a longer text is cut.
    pub fn json(&self, bytes_max: usize) -> String {
        let mut text = self.text.as_str();
        loop {
            let told = Told {
                at: self.at,
                source: &self.source,
                level: self.level,
                text,
                dropped: None,
            };
            let json = serde_json::to_string(&told).unwrap_or_default();
            if json.len() <= bytes_max || text.is_empty() {
                return json;
            }
            // Escapes may make it longer than the text is: by halves it ends soon.
            let half = text.len() / 2;
            let end = (0..=half).rev().find(|end| text.is_char_boundary(*end));
            text = text.get(..end.unwrap_or(0)).unwrap_or_default();
        }
    }
}

/// What is said of lines that were dropped.
pub fn notice(total: u64, dropped: &Dropped) -> String {
    let told = Told {
        at: Timestamp::now(),
        source: HOST,
        level: LineLevel::Warn,
        text: &format!("{total} lines dropped"),
        dropped: Some(dropped),
    };
    serde_json::to_string(&told).unwrap_or_default()
}

fn of_deployment(report: &DeploymentReport) -> (LineLevel, String) {
    let level = match report.phase {
        Phase::Failed | Phase::RolledBack => LineLevel::Error,
        Phase::Superseded => LineLevel::Warn,
        _ => LineLevel::Info,
    };
    let phase = crate::cloud::operator::phase(report.phase);
    let faults = report.faults.iter().take(FAULTS_MAX);
    let faults = faults.map(|fault| format!("; {} [{}]", fault.message, fault.code));
    let faults: String = faults.collect();
    let (id, name, version) = (report.id, &report.name, &report.version);
    (
        level,
        format!("deployment {id} ({name} {version}) {phase}{faults}"),
    )
}
