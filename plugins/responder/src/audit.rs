//! What was done or left undone, and why.

use selvedge_plugin::Message;
use serde::Serialize;

use crate::anomaly::Anomaly;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A message was sent.
    Acted,
    /// A command was sent again.
    Retried,
    /// The action waits until the anomaly has gone on for long enough.
    Held,
    /// Nothing was done; the reason says why.
    Suppressed,
    /// The device confirmed a command.
    Confirmed,
    /// The device refused a command for the last time.
    Failed,
    /// The device did not answer a command, for the last time.
    TimedOut,
    /// A command's answer is no longer waited for.
    Abandoned,
    /// An operator has seen the anomaly.
    Acknowledged,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry<'a> {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// Where the device stands.
    pub site: &'a str,
    /// Its name there.
    pub device: &'a str,
    /// The anomaly's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// What was decided.
    pub decision: Decision,
    /// Why, or what came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The topic of the message that was or would have been sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
    /// Which attempt at a command, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Whether it undoes what was done before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revert: bool,
}

impl<'a> Entry<'a> {
    pub(crate) fn new(unix_ms: u64, site: &'a str, device: &'a str, decision: Decision) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds are enough")]
        let at = unix_ms as f64 / 1e3;
        Self {
            at,
            site,
            device,
            kind: None,
            rule: None,
            decision,
            reason: None,
            topic: None,
            attempt: None,
            revert: false,
        }
    }

    pub(crate) fn of(
        unix_ms: u64,
        rule: &'a str,
        anomaly: &'a Anomaly,
        decision: Decision,
    ) -> Self {
        Self {
            kind: Some(&anomaly.kind),
            rule: Some(rule),
            ..Self::new(unix_ms, &anomaly.site, &anomaly.device, decision)
        }
    }

    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn message(&self) -> Message {
        let topic = format!("audit/{}/{}", self.site, self.device);
        json(topic, self)
    }
}

/// A message of `value` as JSON.
pub(crate) fn json(topic: String, value: &impl Serialize) -> Message {
    // What is written here has text keys and finite or absent numbers.
    let payload = serde_json::to_vec(value).unwrap_or_default();
    Message::new(topic, payload).with_content_type("application/json")
}
