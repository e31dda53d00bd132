//! A publisher that lives as long as this process.
//!
//! What is compiled into the binary, and what a developer is working on, goes
//! through the same check as everything else: it is signed here with a key that
//! is never written anywhere, and verified by a policy that knows this key alone.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{PackagePattern, Packaged};
use selvedge_signing::Verifier;

use crate::SignError;

/// A publisher that lives as long as this process.
#[derive(Debug)]
pub struct LocalPublisher {
    // Helper.
}

impl LocalPublisher {
    /// A new publisher called `name`, who may release `packages`, and the
    /// verifier that believes it and nobody else.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn new(
        name: &str,
        packages: &PackagePattern,
        now: Timestamp,
    ) -> Result<(Self, Verifier), SignError> {
        todo!()
    }

    /// The bundle that releases `packaged`.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn release(&self, packaged: &Packaged) -> Result<Bytes, SignError> {
        todo!()
    }
}
