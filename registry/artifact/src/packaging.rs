//! Puts artifacts together: a plugin, and what is attached to one.
//!
//! The same input gives the same bytes and so the same digest: no clock and no
//! random number is looked at.

use bytes::Bytes;
use jiff::Timestamp;
use semver::Version;

use crate::wasm_config::ComponentSummary;
use crate::{
    Annotations, Descriptor, Digest, Manifest, PackageName, PluginManifest, WasmConfig, media_type,
};

/// A plugin to be released.
#[derive(Clone, Debug)]
pub struct Release {
    /// What it is called.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// When it was built, if that should be said: `SOURCE_DATE_EPOCH`, not the
    /// clock, so that a build can be repeated.
    pub created: Option<Timestamp>,
    /// What it imports and exports, for people and registries.
    pub summary: ComponentSummary,
    /// What it says of itself. Name and version must be those of the release.
    pub plugin: Option<PluginManifest>,
    /// The component.
    pub component: Bytes,
}

/// An artifact as bytes: a manifest and the blobs that it names.
#[derive(Clone, Debug)]
pub struct Packaged {
    /// The manifest. Its digest is the artifact's.
    pub manifest: Bytes,
    /// Configuration and layers, each with what describes it.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

/// Why a release cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum PackagingError {
    /// `plugin.toml` names another plugin.
    #[error("`plugin.toml` is of `{manifest}`, but the package is `{package}`")]
    Name {
        /// The name in `plugin.toml`.
        manifest: String,
        /// The package.
        package: PackageName,
    },
    /// `plugin.toml` has another version.
    #[error("`plugin.toml` has version {manifest}, but {version} is to be released")]
    Version {
        /// The version in `plugin.toml`.
        manifest: Version,
        /// The version of the release.
        version: Version,
    },
}

impl Release {
    /// The artifact.
    ///
    /// # Errors
    ///
    /// If the plugin's manifest contradicts the release.
    pub fn package(self) -> Result<Packaged, PackagingError> {
        if let Some(plugin) = &self.plugin {
            if plugin.name != self.package.name() {
                return Err(PackagingError::Name {
                    manifest: plugin.name.clone(),
                    package: self.package,
                });
            }
            if plugin.version != self.version {
                return Err(PackagingError::Version {
                    manifest: plugin.version.clone(),
                    version: self.version,
                });
            }
        }
        let created = self.created.map(|created| created.to_string());
        let layer = Descriptor::of(media_type::WASM, &self.component);
        let config = WasmConfig {
            created: created.clone(),
            author: None,
            architecture: "wasm".to_owned(),
            os: "wasip2".to_owned(),
            layer_digests: vec![layer.digest],
            component: Some(self.summary),
            plugin: self.plugin,
        };
        let config: Bytes = config.to_bytes().into();
        let config_descriptor = Descriptor::of(media_type::WASM_CONFIG, &config);
        let mut annotations = Annotations::from([
            (media_type::PACKAGE.to_owned(), self.package.to_string()),
            (media_type::VERSION.to_owned(), self.version.to_string()),
        ]);
        annotations.extend(created.map(|created| (media_type::CREATED.to_owned(), created)));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config: config_descriptor.clone(),
            layers: vec![layer.clone()],
            subject: None,
            annotations,
        };
        Ok(Packaged {
            manifest: manifest.to_bytes().into(),
            blobs: vec![(config_descriptor, config), (layer, self.component)],
        })
    }
}

/// An artifact that is about another: one layer of `artifact_type`, with
/// `subject` as its subject (OCI image-spec 1.1, manifest.md, "subject").
pub fn attachment(
    subject: Descriptor,
    artifact_type: &str,
    layer: Bytes,
    annotations: Annotations,
) -> Packaged {
    let empty = Bytes::from_static(b"{}");
    let config = Descriptor::of(media_type::EMPTY, &empty);
    let layer_descriptor = Descriptor::of(artifact_type, &layer);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(artifact_type.to_owned()),
        config: config.clone(),
        layers: vec![layer_descriptor.clone()],
        subject: Some(subject),
        annotations,
    };
    Packaged {
        manifest: manifest.to_bytes().into(),
        blobs: vec![(config, empty), (layer_descriptor, layer)],
    }
}

impl Packaged {
    /// The artifact's digest: that of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// What describes the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(media_type::MANIFEST, &self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::Release;
    use crate::{Manifest, PluginManifest, WasmConfig};

    fn release() -> Release {
        Release {
            package: "acme/thermostat".parse().unwrap(),
            version: "1.2.0".parse().unwrap(),
            created: None,
            summary: Default::default(),
            plugin: None,
            component: b"\0asm".as_slice().into(),
        }
    }

    #[test]
    fn the_same_release_has_the_same_digest() {
        let (one, other) = (release().package().unwrap(), release().package().unwrap());
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn an_artifact_is_read_back() {
        let packaged = release().package().unwrap();
        let manifest = Manifest::parse(&packaged.manifest).unwrap();
        let (config, layer) = (&packaged.blobs[0], &packaged.blobs[1]);
        assert!(manifest.config.describes(&config.1));
        assert!(manifest.layers[0].describes(&layer.1));
        let config = WasmConfig::parse(&config.1).unwrap();
        assert_eq!(config.layer_digests, [manifest.layers[0].digest]);
    }

    #[test]
    fn a_manifest_of_another_plugin_is_refused() {
        let mut release = release();
        let other = PluginManifest::parse("name = 'other'\nversion = '1.2.0'\n").unwrap();
        release.plugin = Some(other);
        assert!(release.package().is_err());
    }
}
