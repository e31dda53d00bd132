//! Brings captured records out: into a file, if the host has them, and onto the bus.
//!
//! One after the other, in the order in which they were taken. What neither takes is
//! lost, counted, and told to whoever asks for its outcome; nobody waits for it, and
//! it is not tried again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use tracing::warn;

use super::Capture;
use super::counts::count;
use super::outcomes::Outcome;
use super::record::Record;
use crate::bus::{Grant, Message, Party, PublishError};
use crate::error_chain::ErrorChain;
use crate::names::{PartyName, Topic};
use crate::supervisor::{UnitContext, UnitResult};

/// By which name it publishes.
const PARTY: &str = "capture";
/// How long subscribers that make publishers wait may take.
const PUBLISH_MAX: Duration = Duration::from_secs(1);

impl Capture {
    /// Brings out one record after another, until the host stops.
    pub(super) async fn run(self, context: UnitContext) -> UnitResult {
        context.ready();
        loop {
            let record = tokio::select! {
                record = self.0.queue.next() => record,
                () = context.stop.cancelled() => break,
            };
            self.bring_out(record, true).await;
        }
        // The bus is closing; what waits can still be written.
        while let Some(record) = self.0.queue.pop().filter(|_| self.0.files.is_some()) {
            self.bring_out(record, false).await;
        }
        Ok(())
    }

    async fn bring_out(&self, record: Record, publish: bool) {
        let (capture, id, topic) = (self.clone(), record.id().clone(), record.topic().clone());
        let write = move || {
            let text = record.to_json();
            let stored = capture.store(&text);
            (text, stored)
        };
        let Ok((text, stored)) = tokio::task::spawn_blocking(write).await else {
            self.0.outcomes.set(&id, Outcome::Dropped);
            return count(&self.0.counts.unstored);
        };
        let published = publish && self.publish(topic, text).await;
        let outcome = if stored || published {
            Outcome::Published
        } else {
            Outcome::Dropped
        };
        self.0.outcomes.set(&id, outcome);
    }

    /// Whether it is in a file. Blocks.
    fn store(&self, text: &[u8]) -> bool {
        let Some(files) = &self.0.files else {
            return false;
        };
        let stored = files.lock().append(text);
        let failed_before = self.0.files_fail.swap(stored.is_err(), Ordering::Relaxed);
        match stored {
            Ok(()) => count(&self.0.counts.stored),
            Err(error) => {
                count(&self.0.counts.unstored);
                if !failed_before {
                    let (code, error) = (error.code(), ErrorChain(&error).to_string());
                    warn!(code, error, "captured data not written");
                }
                return false;
            }
        }
        true
    }

    async fn publish(&self, topic: Topic, text: Bytes) -> bool {
        let Some(party) = self.party() else {
            count(&self.0.counts.refused);
            return false;
        };
        let mut message = Message::new(topic, text);
        message.content_type = Some("application/json".into());
        message.utf8 = true;
        match timeout(PUBLISH_MAX, party.publish_waiting(message)).await {
            Ok(Ok(_)) => {
                count(&self.0.counts.published);
                true
            }
            Ok(Err(PublishError::TooLarge { .. })) => {
                count(&self.0.counts.too_large);
                false
            }
            Ok(Err(_)) | Err(_) => {
                count(&self.0.counts.refused);
                false
            }
        }
    }

    /// Its place on the bus, taken when it is first needed: a host on which nothing
    /// is captured has the name free.
    fn party(&self) -> Option<Party> {
        let mut party = self.0.party.lock();
        if party.is_none() {
            let name: PartyName = PARTY.parse().ok()?;
            let grant = Grant {
                publish: vec!["#".parse().ok()?],
                subscribe: Vec::new(),
            };
            match self.0.bus.attach(name, grant) {
                Ok(attached) => *party = Some(attached),
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "captured data not published");
                }
            }
        }
        party.clone()
    }
}
