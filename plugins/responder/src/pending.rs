//! A command that waits for its answer, and what an answer says.

use selvedge_plugin::Message;
use serde_json::Value as Json;

use crate::anomaly::Anomaly;

#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) rule: usize,
    pub(crate) anomaly: Anomaly,
    pub(crate) topic: String,
    pub(crate) payload: String,
    /// The same at every attempt: a late answer to an earlier one counts.
    pub(crate) correlation: String,
    pub(crate) revert: bool,
    /// From 1.
    pub(crate) attempt: u32,
    pub(crate) deadline_ms: u64,
    /// What the device said against this attempt.
    pub(crate) refused: Option<String>,
    /// Which of the rule's steps it is.
    pub(crate) place: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) attempts_max: u32,
}

impl Pending {
    /// The command, as sent.
    pub(crate) fn message(&self, reply_to: &str) -> Message {
        let mut message = Message::new(self.topic.clone(), self.payload.clone())
            .with_content_type("application/json");
        message.reply_to = Some(reply_to.to_owned());
        message.correlation = Some(self.correlation.clone().into_bytes());
        message
    }
}

/// The reason in an answer that says no: an object with `"ok": false` or an
/// `error`. Anything else confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let answer: Json = serde_json::from_slice(payload).ok()?;
        let error = answer.get("error").filter(|error| !error.is_null());
        if error.is_none() && answer.get("ok") != Some(&Json::Bool(false)) {
            return None;
        }
        let reason = match error {
            Some(Json::String(error)) => error.clone(),
            Some(error) => error.to_string(),
            None => "refused".to_owned(),
        };
        Some(Self(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_confirms_unless_it_says_no() {
        let check = |payload: &str, expected: Option<&str>| {
            let refusal = Refusal::read(payload.as_bytes()).map(|refusal| refusal.0);
            assert_eq!(refusal.as_deref(), expected, "{payload}");
        };
        check(r#"{"ok":true}"#, None);
        check(r#"{"ok":true,"error":null}"#, None);
        check("done", None);
        check("", None);
        check(r#"{"ok":false}"#, Some("refused"));
        check(
            r#"{"ok":false,"error":"no point `x`"}"#,
            Some("no point `x`"),
        );
        check(r#"{"error":{"code":4}}"#, Some(r#"{"code":4}"#));
    }
}
