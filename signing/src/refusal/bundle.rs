//! What became of the bundles, if none of them counts.

use selvedge_artifact::PackageName;

use crate::BundleError;
use crate::refusal::describe::one_of;

/// Nobody who may release a package has released this artifact.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{package}` is not released by {}: {} count{}",
    one_of(.by),
    counted(*.found),
    not_looked_at(*.ignored)
)]
pub struct Unreleased {
    /// The package.
    pub package: PackageName,
    /// Who may release it, by the names in the policy.
    pub by: Vec<String>,
    /// Bundles that were looked at.
    pub found: usize,
    /// Bundles that were not looked at, for there are too many.
    pub ignored: usize,
    /// The most telling reason.
    #[source]
    pub first: Option<BundleRefusal>,
    /// The other reasons, as far as they are kept.
    pub others: Vec<BundleRefusal>,
}

/// What became of one bundle that did not count as the release, or as a needed
/// statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleRefusal {
    /// It cannot be read.
    #[error("bundle {bundle} cannot be read")]
    Unreadable {
        /// Which, counted from 1 in the order in which they came.
        bundle: usize,
        /// Why.
        source: BundleError,
    },
    /// It was not signed by this publisher.
    #[error("bundle {bundle} is not by `{publisher}`, who is {wanted}")]
    NotBy {
        /// Which, counted from 1 in the order in which they came.
        bundle: usize,
        /// Whose it was tried as, by the name in the policy.
        publisher: String,
        /// Whom the policy means by that.
        wanted: String,
        /// Why it is not.
        source: BundleError,
    },
    /// It is by this publisher, but states something else.
    #[error("bundle {bundle}, by `{publisher}`, states `{predicate_type}`, which is no release")]
    NotARelease {
        /// Which, counted from 1 in the order in which they came.
        bundle: usize,
        /// Whose it is, by the name in the policy.
        publisher: String,
        /// What it states, cut.
        predicate_type: String,
    },
}

impl BundleRefusal {
    /// A stable name for programs. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { source, .. } | Self::NotBy { source, .. } => source.code(),
            Self::NotARelease { .. } => "not-a-release",
        }
    }
}

impl Unreleased {
    /// All reasons that are kept, the most telling first.
    pub fn reasons(&self) -> impl Iterator<Item = &BundleRefusal> {
        self.first.iter().chain(&self.others)
    }
}

fn counted(found: usize) -> String {
    match found {
        1 => "the one bundle does not".to_owned(),
        found => format!("none of {found} bundles"),
    }
}

fn not_looked_at(ignored: usize) -> String {
    match ignored {
        0 => String::new(),
        ignored => format!(", and {ignored} more were not looked at"),
    }
}
