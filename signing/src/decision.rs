//! The decision: may this artifact run here?
//!
//! Denied unless every step holds, in an order that tells an operator the most:
//! whether the site lets anyone release the package, then whether the bytes are
//! whole, then who vouches for them. Nothing that a bundle or manifest says
//! counts before the step that verifies it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, PackageName};

use crate::policy::{Faults, pointer};
use crate::publisher::PreparedPublisher;
use crate::{
    Candidate, Device, Grant, Origin, Policy, PolicyError, PolicyFaultKind, PublicKey, Publisher,
    Purpose, Refusal, Request, Trust, TrustedRoot, VerifiedArtifact, VerifiedModel,
};
use selvedge_artifact::foreign::{cut, cut_chain};

mod accepted;
mod artifact;
mod findings;
mod name;
mod needs;
mod revocation;
#[cfg(test)]
mod tests;
mod version;

use artifact::{Artifact, Contents};
use findings::Findings;
use revocation::Revocations;

/// Decides by one site's policy.
#[derive(Debug)]
pub struct Verifier {
    policy: Policy,
    expires: Option<Timestamp>,
    publishers: BTreeMap<String, Known>,
    revocations: Revocations,
}

/// A publisher, ready to verify with.
#[derive(Debug)]
struct Known {
    prepared: PreparedPublisher,
    /// Whom the policy means, for messages.
    wanted: String,
    /// What the policy says about it, as [`accepted::entry`] has it.
    entry: Digest,
}

/// What came of a decision.
struct Decided<'p, C> {
    origin: Origin,
    grant: &'p Grant,
    contents: C,
}

impl Verifier {
    /// A verifier by what `trust` holds: every root and key is read once, here.
    ///
    /// # Errors
    ///
    /// If the policy is not acceptable, names a root that is not there, or one
    /// cannot be used.
    pub fn new(trust: Trust) -> Result<Self, PolicyError> {
        let Trust {
            policy,
            files,
            expires,
        } = trust;
        policy.check()?;
        let mut faults = Faults::default();
        let mut roots = BTreeMap::new();
        for (name, target) in &policy.trust {
            let root = match files.get(target) {
                Some(bytes) => TrustedRoot::parse(bytes)
                    .map_err(|error| PolicyFaultKind::Root(cut_chain(&error))),
                None => Err(PolicyFaultKind::FileMissing(cut(target))),
            };
            match root {
                Ok(root) => drop(roots.insert(name.clone(), Arc::new(root))),
                Err(kind) => faults.push(pointer(&["trust", name]), kind),
            }
        }
        faults.into_result()?;
        let mut faults = Faults::default();
        let mut publishers = BTreeMap::new();
        for (name, publisher) in &policy.publishers {
            match PreparedPublisher::new(publisher, &roots) {
                Ok(prepared) => {
                    let wanted = wanted(publisher);
                    let known = Known {
                        prepared,
                        wanted,
                        entry: accepted::entry(&policy, publisher),
                    };
                    publishers.insert(name.clone(), known);
                }
                Err(error) => {
                    let kind = PolicyFaultKind::Publisher(cut_chain(&error));
                    faults.push(pointer(&["publishers", name]), kind);
                }
            }
        }
        faults.into_result()?;
        Ok(Self {
            revocations: Revocations::of(&policy),
            policy,
            expires,
            publishers,
        })
    }

