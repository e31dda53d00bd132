//! What a plugin may reach. Nothing, unless it is named here.
//!
//! Endpoints are parsed when they are read: one that exists can be compared with
//! where a guest wants to go. What a grant lets through is decided where the guest
//! asks, in `capabilities` and on the bus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{ModelName, TopicFilter};

/// What a plugin may reach. Nothing, unless named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Topic filters it may publish to.
    pub publish: Vec<TopicFilter>,
    /// Topic filters it is subscribed to; `$share/<group>/<filter>` shares.
    pub subscribe: Vec<TopicFilter>,
    /// TCP endpoints it may connect to, `host:port`.
    pub tcp: Vec<Endpoint>,
    /// UDP endpoints it may bind or send to, `host:port`.
    pub udp: Vec<Endpoint>,
    /// Models it may load, by their name in the deployment.
    pub models: Vec<ModelName>,
    /// Bytes it may keep in its key-value bucket, over keys and values, each entry
    /// counting 64 more; 0 for none.
    pub keyvalue_bytes_max: u64,
}

/// A host (name or address) and a port that a plugin may reach.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Endpoint {
    /// A DNS name or an IP address (IPv6 without brackets here).
    pub host: String,
    /// From 1.
    pub port: NonZeroPort,
}

type NonZeroPort = std::num::NonZeroU16;

/// Why text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint: expected `host:port`")]
pub struct EndpointError(String);

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let host = bare.unwrap_or(host);
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
            let valid = !host.is_empty() && host.len() <= 253 && host.chars().all(plain);
            // An IPv6 address needs its brackets, or its last group would be the port.
            let valid = valid && (bare.is_some() || !host.contains(':'));
            valid.then(|| Self {
                host: host.to_ascii_lowercase(),
                port,
            })
        });
        parsed.ok_or(EndpointError(text))
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        if endpoint.host.contains(':') {
            format!("[{}]:{}", endpoint.host, endpoint.port)
        } else {
            format!("{}:{}", endpoint.host, endpoint.port)
        }
    }
}
