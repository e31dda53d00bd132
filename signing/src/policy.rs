//! What a site trusts: who may release which packages.
//!
//! One JSON document, `policy.json`, a target of the site's trust repository.
//! Nothing is trusted that it does not name; what is ambiguous in it is an error
//! and not a choice. Whoever makes or changes one is told all its faults at
//! once, and what a change makes more trusted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, PackageName, PackagePattern};
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize};

use crate::IdentityPattern;

mod check;
mod diff;
mod fault;
mod need;
mod read;
#[cfg(test)]
mod tests;

pub use diff::{Effect, PolicyChange, PolicySubject};
pub(crate) use fault::{Faults, pointer};
pub use fault::{PolicyError, PolicyFault, PolicyFaultKind};
pub(crate) use need::Predicate;

/// The format that is read and written.
const FORMAT: u32 = 1;

/// A site's policy. Read with [`Policy::parse`] alone: reading it as part of
/// something else would pass over names that stand there twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The format: 1.
    #[serde(rename = "v")]
    pub format: u32,
    /// Trusted roots by a name of the policy's own: which target of the
    /// repository holds each, `trusted_root.json`. At most 32.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub trust: BTreeMap<String, String>,
    /// Publishers by a name of the policy's own: 1 to 63 lower-case letters,
    /// digits and `-`. At most 1,000.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub publishers: BTreeMap<String, Publisher>,
    /// Who may release what. At most 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The lowest version of a package that may be installed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub floor: BTreeMap<PackageName, Version>,
    /// Versions that may be installed although the device had a higher one.
    /// None may be below the floor.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub downgrade: BTreeMap<PackageName, BTreeSet<Version>>,
    /// What is no longer trusted.
    #[serde(skip_serializing_if = "Revoked::is_empty")]
    pub revoked: Revoked,
}

/// Who signs. One of the two kinds: with a `key` or without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Publisher {
    /// Someone whom an identity provider knows.
    Keyless(KeylessPublisher),
    /// The holder of a key.
    Key(KeyPublisher),
}

/// Someone whom an identity provider knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeylessPublisher {
    /// The trusted root, by its name in `trust`.
    pub trust: String,
    /// The identity provider, exactly.
    pub issuer: String,
    /// The identity: a workflow's URI or an address.
    pub identity: IdentityPattern,
    /// Claims that the certificate must make, exactly, by their names in Fulcio
    /// (`source_repository_owner_identifier` and the like): names of
    /// repositories can be registered anew by someone else, their numbers not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// The holder of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPublisher {
    /// The public key (SubjectPublicKeyInfo, PEM).
    pub key: String,
    /// The trusted root whose timestamp authorities or logs say when it was
    /// signed, by its name in `trust`.
    pub trust: String,
    /// Whether a transparency log must have seen the signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
}

/// Who may release some packages, and what must be stated about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Which packages. The most specific grant decides; two of the same
    /// specificity for one package are an error.
    pub packages: PackagePattern,
    /// The publishers who may release them, by their names in `publishers`. At
    /// most 32; none denies the packages to everyone.
    pub by: BTreeSet<String>,
    /// What these packages may be: `plugin`, `model`. Without it, plugins alone:
    /// whoever releases models does not release code by that.
    #[serde(default = "plugins", skip_serializing_if = "is_plugins")]
    pub kinds: BTreeSet<ArtifactKind>,
    /// Statements that must be there beside the release, by predicate type or
    /// short name: `slsa-provenance`, `cyclonedx`, `spdx`. The last two stand
    /// for all versions of theirs. At most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub need: BTreeMap<String, Need>,
    /// The imports that such a component may have: interfaces without version
    /// (`wasi:sockets/tcp`) or packages (`wasi:sockets/*`). Without it, the
    /// deployment alone decides. At most 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports: Option<BTreeSet<String>>,
}

fn plugins() -> BTreeSet<ArtifactKind> {
    BTreeSet::from([ArtifactKind::Plugin])
}

fn is_plugins(kinds: &BTreeSet<ArtifactKind>) -> bool {
    *kinds == plugins()
}

/// Whose statement is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Who may state it; empty: whoever may release. At most 32.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by: BTreeSet<String>,
}

/// What is no longer trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// Artifacts, by the digest of their manifest or of their component.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub digests: BTreeSet<Digest>,
    /// Publishers, each from a time on: what they signed earlier still counts.
    /// Whoever signs as one of these is revoked, under whatever other name the
    /// policy has the same key or identity.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub publishers: BTreeMap<String, Timestamp>,
}

impl Default for Policy {
    /// Trusts nobody.
    fn default() -> Self {
        Self {
            format: FORMAT,
            trust: BTreeMap::new(),
            publishers: BTreeMap::new(),
            grants: Vec::new(),
            floor: BTreeMap::new(),
            downgrade: BTreeMap::new(),
            revoked: Revoked::default(),
        }
    }
}

impl Revoked {
    fn is_empty(&self) -> bool {
        self.digests.is_empty() && self.publishers.is_empty()
    }
}

impl<'de> Deserialize<'de> for Publisher {
    /// Which kind it is, `key` decides, so that an error is about the kind that
    /// was meant.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(deserializer)?;
        let has_key = fields.contains_key("key");
        let fields = serde_json::Value::Object(fields);
        let publisher = match has_key {
            true => serde_json::from_value(fields).map(Self::Key),
            false => serde_json::from_value(fields).map(Self::Keyless),
        };
        publisher.map_err(serde::de::Error::custom)
    }
}

impl Publisher {
    /// The trusted root, by its name in the policy.
    pub(crate) fn trust(&self) -> &str {
        match self {
            Self::Keyless(publisher) => &publisher.trust,
            Self::Key(publisher) => &publisher.trust,
        }
    }
}

impl Policy {
    /// Reads `policy.json` and checks it as a whole.
    ///
    /// # Errors
    ///
    /// If it is too large, malformed, ambiguous, or names what it does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let (policy, mut faults) = read::read(bytes)?;
        let unread = faults.publishers();
        for fault in check::check(&policy) {
            // What was not read is there all the same.
            let follows = matches!(&fault.kind, PolicyFaultKind::NoSuchPublisher(name)
                if unread.contains(&pointer(&["publishers", name])));
            if !follows {
                faults.push(fault.at, fault.kind);
            }
        }
        faults.into_result().map(|()| policy)
    }

    /// Checks it as a whole, as [`Policy::parse`] does: for what was put
    /// together in memory.
    ///
    /// # Errors
    ///
    /// If it is ambiguous, or names what it does not hold.
    pub fn check(&self) -> Result<(), PolicyError> {
        let mut faults = Faults::default();
        for fault in check::check(self) {
            faults.push(fault.at, fault.kind);
        }
        faults.into_result()
    }

    /// The grant that decides about `package`, if any does: the most specific.
    /// None decides if two are equally specific.
    pub fn grant(&self, package: &PackageName) -> Option<&Grant> {
        let about = |grant: &&Grant| grant.packages.matches(package);
        let specificity = |grant: &&Grant| grant.packages.specificity();
        let grant = self.grants.iter().filter(about).max_by_key(specificity)?;
        let equal = |other: &&Grant| other.packages == grant.packages;
        (self.grants.iter().filter(equal).count() == 1).then_some(grant)
    }

    /// What is different from `old`, most of all what is trusted now and was
    /// not before. The contents of the files it names are not compared.
    pub fn diff(&self, old: &Self) -> Vec<PolicyChange> {
        diff::diff(old, self)
    }

    /// The bytes that become a target of the trust repository.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("policies are plain data")
    }
}
