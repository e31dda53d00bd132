//! Puts trusted roots together (`trusted_root.json`, sigstore protobuf specs).

use jiff::Timestamp;

/// A trusted root in the making.
#[derive(Clone, Debug, Default)]
pub struct TrustedRootBuilder {}

impl TrustedRootBuilder {
    /// Trusts a timestamp authority by its certificate chain (X.509, DER, leaf
    /// first) from `since` on.
    #[must_use]
    pub fn timestamp_authority(mut self, chain: &[&[u8]], since: Timestamp) -> Self {
        todo!()
    }

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}
