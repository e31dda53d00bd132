//! What a device wants said when it is lost (MQTT 5.0 section 3.1.2.5).
//!
//! It is checked at CONNECT and published as the device itself, within its grant.
//! A delayed one is not published if the device is back before, and is published
//! no later than its session ends.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::broker::translate;
use crate::bus::{Message, Origin, Party, PublishError};
use crate::mqtt;

/// How long a will waits for room in inboxes that make publishers wait; then who
/// has none misses it.
const WAIT_MS_MAX: u64 = 1_000;

/// What to publish, and how long after the connection is lost.
#[derive(Clone, Debug)]
pub(super) struct Will {
    message: Message,
    pub(super) delay: Duration,
    expiry_s: Option<u32>,
}

impl Will {
    pub(super) fn new(will: mqtt::Will, origin: Origin) -> Self {
        let head = translate::Head {
            topic: will.topic,
            qos: will.qos,
            retain: will.retain,
        };
        Self {
            delay: Duration::from_secs(will.delay_s.into()),
            expiry_s: will.properties.expiry_s,
            message: translate::message(head, will.payload, will.properties, origin),
        }
    }

    /// Whether `party` may publish it.
    pub(super) fn check(&self, party: &Party) -> Result<(), PublishError> {
        party.check(&self.message)
    }

    /// Publishes it, or counts that it did not get through.
    pub(super) async fn publish(mut self, party: &Party) {
        // Its time begins now, not at CONNECT.
        self.message.expires_at = translate::expires_at(self.expiry_s);
        let waiting = party.publish_waiting(self.message.clone());
        let wait = Duration::from_millis(WAIT_MS_MAX);
        let published = match timeout(wait, waiting).await {
            Ok(published) => published,
            Err(_) => party.publish_lossy(self.message),
        };
        if let Err(error) = published {
            debug!(device = %party.name(), error = error.code(), "will not published");
        }
    }

    /// Publishes it at once, to those who have room.
    pub(super) fn publish_now(mut self, party: &Party) {
        self.message.expires_at = translate::expires_at(self.expiry_s);
        if let Err(error) = party.publish_lossy(self.message) {
            debug!(device = %party.name(), error = error.code(), "will not published");
        }
    }
}
