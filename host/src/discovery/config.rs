//! What is announced, and where discovery is answered.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How client devices find this gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Whether the broker is announced by mDNS as `_secure-mqtt._tcp`.
    pub mdns: bool,
    /// The network interfaces on which it is announced, by name; empty: all but
    /// loopback.
    pub mdns_interfaces: Vec<String>,
    /// Where discovery is answered over HTTPS: `0.0.0.0:8443`. Nowhere without it.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// The authorities that devices are told to trust (PEM). Relative to this file.
    /// Without it, the site's.
    pub ca: Option<PathBuf>,
}

impl DiscoveryConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&ca);
        }
    }
}
