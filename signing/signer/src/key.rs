//! Managed keys: made, kept and read back.

use std::path::Path;

/// A private key: ECDSA P-256 (FIPS 186-5), in PKCS#8.
pub struct SigningKey {
    pub(crate) pair: sigstore_verify::crypto::KeyPair,
    pkcs8: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        todo!()
    }

    /// Reads a key file (PKCS#8, PEM), decrypting it with `password` if it is
    /// encrypted (PBES2: PBKDF2-HMAC-SHA256 and AES-256-CBC, as OpenSSL writes it).
    ///
    /// # Errors
    ///
    /// If there is none, others than its owner may read it, or the password is
    /// wrong or missing.
    pub fn read(path: &Path, password: Option<&str>) -> Result<Self, KeyError> {
        todo!()
    }

    /// Writes it for its owner alone, encrypted if there is a password. Never
    /// over an existing file.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written.
    pub fn write(&self, path: &Path, password: Option<&str>) -> Result<(), KeyError> {
        todo!()
    }

    /// The public half (SubjectPublicKeyInfo, PEM).
    pub fn public_pem(&self) -> String {
        todo!()
    }
}
