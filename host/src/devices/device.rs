//! One device: who it is, what it may do and what it may cost.

use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{PartyName, TopicFilter};
use crate::tls::Fingerprint;

/// A device that is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name on the bus.
    pub name: PartyName,
    /// The kind of device it is, if it is of one.
    pub class: Option<String>,
    /// The certificates it may show now; empty: any that names it.
    pub fingerprints: Vec<Fingerprint>,
    /// Topics it may publish to; none but those.
    pub publish: Vec<TopicFilter>,
    /// Topic filters it may subscribe, or narrower ones.
    pub subscribe: Vec<TopicFilter>,
    /// What it may cost.
    pub quota: Quota,
}

impl Device {
    /// Whether the other is the same device and may do the same, by whichever
    /// certificates.
    pub fn may_the_same_as(&self, other: &Self) -> bool {
        let Self {
            name,
            class: _,
            fingerprints: _,
            publish,
            subscribe,
            quota,
        } = self;
        (name, publish, subscribe, quota)
            == (&other.name, &other.publish, &other.subscribe, &other.quota)
    }
}

/// What one device may cost the broker. Every bound is per device, over all its
/// connections and sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Connections at once; one more is refused with `quota exceeded`.
    pub connections_max: NonZeroU32,
    /// Sessions, connected or kept; one more is refused with `quota exceeded`.
    pub sessions_max: NonZeroU32,
    /// Topic filters subscribed by one session; one more is refused in the SUBACK.
    pub subscriptions_max: NonZeroU32,
    /// Messages that wait for one session; then the session's overflow policy
    /// decides.
    pub queue_messages_max: NonZeroU32,
    /// Their bytes.
    pub queue_bytes_max: NonZeroU64,
    /// Messages a second, averaged over a second; each topic filter subscribed or
    /// unsubscribed counts as one. What is beyond waits in the device: its connection
    /// is not read meanwhile.
    pub publish_per_second_max: NonZeroU32,
    /// Bytes of messages a second, likewise.
    pub publish_bytes_per_second_max: NonZeroU64,
    /// Bytes of one packet; a larger one ends the connection with `packet too
    /// large`.
    pub packet_bytes_max: NonZeroU32,
    /// QoS 1 and 2 messages under way at once, in each direction.
    pub inflight_max: NonZeroU32,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            connections_max: nonzero!(NonZeroU32, 4),
            sessions_max: nonzero!(NonZeroU32, 8),
            subscriptions_max: nonzero!(NonZeroU32, 64),
            queue_messages_max: nonzero!(NonZeroU32, 1_000),
            queue_bytes_max: nonzero!(NonZeroU64, 4 << 20),
            publish_per_second_max: nonzero!(NonZeroU32, 1_000),
            publish_bytes_per_second_max: nonzero!(NonZeroU64, 4 << 20),
            packet_bytes_max: nonzero!(NonZeroU32, 256 << 10),
            inflight_max: nonzero!(NonZeroU32, 100),
        }
    }
}
