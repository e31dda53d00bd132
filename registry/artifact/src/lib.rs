//! What an artifact is.
//!
//! The vocabulary that signing, registries and the host share: digests,
//! package names, references, and the OCI documents that hold a plugin
//! together. Everything here is pure and bounded: it parses what others wrote
//! and decides nothing. Whether an artifact is trusted is the business of
//! `selvedge-signing`, where it comes from that of `selvedge-registry`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod digest;
pub mod media_type;
mod oci;
mod package_name;
mod package_pattern;
mod packaging;
mod plugin_manifest;
mod reference;
mod wasm_config;

pub use digest::{Digest, DigestError};
pub use oci::{Annotations, Descriptor, DocumentError, Index, Manifest};
pub use package_name::{PackageName, PackageNameError};
pub use package_pattern::{PackagePattern, PackagePatternError};
pub use packaging::{Packaged, PackagingError, Release, attachment};
pub use plugin_manifest::{PluginManifest, PluginManifestError, Want};
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use wasm_config::{ComponentSummary, WasmConfig, WasmConfigError};
