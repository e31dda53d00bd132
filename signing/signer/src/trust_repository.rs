//! Writes trust repositories (TUF 1.0.34): what `selvedge_signing::Trust` reads.
//!
//! A repository is a directory that any web server or USB stick can carry. Files
//! of a version are never changed, and the timestamp is written last: who copies
//! the directory meanwhile has the old state, the new one, or one that is
//! refused as mixed. One writer at a time; a second one is told.

mod contents;
mod directory;
mod error;
mod metadata;
mod state;
mod tidy;

use std::path::Path;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_signing::Policy;
use sigstore_tuf::TrustedMetadataSet;

use self::contents::Contents;
use self::directory::Directory;
pub use self::error::RepositoryError;
use self::metadata::{Signers, edition, pinning};
use self::state::{New, RoleSigners};
use self::tidy::tidy;
use crate::SigningKey;

const TIMESTAMP: &str = "timestamp.json";

/// Opening judges whether a repository is whole, not whether it is current.
const NEVER: Timestamp = Timestamp::MIN;

/// The directory of a repository, on the operator's machine.
#[derive(Debug)]
pub struct TrustRepository {
    directory: Directory,
    /// As it was read: if it is another by now, someone else wrote.
    timestamp: Vec<u8>,
    set: TrustedMetadataSet,
    contents: Contents,
}

/// The keys of a repository. The root key belongs offline, in a safe; the others
/// are used at every change.
///
/// Of a role's keys, more than half must sign: both of two, two of three. The
/// third may be lost, and no single one is enough.
#[derive(Debug)]
pub struct RepositoryKeys {
    /// Sign root: who may sign what. Not needed to publish.
    pub root: Vec<SigningKey>,
    /// Sign targets: the policy.
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
    #[expect(clippy::too_many_arguments, reason = "the same ones as `publish`")]
    pub fn create(
        directory: &Path,
        keys: &RepositoryKeys,
        policy: &Policy,
        files: &[(String, Bytes)],
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        let contents = Contents::new(policy, files)?;
        let root = metadata::root(1, keys, None, lifetimes, now)?;
        let signers = RoleSigners::new(keys)?;
        let edition = New {
            contents: &contents,
            versions: [1; 3],
            lifetimes,
            now,
        };
        let written = edition.sign(&signers)?;
        let place = Directory::create(directory)?;
        written.put(&place, &contents, Some((1, &root)))?;
        Self::open(directory)
    }

    /// Opens the repository in `directory`. It may have expired.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not whole.
    pub fn open(directory: &Path) -> Result<Self, RepositoryError> {
        Self::load(Directory::new(directory))
    }

    fn load(directory: Directory) -> Result<Self, RepositoryError> {
        let newest = directory.versions("root")?.last().copied().unwrap_or(1);
        let name = format!("{newest}.root.json");
        let refused = |name: &str, error| RepositoryError::not_whole(name, error);
        let mut set = TrustedMetadataSet::from_root(&directory.metadata(&name)?)
            .map_err(|error| refused(&name, error))?;

        let timestamp = directory.metadata(TIMESTAMP)?;
        set.update_timestamp(&timestamp, NEVER)
            .map_err(|error| refused(TIMESTAMP, error))?;
        let pinned = set.timestamp().and_then(|role| role.snapshot_meta());
        let name = versioned(pinned.map(|pin| pin.version), "snapshot");
        set.update_snapshot(&directory.metadata(&name)?, NEVER)
            .map_err(|error| refused(&name, error))?;
        let pinned = set
            .snapshot()
            .and_then(|role| role.meta.get("targets.json"));
        let name = versioned(pinned.map(|pin| pin.version), "targets");
        set.update_targets(&directory.metadata(&name)?, NEVER)
            .map_err(|error| refused(&name, error))?;

        let contents = Contents::read(&directory, &set)?;
        Ok(Self {
            directory,
            timestamp,
            set,
            contents,
        })
    }

    /// The policy as it stands.
    pub fn policy(&self) -> &Policy {
        &self.contents.policy
    }

    /// The files beside the policy, by target.
    pub fn files(&self) -> Vec<(String, Bytes)> {
        self.contents.files.clone()
    }

    /// The root metadata that devices are given (`root.json`): the newest.
    /// Devices that were given an earlier one find their way from there.
    pub fn root(&self) -> &[u8] {
        self.set.root_bytes()
    }

    /// Until when the root is believed. Before that, [`Self::rotate`] it.
    pub fn root_expires(&self) -> Timestamp {
        self.set.root().expires
    }

