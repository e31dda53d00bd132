//! Signs with a managed key.
//!
//! The bundle names the key by its digest and carries a timestamp over the
//! signature, for a device must know when a key was used. No log is written to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use selvedge_artifact::Digest;
use selvedge_signing::PolicyError;
use sigstore_verify::bundle::{BundleV03, VerificationMaterialV03};
use sigstore_verify::types::bundle::{MessageDigest, MessageSignature, SignatureContent};
use sigstore_verify::types::{
    DigestBytes, DsseEnvelope, DsseSignature, HashAlgorithm, KeyId, PayloadBytes, SignatureBytes,
    Statement, TimestampToken,
};

use crate::service::{Said, ServiceError};
use crate::{SigningKey, TimeSource, TimestampError};

/// What a DSSE envelope holds (in-toto Attestation Framework, Envelope).
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A key, and who says when it was used.
#[derive(Debug)]
pub struct KeySigner {
    /// The key.
    pub key: SigningKey,
    /// Who says when.
    pub time: TimeSource,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// What should be signed is not a statement, and no verifier would read it.
    #[error("cannot sign what is not an in-toto statement")]
    Statement {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The key did not sign.
    #[error("cannot sign: the system gives no random numbers")]
    Randomness,
    /// There is no timestamp.
    #[error("the signature has no timestamp")]
    Timestamp(#[from] TimestampError),
    /// The identity token is none.
    #[error("the identity token is not a token of OpenID Connect")]
    TokenMalformed,
    /// The identity token is too old.
    #[error("the identity token expired at {expired}")]
    TokenExpired {
        /// When.
        expired: jiff::Timestamp,
    },
    /// The instance cannot make signatures that could be verified.
    #[error("the signing instance is incomplete: {reason}")]
    Instance {
        /// What is missing.
        reason: &'static str,
    },
    /// A service did not do its part.
    #[error("nothing was signed")]
    Service(#[from] ServiceError),
    /// What the services answered does not make a bundle.
    #[error("the answers of the signing services do not fit together")]
    Bundle {
        /// What the library says.
        source: Said,
    },
    /// An artifact without a package name in its manifest.
    #[error("the artifact does not say which package it is")]
    Unnamed,
    /// The policy of a local publisher is none: its name or packages.
    #[error("a publisher of this kind cannot be trusted")]
    Policy(#[from] PolicyError),
}

impl KeySigner {
    /// Signs a statement: a sigstore bundle v0.3 with a DSSE envelope and a
    /// timestamp.
    ///
    /// # Errors
    ///
    /// If the timestamp authority does not answer or answers wrongly.
    pub async fn sign(&self, statement: &[u8]) -> Result<Bytes, SignError> {
        let unstamped = Unstamped::statement(&self.key, statement)?;
        let token = self.time.timestamp(unstamped.signature()).await?;
        Ok(unstamped.with_timestamp(token))
    }

    /// Signs `artifact` itself: a sigstore bundle v0.3 with a message signature
    /// and a timestamp.
    ///
    /// # Errors
    ///
    /// As [`Self::sign`].
    pub async fn sign_bytes(&self, artifact: &[u8]) -> Result<Bytes, SignError> {
        let unstamped = Unstamped::bytes(&self.key, artifact)?;
        let token = self.time.timestamp(unstamped.signature()).await?;
        Ok(unstamped.with_timestamp(token))
    }
}

/// A signature that still needs its timestamp.
pub(crate) struct Unstamped {
    key: String,
    content: SignatureContent,
    signature: SignatureBytes,
}

impl Unstamped {
    /// Over a statement, in an envelope (DSSE 1.0).
    pub(crate) fn statement(key: &SigningKey, statement: &[u8]) -> Result<Self, SignError> {
        let _: Statement =
            serde_json::from_slice(statement).map_err(|source| SignError::Statement { source })?;
        let pae = sigstore_verify::types::dsse::pae(PAYLOAD_TYPE, statement);
        let signature = key.pair.sign(&pae).map_err(|_| SignError::Randomness)?;
        let envelope = DsseEnvelope::new(
            PAYLOAD_TYPE,
            PayloadBytes::from_bytes(statement),
            DsseSignature::new(signature.clone(), KeyId::default()),
        );
        Ok(Self::new(
            key,
            SignatureContent::DsseEnvelope(envelope),
            signature,
        ))
    }

    fn bytes(key: &SigningKey, artifact: &[u8]) -> Result<Self, SignError> {
        let signature = key.pair.sign(artifact).map_err(|_| SignError::Randomness)?;
        let digest = DigestBytes::new(Digest::of(artifact).as_bytes().to_vec());
        let message = MessageSignature::new(signature.clone())
            .with_message_digest(MessageDigest::new(HashAlgorithm::Sha2256, digest));
        Ok(Self::new(
            key,
            SignatureContent::MessageSignature(message),
            signature,
        ))
    }

    fn new(key: &SigningKey, content: SignatureContent, signature: SignatureBytes) -> Self {
        Self {
            key: STANDARD.encode(Digest::of(key.public_der()).as_bytes()),
            content,
            signature,
        }
    }

    /// What is to be timestamped.
    pub(crate) fn signature(&self) -> &[u8] {
        self.signature.as_bytes()
    }

    /// The bundle.
    pub(crate) fn with_timestamp(self, token: Vec<u8>) -> Bytes {
        let key = VerificationMaterialV03::PublicKey { hint: self.key };
        let bundle = BundleV03::new(key, self.content)
            .with_rfc3161_timestamp(TimestampToken::new(token))
            .into_bundle();
        bundle.to_json().expect("bundles are plain data").into()
    }
}

#[cfg(test)]
mod tests;
