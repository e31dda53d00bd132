//! Where the device finds what its site trusts.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom this device trusts. Without it, only shipped plugins run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// The root metadata of the site's trust repository (TUF), `root.json`, as
    /// it was when the device was set up. It is what trust begins with: only the
    /// operator may be able to write it. Relative to this file.
    pub root: PathBuf,
    /// The trust repository: a directory that may be brought by anyone and any
    /// way. Relative to this file.
    pub repository: PathBuf,
    /// How often the repository is read again, in seconds. What a newer policy
    /// revokes is stopped then.
    #[serde(default = "refresh_s")]
    pub refresh_s: NonZeroU32,
}

pub(crate) fn refresh_s() -> NonZeroU32 {
    nonzero!(NonZeroU32, 60)
}

impl TrustConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        self.root = folder.join(&self.root);
        self.repository = folder.join(&self.repository);
    }
}
