//! Messages that are given up: published for whoever listens, and counted.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{debug, warn};

use super::Shared;
use super::target::Poison;
use crate::bus::Message;
use crate::names::Topic;

/// What a dead letter says of itself; as those of plugins.
const REASON: &str = "dead-letter-reason";
const TOPIC: &str = "dead-letter-topic";
const CODE: &str = "dead-letter-code";

impl Shared {
    /// Gives a message up. A listener that is full misses it, alone.
    pub(super) fn bury(&self, topic: &Topic, payload: &Bytes, hops: u8, poison: Poison) {
        self.counters.dead_letter(poison.code());
        debug!(uplink = %self.name, code = poison.code(), "message dead-lettered");
        // What the host says of itself is not to be multiplied.
        if topic.as_str().starts_with("$selvedge/") {
            return;
        }
        let reason = poison.to_string();
        let pairs = [
            (REASON, reason.as_str()),
            (TOPIC, topic.as_str()),
            (CODE, poison.code()),
        ];
        let mut message = Message::new(self.dead_topic.clone(), payload.clone());
        let pairs = pairs.into_iter();
        message.properties = pairs
            .map(|(name, value)| (Arc::<str>::from(name), Arc::<str>::from(value)))
            .collect();
        // Who lives on its own dead letters goes round in a circle too.
        message.hops = hops.saturating_add(1).min(self.hops_max);
        if let Err(error) = self.host.publish_lossy(message) {
            warn!(uplink = %self.name, error = %error, "dead letter lost");
        }
    }
}