    /// Publishes `policy` and `files` as the next version; the root keys are not
    /// used. Old files stay until no metadata of the last three versions names
    /// them, so that a copy under way is never mixed.
    ///
    /// # Errors
    ///
    /// If a key is not the repository's, the root expired, or it cannot be
    /// written.
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    pub fn publish(
        &mut self,
        keys: &RepositoryKeys,
        policy: &Policy,
        files: &[(String, Bytes)],
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        self.root_current(now)?;
        let contents = Contents::new(policy, files)?;
        let signers = RoleSigners::new(keys)?.known_to(&self.set)?;
        let edition = New {
            contents: &contents,
            versions: self.next_versions()?,
            lifetimes,
            now,
        };
        let written = edition.sign(&signers)?;
        written.put(&self.directory, &contents, None)?;
        self.reload()
    }

    /// Says again that it is current: a new timestamp, and a new snapshot if it
    /// would expire before that.
    ///
    /// # Errors
    ///
    /// If the key is not the repository's, the root or the targets expired, or it
    /// cannot be written.
    pub fn refresh(
        &mut self,
        online: &SigningKey,
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        self.root_current(now)?;
        let snapshot = Signers::new("snapshot", [online])?.known_to(self.set.root())?;
        let timestamp = Signers::new("timestamp", [online])?.known_to(self.set.root())?;
        let [targets_version, snapshot_version, _] = self.versions();
        let [_, next_snapshot, version] = self.next_versions()?;
        let next = edition("timestamp", version, lifetimes.timestamp, now)?;

        let known = self.set.snapshot().map(|role| role.expires);
        let lasts = now
            .checked_add(lifetimes.timestamp)
            .is_ok_and(|end| known.is_some_and(|known| end <= known));
        let (version, bytes) = if lasts {
            let name = versioned(Some(snapshot_version), "snapshot");
            (snapshot_version, self.directory.metadata(&name)?)
        } else {
            let version = next_snapshot;
            let next = edition("snapshot", version, lifetimes.snapshot, now)?;
            let name = versioned(Some(targets_version), "targets");
            let targets = self.directory.metadata(&name)?;
            let role = pinning("snapshot", &next, "targets.json", targets_version, &targets);
            let bytes = snapshot.sign(&role)?;
            self.directory.put_version(version, "snapshot", &bytes)?;
            (version, bytes)
        };
        let role = pinning("timestamp", &next, "snapshot.json", version, &bytes);
        self.directory.put_timestamp(&timestamp.sign(&role)?)?;
        self.reload()
    }

    /// Exchanges the keys, or prolongs the root with the same ones: `old` are root
    /// keys of before, `new` are all keys from now on. Everything is signed anew.
    /// Also the way out when the root expired or a key was stolen.
    ///
    /// # Errors
    ///
    /// If `old` are not enough, or it cannot be written.
    pub fn rotate(
        &mut self,
        old: &[SigningKey],
        new: &RepositoryKeys,
        lifetimes: Lifetimes,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        let known = self.set.root();
        let old = Signers::new("root", old)?.known_to(known)?;
        let version = following("root", known.version)?;
        let root = metadata::root(version, new, Some(old), lifetimes, now)?;
        let edition = New {
            contents: &self.contents,
            versions: self.next_versions()?,
            lifetimes,
            now,
        };
        let written = edition.sign(&RoleSigners::new(new)?)?;
        written.put(&self.directory, &self.contents, Some((version, &root)))?;
        self.reload()
    }

    fn root_current(&self, now: Timestamp) -> Result<(), RepositoryError> {
        let at = self.root_expires();
        if at < now {
            return Err(RepositoryError::RootExpired { at });
        }
        Ok(())
    }

    /// The versions of targets, snapshot and timestamp.
    fn versions(&self) -> [u64; 3] {
        [
            self.set
                .targets_role("targets")
                .map_or(0, |role| role.version),
            self.set.snapshot().map_or(0, |role| role.version),
            self.set.timestamp().map_or(0, |role| role.version),
        ]
    }

    /// The next ones, over any that a writer began and did not finish.
    fn next_versions(&self) -> Result<[u64; 3], RepositoryError> {
        if self.directory.metadata(TIMESTAMP)? != self.timestamp {
            return Err(RepositoryError::Concurrent);
        }
        let [targets, snapshot, timestamp] = self.versions();
        let begun = |role| Ok(self.directory.versions(role)?.last().copied().unwrap_or(0));
        Ok([
            following("targets", targets.max(begun("targets")?))?,
            following("snapshot", snapshot.max(begun("snapshot")?))?,
            following("timestamp", timestamp)?,
        ])
    }

    /// Reads back what was written, and removes what nothing names any more.
    fn reload(&mut self) -> Result<(), RepositoryError> {
        let directory = self.directory.clone();
        *self = Self::load(directory)?;
        tidy(&self.directory, self.versions()[0])
    }
}

fn following(role: &'static str, version: u64) -> Result<u64, RepositoryError> {
    version
        .checked_add(1)
        .ok_or(RepositoryError::LastVersion { role })
}

fn versioned(version: Option<u64>, role: &str) -> String {
    format!("{}.{role}.json", version.unwrap_or(0))
}
