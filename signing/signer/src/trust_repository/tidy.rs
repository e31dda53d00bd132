//! Removes what no metadata names any more.
//!
//! The last snapshots stay, with all that they name: a copy under way may still
//! need them. Roots stay for ever: a device may have been off for years. Files
//! that no targets metadata of this repository ever named are not touched.

use std::collections::BTreeSet;

use sigstore_tuf::{Metadata, Snapshot, Targets};

use super::contents::stored_names;
use super::directory::Directory;
use super::{RepositoryError, versioned};

/// How many snapshots stay: the current one and two before it.
const SNAPSHOTS_KEPT: usize = 3;

/// Removes what was for versions long before `current`, that of targets.
pub(super) fn tidy(directory: &Directory, current: u64) -> Result<(), RepositoryError> {
    let snapshots = directory.versions("snapshot")?;
    let split = snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
    let (old, kept) = snapshots.split_at(split);

    let mut named = BTreeSet::from([current]);
    for version in kept {
        named.extend(pinned(directory, *version)?);
    }
    let mut files = BTreeSet::new();
    let mut unnamed = BTreeSet::new();
    let mut unneeded = Vec::new();
    for version in directory.versions("targets")? {
        let kept = named.contains(&version) || version > current;
        let bytes = directory.metadata(&versioned(Some(version), "targets"))?;
        if let Ok(role) = Metadata::<Targets>::from_slice(&bytes) {
            let names = stored_names(role.signed());
            let names = names.map(|(name, hash)| (name.to_owned(), hash.to_owned()));
            if kept {
                files.extend(names);
            } else {
                unnamed.extend(names);
            }
        }
        if !kept {
            unneeded.push(version);
        }
    }
    // Metadata last: without it, nobody would know what else to remove.
    for (name, hash) in unnamed.difference(&files) {
        directory.remove_target(name, hash)?;
    }
    for version in unneeded {
        directory.remove_version(version, "targets")?;
    }
    for version in old {
        directory.remove_version(*version, "snapshot")?;
    }
    Ok(())
}

/// Which targets the snapshot of `version` names.
fn pinned(directory: &Directory, version: u64) -> Result<Option<u64>, RepositoryError> {
    let bytes = directory.metadata(&versioned(Some(version), "snapshot"))?;
    let snapshot = Metadata::<Snapshot>::from_slice(&bytes).ok();
    Ok(snapshot.and_then(|role| Some(role.signed().meta.get("targets.json")?.version)))
}
