//! From the pinned root to the targets, through `sigstore-tuf`'s state machine.
//!
//! The library checks signatures, versions and hashes and does no input or
//! output; this module feeds it, keeps the bytes of what it believed, and sees
//! to the root chain. Nothing in here decides what a target means.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::foreign::cut;
use sigstore_tuf::{Error, Metadata, Root, TargetFile, Targets, TrustedMetadataSet};
use sigstore_verify::crypto::{sha256, sha512};

use super::error::{TrustError, cause};
use super::offered::{Offered, ROOT_BYTES_MAX, missing, root_name};
use super::stored::{Blob, StoredTrust};

/// How many roots are followed after the pinned one. With one a month, a device
/// that was off for ten years.
const ROOTS_MAX: usize = 128;

/// A time at which nothing is expired: expiry is no reason to forget.
const NEVER: Timestamp = Timestamp::MIN;

/// The metadata that is believed, with its bytes.
#[derive(Clone)]
pub(super) struct Chain {
    set: TrustedMetadataSet,
    /// All roots but the pinned one, and any before it that were kept.
    roots: Vec<Blob>,
    timestamp: Bytes,
    snapshot: Bytes,
    targets: Bytes,
}

impl Chain {
    /// Begins with the root that the device was given.
    pub(super) fn begin(root: &[u8]) -> Result<Self, TrustError> {
        if root.len() > ROOT_BYTES_MAX {
            return Err(TrustError::TooLarge {
                what: "the root given to this device (bytes)".to_owned(),
                max: ROOT_BYTES_MAX,
            });
        }
        let set = TrustedMetadataSet::from_root(root).map_err(|error| TrustError::PinnedRoot {
            source: cause(&error),
        })?;
        Ok(Self {
            set,
            roots: Vec::new(),
            timestamp: Bytes::new(),
            snapshot: Bytes::new(),
            targets: Bytes::new(),
        })
    }

    /// The version of the newest root.
    pub(super) fn root_version(&self) -> u64 {
        self.set.root().version
    }

    /// Follows the roots that were kept. Those up to the pinned one are kept on
    /// without being used: a device that falls back to an older image pins an
    /// older root, and needs them then.
    pub(super) fn follow_kept(&mut self, stored: &StoredTrust) -> Result<(), TrustError> {
        let pinned = self.root_version();
        for root in &stored.roots {
            if root.0.len() > ROOT_BYTES_MAX {
                return Err(TrustError::TooLarge {
                    what: "a root (bytes)".to_owned(),
                    max: ROOT_BYTES_MAX,
                });
            }
            let version = version_of("root.json", &root.0)?;
            if version > pinned {
                self.add_root(&root_name(version), &root.0)?;
            } else {
                self.roots.push(root.clone());
            }
        }
        Ok(())
    }

    /// Follows the roots that are offered, to the last. Whether any was new.
    pub(super) fn follow_offered(&mut self, offered: &Offered) -> Result<bool, TrustError> {
        self.check_same_root(offered)?;
        let newest = offered
            .newest_root()
            .ok_or_else(|| missing(&root_name(self.root_version())))?;
        let known = self.root_version();
        if newest < known {
            return Err(TrustError::Rollback {
                role: "root".to_owned(),
                known,
                offered: newest,
            });
        }
        while self.root_version() < newest {
            let Some(next) = self.root_version().checked_add(1) else {
                break;
            };
            let name = root_name(next);
            let root = offered.root(next)?.ok_or_else(|| missing(&name))?.clone();
            self.add_root(&name, &root)?;
        }
        Ok(self.root_version() > known)
    }

    /// Believes what was kept under the newest root, whether it expired or not:
    /// from there, nothing goes back.
    pub(super) fn recall(&mut self, stored: &StoredTrust) -> Result<(), TrustError> {
        self.recall_floor(stored)?;
        self.set
            .update_targets(&stored.targets.0, NEVER)
            .map_err(|error| TrustError::of("targets.json", error))?;
        self.targets = stored.targets.0.clone();
        Ok(())
    }

