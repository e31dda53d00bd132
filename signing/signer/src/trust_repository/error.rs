//! Why a trust repository was not read or written.

use std::path::PathBuf;

use jiff::Timestamp;
use selvedge_signing::PolicyError;

/// Why a repository was not written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A repository begins in a directory of its own.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot read or write the trust repository")]
    Files {
        /// Why, with the path.
        source: std::io::Error,
    },
    /// A file of the repository is not what the rest of it says.
    #[error("`{file}` of the trust repository does not hold")]
    NotWhole {
        /// The file.
        file: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Someone else wrote meanwhile: open it again.
    #[error("the trust repository was changed by someone else meanwhile")]
    Concurrent,
    /// A role has no key.
    #[error("role `{role}` has no key")]
    NoKeys {
        /// The role.
        role: &'static str,
    },
    /// A key is not one of its role's.
    #[error("a key that was given for role `{role}` is not one of its keys")]
    UnknownKey {
        /// The role.
        role: &'static str,
    },
    /// Too few of a role's keys.
    #[error("role `{role}` takes {threshold} of its keys, and {found} were given")]
    TooFewKeys {
        /// The role.
        role: &'static str,
        /// How many were given.
        found: usize,
        /// How many it takes.
        threshold: usize,
    },
    /// A key did not sign.
    #[error("cannot sign `{role}`")]
    Sign {
        /// The role.
        role: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing under it would be believed: rotate it.
    #[error("the trust repository's root expired at {at}")]
    RootExpired {
        /// When.
        at: Timestamp,
    },
    /// No device would accept the policy.
    #[error("the policy cannot be used")]
    Policy {
        /// Why.
        source: PolicyError,
    },
    /// The policy names a file that was not given.
    #[error("the policy names `{target}`, which was not given")]
    FileMissing {
        /// The target.
        target: String,
    },
    /// A file was given that the policy does not name.
    #[error("the policy does not name `{target}`")]
    FileUnnamed {
        /// The target.
        target: String,
    },
    /// A file cannot have this name.
    #[error("`{target}` is no name for a file of a trust repository")]
    FileName {
        /// The target.
        target: String,
    },
    /// A lifetime is not positive, or ends after all time.
    #[error("`{role}` cannot expire {lifetime} after {now}")]
    Lifetime {
        /// The role.
        role: &'static str,
        /// The lifetime.
        lifetime: jiff::SignedDuration,
        /// From when on.
        now: Timestamp,
    },
    /// There is no higher version.
    #[error("`{role}` has reached the last version")]
    LastVersion {
        /// The role.
        role: &'static str,
    },
}

impl RepositoryError {
    pub(super) fn files(source: std::io::Error) -> Self {
        Self::Files { source }
    }

    pub(super) fn not_whole(
        file: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::NotWhole {
            file: file.to_owned(),
            source: source.into(),
        }
    }
}
