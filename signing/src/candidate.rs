//! What is asked for, what was found, and what the device knows.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{Digest, PackageName};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::verified::Release;

/// What a deployment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The package.
    pub package: PackageName,
    /// The version, if the reference has one as its tag.
    pub version: Option<Version>,
    /// The digest of the artifact's manifest.
    pub digest: Option<Digest>,
}

/// An artifact that nobody vouches for yet: bytes, from wherever they came.
///
/// What is checked is what is used: nothing is read a second time.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The manifest.
    pub manifest: Bytes,
    /// The configuration that the manifest names.
    pub config: Bytes,
    /// The layers that the manifest names, in its order: of a plugin its
    /// component, of a model its files.
    pub layers: Vec<Bytes>,
    /// The signature bundles found beside it, in any order. Those that do not
    /// count do no harm, but only the first 32 are looked at.
    pub bundles: Vec<Bytes>,
}

impl Candidate {
    /// The first layer: of a plugin, its component.
    pub fn component(&self) -> Option<&Bytes> {
        self.layers.first()
    }
}

/// What the device knows when it decides.
#[derive(Clone, Debug)]
pub struct Device<'a> {
    /// The time: never before what the device has seen proof of.
    pub now: Timestamp,
    /// What it is decided for.
    pub purpose: Purpose,
    /// The highest version of the package that ever ran here.
    pub version_seen: Option<&'a Version>,
    /// What was verified when the device accepted the artifact, from
    /// [`crate::Origin::accepted`]. Only for a device whose clock is behind what
    /// it has proof of; for any other it is empty.
    pub accepted: &'a [AcceptedRelease],
}

/// That a release was verified when the device accepted an artifact.
///
/// Whether a signature holds is a matter of the system's clock, too: a device
/// that starts without the time cannot verify again what it ran. This is kept to
/// stand in for that, and for nothing else. Whoever can write one can start what
/// he likes: it is kept where only the host may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedRelease {
    /// The artifact's manifest.
    pub(crate) artifact: Digest,
    /// What the policy said about the publisher. If it says anything else by
    /// now, this no longer counts.
    pub(crate) entry: Digest,
    pub(crate) release: Release,
}

impl AcceptedRelease {
    /// The digest of the artifact's manifest.
    pub fn artifact(&self) -> Digest {
        self.artifact
    }

    /// Who released it, by the name in the policy.
    pub fn publisher(&self) -> &str {
        &self.release.publisher
    }
}

/// What it is decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To install or upgrade: everything counts.
    Install,
    /// To go back to what ran before what runs now, by its digest: as
    /// [`Self::Resume`], but not below the policy's floor, which may have been
    /// raised because of it.
    Return,
    /// To start again what this device runs, by its digest. An
    /// expired policy and the version marks (floor and the version seen) do not
    /// stop it; revocation does, and so does a grant or publisher that the
    /// policy no longer has.
    Resume,
}