    /// Recalls the versions that were kept under an older root. A role whose keys
    /// were exchanged since is forgotten with all versions (TUF 5.3.11): that is
    /// how an operator takes back versions that a thief of the keys drove up.
    pub(super) fn recall_under_newer_root(
        &mut self,
        stored: &StoredTrust,
    ) -> Result<(), TrustError> {
        let mut recalled = self.clone();
        match recalled.recall_floor(stored) {
            Ok(()) => *self = recalled,
            Err(TrustError::Unsigned { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn recall_floor(&mut self, stored: &StoredTrust) -> Result<(), TrustError> {
        self.set
            .update_timestamp(&stored.timestamp.0, NEVER)
            .map_err(|error| TrustError::of("timestamp.json", error))?;
        self.set
            .update_snapshot(&stored.snapshot.0, NEVER)
            .map_err(|error| TrustError::of("snapshot.json", error))?;
        self.timestamp = stored.timestamp.0.clone();
        self.snapshot = stored.snapshot.0.clone();
        Ok(())
    }

    /// Believes what is offered under the newest root.
    pub(super) fn advance(&mut self, offered: &Offered, now: Timestamp) -> Result<(), TrustError> {
        self.set
            .check_root_expired(now)
            .map_err(|error| TrustError::of("root.json", error))?;

        let timestamp = offered.timestamp()?;
        match self.set.update_timestamp(timestamp, now) {
            Ok(()) => self.timestamp = timestamp.clone(),
            // Nothing new. The one that is known must still be current.
            Err(Error::EqualVersion { .. }) => self
                .set
                .check_timestamp_expired(now)
                .map_err(|error| TrustError::of("timestamp.json", error))?,
            Err(error) => return Err(TrustError::of("timestamp.json", error)),
        }

        let pinned = self.set.timestamp().and_then(|role| role.snapshot_meta());
        let name = self.role_name("snapshot.json", pinned.map(|pin| pin.version));
        let snapshot = offered.role(&name)?;
        self.set
            .update_snapshot(snapshot, now)
            .map_err(|error| TrustError::of(&name, error))?;
        self.snapshot = snapshot.clone();

        let pins = self.set.snapshot().map(|role| &role.meta);
        let pinned = pins.and_then(|pins| pins.get("targets.json"));
        let name = self.role_name("targets.json", pinned.map(|pin| pin.version));
        let targets = offered.role(&name)?;
        self.set
            .update_targets(targets, now)
            .map_err(|error| TrustError::of(&name, error))?;
        self.targets = targets.clone();
        Ok(())
    }

    /// Until when all of it is believed.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        [
            Some(self.set.root().expires),
            self.set.timestamp().map(|role| role.expires),
            self.set.snapshot().map(|role| role.expires),
            self.top_level().map(|role| role.expires),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether files are named with their version or hash.
    pub(super) fn consistent(&self) -> bool {
        self.set.root().consistent_snapshot
    }

    /// What the operator's own targets role says about `target`.
    pub(super) fn listed(&self, target: &str) -> Result<&TargetFile, TrustError> {
        let role = self.top_level();
        if let Some(listed) = role.and_then(|role| role.target(target)) {
            return Ok(listed);
        }
        let delegated =
            role.and_then(|role| role.delegations.as_ref())
                .is_some_and(|delegations| {
                    let mut roles = delegations.roles.iter();
                    roles.any(|role| role.matches_path(target).unwrap_or(true))
                });
        let target = cut(target);
        Err(if delegated {
            TrustError::Delegated { target }
        } else {
            TrustError::NotListed { target }
        })
    }

    /// What is to be kept, with `files`.
    pub(super) fn into_stored(self, files: impl Iterator<Item = (String, Bytes)>) -> StoredTrust {
        StoredTrust {
            root_version: self.root_version(),
            roots: self.roots,
            timestamp: Blob(self.timestamp),
            snapshot: Blob(self.snapshot),
            targets: Blob(self.targets),
            files: files.map(|(name, file)| (name, Blob(file))).collect(),
        }
    }

    fn top_level(&self) -> Option<&Targets> {
        self.set.targets_role("targets")
    }

    /// Another repository's root under the same version would only show as
    /// missing signatures: say what it is.
    fn check_same_root(&self, offered: &Offered) -> Result<(), TrustError> {
        let version = self.root_version();
        let Some(bytes) = offered.root(version)? else {
            return Ok(());
        };
        let parse = |bytes: &[u8]| {
            Metadata::<Root>::from_slice(bytes)
                .map_err(|error| TrustError::of(&root_name(version), error))
        };
        if parse(bytes)?.signed_canonical() != parse(self.set.root_bytes())?.signed_canonical() {
            return Err(TrustError::OtherRoot { version });
        }
        Ok(())
    }

    fn add_root(&mut self, name: &str, root: &Bytes) -> Result<(), TrustError> {
        if self.roots.len() >= ROOTS_MAX {
            return Err(TrustError::RootChain {
                roots_max: ROOTS_MAX,
            });
        }
        self.set
            .update_root(root)
            .map_err(|error| TrustError::of(name, error))?;
        self.roots.push(Blob(root.clone()));
        Ok(())
    }

    fn role_name(&self, name: &str, version: Option<u64>) -> String {
        match version {
            Some(version) if self.consistent() => format!("{version}.{name}"),
            _ => name.to_owned(),
        }
    }
}

/// Whether `bytes` are what `listed` says: its length, every hash that is known,
/// and at least one.
pub(super) fn is_listed(bytes: &[u8], listed: &TargetFile) -> bool {
    let mut known = 0;
    for (algorithm, expected) in &listed.hashes {
        let actual = match algorithm.as_str() {
            "sha256" => sha256(bytes).to_hex(),
            "sha512" => sha512(bytes).to_hex(),
            _ => continue,
        };
        if !actual.eq_ignore_ascii_case(expected) {
            return false;
        }
        known += 1;
    }
    known > 0 && u64::try_from(bytes.len()) == Ok(listed.length)
}

fn version_of(file: &str, root: &[u8]) -> Result<u64, TrustError> {
    Metadata::<Root>::from_slice(root)
        .map(|root| root.signed().version)
        .map_err(|error| TrustError::of(file, error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_its_length_and_every_known_hash() {
        let check = |length: usize, hashes: serde_json::Value| {
            let listed = json!({ "length": length, "hashes": hashes });
            is_listed(b"policy", &serde_json::from_value(listed).unwrap())
        };
        let (short, long) = (sha256(b"policy").to_hex(), sha512(b"policy").to_hex());
        let other = sha512(b"other").to_hex();

        assert!(check(6, json!({ "sha256": short })));
        assert!(check(6, json!({ "sha512": long.to_uppercase() })));
        assert!(check(6, json!({ "sha256": short, "md5": "00" })));

        assert!(!check(5, json!({ "sha256": short })));
        assert!(!check(6, json!({ "sha256": short, "sha512": other })));
        assert!(!check(6, json!({ "md5": "00" })));
        assert!(!check(6, json!({})));
    }
}
