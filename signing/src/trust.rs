//! Which policy is current: a trust repository (TUF 1.0.34), read from files.
//!
//! The repository is a directory of signed metadata that anyone may carry to the
//! device: the operator's keys protect it, not its way. What the device has seen
//! of it is handed back to be kept, so that nothing older is ever believed.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Policy, PolicyError};

/// A policy with the files that it names, authenticated.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) policy: Policy,
    /// What the policy names, by target.
    pub(crate) files: BTreeMap<String, Bytes>,
    pub(crate) expires: Option<Timestamp>,
}

/// The files of a repository, by their names relative to its directory:
/// `metadata/timestamp.json`, `targets/<hash>.policy.json`.
pub type RepositoryFiles = BTreeMap<String, Bytes>;

/// What a device keeps of a repository: the metadata it believed last, and the
/// targets. Kept as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredTrust {
    // Helper: private; versions of all roles must survive.
}

/// Why a repository is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    // Helper: rollback, freeze (expired), mix-and-match, threshold, malformed, too large, policy…
}

impl Trust {
    /// Updates from `offered`, beginning with the pinned `root`
    /// (`root.json` as given to the device), never going back behind `stored`.
    ///
    /// # Errors
    ///
    /// If the repository is not the operator's, is older than what was seen, is
    /// expired at `now`, or mixed from several states.
    pub fn update(
        root: &[u8],
        stored: &StoredTrust,
        offered: RepositoryFiles,
        now: Timestamp,
    ) -> Result<(Self, StoredTrust), TrustError> {
        todo!()
    }

    /// What was believed last, however long ago: for resuming and for refusing
    /// what was revoked. It says itself until when it may decide about installs.
    ///
    /// # Errors
    ///
    /// If nothing was kept, or it is not what the pinned `root` vouches for.
    pub fn resume(root: &[u8], stored: &StoredTrust) -> Result<Self, TrustError> {
        todo!()
    }

    /// A policy that the host vouches for itself, because it made it: for what
    /// is compiled into the binary and for development. Never read from a file.
    ///
    /// # Errors
    ///
    /// If the policy is none, or names a file that is not there.
    pub fn of_this_process(
        policy: &[u8],
        files: BTreeMap<String, Bytes>,
    ) -> Result<Self, PolicyError> {
        todo!()
    }
}
