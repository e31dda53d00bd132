//! What is announced, and where discovery is answered.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How client devices find this gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Whether the broker is announced by mDNS as `_secure-mqtt._tcp`.
    pub mdns: bool,
    /// Where discovery is answered over HTTPS: `0.0.0.0:8443`. Nowhere without it.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
}
