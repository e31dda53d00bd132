//! What an artifact is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Manifest, media_type};

/// What an artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A component that runs in the sandbox.
    Plugin,
    /// A model that a library of the host runs.
    Model,
}

impl ArtifactKind {
    /// What `manifest` says it is: both what it calls itself and the type of its
    /// configuration. `None` if that is neither, or they contradict each other.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let artifact = manifest.artifact_type.as_deref();
        match (artifact, manifest.config.media_type.as_str()) {
            (Some(media_type::MODEL), media_type::WASM_CONFIG) => None,
            (_, media_type::WASM_CONFIG) => Some(Self::Plugin),
            (None | Some(media_type::MODEL), media_type::MODEL_CONFIG) => Some(Self::Model),
            _ => None,
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plugin => "plugin",
            Self::Model => "model",
        })
    }
}
