//! In-toto statements (in-toto Attestation Framework, Statement v1): what a
//! signed envelope says about an artifact.

use selvedge_artifact::Digest;
use serde_json::Value;

/// Predicate types: what a statement states.
pub mod predicate_type {
    /// A release: the publisher means this artifact to be used. What
    /// `cosign sign` writes since version 3.
    pub const RELEASE: &str = "https://sigstore.dev/cosign/sign/v1";
    /// How it was built (SLSA 1.0).
    pub const SLSA_PROVENANCE: &str = "https://slsa.dev/provenance/v1";
    /// What is in it (CycloneDX).
    pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
    /// What is in it (SPDX).
    pub const SPDX: &str = "https://spdx.dev/Document";
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The digests of what it is about. At most 100.
    pub subjects: Vec<Digest>,
    /// What it states.
    pub predicate_type: String,
    /// The statement.
    pub predicate: Value,
}

/// Why bytes are not a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {}

impl Statement {
    /// Reads a statement. Who says so was verified before.
    ///
    /// # Errors
    ///
    /// If it is too large or not a statement with SHA-256 subjects.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        todo!()
    }
}
