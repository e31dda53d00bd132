//! Signs with a short-lived certificate (Fulcio) instead of a key that must be
//! kept.

use bytes::Bytes;

use crate::SignError;

/// A sigstore instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The certificate authority.
    pub fulcio: String,
    /// The transparency log.
    pub rekor: String,
    /// Whether the log speaks version 2 of its protocol.
    pub rekor_v2: bool,
    /// The timestamp authority; needed with version 2.
    pub timestamp: Option<String>,
}

/// An identity at an instance.
#[derive(Debug)]
pub struct KeylessSigner {
    // Helper.
}

impl KeylessSigner {
    /// Signs as whom `token` (OpenID Connect) names. Certificates of the
    /// instance's servers are checked against the system's roots and `roots` (PEM).
    ///
    /// # Errors
    ///
    /// If the token is none.
    pub fn new(instance: Instance, token: &str, roots: &[Vec<u8>]) -> Result<Self, SignError> {
        todo!()
    }

    /// Signs a statement: a sigstore bundle v0.3 with certificate and log entry.
    ///
    /// # Errors
    ///
    /// If a service does not answer or refuses.
    pub async fn sign(&self, statement: &[u8]) -> Result<Bytes, SignError> {
        todo!()
    }
}
