//! TLS with certificates on both sides: files, their reloading, revocation, and
//! who the other side is.
//!
//! Only the holder of a certificate that an authority of the configuration
//! vouches for, and that is on none of its revocation lists, is known by it. Files
//! that cannot be used leave those in force that were read before. What a holder
//! may do is decided elsewhere.

mod files;
mod identity;
mod pair;
mod reload;
mod server;
#[cfg(test)]
pub(crate) mod tests;

use std::error::Error;

pub use identity::{Fingerprint, Identity};
pub use pair::fits;
pub use reload::Server;
pub use server::{Clients, ServerSettings, Terms, Version, is_cipher_suite};

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or larger than any of its kind.
    #[error("cannot read the certificates or the key")]
    Read(#[from] std::io::Error),
    /// A file holds something else, or key and certificate do not belong together.
    #[error("the certificates or the key cannot be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
    /// Else nobody could tell whom this authority no longer vouches for.
    #[error("there is no revocation list of the authority `{authority}`")]
    NoRevocationList { authority: String },
    #[error("there is no cipher suite `{name}`")]
    NoSuch { name: String },
}

impl TlsError {
    /// A stable name for logs and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "tls-files-unreadable",
            Self::Unusable(_) => "tls-files-unusable",
            Self::NoRevocationList { .. } => "tls-revocation-list-missing",
            Self::NoSuch { .. } => "tls-cipher-suite-unknown",
        }
    }
}
