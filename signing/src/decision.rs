//! The decision: may this artifact run here?

use jiff::Timestamp;
use selvedge_artifact::Digest;

use crate::{Candidate, Device, Policy, PolicyError, Refusal, Request, Trust, VerifiedArtifact};

/// Decides by one site's policy.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
}

impl Verifier {
    /// A verifier by what `trust` holds: every root and key is read once, here.
    ///
    /// # Errors
    ///
    /// If the policy names a root that is not there, or one cannot be used.
    pub fn new(trust: Trust) -> Result<Self, PolicyError> {
        todo!()
    }

    /// The policy it decides by.
    pub fn policy(&self) -> &Policy {
        todo!()
    }

    /// Until when it may decide about installing; `None` is for ever.
    pub fn expires(&self) -> Option<Timestamp> {
        todo!()
    }

    /// May it run here? In this order, and denied unless all hold:
    ///
    /// 1. the policy is current (to install);
    /// 2. the policy has one most specific grant for the package;
    /// 3. the manifest is the one asked for, and names exactly these bytes;
    /// 4. a bundle over the manifest is a release by a granted publisher;
    /// 5. the signed package and version are those asked for;
    /// 6. every needed statement is there, by someone who may state it;
    /// 7. neither digest nor publisher is revoked;
    /// 8. the version is not below the policy's floor nor, to install, below
    ///    what the device had.
    ///
    /// # Errors
    ///
    /// The first of these that does not hold.
    pub fn verify(
        &self,
        request: &Request,
        candidate: &Candidate,
        device: &Device<'_>,
    ) -> Result<VerifiedArtifact, Refusal> {
        todo!()
    }

    /// Whether an artifact that was accepted before is revoked by now.
    pub fn revoked(&self, artifact: &VerifiedArtifact) -> Option<Refusal> {
        todo!()
    }

    /// Whether this digest, of a manifest or component, is revoked.
    pub fn revokes(&self, digest: &Digest) -> bool {
        todo!()
    }
}
