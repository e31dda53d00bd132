//! What a repository is for: the policy and the files that it names.

use bytes::Bytes;
use selvedge_artifact::Digest;
use selvedge_signing::Policy;
use sigstore_tuf::{TargetFile, Targets, TrustedMetadataSet};

use super::RepositoryError;
use super::directory::Directory;

/// The target that is the policy.
const POLICY: &str = "policy.json";

/// How long a file's name may be, in bytes. Its hash comes before it.
const NAME_BYTES_MAX: usize = 128;

/// The policy and its files, as they are signed.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) policy: Policy,
    policy_bytes: Vec<u8>,
    pub(super) files: Vec<(String, Bytes)>,
}

impl Contents {
    /// Exactly what `policy` names, in a form that devices accept.
    pub(super) fn new(policy: &Policy, files: &[(String, Bytes)]) -> Result<Self, RepositoryError> {
        let policy_bytes = policy.to_bytes();
        let policy =
            Policy::parse(&policy_bytes).map_err(|source| RepositoryError::Policy { source })?;
        for target in policy.trust.values() {
            if !is_name(target) {
                return Err(RepositoryError::FileName {
                    target: target.clone(),
                });
            }
            if files.iter().all(|(name, _)| name != target) {
                return Err(RepositoryError::FileMissing {
                    target: target.clone(),
                });
            }
        }
        for (name, _) in files {
            if policy.trust.values().all(|target| target != name) {
                return Err(RepositoryError::FileUnnamed {
                    target: name.clone(),
                });
            }
        }
        Ok(Self {
            policy,
            policy_bytes,
            files: files.to_vec(),
        })
    }

    /// What the directory holds of what `set` lists.
    pub(super) fn read(
        directory: &Directory,
        set: &TrustedMetadataSet,
    ) -> Result<Self, RepositoryError> {
        let role = set.targets_role("targets");
        let get = |target: &str| {
            let listed = role.and_then(|role| role.target(target));
            let hash = listed.and_then(sha256).ok_or_else(|| {
                RepositoryError::not_whole(target, "it is not listed with a SHA-256")
            })?;
            let bytes = directory.target(target, hash)?;
            if Digest::of(&bytes).hex() != hash {
                return Err(RepositoryError::not_whole(target, "its hash is another"));
            }
            Ok(bytes)
        };
        let policy_bytes = get(POLICY)?;
        let policy =
            Policy::parse(&policy_bytes).map_err(|source| RepositoryError::Policy { source })?;
        let mut files: Vec<(String, Bytes)> = Vec::new();
        for target in policy.trust.values() {
            if files.iter().all(|(name, _)| name != target) {
                files.push((target.clone(), Bytes::from(get(target)?)));
            }
        }
        Ok(Self {
            policy,
            policy_bytes,
            files,
        })
    }

    /// All targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.files.iter();
        let files = files.map(|(name, bytes)| (name.as_str(), bytes.as_ref()));
        std::iter::once((POLICY, self.policy_bytes.as_slice())).chain(files)
    }
}

/// The names and hashes under which `role` has its targets in the directory.
pub(super) fn stored_names(role: &Targets) -> impl Iterator<Item = (&str, &str)> {
    role.targets
        .iter()
        .filter_map(|(name, listed)| Some((name.as_str(), sha256(listed)?)))
        .filter(|(name, _)| is_name(name) || *name == POLICY)
}

/// The hash that stands in a target's file name; foreign text, until it is found
/// to be one.
fn sha256(listed: &TargetFile) -> Option<&str> {
    let hash = listed.hashes.get("sha256")?;
    let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then_some(hash)
}

/// Whether a file can be called so on every system and in every URL.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let segment = |segment: &str| {
        !segment.is_empty() && !segment.starts_with('.') && segment.chars().all(plain)
    };
    name.len() <= NAME_BYTES_MAX && name != POLICY && name.split('/').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_in_its_directory() {
        for name in ["root.json", "site/root.json", "a-b_c.1"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "", "/a", "a/", "../a", "a/../b", ".a", "a b", "a\\b", POLICY,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
