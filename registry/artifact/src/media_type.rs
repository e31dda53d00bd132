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
