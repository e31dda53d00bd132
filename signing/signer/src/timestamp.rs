//! Who says when something was signed: timestamp authorities (RFC 3161), one's
//! own or someone else's.
//!
//! A signature by a managed key needs someone else to say when it was made, or a
//! key that leaked could be used for ever. A site without a network keeps its own
//! authority, with a key of its own.

use std::path::Path;

use jiff::Timestamp;

/// A timestamp authority in a file: a key and its certificate.
pub struct TimestampAuthority {}

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
    /// An authority that is asked over HTTP, by its URL.
    Remote(String),
}

/// Why there is no timestamp.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {}

impl TimestampAuthority {
    /// A new authority, valid from `now` for `valid` days.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn generate(name: &str, now: Timestamp, valid_days: u32) -> Result<Self, TimestampError> {
        todo!()
    }

    /// Reads an authority: certificate and private key in one PEM file.
    ///
    /// # Errors
    ///
    /// As [`crate::SigningKey::read`].
    pub fn read(path: &Path) -> Result<Self, TimestampError> {
        todo!()
    }

    /// Writes it for its owner alone. Never over an existing file.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TimestampError> {
        todo!()
    }

    /// The certificate (X.509, DER), for a trusted root.
    pub fn certificate(&self) -> &[u8] {
        todo!()
    }

    /// A token that `signature` existed at `time` (RFC 3161, TimeStampToken in a
    /// TimeStampResp, DER). Whole seconds: verifiers differ on fractions.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn timestamp(&self, signature: &[u8], time: Timestamp) -> Result<Vec<u8>, TimestampError> {
        todo!()
    }
}
