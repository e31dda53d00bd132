//! Signs with a managed key.

use bytes::Bytes;

use crate::{SigningKey, TimeSource};

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
pub enum SignError {}

impl KeySigner {
    /// Signs a statement: a sigstore bundle v0.3 with a DSSE envelope and a
    /// timestamp.
    ///
    /// # Errors
    ///
    /// If the timestamp authority does not answer or answers wrongly.
    pub async fn sign(&self, statement: &[u8]) -> Result<Bytes, SignError> {
        todo!()
    }
}