    /// The policy it decides by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Until when it may decide about installing; `None` is for ever.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// May it run here? In this order, and denied unless all hold:
    ///
    /// 1. the policy is current (to install);
    /// 2. the policy has one most specific grant for the package, and for what
    ///    it is;
    /// 3. the manifest is the one asked for, and names exactly these bytes;
    /// 4. a bundle over the manifest is a release by a granted publisher;
    /// 5. the signed package and version are those asked for;
    /// 6. every needed statement is there, by someone who may state it;
    /// 7. neither digest nor publisher is revoked;
    /// 8. to install, the version is not below the policy's floor nor below
    ///    what the device had; to go back, it is not below the floor.
    ///
    /// If several publishers released it, one that is not revoked is enough.
    ///
    /// For step 4, `device.accepted` may stand in, to resume or go back alone:
    /// if no release is left by the bundles, one counts that was verified when
    /// the device accepted this very artifact, by a publisher about whom the
    /// policy still says the same. Not if the grant needs statements: what they
    /// say is not kept. All other steps are as ever.
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
        let artifact = || Artifact::plugin(request, candidate, device.purpose);
        let decided = self.decide(ArtifactKind::Plugin, artifact, (request, candidate, device))?;
        let imports = decided.grant.imports.as_ref();
        let artifact::Plugin { component, config } = decided.contents;
        Ok(VerifiedArtifact {
            origin: decided.origin,
            component,
            config,
            imports_allowed: imports.map(|imports| imports.iter().cloned().collect()),
        })
    }

    /// The same of a model: the same steps in the same order, and a grant that
    /// is for models.
    ///
    /// # Errors
    ///
    /// The first of these that does not hold.
    pub fn verify_model(
        &self,
        request: &Request,
        candidate: &Candidate,
        device: &Device<'_>,
    ) -> Result<VerifiedModel, Refusal> {
        let artifact = || Artifact::model(request, candidate, device.purpose);
        let decided = self.decide(ArtifactKind::Model, artifact, (request, candidate, device))?;
        Ok(VerifiedModel {
            origin: decided.origin,
            contents: decided.contents,
        })
    }

    /// All steps, for an artifact that is `kind`; the third is `read`.
    fn decide<C: Contents>(
        &self,
        kind: ArtifactKind,
        read: impl FnOnce() -> Result<Artifact<C>, Refusal>,
        (request, candidate, device): (&Request, &Candidate, &Device<'_>),
    ) -> Result<Decided<'_, C>, Refusal> {
        self.check_current(device)?;
        let grant = self.grant(&request.package, kind)?;
        let artifact = read()?;
        let mut findings = Findings::collect(grant, &self.publishers, candidate);
        let from_record = self.stand_in(grant, artifact.digest, device, &mut findings);
        findings.check_released(&request.package, grant)?;
        let version = name::check(request, &artifact)?;
        needs::check(&request.package, grant, &mut findings)?;
        self.revocations
            .check_digests(std::iter::once(&artifact.digest).chain(&artifact.layer_digests))?;
        let releases = self.revocations.retain(grant, &mut findings)?;
        let seen = match device.purpose {
            Purpose::Install => Some(device.version_seen),
            Purpose::Return => Some(None),
            Purpose::Resume => None,
        };
        if let Some(seen) = seen {
            version::check(&self.policy, &request.package, &version, seen)?;
        }
        let accepted = self.to_remember(artifact.digest, &releases);
        let mut releases = releases.into_iter();
        let origin = Origin {
            kind,
            package: request.package.clone(),
            version,
            digest: artifact.digest,
            component_digest: artifact.component_digest,
            layer_digests: artifact.layer_digests,
            release: releases.next().expect("one is left, or it was refused"),
            also_released: releases.collect(),
            rule: grant.packages.clone(),
            attestations: findings.statements,
            accepted,
            from_record,
        };
        Ok(Decided {
            origin,
            grant,
            contents: artifact.contents,
        })
    }

    /// Whether an artifact that was accepted before is revoked by now: by its
    /// digest or that of a layer, or because everyone who released it is.
    ///
    /// It may have been accepted by an older policy. That its grant or publisher
    /// is not in this one does not stop what runs, for no one said that it must;
    /// [`Self::verify`] refuses to install or resume it.
    pub fn revoked(&self, artifact: &Origin) -> Option<Refusal> {
        let digests = std::iter::once(&artifact.digest).chain(&artifact.layer_digests);
        let digests = self.revocations.check_digests(digests);
        let mut releases = artifact.also_released.clone();
        releases.insert(0, artifact.release.clone());
        let releases = || self.revocations.retain_releases(releases).map(drop);
        digests.and_then(|()| releases()).err()
    }

    /// Whether this digest, of a manifest or component, is revoked.
    pub fn revokes(&self, digest: &Digest) -> bool {
        self.revocations.check_digests([digest]).is_err()
    }

    fn check_current(&self, device: &Device<'_>) -> Result<(), Refusal> {
        match (device.purpose, self.expires) {
            (Purpose::Install, Some(expires)) if device.now >= expires => {
                let now = device.now;
                Err(Refusal::PolicyExpired { expires, now })
            }
            _ => Ok(()),
        }
    }

    fn grant(&self, package: &PackageName, kind: ArtifactKind) -> Result<&Grant, Refusal> {
        let grant = self.policy.grant(package);
        let grant = grant.ok_or_else(|| Refusal::NotGranted(package.clone()))?;
        if grant.by.is_empty() {
            return Err(Refusal::Denied {
                package: package.clone(),
                rule: grant.packages.clone(),
            });
        }
        if !grant.kinds.contains(&kind) {
            return Err(Refusal::KindNotGranted {
                package: package.clone(),
                rule: grant.packages.clone(),
                kind,
            });
        }
        Ok(grant)
    }
}

fn wanted(publisher: &Publisher) -> String {
    match publisher {
        Publisher::Keyless(keyless) => {
            let identity = String::from(keyless.identity.clone());
            let claims = keyless.claims.iter();
            let claims: String = claims
                .map(|(claim, value)| format!(" with {} `{}`", cut(claim), cut(value)))
                .collect();
            let issuer = cut(&keyless.issuer);
            format!("`{}` at `{issuer}`{claims}", cut(&identity))
        }
        Publisher::Key(holder) => match PublicKey::parse(&holder.key) {
            Ok(key) => format!("the holder of the key `{}`", key.digest()),
            Err(_) => "the holder of a key".to_owned(),
        },
    }
}
