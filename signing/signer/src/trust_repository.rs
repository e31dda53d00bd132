//! Writes trust repositories (TUF 1.0.34): what `selvedge_signing::Trust` reads.

use std::path::Path;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_signing::Policy;

use crate::SigningKey;

/// The directory of a repository, on the operator's machine.
#[derive(Debug)]
pub struct TrustRepository {
    // Helper.
}

/// The keys of a repository. The root key belongs offline, in a safe; the others
/// are used at every change.
#[derive(Debug)]
pub struct RepositoryKeys {
    /// Signs root and targets: who may change the policy, and the policy.
    pub root: Vec<SigningKey>,
    /// Signs targets.
    pub targets: Vec<SigningKey>,
    /// Signs snapshot and timestamp: that it is current.
    pub online: SigningKey,
}

/// How long each role is believed.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Root.
    pub root: SignedDuration,
    /// Targets.
    pub targets: SignedDuration,
    /// Snapshot.
    pub snapshot: SignedDuration,
    /// Timestamp: how long a device installs without hearing from the operator.
    pub timestamp: SignedDuration,
}

/// Why a repository was not written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {}

impl Default for Lifetimes {
    /// A year for root and targets, 30 days for the others.
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        Self {
            root: days(365),
            targets: days(365),
            snapshot: days(30),
            timestamp: days(30),
        }
    }
}

impl TrustRepository {
    /// Makes a repository in `directory`, which must be empty or not there, with
    /// `policy` and the files that it names.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn create(
        directory: &Path,
        keys: &RepositoryKeys,
        policy: &Policy,
        files: &[(String, Bytes)],
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        todo!()
    }

    /// Opens the repository in `directory`.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not whole.
    pub fn open(directory: &Path) -> Result<Self, RepositoryError> {
        todo!()
    }

    /// The policy as it stands.
    pub fn policy(&self) -> &Policy {
        todo!()
    }

    /// The files beside the policy, by target.
    pub fn files(&self) -> Vec<(String, Bytes)> {
        todo!()
    }

    /// The root metadata that devices are given (`root.json`).
    pub fn root(&self) -> &[u8] {
        todo!()
    }

    /// Publishes `policy` and `files` as the next version. Old files stay until
    /// no metadata names them, so that a copy under way is never mixed.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn publish(
        &mut self,
        keys: &RepositoryKeys,
        policy: &Policy,
        files: &[(String, Bytes)],
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        todo!()
    }

    /// Says again that it is current: a new timestamp, and a new snapshot if it
    /// is about to expire.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn refresh(
        &mut self,
        online: &SigningKey,
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        todo!()
    }
}
