//! Managed keys: the public half, as policies hold it.

use selvedge_artifact::Digest;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::types::DerPublicKey;

use super::TrustedRootError;
use super::contained::contained;
use selvedge_artifact::foreign::cause;

/// Bytes of a public key as PEM. An RSA key of 8192 bits has 1.5 KiB.
const KEY_BYTES_MAX: usize = 8 << 10;

/// The public half of a managed key.
#[derive(Clone, Debug)]
pub struct PublicKey(DerPublicKey);

impl PublicKey {
    /// Reads a public key (SubjectPublicKeyInfo, PEM): ECDSA with P-256 or
    /// P-384, Ed25519, or RSA, which verifies with 2048 bits or more.
    ///
    /// # Errors
    ///
    /// If it is none, or of an algorithm that is not supported.
    pub fn parse(pem: &str) -> Result<Self, TrustedRootError> {
        if pem.len() > KEY_BYTES_MAX {
            return Err(TrustedRootError::TooLarge(pem.len()));
        }
        let read = || -> Result<Self, TrustedRootError> {
            let key = DerPublicKey::from_pem(pem).map_err(|e| TrustedRootError::Key(cause(&e)))?;
            VerificationKey::from_spki(&key).map_err(|e| TrustedRootError::Key(cause(&e)))?;
            Ok(Self(key))
        };
        contained(read).map_err(|_| TrustedRootError::Panicked)?
    }

    /// The digest of its SubjectPublicKeyInfo.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    pub(super) fn der(&self) -> &DerPublicKey {
        &self.0
    }
}
