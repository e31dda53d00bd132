//! The files of a repository, found by what they are.
//!
//! Accepts the layouts that are in use: `metadata/` and `targets/` beside each
//! other (python-tuf, tuf-on-ci), metadata beside `targets/` (sigstore), or all
//! in one directory. Where a file lies is no statement: signatures and hashes
//! decide what it is worth.

use bytes::Bytes;
use selvedge_artifact::foreign::cut;
use sigstore_tuf::TargetFile;

use super::RepositoryFiles;
use super::error::TrustError;
use crate::Trust;

/// One root, in bytes.
pub(super) const ROOT_BYTES_MAX: usize = 64 << 10;
/// A timestamp, in bytes.
const TIMESTAMP_BYTES_MAX: usize = 16 << 10;
/// A snapshot or the targets role, in bytes.
const METADATA_BYTES_MAX: usize = 1 << 20;
/// One target, in bytes.
const TARGET_BYTES_MAX: usize = 4 << 20;

/// What is offered, within its bounds.
pub(super) struct Offered {
    files: RepositoryFiles,
    /// Where the metadata lies: `metadata/` or nothing.
    metadata: &'static str,
}

impl Offered {
    pub(super) fn new(files: RepositoryFiles) -> Result<Self, TrustError> {
        if files.len() > Trust::REPOSITORY_FILES_MAX {
            return Err(too_large("files", Trust::REPOSITORY_FILES_MAX));
        }
        let bytes = files
            .iter()
            .map(|(name, file)| name.len() + file.len())
            .fold(0, usize::saturating_add);
        if bytes > Trust::REPOSITORY_BYTES_MAX {
            return Err(too_large("all files (bytes)", Trust::REPOSITORY_BYTES_MAX));
        }
        let metadata = if files.contains_key("metadata/timestamp.json") {
            "metadata/"
        } else {
            ""
        };
        Ok(Self { files, metadata })
    }

    /// The root of `version`, if it is there.
    pub(super) fn root(&self, version: u64) -> Result<Option<&Bytes>, TrustError> {
        self.find(&root_name(version), ROOT_BYTES_MAX)
    }

    /// The newest root that is there, by name.
    pub(super) fn newest_root(&self) -> Option<u64> {
        self.files
            .keys()
            .filter_map(|name| {
                name.strip_prefix(self.metadata)?
                    .strip_suffix(".root.json")?
                    .parse()
                    .ok()
            })
            .max()
    }

    pub(super) fn timestamp(&self) -> Result<&Bytes, TrustError> {
        self.metadata("timestamp.json", TIMESTAMP_BYTES_MAX)
    }

    /// `snapshot.json` or `targets.json`, by its name in this repository.
    pub(super) fn role(&self, name: &str) -> Result<&Bytes, TrustError> {
        self.metadata(name, METADATA_BYTES_MAX)
    }

    /// The target that `listed` describes; with consistent snapshots, its hash
    /// stands before its name.
    pub(super) fn target(
        &self,
        target: &str,
        listed: &TargetFile,
        consistent: bool,
    ) -> Result<&Bytes, TrustError> {
        let names: Vec<String> = if consistent {
            let hashed = |hash: &String| match target.rsplit_once('/') {
                Some((folder, name)) => format!("{folder}/{hash}.{name}"),
                None => format!("{hash}.{target}"),
            };
            listed.hashes.values().map(hashed).collect()
        } else {
            vec![target.to_owned()]
        };
        let found = names.iter().find_map(|name| {
            let beside = || self.files.get(name);
            self.files.get(&format!("targets/{name}")).or_else(beside)
        });
        let Some(bytes) = found else {
            return Err(missing(names.first().map_or(target, String::as_str)));
        };
        if bytes.len() > TARGET_BYTES_MAX {
            return Err(too_large(&format!("`{target}` (bytes)"), TARGET_BYTES_MAX));
        }
        Ok(bytes)
    }

    fn metadata(&self, name: &str, bytes_max: usize) -> Result<&Bytes, TrustError> {
        self.find(name, bytes_max)?.ok_or_else(|| missing(name))
    }

    fn find(&self, name: &str, bytes_max: usize) -> Result<Option<&Bytes>, TrustError> {
        match self.files.get(&format!("{}{name}", self.metadata)) {
            Some(bytes) if bytes.len() > bytes_max => {
                Err(too_large(&format!("`{name}` (bytes)"), bytes_max))
            }
            found => Ok(found),
        }
    }
}

/// How the root of `version` is called.
pub(super) fn root_name(version: u64) -> String {
    format!("{version}.root.json")
}

/// The error for a file that is not there.
pub(super) fn missing(name: &str) -> TrustError {
    TrustError::Missing { file: cut(name) }
}

fn too_large(what: &str, max: usize) -> TrustError {
    TrustError::TooLarge {
        what: cut(what),
        max,
    }
}
