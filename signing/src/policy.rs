//! What a site trusts: who may release which packages.
//!
//! One JSON document, `policy.json`, a target of the site's trust repository.
//! Nothing is trusted that it does not name; what is ambiguous in it is an error
//! and not a choice.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use selvedge_artifact::{Digest, PackageName, PackagePattern};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::IdentityPattern;

/// A site's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The format: 1.
    #[serde(rename = "v")]
    pub format: u32,
    /// Trusted roots by a name of the policy's own: which target of the
    /// repository holds each, `trusted_root.json`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trust: BTreeMap<String, String>,
    /// Publishers by a name of the policy's own. At most 1,000.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub publishers: BTreeMap<String, Publisher>,
    /// Who may release what. At most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The lowest version of a package that may be installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floor: BTreeMap<PackageName, Version>,
    /// Versions that may be installed although the device had a higher one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub downgrade: BTreeMap<PackageName, BTreeSet<Version>>,
    /// What is no longer trusted.
    #[serde(default, skip_serializing_if = "Revoked::is_empty")]
    pub revoked: Revoked,
}

/// Who signs. One of the two kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
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
    /// The publishers who may release them, by their names in `publishers`.
    pub by: BTreeSet<String>,
    /// Statements that must be there beside the release, by predicate type or
    /// short name: `slsa-provenance`, `cyclonedx`, `spdx`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub need: BTreeMap<String, Need>,
    /// The imports that such a component may have: interfaces without version
    /// (`wasi:sockets/tcp`) or packages (`wasi:sockets/*`). Without it, the
    /// deployment alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports: Option<BTreeSet<String>>,
}

/// Whose statement is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Who may state it; empty: whoever may release.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by: BTreeSet<String>,
}

/// What is no longer trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Artifacts, by the digest of their manifest or of their component.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub digests: BTreeSet<Digest>,
    /// Publishers, each from a time on: what they signed earlier still counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub publishers: BTreeMap<String, Timestamp>,
}

/// Why bytes are not a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {}

impl Revoked {
    fn is_empty(&self) -> bool {
        self.digests.is_empty() && self.publishers.is_empty()
    }
}

impl Policy {
    /// Reads `policy.json` and checks it as a whole.
    ///
    /// # Errors
    ///
    /// If it is too large, malformed, ambiguous, or names what it does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        todo!()
    }

    /// The grant that decides about `package`, if any does.
    pub fn grant(&self, package: &PackageName) -> Option<&Grant> {
        todo!()
    }

    /// The bytes that become a target of the trust repository.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("policies are plain data")
    }
}
