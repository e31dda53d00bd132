//! Where an uplink leads, what it carries, and what it may hold.
//!
//! Names are of the profile's limits; what is set may only be lower. Faults that
//! no type can show are found by [`UplinkConfig::faults`], all of them.

mod faults;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::limits::{LimitsConfig, Profile, TargetLimits};
use crate::names::{Qos, TopicFilter};

/// Priorities of a queue: 0 goes first.
pub const PRIORITIES: u8 = 8;

/// One connection outward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UplinkConfig {
    /// `host:port`; without a port, 8883, or 1883 if `plain`.
    pub endpoint: String,
    /// What kind of target it is: sets the limits that are kept.
    #[serde(default)]
    pub profile: Profile,
    /// The authorities that vouch for the target (PEM). Relative to this file, as
    /// all paths. The files are read at each connection.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The gateway's certificate chain (PEM), its own first.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name in the target's certificate, if it is not the host of the endpoint.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Protocols offered within TLS. Empty: `x-amzn-mqtt-ca` to AWS IoT Core on
    /// port 443, else none.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// The lowest version of TLS that is spoken.
    #[serde(default)]
    pub tls_version_min: TlsVersionMin,
    /// Without TLS: only to a loopback address.
    #[serde(default)]
    pub plain: bool,
    /// The user name that is shown.
    #[serde(default)]
    pub username: Option<String>,
    /// The file that holds the password; a line end at its end is not part of it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Which MQTT is spoken.
    #[serde(default)]
    pub protocol: Protocol,
    /// Who the gateway is to the target. Without it, the name of this machine.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Seconds for which the target keeps the session while the uplink is away.
    #[serde(default = "session_expiry")]
    pub session_expiry_s: NonZeroU32,
    /// Seconds after which an idle connection is probed.
    #[serde(default = "keep_alive")]
    pub keep_alive_s: NonZeroU32,
    /// What goes out and what comes in. Of rules that match a message the first
    /// counts, and only it.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// What is kept while the target does not take it.
    #[serde(default)]
    pub queue: QueueConfig,
    /// Limits of the target, where they are lower than the profile's.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How long things may take.
    #[serde(default)]
    pub times: TimesConfig,
}

fn session_expiry() -> NonZeroU32 {
    nonzero!(NonZeroU32, 604_800)
}

fn keep_alive() -> NonZeroU32 {
    nonzero!(NonZeroU32, 60)
}

/// The lowest version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersionMin {
    #[default]
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

/// Which MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    #[default]
    #[serde(rename = "5")]
    V5,
    #[serde(rename = "3.1.1")]
    V311,
}

/// One mapping between topics here and there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Which topics: of this bus if the rule leads out, of the target if it leads
    /// in, of this bus if it leads both ways.
    pub filter: TopicFilter,
    /// Where it leads.
    #[serde(default)]
    pub direction: Direction,
    /// The topic on the other side: `{1}` to `{9}` stand for what the first to
    /// ninth `+` of the filter matched, `{#}` for what `#` did, `{topic}` for the
    /// whole topic and `{client_id}` for the gateway's. Not together with `prefix`
    /// or `strip`.
    #[serde(default)]
    pub to: Option<String>,
    /// What is put before the topic on the other side; ends with `/`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What is taken from the begin of the topic first; ends with `/`, and the
    /// filter begins with it.
    #[serde(default)]
    pub strip: Option<String>,
    /// The most that is asked of the target, whatever the message says;
    /// `exactly-once` counts as `at-least-once`.
    #[serde(default)]
    pub qos: Qos,
    /// 0 to 7, 0 first.
    #[serde(default = "priority")]
    #[schemars(range(max = 7))]
    pub priority: u8,
    /// Seconds for which a message may wait, however long the host is away.
    #[serde(default)]
    pub ttl_s: Option<NonZeroU32>,
    /// Whether the target keeps it as the topic's value; of a rule that leads in,
    /// whether this bus does. Values that were kept before the host started go out
    /// only by such rules.
    #[serde(default)]
    pub retain: bool,
}

fn priority() -> u8 {
    4
}

/// Where a rule leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From this bus to the target.
    #[default]
    Out,
    /// From the target to this bus.
    In,
    /// Both; with `prefix` and `strip`, not with `to`.
    Both,
}

/// What waits for the target, on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Bytes on the disk.
    pub bytes_max: NonZeroU64,
    /// What becomes of a message that does not fit.
    pub overflow: QueueOverflow,
    /// The most that one priority may take of it, in percent, by priority:
    /// `{ 7 = 50 }`. Without an entry, all of it.
    pub shares: BTreeMap<String, u8>,
    /// Whether messages of QoS 0 are kept while the uplink is not connected.
    pub keep_qos0: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            bytes_max: nonzero!(NonZeroU64, 256 << 20),
            overflow: QueueOverflow::DropOldest,
            shares: BTreeMap::new(),
            keep_qos0: true,
        }
    }
}

/// What becomes of a message that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueueOverflow {
    /// The oldest go, of the least urgent first and never of more urgent ones.
    #[default]
    DropOldest,
    /// It goes.
    DropNewest,
    /// It waits, unacknowledged, and so does its publisher.
    Block,
}

/// How long things may take, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimesConfig {
    /// Until a connection stands: TCP, TLS and CONNACK.
    pub connect_ms_max: NonZeroU32,
    /// Until the target answers a probe of the connection.
    pub response_ms_max: NonZeroU32,
    /// Until the target acknowledges the next message; then the connection is made
    /// anew. Where much is under way, up to five times as long.
    pub acknowledge_ms_max: NonZeroU32,
    /// The first delay before connecting again; it doubles each time, and a random
    /// part of it is waited.
    pub reconnect_ms_min: NonZeroU32,
    /// The longest.
    pub reconnect_ms_max: NonZeroU32,
    /// How long a connection must last for delays to begin anew.
    pub stable_ms: NonZeroU32,
}

impl Default for TimesConfig {
    fn default() -> Self {
        Self {
            connect_ms_max: nonzero!(NonZeroU32, 20_000),
            response_ms_max: nonzero!(NonZeroU32, 10_000),
            acknowledge_ms_max: nonzero!(NonZeroU32, 30_000),
            reconnect_ms_min: nonzero!(NonZeroU32, 1_000),
            reconnect_ms_max: nonzero!(NonZeroU32, 300_000),
            stable_ms: nonzero!(NonZeroU32, 60_000),
        }
    }
}

impl UplinkConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        let paths = [
            &mut self.ca,
            &mut self.certificate,
            &mut self.key,
            &mut self.password_file,
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&path);
        }
    }

    /// The host and the port of the endpoint.
    pub(crate) fn address(&self) -> Option<(&str, u16)> {
        let usual = if self.plain { 1883 } else { 8883 };
        let (host, port) = match self.endpoint.rsplit_once(':') {
            // A bare IPv6 address has no brackets and no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok()?)
            }
            _ => (self.endpoint.as_str(), usual),
        };
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let fits = !host.is_empty() && !host.contains(char::is_whitespace) && host.len() <= 253;
        fits.then_some((host, port))
    }
}
