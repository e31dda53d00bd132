//! Verifying: a bundle, an artifact and whom to expect in, evidence out.
//!
//! What the library calls verified times, and when: with a certificate, every
//! RFC 3161 timestamp, verified against the root's authorities, and the time of
//! every Rekor v1 entry whose inclusion promise verified, which signs that time.
//! With a managed key, the same, but times of entries only if the log is
//! verified. A time that only stands in an entry is never among them, nor is one
//! of a Rekor v2 entry, which has none.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use selvedge_artifact::Digest;
use sigstore_verify::trust_root::TrustedRoot as RootDocument;
use sigstore_verify::types::Artifact;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::{
    Policy, PublicKeyVerificationPolicy, SubjectAltName, VerificationPolicy, VerificationResult,
    Verifier,
};

use super::contained::contained;
use super::{
    BundleError, Content, Evidence, PublicKey, SignatureBundle, Signer, TrustedRootError, claims,
};
use crate::IdentityPattern;
use selvedge_artifact::foreign::{cause, cut};

/// Bytes of a trusted root. That of the public sigstore instance has 7 KiB.
const TRUSTED_ROOT_BYTES_MAX: usize = 1 << 20;
/// What every trusted root's media type starts with, whatever its version.
const TRUSTED_ROOT_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// The keys and certificates of a sigstore instance, prepared for verifying.
pub struct TrustedRoot {
    verifier: Verifier,
    /// The ids of its transparency logs, to say of an entry that its log is
    /// unknown. Nothing is decided by them.
    logs: BTreeSet<Vec<u8>>,
}

/// The artifact, as the library and as we compare it.
pub(crate) struct Subject<'a> {
    artifact: Artifact<'a>,
    digest: Digest,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(artifact: &'a [u8]) -> Self {
        Self {
            artifact: Artifact::from_blob(artifact),
            digest: Digest::of(artifact),
        }
    }

    /// An artifact of which only the digest is known: for the conformance cases
    /// that come without theirs.
    #[cfg(test)]
    pub(crate) fn of_digest(digest: Digest) -> Self {
        let hash = sigstore_verify::types::Sha256Hash::new(*digest.as_bytes());
        Self {
            artifact: Artifact::from_digest(hash),
            digest,
        }
    }
}

/// Whom to expect behind a certificate.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) identity: &'a IdentityPattern,
    pub(crate) claims: &'a BTreeMap<String, String>,
}

impl std::fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedRoot").finish_non_exhaustive()
    }
}

