//! The next state of targets, snapshot and timestamp: signed first, then written.
//!
//! A key that does not sign leaves the directory as it was.

use jiff::Timestamp;
use sigstore_tuf::TrustedMetadataSet;

use super::contents::Contents;
use super::directory::Directory;
use super::metadata::{self, Signers, edition, pinning};
use super::{Lifetimes, RepositoryError, RepositoryKeys};

/// What to sign.
pub(super) struct New<'a> {
    pub(super) contents: &'a Contents,
    /// Of targets, snapshot and timestamp.
    pub(super) versions: [u64; 3],
    pub(super) lifetimes: Lifetimes,
    pub(super) now: Timestamp,
}

/// Who signs it.
pub(super) struct RoleSigners<'a> {
    targets: Signers<'a>,
    snapshot: Signers<'a>,
    timestamp: Signers<'a>,
}

/// Signed metadata that no one reads yet.
pub(super) struct Written {
    targets: (u64, Vec<u8>),
    snapshot: (u64, Vec<u8>),
    timestamp: Vec<u8>,
}

impl<'a> RoleSigners<'a> {
    pub(super) fn new(keys: &'a RepositoryKeys) -> Result<Self, RepositoryError> {
        Ok(Self {
            targets: Signers::new("targets", &keys.targets)?,
            snapshot: Signers::new("snapshot", [&keys.online])?,
            timestamp: Signers::new("timestamp", [&keys.online])?,
        })
    }

    pub(super) fn known_to(self, set: &TrustedMetadataSet) -> Result<Self, RepositoryError> {
        Ok(Self {
            targets: self.targets.known_to(set.root())?,
            snapshot: self.snapshot.known_to(set.root())?,
            timestamp: self.timestamp.known_to(set.root())?,
        })
    }
}

impl New<'_> {
    pub(super) fn sign(&self, signers: &RoleSigners<'_>) -> Result<Written, RepositoryError> {
        let [targets, snapshot, timestamp] = self.versions;
        let Lifetimes {
            targets: targets_life,
            snapshot: snapshot_life,
            timestamp: timestamp_life,
            ..
        } = self.lifetimes;
        let next = edition("targets", targets, targets_life, self.now)?;
        let role = metadata::targets(&next, self.contents.targets());
        let targets_bytes = signers.targets.sign(&role)?;

        let next = edition("snapshot", snapshot, snapshot_life, self.now)?;
        let role = pinning("snapshot", &next, "targets.json", targets, &targets_bytes);
        let snapshot_bytes = signers.snapshot.sign(&role)?;

        let next = edition("timestamp", timestamp, timestamp_life, self.now)?;
        let role = pinning(
            "timestamp",
            &next,
            "snapshot.json",
            snapshot,
            &snapshot_bytes,
        );
        Ok(Written {
            targets: (targets, targets_bytes),
            snapshot: (snapshot, snapshot_bytes),
            timestamp: signers.timestamp.sign(&role)?,
        })
    }
}

impl Written {
    /// Writes it from the inside out. Until the last file, readers see the state
    /// before; with a new root, for a moment, none.
    pub(super) fn put(
        &self,
        directory: &Directory,
        contents: &Contents,
        root: Option<(u64, &[u8])>,
    ) -> Result<(), RepositoryError> {
        for (name, bytes) in contents.targets() {
            directory.put_target(name, bytes)?;
        }
        let (version, bytes) = &self.targets;
        directory.put_version(*version, "targets", bytes)?;
        let (version, bytes) = &self.snapshot;
        directory.put_version(*version, "snapshot", bytes)?;
        if let Some((version, bytes)) = root {
            directory.put_version(version, "root", bytes)?;
        }
        directory.put_timestamp(&self.timestamp)
    }
}
