//! Who changed what: a line in the log and a message on `$selvedge/audit`.
//!
//! Of every request that could have changed something, those that were refused
//! included. Strangers cannot flood it: beyond a rate, refusals are only counted,
//! and the next line says how many.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::bus::{Message, Party};

/// Refusals in a [`WINDOW`] that are written down.
const REFUSALS_MAX: u32 = 32;
const WINDOW: Duration = Duration::from_secs(1);
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

/// What someone did.
#[derive(Debug)]
pub(super) struct Deed<'a> {
    pub(super) who: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) status: StatusCode,
    /// Why not, if so.
    pub(super) code: Option<&'a str>,
    /// What came of it: `deployment 7`.
    pub(super) outcome: Option<&'a str>,
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

    pub(super) fn write(&self, deed: &Deed<'_>) {
        let omitted = match deed.status == StatusCode::FORBIDDEN {
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
        let path = cut(deed.path);
        let status = status.as_u16();
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
