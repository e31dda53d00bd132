//! Where an uplink leads, what it carries, and what it may hold.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One connection outward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UplinkConfig {
    /// `host:port`; without a port, the profile's.
    pub endpoint: String,
    /// The authorities that vouch for the other side (PEM). Relative to this file.
    pub ca: PathBuf,
}

impl UplinkConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        self.ca = folder.join(&self.ca);
    }
}
