//! Which thing this gateway is, and what of the cloud it uses.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::PartyName;

/// The gateway as a thing of AWS IoT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    /// The uplink that leads there, by its name in `[uplinks]`.
    pub uplink: PartyName,
}

impl CloudConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, _folder: &Path) {}
}
