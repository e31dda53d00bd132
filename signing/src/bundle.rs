//! Sigstore bundles: the one module that knows the sigstore library.
//!
//! Bundles of the formats 0.1 to 0.3, keyless or with a managed key, with Rekor
//! v1 or v2 entries and RFC 3161 timestamps, are verified offline against a
//! trusted root that the caller chose. Who may sign what is not decided here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use selvedge_artifact::Digest;

use crate::{IdentityPattern, Statement};

/// A signature with what is needed to verify it.
#[derive(Clone, Debug)]
pub struct SignatureBundle(sigstore_verify::types::Bundle);

/// The keys and certificates of a sigstore instance, prepared for verifying.
pub struct TrustedRoot(sigstore_verify::Verifier);

impl std::fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedRoot").finish_non_exhaustive()
    }
}

/// What a verified bundle proves.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Who signed.
    pub signer: Signer,
    /// When: the latest of the times that a log or a timestamp authority
    /// vouches for.
    pub signed_at: Timestamp,
    /// What was signed.
    pub content: Content,
}

/// What was signed.
#[derive(Clone, Debug)]
pub enum Content {
    /// The artifact's bytes themselves.
    Artifact,
    /// A statement with the artifact as a subject.
    Statement(Statement),
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Someone whom an identity provider knows, through a short-lived
    /// certificate.
    Identity {
        /// The identity provider, `https://token.actions.githubusercontent.com`.
        issuer: String,
        /// Who: an address or a URI.
        identity: String,
    },
    /// The holder of a key.
    Key {
        /// The digest of the public key (SubjectPublicKeyInfo, DER).
        key: Digest,
    },
}

/// The public half of a managed key.
#[derive(Clone, Debug)]
pub struct PublicKey(sigstore_verify::types::DerPublicKey);

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    // Helper: a variant for each thing an operator would treat differently.
}

/// Why bytes are not a trusted root, or text not a key.
#[derive(Debug, thiserror::Error)]
pub enum TrustedRootError {}

impl SignatureBundle {
    /// Reads a bundle. It proves nothing yet.
    ///
    /// # Errors
    ///
    /// If it is too large or not a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        todo!()
    }

    /// What it claims to be: the predicate type of its statement, `None` if it
    /// signs the artifact itself. For sorting and for messages, not for trust.
    pub fn predicate_type_claimed(&self) -> Option<String> {
        todo!()
    }
}

impl SignatureBundle {
    /// Who it claims to be signed by. For messages, not for trust.
    pub fn signer_claimed(&self) -> Option<Signer> {
        todo!()
    }
}

impl PublicKey {
    /// Reads a public key (SubjectPublicKeyInfo, PEM).
    ///
    /// # Errors
    ///
    /// If it is none, or of an algorithm that is not supported.
    pub fn parse(pem: &str) -> Result<Self, TrustedRootError> {
        todo!()
    }

    /// The digest of its SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        todo!()
    }
}

impl TrustedRoot {
    /// Reads a trusted root (`trusted_root.json` of the sigstore protobuf specs).
    ///
    /// # Errors
    ///
    /// If it is too large or not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustedRootError> {
        todo!()
    }

    /// Verifies a keyless bundle over `artifact`, signed by whom `issuer` knows
    /// as one that `identity` matches, with a certificate that makes `claims`.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    pub fn verify_identity(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
        issuer: &str,
        identity: &IdentityPattern,
        claims: &BTreeMap<String, String>,
    ) -> Result<Evidence, BundleError> {
        todo!()
    }

    /// Verifies a bundle over `artifact` signed with `key`. A log entry or a
    /// timestamp must say when; with `log`, it must be a log entry.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    pub fn verify_key(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
        key: &PublicKey,
        log: bool,
    ) -> Result<Evidence, BundleError> {
        todo!()
    }
}
