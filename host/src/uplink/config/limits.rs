//! What targets take: the limits of known ones, and those that are set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A known kind of target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// AWS IoT Core, with the limits of one connection ("AWS IoT Core endpoints
    /// and quotas", AWS General Reference).
    AwsIotCore,
    /// Any broker.
    #[default]
    Generic,
}

/// Limits of the target, where they are lower than the profile's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes of one payload.
    pub payload_bytes_max: Option<u32>,
    /// Messages sent each second.
    pub messages_per_s: Option<u32>,
    /// Bytes sent each second.
    pub bytes_per_s: Option<u32>,
    /// Messages sent and not acknowledged.
    pub in_flight_max: Option<u16>,
    /// Bytes of a topic.
    pub topic_bytes_max: Option<u32>,
    /// Levels of a topic.
    pub topic_levels_max: Option<u32>,
    /// Topic filters subscribed.
    pub subscriptions_max: Option<u32>,
    /// Topic filters subscribed at once.
    pub subscriptions_at_once_max: Option<u32>,
}

/// What one target takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLimits {
    pub payload_bytes_max: u32,
    pub messages_per_s: u32,
    pub bytes_per_s: u32,
    pub in_flight_max: u16,
    pub topic_bytes_max: u32,
    pub topic_levels_max: u32,
    pub subscriptions_max: u32,
    pub subscriptions_at_once_max: u32,
    pub client_id_bytes_max: usize,
    /// Seconds, lowest and highest.
    pub keep_alive_s: (u32, u32),
    /// Milliseconds between two attempts to connect.
    pub connect_every_ms: u64,
    /// Whether topics that begin with `$` are those of AWS, with its rules.
    pub aws: bool,
}

impl Profile {
    fn limits(self) -> TargetLimits {
        match self {
            Self::AwsIotCore => TargetLimits {
                payload_bytes_max: 128 << 10,
                messages_per_s: 100,
                bytes_per_s: 512 << 10,
                in_flight_max: 100,
                topic_bytes_max: 256,
                topic_levels_max: 8,
                subscriptions_max: 50,
                subscriptions_at_once_max: 8,
                client_id_bytes_max: 128,
                keep_alive_s: (30, 1_200),
                connect_every_ms: 1_000,
                aws: true,
            },
            Self::Generic => TargetLimits {
                payload_bytes_max: 256 << 10,
                messages_per_s: 1_000_000,
                bytes_per_s: 1 << 30,
                in_flight_max: 1_000,
                topic_bytes_max: 1_024,
                topic_levels_max: 128,
                subscriptions_max: 1_000,
                subscriptions_at_once_max: 100,
                client_id_bytes_max: 256,
                keep_alive_s: (1, 65_535),
                connect_every_ms: 0,
                aws: false,
            },
        }
    }
}

impl LimitsConfig {
    /// The limits that are kept: those of `profile`, or lower.
    pub(crate) fn within(&self, profile: Profile) -> TargetLimits {
        let mut limits = profile.limits();
        let set = [
            (self.payload_bytes_max, &mut limits.payload_bytes_max),
            (self.messages_per_s, &mut limits.messages_per_s),
            (self.bytes_per_s, &mut limits.bytes_per_s),
            (self.topic_bytes_max, &mut limits.topic_bytes_max),
            (self.topic_levels_max, &mut limits.topic_levels_max),
            (self.subscriptions_max, &mut limits.subscriptions_max),
            (
                self.subscriptions_at_once_max,
                &mut limits.subscriptions_at_once_max,
            ),
        ];
        for (own, limit) in set {
            *limit = own.unwrap_or(*limit).min(*limit);
        }
        let in_flight = self.in_flight_max.unwrap_or(u16::MAX);
        limits.in_flight_max = limits.in_flight_max.min(in_flight);
        limits
    }

    /// Those set that are 0 or above the profile's, with the highest allowed.
    pub(crate) fn beyond(&self, profile: Profile) -> Vec<(&'static str, u32)> {
        let limits = profile.limits();
        let in_flight = self.in_flight_max.map(u32::from);
        let set = [
            (
                "payload_bytes_max",
                self.payload_bytes_max,
                limits.payload_bytes_max,
            ),
            ("messages_per_s", self.messages_per_s, limits.messages_per_s),
            ("bytes_per_s", self.bytes_per_s, limits.bytes_per_s),
            ("in_flight_max", in_flight, limits.in_flight_max.into()),
            (
                "topic_bytes_max",
                self.topic_bytes_max,
                limits.topic_bytes_max,
            ),
            (
                "topic_levels_max",
                self.topic_levels_max,
                limits.topic_levels_max,
            ),
            (
                "subscriptions_max",
                self.subscriptions_max,
                limits.subscriptions_max,
            ),
            (
                "subscriptions_at_once_max",
                self.subscriptions_at_once_max,
                limits.subscriptions_at_once_max,
            ),
        ];
        set.into_iter()
            .filter(|(_, own, limit)| own.is_some_and(|own| own == 0 || own > *limit))
            .map(|(name, _, limit)| (name, limit))
            .collect()
    }
}
