//! What is asked for, what was found, and what the device knows.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{Digest, PackageName};
use semver::Version;

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
    /// The component: the manifest's one layer.
    pub component: Bytes,
    /// The signature bundles found beside it, in any order. Those that do not
    /// count do no harm, but only the first 32 are looked at.
    pub bundles: Vec<Bytes>,
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