impl TrustedRoot {
    /// Reads a trusted root (`trusted_root.json` of the sigstore protobuf specs).
    ///
    /// # Errors
    ///
    /// If it is larger than 1 MiB or not one, or could never verify anything.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustedRootError> {
        if bytes.len() > TRUSTED_ROOT_BYTES_MAX {
            return Err(TrustedRootError::TooLarge(bytes.len()));
        }
        let malformed = |reason: &dyn std::fmt::Display| TrustedRootError::Malformed(cause(reason));
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(&error))?;
        let read = || {
            let root = RootDocument::from_json(text).map_err(|error| malformed(&error))?;
            if !root.media_type.starts_with(TRUSTED_ROOT_TYPE) {
                return Err(malformed(&"it is another kind of document"));
            }
            if root.tlogs.is_empty() && root.timestamp_authorities.is_empty() {
                return Err(TrustedRootError::NoTime);
            }
            let ids = root.tlogs.iter().map(|log| &log.log_id.key_id);
            let logs = ids.map(|id| id.as_bytes().to_vec()).collect();
            let verifier =
                Verifier::new(&root).map_err(|error| TrustedRootError::Unusable(cause(&error)))?;
            Ok(Self { verifier, logs })
        };
        contained(read).map_err(|_| TrustedRootError::Panicked)?
    }

    /// Verifies a keyless bundle over `artifact`, signed by whom `issuer` knows
    /// as one that `identity` matches, with a certificate that makes `claims`.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    #[expect(
        clippy::too_many_arguments,
        reason = "what to verify, and the three things that a certificate says"
    )]
    pub fn verify_identity(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
        issuer: &str,
        identity: &IdentityPattern,
        claims: &BTreeMap<String, String>,
    ) -> Result<Evidence, BundleError> {
        let expected = Expected {
            issuer,
            identity,
            claims,
        };
        self.verify_expected(bundle, Subject::of(artifact), &expected)
    }

    /// Verifies a bundle over `artifact` signed with `key`. A log entry or a
    /// timestamp must say when; with `log`, it must be a log entry. Entries that
    /// are there must hold, needed or not.
    ///
    /// # Errors
    ///
    /// If any part of it does not hold.
    pub fn verify_key(
        &self,
        bundle: &SignatureBundle,
        artifact: &[u8],
        key: &PublicKey,
        log: bool,
    ) -> Result<Evidence, BundleError> {
        self.verify_key_over(bundle, Subject::of(artifact), key, log)
    }

    pub(crate) fn verify_expected(
        &self,
        bundle: &SignatureBundle,
        subject: Subject<'_>,
        expected: &Expected<'_>,
    ) -> Result<Evidence, BundleError> {
        if let VerificationMaterialContent::PublicKey(_) = material(bundle) {
            return Err(BundleError::NotKeyless);
        }
        let policy = VerificationPolicy::any_identity().require_issuer(expected.issuer);
        let digest = subject.digest;
        let result = self.run(bundle, subject, &policy, true)?;
        let checked = result.certificate_verified()
            && result.sct_verified()
            && result.tlog_verified()
            && result.identity_policy_checked();
        if !checked {
            return Err(BundleError::Incomplete("certificate or log"));
        }
        let signer = identify(&result, expected)?;
        evidence(bundle, &digest, &result, signer)
    }

    pub(crate) fn verify_key_over(
        &self,
        bundle: &SignatureBundle,
        subject: Subject<'_>,
        key: &PublicKey,
        log: bool,
    ) -> Result<Evidence, BundleError> {
        let VerificationMaterialContent::PublicKey(_) = material(bundle) else {
            return Err(BundleError::NotManagedKey);
        };
        let entries = &bundle.bundle.verification_material.tlog_entries;
        let log_checked = log || !entries.is_empty();
        let mut policy = PublicKeyVerificationPolicy::new(key.der().clone());
        if !log_checked {
            // Nothing of a log is there to be skipped. What remains to say when
            // is a timestamp, which `evidence` demands.
            policy = policy.skip_tlog_unsafe();
        }
        let digest = subject.digest;
        let result = self.run(bundle, subject, &policy, log)?;
        if result.tlog_verified() != log_checked {
            return Err(BundleError::Incomplete("log"));
        }
        let signer = Signer::Key { key: key.digest() };
        evidence(bundle, &digest, &result, signer)
    }

    fn run(
        &self,
        bundle: &SignatureBundle,
        subject: Subject<'_>,
        policy: &impl Policy,
        log_needed: bool,
    ) -> Result<VerificationResult, BundleError> {
        let bundle = &bundle.bundle;
        let result = contained(|| self.verifier.verify(subject.artifact, bundle, policy))
            .map_err(|_| BundleError::Panicked)?;
        result.map_err(|error| {
            let entries = &bundle.verification_material.tlog_entries;
            let mut ids = entries.iter().map(|entry| &entry.log_id.key_id);
            let log_known = ids.all(|id| self.logs.contains(id.as_bytes()));
            BundleError::of(error, log_needed, log_known)
        })
    }
}

fn material(bundle: &SignatureBundle) -> &VerificationMaterialContent {
    &bundle.bundle.verification_material.content
}

/// Compares what a verified certificate says with what is expected. The issuer
/// is compared a second time, the library did so too: a mistake in either place
/// lets nobody in.
fn identify(result: &VerificationResult, expected: &Expected<'_>) -> Result<Signer, BundleError> {
    let issuer = result.issuer();
    let Some(issuer) = issuer.filter(|issuer| *issuer == expected.issuer) else {
        let found = issuer.map(cut);
        return Err(BundleError::Issuer { found });
    };
    let pattern = expected.identity;
    let identity = match result.identity() {
        Some(SubjectAltName::Uri(uri)) if pattern.is_uri() && pattern.matches(uri) => uri,
        Some(SubjectAltName::Email(address)) if !pattern.is_uri() && pattern.matches(address) => {
            address
        }
        other => {
            let found = other.map(|san| cut(san.as_str()));
            return Err(BundleError::Identity { found });
        }
    };
    let certificate = result.certificate();
    let certificate = certificate.ok_or(BundleError::Incomplete("certificate"))?;
    claims::check(certificate, expected.claims)?;
    Ok(Signer::Identity {
        issuer: issuer.to_owned(),
        identity: identity.clone(),
    })
}

/// What a verified bundle proves: when, and about what. Both are checked here
/// once more, for all ways that lead here.
fn evidence(
    bundle: &SignatureBundle,
    artifact: &Digest,
    result: &VerificationResult,
    signer: Signer,
) -> Result<Evidence, BundleError> {
    let times: &[Timestamp] = result.verified_timestamps();
    let signed_at = times.iter().max().ok_or(BundleError::NoTrustedTime)?;
    let content = match &bundle.statement {
        None => Content::Artifact,
        // The library is content with a subject's SHA-512; we are not.
        Some(statement) if !statement.subjects.contains(artifact) => {
            return Err(BundleError::OtherArtifact);
        }
        Some(statement) => Content::Statement(statement.clone()),
    };
    Ok(Evidence {
        signer,
        signed_at: *signed_at,
        content,
    })
}
