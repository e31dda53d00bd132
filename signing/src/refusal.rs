//! Why an artifact was refused: one reason, with what an operator can do.
//!
//! Messages say what it is about, what was found and what the policy wants, for
//! whoever has to answer for the decision. What others wrote is cut and fit to
//! be printed.

use jiff::Timestamp;
use selvedge_artifact::{ArtifactKind, Digest, PackageName, PackagePattern};
use semver::Version;

mod bundle;
mod describe;

pub use bundle::{BundleRefusal, Unreleased};

/// What another part said about bytes that others wrote, cut.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The steps of a decision, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Is the policy current?
    Policy,
    /// Who may release this package?
    Grant,
    /// Are these the bytes that were asked for?
    Integrity,
    /// Did someone who may release it?
    Release,
    /// Is it the package and version that were asked for?
    Name,
    /// Is stated about it what must be?
    Attestations,
    /// Is it still trusted?
    Revocation,
    /// Is it not older than what the device had?
    Version,
}

/// Why an artifact was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy may not decide about installing any more.
    #[error("the policy expired at {expires}, and it is {now}: nothing is installed by it")]
    PolicyExpired {
        /// When it did.
        expires: Timestamp,
        /// The time of the decision.
        now: Timestamp,
    },
    /// The policy says nothing about the package.
    #[error("no line of the policy is about `{0}`")]
    NotGranted(PackageName),
    /// The policy lets nobody release the package.
    #[error("the policy's line for `{rule}` lets nobody release `{package}`")]
    Denied {
        /// The package.
        package: PackageName,
        /// The line.
        rule: PackagePattern,
    },
    /// The policy lets the package be something else.
    #[error("the policy's line for `{rule}` does not let `{package}` be a {kind}")]
    KindNotGranted {
        /// The package.
        package: PackageName,
        /// The line.
        rule: PackagePattern,
        /// What it would be.
        kind: ArtifactKind,
    },
    /// It is to be resumed, but not by its digest.
    #[error("`{0}` can only be resumed by its digest")]
    ResumeWithoutDigest(PackageName),
    /// The manifest is not the one that was asked for.
    #[error("the manifest has the digest `{found}`; `{asked}` was asked for")]
    DigestMismatch {
        /// What was asked for.
        asked: Digest,
        /// What came.
        found: Digest,
    },
    /// The manifest is none.
    #[error("the manifest is not acceptable")]
    ManifestInvalid(#[source] Cause),
    /// The configuration is of a type that is not understood.
    #[error("the artifact's configuration is of type `{found}`; `{expected}` is needed")]
    ConfigType {
        /// The type, cut.
        found: String,
        /// The type of what was asked for.
        expected: &'static str,
    },
    /// It does not have exactly one layer.
    #[error("the artifact has {0} layers; a plugin has one, its component")]
    LayerCount(usize),
    /// The layer is of a type that is not understood.
    #[error("the artifact's layer is of type `{found}`; `{expected}` is needed")]
    LayerType {
        /// The type, cut.
        found: String,
        /// The type of a component.
        expected: &'static str,
    },
    /// The configuration is not the one that the manifest names.
    #[error("the configuration is not the one that the manifest names, `{0}`")]
    ConfigMismatch(Digest),
    /// The component is not the one that the manifest names.
    #[error("the component is not the one that the manifest names, `{0}`")]
    ComponentMismatch(Digest),
    /// Of a model, not every layer came.
    #[error("{found} files came with the model; its manifest names {named}")]
    LayersMissing {
        /// How many its manifest names.
        named: usize,
        /// How many there are.
        found: usize,
    },
    /// A file of a model is not the one that the manifest names.
    #[error("a file of the model is not the one that the manifest names, `{0}`")]
    FileMismatch(Digest),
    /// It is a model that cannot be used.
    #[error("the model is not acceptable")]
    ModelInvalid(#[source] Cause),
    /// The configuration is none of a component.
    #[error("the configuration is not acceptable")]
    ConfigInvalid(#[source] Cause),
    /// The configuration is about other layers.
    #[error("the configuration names other layers than the manifest")]
    ConfigLayers,
    /// It is native code.
    #[error("it is native code; published native code is never run")]
    NativeCode,
    /// It is a module and not a component.
    #[error("it is a WebAssembly module; only components are run")]
    CoreModule,
    /// It is no WebAssembly.
    #[error("it is not a WebAssembly component")]
    NotAComponent,
    /// Nothing is signed.
    #[error("`{0}` is not signed: no bundle came with it")]
    Unsigned(PackageName),
    /// Nobody who may release it has.
    #[error(transparent)]
    Unreleased(#[from] Box<Unreleased>),
    /// The manifest lacks the name or version that the signature binds.
    #[error("the manifest lacks the annotation `{0}`")]
    AnnotationMissing(&'static str),
    /// The name or version in the manifest is none.
    #[error("the manifest's annotation `{annotation}` is `{found}`, which is not {expected}")]
    AnnotationInvalid {
        /// Which annotation.
        annotation: &'static str,
        /// What it says, cut.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// It was released as another package.
    #[error("it was released as `{signed}`; `{asked}` was asked for")]
    OtherPackage {
        /// The package that was asked for.
        asked: PackageName,
        /// The package that is signed.
        signed: PackageName,
    },
    /// It was released as another version.
    #[error("it was released as version {}; {} was asked for", .0.1, .0.0)]
    OtherVersion(Box<(Version, Version)>),
    /// The plugin's or model's own manifest is of another.
    #[error("its own manifest is of `{found}`, but the release is `{signed}`")]
    PluginManifest {
        /// Name and version in its own manifest.
        found: String,
        /// Name and version that are signed.
        signed: String,
    },
    /// A statement that must be there is not.
    #[error(
        "`{need}` is needed about `{package}`, stated by {}, and is not there",
        describe::one_of(.by)
    )]
    AttestationMissing {
        /// The package.
        package: PackageName,
        /// What is needed, as the policy names it.
        need: String,
        /// Who may state it.
        by: Vec<String>,
        /// What became of the bundles that state it.
        bundles: Vec<BundleRefusal>,
    },
    /// The artifact is revoked.
    #[error("the digest `{0}` is revoked")]
    DigestRevoked(Digest),
    /// Whoever signed it is revoked.
    #[error("publisher `{publisher}` is revoked from {since} on, and signed {what} at {signed_at}")]
    PublisherRevoked {
        /// Who, by the name in the policy.
        publisher: String,
        /// From when on.
        since: Timestamp,
        /// When it was signed.
        signed_at: Timestamp,
        /// What was: the release or a statement.
        what: String,
    },
    /// It is below the policy's floor.
    #[error("version {} of `{}` is below the policy's floor, {}", .0.found, .0.package, .0.mark)]
    BelowFloor(Box<VersionMark>),
    /// It is below what the device had.
    #[error("version {} of `{}` is below what ran here, {}", .0.found, .0.package, .0.mark)]
    Downgrade(Box<VersionMark>),
}

/// A version that is too low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMark {
    /// The package.
    pub package: PackageName,
    /// Its version.
    pub found: Version,
    /// The lowest that may be installed.
    pub mark: Version,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Policy => "1 of 8: is the policy current?",
            Self::Grant => "2 of 8: who may release this package?",
            Self::Integrity => "3 of 8: are these the bytes that were asked for?",
            Self::Release => "4 of 8: did someone who may release it?",
            Self::Name => "5 of 8: is it the package and version that were asked for?",
            Self::Attestations => "6 of 8: is stated about it what must be?",
            Self::Revocation => "7 of 8: is it still trusted?",
            Self::Version => "8 of 8: is it not older than what the device had?",
        })
    }
}
