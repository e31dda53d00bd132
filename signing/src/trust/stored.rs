//! What a device keeps of a trust repository.
//!
//! The signed metadata itself and not what was read from it: it is verified anew
//! from the pinned root whenever it is used, so whoever can write the store can
//! at worst make it fail or make it old.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::TrustError;

/// What a device keeps of a repository: the metadata it believed last, and the
/// targets. Kept as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTrust {
    /// The version of the root under which the rest was believed.
    pub(super) root_version: u64,
    /// The roots that led there, in order, without the pinned one.
    pub(super) roots: Vec<Blob>,
    pub(super) timestamp: Blob,
    /// It also says which version of every targets role was seen, delegated ones
    /// among them.
    pub(super) snapshot: Blob,
    pub(super) targets: Blob,
    /// The policy and what it names, by target.
    pub(super) files: BTreeMap<String, Blob>,
}

impl StoredTrust {
    /// The most that is kept, in bytes of files.
    pub const BYTES_MAX: usize = 16 << 20;

    /// The most that it takes as JSON, in bytes.
    pub const SERIALIZED_BYTES_MAX: usize = 24 << 20;

    /// Whether nothing was kept yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Holds it to [`Self::BYTES_MAX`].
    pub(super) fn bounded(&self) -> Result<(), TrustError> {
        let roots: usize = self.roots.iter().map(|root| root.0.len()).sum();
        let files: usize = self
            .files
            .iter()
            .map(|(name, file)| name.len() + file.0.len())
            .sum();
        let roles = self.timestamp.0.len() + self.snapshot.0.len() + self.targets.0.len();
        if roots + files + roles > Self::BYTES_MAX {
            return Err(TrustError::TooLarge {
                what: "what is kept (bytes)".to_owned(),
                max: Self::BYTES_MAX,
            });
        }
        Ok(())
    }
}

/// The bytes of one file; base64 in JSON.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Bytes);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(|bytes| Self(Bytes::from(bytes)))
            .map_err(|_| D::Error::custom("not base64"))
    }
}
