//! Who changed what: a line in the log and a message on `$selvedge/audit`.
//!
//! Of every request that could have changed something, those that were refused
//! and those whose client did not wait for the answer included. Strangers cannot
//! flood it: beyond a rate, refusals are only counted, and the next line says how
//! many.

use std::time::Duration;

use axum::http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::bus::{Message, Party};

/// Refusals in a [`WINDOW`] that are written down.
const REFUSALS_MAX: u32 = 32;
const WINDOW: Duration = Duration::from_secs(1);
/// What became of it is not known: its client did not wait for it.
const GONE: &str = "client-gone";
/// Characters of a path that are written down.
const PATH_BYTES_MAX: usize = 256;

/// Writes down who changed what.
#[derive(Debug)]
pub(super) struct Audit {
    host: Party,
    refusals: Mutex<Refusals>,
}

#[derive(Debug)]
struct Refusals {
    since: Instant,
    written: u32,
    omitted: u64,
}

/// What someone does. Written down when it is dropped, so that no client can
/// do anything unseen by going away.
#[derive(Debug)]
pub(super) struct Deed<'a> {
    audit: &'a Audit,
    who: &'a str,
    method: Method,
    uri: Uri,
    /// None while it is not known.
    status: Option<StatusCode>,
    code: Option<&'static str>,
    outcome: Option<String>,
}

impl Deed<'_> {
    /// What came of it is known: `code` says why it was not done, `outcome` what
    /// was done, as `deployment 7`.
    pub(super) fn ended(
        &mut self,
        status: StatusCode,
        code: Option<&'static str>,
        outcome: Option<String>,
    ) {
        (self.status, self.code, self.outcome) = (Some(status), code, outcome);
    }
}

impl Drop for Deed<'_> {
    fn drop(&mut self) {
        self.audit.write(self);
    }
}

impl Audit {
    pub(super) fn new(host: Party) -> Self {
        Self {
            host,
            refusals: Mutex::new(Refusals {
                since: Instant::now(),
                written: 0,
                omitted: 0,
            }),
        }
    }

    /// Who asks for what; to be kept until it is answered.
    pub(super) fn deed<'a>(&'a self, who: &'a str, (method, uri): (Method, Uri)) -> Deed<'a> {
        Deed {
            audit: self,
            who,
            method,
            uri,
            status: None,
            code: Some(GONE),
            outcome: None,
        }
    }

    fn write(&self, deed: &Deed<'_>) {
        let omitted = match deed.status == Some(StatusCode::FORBIDDEN) {
            true => match self.refusals.lock().admit() {
                Some(omitted) => omitted,
                None => return,
            },
            false => 0,
        };
        let Deed {
            who,
            method,
            status,
            code,
            outcome,
            ..
        } = deed;
        let (method, outcome) = (method.as_str(), outcome.as_deref());
        let path = cut(deed.uri.path());
        let status = status.map(|status| status.as_u16());
        info!(who, method, path = ?path, status, code, outcome, omitted, "api request");
        let line = serde_json::json!({
            "at": Timestamp::now(), "who": who, "method": method, "path": path,
            "status": status, "code": code, "outcome": outcome, "omitted": omitted,
        });
        let topic = "$selvedge/audit".parse();
        let topic = topic.expect("a constant that is a topic");
        let mut message = Message::new(topic, line.to_string());
        message.content_type = Some("application/json".into());
        if let Err(error) = self.host.publish_lossy(message) {
            warn!(error = %error, "audit not published");
        }
    }
}

impl Refusals {
    /// How many were omitted before this one; none if it is omitted too.
    fn admit(&mut self) -> Option<u64> {
        let now = Instant::now();
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.written) = (now, 0);
        }
        if self.written >= REFUSALS_MAX {
            self.omitted += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

/// The beginning of what a client sent.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(PATH_BYTES_MAX);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode, Uri};

    use super::Audit;
    use crate::bus::{Bus, BusLimits, InboxLimits};
    use crate::spec::Overflow;

    #[test]
    fn whoever_does_not_wait_for_the_answer_is_written_down() {
        let bus = Bus::new(BusLimits::default());
        let limits = InboxLimits {
            messages_max: 16,
            bytes_max: 1 << 20,
            overflow: Overflow::DropNewest,
            answers: false,
        };
        let filter = "$selvedge/audit".parse().unwrap();
        let heard = bus.host_party().subscribe(&[filter], limits).unwrap();
        let audit = Audit::new(bus.host_party());
        let stop = || (Method::POST, Uri::from_static("/v1/plugins/window/stop"));
        drop(audit.deed("anna", stop()));
        let mut answered = audit.deed("bert", stop());
        answered.ended(StatusCode::OK, None, Some("done".to_owned()));
        drop(answered);
        let mut lines = Vec::new();
        heard.try_receive(16, &mut lines);
        let lines = lines.iter().map(|line| {
            let line: serde_json::Value = serde_json::from_slice(&line.payload).unwrap();
            ["who", "path", "status", "code", "outcome"]
                .map(|key| line[key].to_string())
                .join(" ")
        });
        let path = "\"/v1/plugins/window/stop\"";
        let expected = [
            format!("\"anna\" {path} null \"client-gone\" null"),
            format!("\"bert\" {path} 200 null \"done\""),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
