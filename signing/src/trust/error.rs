//! Why a trust repository is not believed.
//!
//! One variant for each thing that an operator would look into differently. What
//! the repository itself says is cut short and freed of control characters
//! before it is shown: it may come from anyone.

use jiff::Timestamp;
use selvedge_artifact::foreign::{Cause, cut, cut_chain};
use sigstore_tuf::Error;

use crate::PolicyError;

/// Why a repository is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// More than is ever read.
    #[error("{what} of the trust repository is over the limit of {max}")]
    TooLarge {
        /// What is too large or too many, with its unit.
        what: String,
        /// The limit, in that unit.
        max: usize,
    },
    /// A file that should be there is not.
    #[error("the trust repository has no `{file}`")]
    Missing {
        /// Its name.
        file: String,
    },
    /// The root that the device was given is none.
    #[error("the root that was given to this device cannot be used")]
    PinnedRoot {
        /// What is wrong with it.
        source: Cause,
    },
    /// The repository is someone else's.
    #[error("version {version} of the trust repository's root is not the one this device knows")]
    OtherRoot {
        /// The version of the root.
        version: u64,
    },
    /// The chain of roots does not end.
    #[error("the trust repository has more than {roots_max} roots after the one this device knows")]
    RootChain {
        /// How many are followed.
        roots_max: usize,
    },
    /// It is older than what was seen before.
    #[error("`{role}` of the trust repository went back from version {known} to {offered}")]
    Rollback {
        /// What went back.
        role: String,
        /// The version that was seen before.
        known: u64,
        /// The version that is offered.
        offered: u64,
    },
    /// It is no longer believed: nobody said of late that it is current.
    #[error("`{role}` of the trust repository expired at {at}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        at: Timestamp,
    },
    /// Its files are not of one state.
    #[error("`{file}` of the trust repository is not the one that the rest of it names")]
    Mixed {
        /// The file.
        file: String,
        /// In what it differs.
        source: Cause,
    },
    /// Too few of the keys that may have signed.
    #[error("`{role}` of the trust repository has {found} of {threshold} valid signatures")]
    Unsigned {
        /// The role.
        role: String,
        /// Valid signatures by different keys of the role.
        found: usize,
        /// How many it takes.
        threshold: usize,
    },
    /// Not what the specification says.
    #[error("`{file}` of the trust repository is malformed")]
    Malformed {
        /// The file.
        file: String,
        /// In what.
        source: Cause,
    },
    /// A target is not the one that was signed.
    #[error("target `{target}` of the trust repository is not what was signed")]
    Tampered {
        /// The target.
        target: String,
    },
    /// The operator signed no such target.
    #[error("the trust repository does not list target `{target}`")]
    NotListed {
        /// The target.
        target: String,
    },
    /// A target that only a delegated role could vouch for. What the policy is,
    /// the operator alone says.
    #[error("target `{target}` is delegated, and only the operator may sign it")]
    Delegated {
        /// The target.
        target: String,
    },
    /// What was signed is no policy.
    #[error("the policy of the trust repository cannot be used")]
    Policy {
        /// Why.
        source: PolicyError,
    },
    /// Nothing was kept yet.
    #[error("no trust repository was read yet")]
    NothingKept,
    /// What was kept does not hold. Only an operator may forget it: without it,
    /// nothing protects from going back.
    #[error("what this device kept of the trust repository does not hold")]
    Kept {
        /// What is wrong with it.
        source: Box<TrustError>,
    },
}

impl TrustError {
    /// A stable name for exit messages, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "trust-too-large",
            Self::Missing { .. } => "trust-file-missing",
            Self::PinnedRoot { .. } => "trust-root-invalid",
            Self::OtherRoot { .. } => "trust-root-other",
            Self::RootChain { .. } => "trust-root-chain-too-long",
            Self::Rollback { .. } => "trust-rollback",
            Self::Expired { .. } => "trust-expired",
            Self::Mixed { .. } => "trust-mixed",
            Self::Unsigned { .. } => "trust-unsigned",
            Self::Malformed { .. } => "trust-malformed",
            Self::Tampered { .. } => "trust-target-tampered",
            Self::NotListed { .. } => "trust-target-not-listed",
            Self::Delegated { .. } => "trust-target-delegated",
            Self::Policy { .. } => "trust-policy-invalid",
            Self::NothingKept => "trust-nothing-kept",
            Self::Kept { .. } => "trust-kept-invalid",
        }
    }

    /// What it means that the metadata in `file` was refused.
    pub(super) fn of(file: &str, error: Error) -> Self {
        match error {
            Error::ThresholdNotMet {
                role,
                found,
                threshold,
            } => Self::Unsigned {
                role: cut(&role),
                found,
                threshold,
            },
            Error::Rollback { role, trusted, new } => Self::Rollback {
                role: cut(&role),
                known: trusted,
                offered: new,
            },
            Error::BadRootVersion { trusted, new } if new <= trusted => Self::Rollback {
                role: "root".to_owned(),
                known: trusted,
                offered: new,
            },
            Error::Expired { role, expires } => Self::Expired {
                role: cut(&role),
                at: expires,
            },
            error @ Error::IntegrityMismatch(_) => Self::Mixed {
                file: cut(file),
                source: cause(&error),
            },
            error => Self::Malformed {
                file: cut(file),
                source: cause(&error),
            },
        }
    }

    pub(super) fn kept(self) -> Self {
        Self::Kept {
            source: Box::new(self),
        }
    }
}

/// The whole chain of `error` as one text.
pub(super) fn cause(error: &Error) -> Cause {
    Cause::from(cut_chain(error))
}
