//! Whether a verified identity is the one that a policy means.
//!
//! The one place where a wildcard decides about trust. `sigstore-verify` matches
//! identities exactly; release workflows carry the tag in theirs, so the policy
//! may end in `*`. Only identities from certificates that were verified get here.

use serde::{Deserialize, Serialize};

/// An identity, exactly, or, ending in `*`, all that begin with what stands
/// before it. `*` alone and a wildcard before the path of a URI are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityPattern(String);

/// Why text is no pattern of identities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` matches more than one publisher: a `*` may only stand at the end, after the path")]
pub struct IdentityPatternError(String);

impl TryFrom<String> for IdentityPattern {
    type Error = IdentityPatternError;

    fn try_from(text: String) -> Result<Self, IdentityPatternError> {
        todo!()
    }
}

impl From<IdentityPattern> for String {
    fn from(pattern: IdentityPattern) -> Self {
        pattern.0
    }
}

impl IdentityPattern {
    /// Whether `identity`, from a verified certificate, is meant.
    pub fn matches(&self, identity: &str) -> bool {
        todo!()
    }
}

/// Whether certificates can make a claim of this name (Fulcio's OID registry,
/// in snake case).
pub fn is_claim(name: &str) -> bool {
    todo!()
}
