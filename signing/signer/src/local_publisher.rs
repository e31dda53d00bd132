//! A publisher that lives as long as this process.
//!
//! What is compiled into the binary, and what a developer is working on, goes
//! through the same check as everything else: it is signed here with a key that
//! is never written anywhere, and verified by a policy that knows this key alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::{
    ArtifactKind, Manifest, PackageName, PackagePattern, Packaged, media_type,
};
use selvedge_signing::{Grant, KeyPublisher, Policy, Publisher, Trust, Verifier};

use crate::managed::Unstamped;
use crate::{SignError, SigningKey, TimestampAuthority, TrustedRootBuilder, statement};

/// The trusted root, by its name in the policy.
const TRUST: &str = "local";
/// The trusted root, as a target.
const TRUSTED_ROOT: &str = "trusted_root.json";
/// Days that the timestamp authority is valid. Longer than any process.
const VALID_DAYS: u32 = 3653;

/// A publisher that lives as long as this process.
#[derive(Debug)]
pub struct LocalPublisher {
    key: SigningKey,
    authority: TimestampAuthority,
    /// What time it was when it began. The clock may be set meanwhile; this
    /// publisher's goes on.
    began: (Timestamp, Instant),
}

impl LocalPublisher {
    /// A new publisher called `name`, who may release `packages`, and the
    /// verifier that believes it and nobody else.
    ///
    /// # Errors
    ///
    /// If there is no randomness, or a policy cannot name such a publisher.
    pub fn new(
        name: &str,
        packages: &PackagePattern,
        now: Timestamp,
    ) -> Result<(Self, Verifier), SignError> {
        let key = SigningKey::generate().map_err(|_| SignError::Randomness)?;
        let authority = TimestampAuthority::generate("this process", now, VALID_DAYS)?;
        // Since ever: whoever checks may have a clock behind `now`. The
        // certificates still say when it began.
        let root = TrustedRootBuilder::default()
            .timestamp_authority(&authority.chain(), Timestamp::UNIX_EPOCH);
        let files = BTreeMap::from([(TRUSTED_ROOT.to_owned(), root.to_bytes().into())]);
        let policy = policy(name, packages, &key);
        let trust = Trust::of_this_process(&policy.to_bytes(), files)?;
        let verifier = Verifier::new(trust)?;
        let publisher = Self {
            key,
            authority,
            began: (now, Instant::now()),
        };
        Ok((publisher, verifier))
    }

    /// The bundle that releases `packaged`.
    ///
    /// # Errors
    ///
    /// If its manifest names no package, or it cannot be signed.
    pub fn release(&self, packaged: &Packaged) -> Result<Bytes, SignError> {
        let package = package(packaged).ok_or(SignError::Unnamed)?;
        let statement = statement::release(&package, &packaged.digest());
        let unstamped = Unstamped::statement(&self.key, &statement)?;
        let token = self
            .authority
            .timestamp(unstamped.signature(), self.now())?;
        Ok(unstamped.with_timestamp(token))
    }

    fn now(&self) -> Timestamp {
        let (began, instant) = self.began;
        let elapsed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        began.saturating_add(elapsed).unwrap_or(began)
    }
}

fn package(packaged: &Packaged) -> Option<PackageName> {
    let manifest = Manifest::parse(&packaged.manifest).ok()?;
    manifest.annotations.get(media_type::PACKAGE)?.parse().ok()
}

fn policy(name: &str, packages: &PackagePattern, key: &SigningKey) -> Policy {
    let publisher = Publisher::Key(KeyPublisher {
        key: key.public_pem(),
        trust: TRUST.to_owned(),
        log: false,
    });
    Policy {
        format: 1,
        trust: BTreeMap::from([(TRUST.to_owned(), TRUSTED_ROOT.to_owned())]),
        publishers: BTreeMap::from([(name.to_owned(), publisher)]),
        grants: vec![Grant {
            packages: packages.clone(),
            by: BTreeSet::from([name.to_owned()]),
            kinds: BTreeSet::from([ArtifactKind::Plugin]),
            need: BTreeMap::new(),
            imports: None,
        }],
        ..Policy::default()
    }
}

#[cfg(test)]
mod tests;
