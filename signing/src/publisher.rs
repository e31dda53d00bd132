//! A publisher of the policy, ready to verify with.
//!
//! Keys are parsed, claims and roots looked up once, when the policy is read: a
//! policy that cannot be verified by is an error then and not at the first
//! artifact. What a publisher may sign is not decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bundle::{Expected, Subject, is_claim};
use crate::{
    BundleError, Evidence, KeylessPublisher, PublicKey, Publisher, SignatureBundle, TrustedRoot,
    TrustedRootError,
};
use selvedge_artifact::foreign::cut;

/// A publisher, ready to verify with.
#[derive(Debug)]
pub(crate) struct PreparedPublisher {
    root: Arc<TrustedRoot>,
    signs: Signs,
}

#[derive(Debug)]
enum Signs {
    Keyless(KeylessPublisher),
    Key { key: PublicKey, log: bool },
}

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
    /// It names no identity provider.
    #[error("it names no identity provider")]
    NoIssuer,
}

impl PreparedPublisher {
    /// Prepares `publisher` with the `roots` of the policy, by their names in it.
    ///
    /// # Errors
    ///
    /// If its root is not there, its key cannot be used, it names no issuer, or
    /// it asks for a claim that does not exist.
    pub(crate) fn new(
        publisher: &Publisher,
        roots: &BTreeMap<String, Arc<TrustedRoot>>,
    ) -> Result<Self, PublisherError> {
        let (name, signs) = match publisher {
            Publisher::Keyless(keyless) => {
                if keyless.issuer.is_empty() {
                    return Err(PublisherError::NoIssuer);
                }
                if let Some(name) = keyless.claims.keys().find(|name| !is_claim(name)) {
                    return Err(PublisherError::NoSuchClaim(cut(name)));
                }
                (&keyless.trust, Signs::Keyless(keyless.clone()))
            }
            Publisher::Key(managed) => {
                let key = PublicKey::parse(&managed.key).map_err(PublisherError::Key)?;
                let log = managed.log;
                (&managed.trust, Signs::Key { key, log })
            }
        };
        let root = roots.get(name);
        let root = root.ok_or_else(|| PublisherError::NoRoot(cut(name)))?;
        Ok(Self {
            root: Arc::clone(root),
            signs,
        })
    }

    /// Verifies that this publisher signed `artifact`, or a statement about it.
    /// Which of the two, and what it states, is for the caller to look at.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    pub(crate) fn verify(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
    ) -> Result<Evidence, BundleError> {
        self.verify_over(bundle, Subject::of(artifact))
    }

    fn verify_over(
        &self,
        bundle: &SignatureBundle,
        subject: Subject<'_>,
    ) -> Result<Evidence, BundleError> {
        match &self.signs {
            Signs::Keyless(keyless) => {
                let expected = Expected {
                    issuer: &keyless.issuer,
                    identity: &keyless.identity,
                    claims: &keyless.claims,
                };
                self.root.verify_expected(bundle, subject, &expected)
            }
            Signs::Key { key, log } => self.root.verify_key_over(bundle, subject, key, *log),
        }
    }
}

#[cfg(test)]
mod tests;
