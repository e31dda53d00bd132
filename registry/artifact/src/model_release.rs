//! Puts a model together, in the layout of CNCF ModelPack 1.0.
//!
//! Each file is a layer as it is, with its path as an annotation, so that other
//! tools unpack the folder it was made from. The same input gives the same
//! bytes and so the same digest.

use bytes::Bytes;
use jiff::Timestamp;

use crate::model_config::ModelConfig;
use crate::model_manifest::{ModelManifest, ModelManifestError};
use crate::{Annotations, Descriptor, Manifest, PackageName, Packaged, media_type};

/// A model to be released.
#[derive(Clone, Debug)]
pub struct ModelRelease {
    /// What it is called. Its second half is the name in `model.toml`.
    pub package: PackageName,
    /// When it was made, if that should be said: `SOURCE_DATE_EPOCH`, not the
    /// clock, so that it can be repeated.
    pub created: Option<Timestamp>,
    /// `model.toml`, as it is written.
    pub manifest: Bytes,
    /// The files that it names, in the order of [`ModelManifest::files`].
    pub files: Vec<Bytes>,
}

/// Why a model cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ModelPackagingError {
    /// `model.toml` is not acceptable.
    #[error("`model.toml` is refused")]
    Manifest(#[from] ModelManifestError),
    /// `model.toml` names another model.
    #[error("`model.toml` is of `{manifest}`, but the package is `{package}`")]
    Name {
        /// The name in `model.toml`.
        manifest: String,
        /// The package.
        package: PackageName,
    },
    /// Not as many files as are named.
    #[error("`model.toml` names {named} files, but {given} are given")]
    Files {
        /// How many it names.
        named: usize,
        /// How many there are.
        given: usize,
    },
}

impl ModelRelease {
    /// The artifact.
    ///
    /// # Errors
    ///
    /// If `model.toml` is not acceptable or contradicts the release.
    pub fn package(self) -> Result<Packaged, ModelPackagingError> {
        let manifest = ModelManifest::parse(&self.manifest)?;
        if manifest.name != self.package.name() {
            return Err(ModelPackagingError::Name {
                manifest: manifest.name,
                package: self.package,
            });
        }
        let named = manifest.files().count();
        if named != self.files.len() {
            let given = self.files.len();
            return Err(ModelPackagingError::Files { named, given });
        }
        let kinds = kinds(&manifest).zip(manifest.files()).zip(self.files);
        let files = kinds.map(|((kind, path), bytes)| layer(kind, path, bytes));
        let own = layer(
            media_type::MODEL_WEIGHT_CONFIG,
            ModelManifest::FILE,
            self.manifest,
        );
        let mut blobs: Vec<_> = std::iter::once(own).chain(files).collect();
        let layers: Vec<Descriptor> = blobs.iter().map(|(layer, _)| layer.clone()).collect();
        let created = self.created.map(|created| created.to_string());
        let digests = layers.iter().map(|layer| layer.digest).collect();
        let config = ModelConfig::of(&manifest, created.clone(), digests);
        let config: Bytes = config.to_bytes().into();
        let config_descriptor = Descriptor::of(media_type::MODEL_CONFIG, &config);
        let mut annotations = Annotations::from([
            (media_type::PACKAGE.to_owned(), self.package.to_string()),
            (media_type::VERSION.to_owned(), manifest.version.to_string()),
        ]);
        annotations.extend(created.map(|created| (media_type::CREATED.to_owned(), created)));
        let oci = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: Some(media_type::MODEL.to_owned()),
            config: config_descriptor.clone(),
            layers,
            subject: None,
            annotations,
        };
        blobs.insert(0, (config_descriptor, config));
        Ok(Packaged {
            manifest: oci.to_bytes().into(),
            blobs,
        })
    }
}

/// The type of each file's layer, in the order of [`ModelManifest::files`].
pub(crate) fn kinds(manifest: &ModelManifest) -> impl Iterator<Item = &'static str> {
    let weights = 1 + usize::from(manifest.model.weights.is_some());
    let repeat = std::iter::repeat_n::<&'static str>;
    repeat(media_type::MODEL_WEIGHT, weights)
        .chain(repeat(media_type::MODEL_DATASET, manifest.golden.len()))
        .chain(repeat(media_type::MODEL_DOC, manifest.docs.len()))
}

fn layer(kind: &str, path: &str, bytes: Bytes) -> (Descriptor, Bytes) {
    let path = (media_type::MODEL_FILEPATH.to_owned(), path.to_owned());
    let descriptor = Descriptor {
        annotations: Annotations::from([path]),
        ..Descriptor::of(kind, &bytes)
    };
    (descriptor, bytes)
}
