//! Why an artifact was refused: one reason, with what an operator can do.

use selvedge_artifact::{Digest, PackageName};
use semver::Version;

use crate::BundleError;

/// The steps of a decision, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Is the policy current?
    Policy,
    /// Who may release this package?
    Grant,
    /// Are these the bytes that were asked for?
    Integrity,
    /// Did someone who may release it?
    Release,
    /// Is it the package and version that were asked for?
    Name,
    /// Is stated about it what must be?
    Attestations,
    /// Is it still trusted?
    Revocation,
    /// Is it not older than what the device had?
    Version,
}

/// Why an artifact was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    // Helper: one variant for each refusal of each step.
}

/// What became of one bundle that did not count as the release.
#[derive(Debug)]
pub struct BundleRefusal {
    /// Whose it was tried as, by the name in the policy.
    pub publisher: String,
    /// Why it did not count.
    pub error: BundleError,
}

impl Refusal {
    /// Where in the decision.
    pub fn step(&self) -> Step {
        todo!()
    }

    /// A stable name for exit messages, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        todo!()
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<String> {
        todo!()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
