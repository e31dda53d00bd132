//! What an artifact is.
//!
//! The vocabulary that signing, registries and the host share: digests,
//! package names, references, and the OCI documents that hold plugins and
//! models together. Everything here is pure and bounded: it parses what others wrote
//! and decides nothing. Whether an artifact is trusted is the business of
//! `selvedge-signing`, where it comes from that of `selvedge-registry`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod both_ends;
mod digest;
pub mod foreign;
mod kind;
pub mod media_type;
mod model_config;
mod model_contents;
mod model_manifest;
mod model_release;
mod oci;
mod package_name;
mod package_pattern;
mod packaging;
mod plugin_manifest;
mod reference;
mod wasm_config;

pub use both_ends::from_both_ends;
pub use digest::{Digest, DigestError};
pub use kind::ArtifactKind;
pub use model_config::{ModelConfig, ModelConfigError, ModelDescriptor, ModelDetails, ModelLayers};
pub use model_contents::{ModelContents, ModelContentsError};
pub use model_manifest::{
    ModelDimension, ModelFileFormat, ModelFiles, ModelManifest, ModelManifestError, ModelPort,
};
pub use model_release::{ModelPackagingError, ModelRelease};
pub use oci::{Annotations, Descriptor, DocumentError, Index, Manifest};
pub use package_name::{PackageName, PackageNameError};
pub use package_pattern::{PackagePattern, PackagePatternError};
pub use packaging::{Packaged, PackagingError, Release, attachment};
pub use plugin_manifest::{PluginManifest, PluginManifestError, Want};
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use wasm_config::{ComponentSummary, WasmConfig, WasmConfigError};

#[cfg(test)]
mod tests {
    use super::{Digest, Manifest, PackageName, PackagePattern, Reference, Tag};

    #[test]
    fn errors_quote_little_and_no_control_characters() {
        let text = format!("sha256:\u{1b}[2J{}", "a".repeat(10_000));
        let json = format!("{{\"schemaVersion\":\"{}\"}}", "\\u001b[2J".repeat(1_000));
        let malformed = Manifest::parse(json.as_bytes()).unwrap_err();
        let cause = std::error::Error::source(&malformed).unwrap();
        for message in [
            text.parse::<Digest>().unwrap_err().to_string(),
            text.parse::<Tag>().unwrap_err().to_string(),
            text.parse::<PackageName>().unwrap_err().to_string(),
            text.parse::<PackagePattern>().unwrap_err().to_string(),
            "a.b/\u{1b}[2J/x"
                .parse::<Reference>()
                .unwrap_err()
                .to_string(),
            "a.b/x/y:\u{1b}[2J"
                .parse::<Reference>()
                .unwrap_err()
                .to_string(),
            cause.to_string(),
        ] {
            let harmless = !message.chars().any(char::is_control);
            assert!(message.len() <= 1000 && harmless, "{message:?}");
        }
    }
}
