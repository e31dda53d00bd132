//! Step 7: is it still trusted?
//!
//! Digests are revoked for good, publishers from a time on. The times of
//! signatures come from logs and timestamp authorities, so that whoever stole a
//! key cannot put the date back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use selvedge_artifact::Digest;

use crate::decision::{Findings, needs};
use crate::policy::Predicate;
use crate::verified::Release;
use crate::{Attestation, Grant, IdentityPattern, Policy, PublicKey, Publisher, Refusal, Signer};
use selvedge_artifact::foreign::cut;

/// What a policy revokes.
#[derive(Debug)]
pub(super) struct Revocations {
    digests: BTreeSet<Digest>,
    publishers: Vec<Revoked>,
}

#[derive(Debug)]
struct Revoked {
    name: String,
    since: Timestamp,
    who: Who,
}

/// By what else than his name a revoked publisher is known.
#[derive(Debug)]
enum Who {
    Key(Digest),
    Identity {
        issuer: String,
        pattern: IdentityPattern,
    },
    /// By nothing: an identity with claims may be someone else's without them,
    /// for names of repositories are registered anew. Signers' claims are not
    /// kept.
    Name,
}

impl Revocations {
    pub(super) fn of(policy: &Policy) -> Self {
        let revoked = policy.revoked.publishers.iter();
        let publishers = revoked.map(|(name, since)| Revoked {
            name: name.clone(),
            since: *since,
            who: policy.publishers.get(name).map_or(Who::Name, Who::of),
        });
        Self {
            digests: policy.revoked.digests.clone(),
            publishers: publishers.collect(),
        }
    }

    pub(super) fn check_digests<'a>(
        &self,
        digests: impl IntoIterator<Item = &'a Digest>,
    ) -> Result<(), Refusal> {
        let mut digests = digests.into_iter();
        match digests.find(|digest| self.digests.contains(digest)) {
            Some(digest) => Err(Refusal::DigestRevoked(*digest)),
            None => Ok(()),
        }
    }

    /// Leaves the statements that nobody signed who is revoked, and returns
    /// the releases. Every need was satisfied before and must be now.
    pub(super) fn retain(
        &self,
        grant: &Grant,
        findings: &mut Findings,
    ) -> Result<Vec<Release>, Refusal> {
        let releases = std::mem::take(&mut findings.releases).into_values();
        let releases = self.retain_releases(releases.collect())?;
        let is_revoked = |stated: &mut Attestation| {
            let revoked = self.by(&stated.publisher, &stated.signer, stated.signed_at);
            revoked.is_some()
        };
        let revoked: Vec<_> = findings.statements.extract_if(.., is_revoked).collect();
        let Some(need) = needs::missing(grant, &findings.statements) else {
            return Ok(releases);
        };
        let satisfied = |stated: &&Attestation| {
            Predicate::named(need).is_some_and(|need| need.includes(&stated.predicate_type))
        };
        let refusal = revoked.iter().find(satisfied).and_then(|stated| {
            let revoked = self.by(&stated.publisher, &stated.signer, stated.signed_at)?;
            Some(revoked.refusal(stated.signed_at, format!("the needed `{}`", cut(need))))
        });
        // What was satisfied before is missing because it is revoked.
        Err(refusal.expect("a need that is no longer satisfied had a revoked statement"))
    }

    /// The releases that count, the first first; there is at least one.
    pub(super) fn retain_releases(
        &self,
        mut releases: Vec<Release>,
    ) -> Result<Vec<Release>, Refusal> {
        releases.sort_by(|one, other| {
            let by_time = one.signed_at.cmp(&other.signed_at);
            by_time.then_with(|| one.publisher.cmp(&other.publisher))
        });
        let mut refusal = None;
        releases.retain(|release| {
            let at = release.signed_at;
            let revoked = self.by(&release.publisher, &release.signer, at);
            if let Some(revoked) = revoked {
                refusal.get_or_insert_with(|| revoked.refusal(at, "the release".to_owned()));
            }
            revoked.is_none()
        });
        match refusal {
            Some(refusal) if releases.is_empty() => Err(refusal),
            _ => Ok(releases),
        }
    }

    /// Whether one of these counts.
    pub(super) fn leave_any<'a>(&self, releases: impl IntoIterator<Item = &'a Release>) -> bool {
        let mut releases = releases.into_iter();
        releases.any(|r| self.by(&r.publisher, &r.signer, r.signed_at).is_none())
    }

    /// The revocation that a signature falls under.
    fn by(&self, publisher: &str, signer: &Signer, signed_at: Timestamp) -> Option<&Revoked> {
        let mut revoked = self.publishers.iter();
        revoked.find(|revoked| signed_at >= revoked.since && revoked.is(publisher, signer))
    }
}

impl Revoked {
    fn is(&self, publisher: &str, signer: &Signer) -> bool {
        let is_known = match (&self.who, signer) {
            (Who::Key(revoked), Signer::Key { key }) => revoked == key,
            (
                Who::Identity {
                    issuer: revoked,
                    pattern,
                },
                Signer::Identity { issuer, identity },
            ) => revoked == issuer && pattern.matches(identity),
            _ => false,
        };
        is_known || self.name == publisher
    }

    fn refusal(&self, signed_at: Timestamp, what: String) -> Refusal {
        Refusal::PublisherRevoked {
            publisher: self.name.clone(),
            since: self.since,
            signed_at,
            what,
        }
    }
}

impl Who {
    fn of(publisher: &Publisher) -> Self {
        match publisher {
            Publisher::Key(holder) => match PublicKey::parse(&holder.key) {
                Ok(key) => Self::Key(key.digest()),
                Err(_) => Self::Name,
            },
            Publisher::Keyless(keyless) if keyless.claims.is_empty() => Self::Identity {
                issuer: keyless.issuer.clone(),
                pattern: keyless.identity.clone(),
            },
            Publisher::Keyless(_) => Self::Name,
        }
    }
}
