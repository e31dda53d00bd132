//! The proof that an artifact was verified.

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, PackageName, PackagePattern, WasmConfig};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{AcceptedRelease, Signer};

/// An artifact that a publisher vouches for whom the policy lets sign it.
///
/// Only [`crate::Verifier::verify`] makes one, and the runtime loads nothing
/// else: code that skips the check does not compile.
///
/// ```compile_fail
/// use bytes::Bytes;
/// use selvedge_signing::VerifiedArtifact;
///
/// fn with_component(verified: VerifiedArtifact, component: Bytes) -> VerifiedArtifact {
///     VerifiedArtifact { component, ..verified }
/// }
/// ```
///
/// What was verified can be read, and handed on as a whole:
///
/// ```
/// use bytes::Bytes;
/// use selvedge_signing::VerifiedArtifact;
///
/// fn with_component(verified: VerifiedArtifact) -> (VerifiedArtifact, Bytes) {
///     let component = verified.component().clone();
///     (verified, component)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedArtifact {
    pub(crate) origin: Origin,
    pub(crate) component: Bytes,
    pub(crate) config: WasmConfig,
    pub(crate) imports_allowed: Option<Vec<String>>,
}

/// What an artifact is, and by whose word it may run: all of a
/// [`VerifiedArtifact`] that is worth keeping once its component is compiled, and
/// of a [`crate::VerifiedModel`] once it is loaded.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(crate) kind: ArtifactKind,
    pub(crate) package: PackageName,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    pub(crate) component_digest: Digest,
    /// The digests of all layers, that one included.
    pub(crate) layer_digests: Vec<Digest>,
    pub(crate) release: Release,
    /// The releases by others that count too: it is revoked when all are.
    pub(crate) also_released: Vec<Release>,
    pub(crate) rule: PackagePattern,
    pub(crate) attestations: Vec<Attestation>,
    /// What to remember of `release` and `also_released`.
    pub(crate) accepted: Vec<AcceptedRelease>,
    pub(crate) from_record: bool,
}

/// That someone who may has released an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    /// By the name in the policy.
    pub(crate) publisher: String,
    pub(crate) signer: Signer,
    pub(crate) signed_at: Timestamp,
}

/// A statement about an artifact, by someone whom the policy accepts for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// What it states, `https://slsa.dev/provenance/v1` and the like.
    pub predicate_type: String,
    /// Whose statement it is, by the name in the policy.
    pub publisher: String,
    /// Who signed it.
    pub signer: Signer,
    /// When, as a log or a timestamp authority vouches for.
    pub signed_at: Timestamp,
    /// The statement's predicate, as JSON.
    pub predicate: serde_json::Value,
}

impl VerifiedArtifact {
    /// What it is, and by whose word it may run.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same, without the bytes.
    pub fn into_origin(self) -> Origin {
        self.origin
    }

    /// The component's bytes.
    pub fn component(&self) -> &Bytes {
        &self.component
    }

    /// The configuration, with the plugin's manifest.
    pub fn config(&self) -> &WasmConfig {
        &self.config
    }

    /// The imports that the policy leaves this package: interface names without
    /// version, `wasi:sockets/tcp`, or whole packages, `wasi:sockets/*`. `None`
    /// leaves it to the deployment alone.
    pub fn imports_allowed(&self) -> Option<&[String]> {
        self.imports_allowed.as_deref()
    }
}

impl Origin {
    /// What it is.
    pub fn kind(&self) -> ArtifactKind {
        self.kind
    }

    /// The package.
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// The version, as signed.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The digest of the manifest, which is what was signed.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the component's bytes; of a model, that of its file.
    pub fn component_digest(&self) -> Digest {
        self.component_digest
    }

    /// The digests of all its layers: if one is revoked, all of it is.
    pub fn layer_digests(&self) -> &[Digest] {
        &self.layer_digests
    }

    /// Who released it, by the name in the policy; the first if several did.
    pub fn publisher(&self) -> &str {
        &self.release.publisher
    }

    /// Who signed it: the identity or key that was verified.
    pub fn signer(&self) -> &Signer {
        &self.release.signer
    }

    /// When it was signed, as a log or a timestamp authority vouches for.
    pub fn signed_at(&self) -> Timestamp {
        self.release.signed_at
    }

    /// The line of the policy that let it pass.
    pub fn rule(&self) -> &PackagePattern {
        &self.rule
    }

    /// What else is stated about it by publishers of that line.
    pub fn attestations(&self) -> &[Attestation] {
        &self.attestations
    }

    /// What a device that accepts it is to remember, so that it can start it
    /// again without the time: one for each publisher who released it.
    pub fn accepted(&self) -> &[AcceptedRelease] {
        &self.accepted
    }

    /// Whether no signature was verified, but what the device remembers stood in
    /// for them: its clock is behind.
    pub fn from_record(&self) -> bool {
        self.from_record
    }
}
