//! Sigstore bundles: the one module that knows the sigstore library.
//!
//! Bundles of the formats 0.1 to 0.3, keyless or with a managed key, with Rekor
//! v1 or v2 entries and RFC 3161 timestamps, are verified offline against a
//! trusted root that the caller chose. Who may sign what is not decided here.
//!
//! A bundle is hostile until it is verified: it is bounded and has one reading
//! before the library sees it, and a panic of the library is a refusal. The
//! library compares times of logs with the clock of the system: on a device
//! whose clock is behind the signature, it refuses.

use jiff::Timestamp;
use selvedge_artifact::Digest;
use serde::{Deserialize, Serialize};
use sigstore_verify::crypto::parse_certificate_info;
use sigstore_verify::types::{Bundle, SignatureContent};

use crate::Statement;
use selvedge_artifact::foreign::cause;

mod claims;
mod contained;
mod error;
mod public_key;
mod shape;
mod trusted_root;

pub use claims::is_claim;
pub use error::{BundleError, TrustedRootError};
pub use public_key::PublicKey;
pub use trusted_root::TrustedRoot;
pub(crate) use trusted_root::{Expected, Subject};

/// Bytes of a bundle.
const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// The only type of signed envelope that binds an artifact (in-toto Attestation
/// Framework, envelope.md).
const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// A signature with what is needed to verify it.
#[derive(Clone, Debug)]
pub struct SignatureBundle {
    bundle: Bundle,
    /// The statement that `bundle` signs, read from the very bytes that the
    /// signature covers; `None` if it signs the artifact itself.
    statement: Option<Statement>,
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
    /// A statement with the artifact as a subject. What it states is for the
    /// caller to look at: a bill of materials is no release.
    Statement(Statement),
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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

impl SignatureBundle {
    /// Reads a bundle. It proves nothing yet.
    ///
    /// At most 1 MiB, 8 log entries, 8 timestamps and 8 certificates; a signed
    /// statement must be one that [`Statement::parse`] reads.
    ///
    /// # Errors
    ///
    /// If it is too large or not a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| BundleError::Malformed(cause(&e)))?;
        shape::check(text)?;
        let bundle = contained::contained(|| Bundle::from_json(text))
            .map_err(|_| BundleError::Panicked)?
            .map_err(|error| BundleError::Malformed(cause(&error)))?;
        for entry in &bundle.verification_material.tlog_entries {
            if entry.inclusion_proof.is_none() && entry.inclusion_promise.is_none() {
                let reason = "an entry has neither an inclusion proof nor a promise";
                return Err(BundleError::LogEvidence(cause(&reason)));
            }
        }
        let statement = match &bundle.content {
            SignatureContent::MessageSignature(_) => None,
            SignatureContent::DsseEnvelope(envelope) if envelope.payload_type == STATEMENT_TYPE => {
                Some(Statement::parse(envelope.payload.as_bytes())?)
            }
            _ => {
                let reason = "it signs an envelope that is no in-toto statement";
                return Err(BundleError::Unsupported(cause(&reason)));
            }
        };
        Ok(Self { bundle, statement })
    }

    /// What it claims to be: the predicate type of its statement, `None` if it
    /// signs the artifact itself. For sorting and for messages, not for trust.
    pub fn predicate_type_claimed(&self) -> Option<String> {
        let statement = self.statement.as_ref()?;
        Some(statement.predicate_type.clone())
    }

    /// Whom its certificate names; `None` if it has none. For messages, not for
    /// trust.
    pub fn signer_claimed(&self) -> Option<Signer> {
        let certificate = self.bundle.signing_certificate()?;
        let read = || parse_certificate_info(certificate).ok();
        let read = contained::contained(read).ok().flatten()?;
        Some(Signer::Identity {
            issuer: read.issuer?,
            identity: read.identity?.as_str().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
