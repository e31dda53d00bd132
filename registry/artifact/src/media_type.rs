//! Media and artifact types, as the specifications spell them.

/// An image manifest (OCI image-spec 1.1, manifest.md).
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index (OCI image-spec 1.1, image-index.md).
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of a Wasm artifact (CNCF TAG Runtime, Wasm OCI Artifact
/// layout).
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// A component or module (CNCF TAG Runtime, Wasm OCI Artifact layout).
pub const WASM: &str = "application/wasm";
/// The empty JSON object `{}` in place of a configuration (OCI image-spec 1.1,
/// manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A sigstore bundle, as artifact type and as layer (Sigstore bundle format 0.3).
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What every sigstore bundle's media type starts with, whatever its version.
pub const SIGSTORE_BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// Annotation of a manifest: the package, `acme/thermostat`.
pub const PACKAGE: &str = "dev.selvedge.package";
/// Annotation of a manifest: the version (OCI image-spec 1.1, annotations.md).
pub const VERSION: &str = "org.opencontainers.image.version";
/// Annotation of a manifest: when it was built (OCI image-spec 1.1, annotations.md).
pub const CREATED: &str = "org.opencontainers.image.created";
/// Annotation of an entry in an image layout's index: its reference (OCI
/// image-spec 1.1, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A model, as artifact type (CNCF ModelPack 1.0, spec.md).
pub const MODEL: &str = "application/vnd.cncf.model.manifest.v1+json";
/// The configuration of a model (CNCF ModelPack 1.0, config.md).
pub const MODEL_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
/// Weights as they are, neither archived nor compressed (CNCF ModelPack 1.0).
pub const MODEL_WEIGHT: &str = "application/vnd.cncf.model.weight.v1.raw";
/// What weights are run by, as it is: `model.toml` (CNCF ModelPack 1.0).
pub const MODEL_WEIGHT_CONFIG: &str = "application/vnd.cncf.model.weight.config.v1.raw";
/// Data, as it is: golden vectors (CNCF ModelPack 1.0).
pub const MODEL_DATASET: &str = "application/vnd.cncf.model.dataset.v1.raw";
/// Text for people, as it is: `README.md`, `LICENSE` (CNCF ModelPack 1.0).
pub const MODEL_DOC: &str = "application/vnd.cncf.model.doc.v1.raw";
/// Annotation of a model's layer: the file's path (CNCF ModelPack 1.0,
/// annotations.md).
pub const MODEL_FILEPATH: &str = "org.cncf.model.filepath";
