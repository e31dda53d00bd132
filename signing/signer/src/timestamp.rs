//! Who says when something was signed: timestamp authorities (RFC 3161), one's
//! own or someone else's.
//!
//! A signature by a managed key needs someone else to say when it was made, or a
//! key that leaked could be used for ever. A site without a network keeps its own
//! authority, with a key of its own.

mod certificates;
pub(crate) mod remote;
#[cfg(test)]
mod tests;
mod token;

use std::path::{Path, PathBuf};

use cms::cert::x509::Certificate;
use der::{Decode as _, Encode as _, pem};
use jiff::Timestamp;

use crate::key::{Secret, blocks, read_private, to_pem, write_private};
use crate::service::ServiceError;
use crate::trusted_root::whole_seconds;
use crate::{KeyError, SigningKey};

const CERTIFICATE: &str = "CERTIFICATE";
/// Certificates from an authority's own to its root.
const CHAIN_MAX: usize = 5;
/// Days that an authority may be valid: a hundred years.
const VALID_DAYS_MAX: u32 = 36_525;
/// Bytes of an authority's name (RFC 5280, appendix A.1, `ub-common-name`),
/// with room for what the root's has in addition.
const NAME_BYTES_MAX: usize = 56;

/// A timestamp authority in a file: a key and its certificates.
pub struct TimestampAuthority {
    key: SigningKey,
    leaf: Box<Certificate>,
    /// DER, the authority's own first, the root last.
    chain: Vec<Vec<u8>>,
}

impl std::fmt::Debug for TimestampAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimestampAuthority").finish_non_exhaustive()
    }
}

/// Where timestamps come from.
#[derive(Debug)]
pub enum TimeSource {
    /// One's own authority, and the clock of this machine.
    Own(TimestampAuthority),
    /// An authority that is asked over HTTP, by its URL. `https`, or `http` on
    /// this machine.
    Remote(String),
}

/// Why there is no timestamp.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The authority's key cannot be made, read or written.
    #[error("the timestamp authority has no key")]
    Key(#[from] KeyError),
    /// The authority's name cannot stand in a certificate.
    #[error("an authority's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    /// The validity asked for is none.
    #[error("an authority is valid for 1 to {VALID_DAYS_MAX} days, between 1970 and 9999")]
    Validity,
    /// The certificates cannot be made.
    #[error("cannot make the certificates of a timestamp authority")]
    Certificate {
        /// Why.
        source: rcgen::Error,
    },
    /// The file is not that of an authority.
    #[error("`{}` is not of a timestamp authority: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The clock stands before or after what the certificate covers.
    #[error("it is {time}, but the timestamp authority is valid from {from} until {until}")]
    NotValid {
        /// The time to be attested.
        time: Timestamp,
        /// The certificate's first second.
        from: Timestamp,
        /// Its last.
        until: Timestamp,
    },
    /// The token cannot be put together or signed.
    #[error("cannot sign a timestamp")]
    Sign,
    /// The authority that was asked gave none.
    #[error("no timestamp was given")]
    Service(#[from] ServiceError),
}

impl TimestampAuthority {
    /// A new authority, valid from `now` for `valid_days` days. The key of its
    /// root certificate is forgotten: it signs this one authority and no other.
    ///
    /// # Errors
    ///
    /// If there is no randomness, or name or time cannot stand in a certificate.
    pub fn generate(name: &str, now: Timestamp, valid_days: u32) -> Result<Self, TimestampError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(TimestampError::Name);
        }
        let validity = certificates::Validity::new(now, valid_days)?;
        let key = SigningKey::generate()?;
        let chain = certificates::chain(name, &key, &validity)?;
        Self::new(key, chain).map_err(|_| TimestampError::Sign)
    }

    fn new(key: SigningKey, chain: Vec<Vec<u8>>) -> Result<Self, &'static str> {
        let leaf = chain.first().ok_or("there is no certificate in it")?;
        let leaf = Certificate::from_der(leaf).map_err(|_| "its certificate is malformed")?;
        let leaf = Box::new(leaf);
        let public = &leaf.tbs_certificate.subject_public_key_info;
        if public.to_der().ok().as_deref() != Some(key.public_der()) {
            return Err("its first certificate is of another key");
        }
        Ok(Self { key, leaf, chain })
    }

    /// Reads an authority: its private key, its certificate, and those up to its
    /// root, in one PEM file.
    ///
    /// # Errors
    ///
    /// As [`crate::SigningKey::read`], or if the certificates are not of this key.
    pub fn read(path: &Path) -> Result<Self, TimestampError> {
        let file = |reason| TimestampError::File {
            path: path.to_owned(),
            reason,
        };
        let text = read_private(path)?;
        let key = SigningKey::from_pem(&text.0, path, None)?;
        let mut chain = Vec::new();
        for block in blocks(&text.0) {
            let (label, bytes) =
                pem::decode_vec(block).map_err(|_| file("it is not well-formed PEM"))?;
            if label == CERTIFICATE {
                chain.push(bytes);
            }
        }
        if chain.len() > CHAIN_MAX {
            return Err(file("it has more than 5 certificates"));
        }
        Self::new(key, chain).map_err(file)
    }

    /// Writes it for its owner alone. Never over an existing file.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TimestampError> {
        let mut text = self.key.private_pem();
        for certificate in &self.chain {
            text.push_str(&to_pem(CERTIFICATE, certificate));
        }
        Ok(write_private(path, &Secret(text.into_bytes()))?)
    }

    /// The certificates (X.509, DER), the authority's own first and its root
    /// last, for a trusted root.
    pub fn chain(&self) -> Vec<&[u8]> {
        self.chain.iter().map(Vec::as_slice).collect()
    }

    /// A token that `signature` existed at `time` (RFC 3161, TimeStampToken in a
    /// TimeStampResp, DER). Whole seconds: verifiers differ on fractions.
    ///
    /// # Errors
    ///
    /// If the authority is not valid at `time`, or it cannot be signed.
    pub fn timestamp(&self, signature: &[u8], time: Timestamp) -> Result<Vec<u8>, TimestampError> {
        let time = whole_seconds(time);
        let validity = &self.leaf.tbs_certificate.validity;
        let at = |time: cms::cert::x509::time::Time| {
            Timestamp::try_from(time.to_system_time()).map_err(|_| TimestampError::Validity)
        };
        let (from, until) = (at(validity.not_before)?, at(validity.not_after)?);
        if time < from || time > until {
            return Err(TimestampError::NotValid { time, from, until });
        }
        token::response(&self.key, &self.leaf, signature, time).ok_or(TimestampError::Sign)
    }
}

impl TimeSource {
    /// A token that `signature` exists now.
    pub(crate) async fn timestamp(&self, signature: &[u8]) -> Result<Vec<u8>, TimestampError> {
        match self {
            Self::Own(authority) => authority.timestamp(signature, Timestamp::now()),
            Self::Remote(url) => Ok(remote::timestamp(url, signature).await?),
        }
    }
}
