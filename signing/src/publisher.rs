//! A publisher of the policy, ready to verify with.
//!
//! Keys are parsed, claims and roots looked up once, when the policy is read: a
//! policy that cannot be verified by is an error then and not at the first
//! artifact. What a publisher may sign is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{BundleError, Evidence, Publisher, SignatureBundle, TrustedRoot, TrustedRootError};

/// A publisher, ready to verify with.
#[derive(Debug)]
pub(crate) struct PreparedPublisher {}

/// Why nothing can be verified by a publisher.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// It names a trusted root that is not there.
    #[error("there is no trusted root `{0}`")]
    NoRoot(String),
    /// Its key cannot be used.
    #[error("its key cannot be used")]
    Key(#[source] TrustedRootError),
    /// It asks for a claim that certificates do not make.
    #[error("`{0}` is no claim of a certificate")]
    NoSuchClaim(String),
}

impl PreparedPublisher {
    /// Prepares `publisher` with the `roots` of the policy, by their names in it.
    ///
    /// # Errors
    ///
    /// If its root is not there, its key cannot be used, or it asks for a claim
    /// that does not exist.
    pub(crate) fn new(
        publisher: &Publisher,
        roots: &BTreeMap<String, Arc<TrustedRoot>>,
    ) -> Result<Self, PublisherError> {
        todo!()
    }

    /// Verifies that this publisher signed `artifact`, or a statement about it.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    pub(crate) fn verify(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
    ) -> Result<Evidence, BundleError> {
        todo!()
    }
}
