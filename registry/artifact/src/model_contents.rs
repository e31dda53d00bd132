//! Reads a model back out of its artifact.
//!
//! `model.toml` says which layer is what, and every layer must be what it says.
//! A model that another tool packed, without one, is read if nothing is open:
//! one layer of weights that is an ONNX file.

use bytes::Bytes;
use semver::Version;

use crate::foreign::cut;
use crate::model_config::{ModelConfig, ModelConfigError};
use crate::model_manifest::{ModelManifest, ModelManifestError, is_path};
use crate::model_release::kinds;
use crate::{ArtifactKind, Descriptor, Manifest, PackageName, media_type};

/// What is in a model's artifact.
#[derive(Clone, Debug)]
pub struct ModelContents {
    /// What it says of itself.
    pub manifest: ModelManifest,
    /// The model file.
    pub model: Bytes,
    /// The weights, where the form keeps them apart.
    pub weights: Option<Bytes>,
    /// The golden vectors, in the manifest's order.
    pub golden: Vec<Bytes>,
    /// The texts for people, likewise.
    pub docs: Vec<Bytes>,
}

/// Why an artifact holds no model that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelContentsError {
    /// It is something else.
    #[error("it is no model: its type is `{0}`")]
    Kind(String),
    /// Its configuration is none.
    #[error("its configuration is not acceptable")]
    Config(#[from] ModelConfigError),
    /// The configuration is about other layers.
    #[error("its configuration names other layers than its manifest")]
    ConfigLayers,
    /// There are not as many layers as the manifest names.
    #[error("{given} layers are there; the manifest names {named}")]
    LayerCount {
        /// How many are named.
        named: usize,
        /// How many there are.
        given: usize,
    },
    /// A layer is of a type that is not read.
    #[error(
        "a layer is of type `{0}`; only files that are neither archived nor compressed are read"
    )]
    LayerType(String),
    /// A layer has no path, or one that leads elsewhere.
    #[error("a layer does not say which file it is, or two say the same")]
    LayerPath,
    /// `model.toml` is not acceptable.
    #[error("its `model.toml` is refused")]
    Manifest(#[from] ModelManifestError),
    /// A file that `model.toml` names is no layer, or one of another type.
    #[error("`{0}`, which its `model.toml` names, is not there as what it is")]
    Missing(String),
    /// A layer that `model.toml` does not name.
    #[error("`{0}` is there, which its `model.toml` does not name")]
    Unnamed(String),
    /// Another tool's, which says too little.
    #[error("it has no `model.toml`, and is not one ONNX file either")]
    Unclear,
}

impl ModelContents {
    /// What is in the artifact of `manifest`: `config` and `layers` are what it
    /// names, in its order, which the caller has checked.
    ///
    /// # Errors
    ///
    /// If it is no model, or its parts do not fit each other.
    pub fn read(
        manifest: &Manifest,
        config: &[u8],
        layers: &[Bytes],
    ) -> Result<Self, ModelContentsError> {
        if ArtifactKind::of(manifest) != Some(ArtifactKind::Model) {
            return Err(ModelContentsError::Kind(cut(manifest.kind())));
        }
        let config = ModelConfig::parse(config)?;
        let named = manifest.layers.iter().map(|layer| &layer.digest);
        if !named.eq(&config.modelfs.diff_ids) {
            return Err(ModelContentsError::ConfigLayers);
        }
        let files = Files::of(manifest, layers)?;
        match files.own() {
            Some(own) => files.by(ModelManifest::parse(own)?),
            None => files.foreign(manifest, &config),
        }
    }
}

/// The layers of an artifact, as files.
struct Files<'a>(Vec<File<'a>>);

struct File<'a> {
    kind: &'a str,
    path: &'a str,
    bytes: &'a Bytes,
}

impl<'a> Files<'a> {
    fn of(manifest: &'a Manifest, layers: &'a [Bytes]) -> Result<Self, ModelContentsError> {
        let (named, given) = (manifest.layers.len(), layers.len());
        if named != given {
            return Err(ModelContentsError::LayerCount { named, given });
        }
        let files = manifest.layers.iter().zip(layers).map(file);
        let files: Vec<File<'_>> = files.collect::<Result<_, _>>()?;
        let mut paths: Vec<_> = files.iter().map(|file| file.path).collect();
        paths.sort_unstable();
        paths.dedup();
        if paths.len() != files.len() {
            return Err(ModelContentsError::LayerPath);
        }
        Ok(Self(files))
    }

    /// Its `model.toml`.
    fn own(&self) -> Option<&'a Bytes> {
        let is_own = |file: &&File<'_>| {
            file.kind == media_type::MODEL_WEIGHT_CONFIG && file.path == ModelManifest::FILE
        };
        self.0.iter().find(is_own).map(|file| file.bytes)
    }

    fn by(&self, manifest: ModelManifest) -> Result<ModelContents, ModelContentsError> {
        let unnamed = self.0.iter().map(|file| file.path).find(|path| {
            *path != ModelManifest::FILE && !manifest.files().any(|named| named == *path)
        });
        if let Some(path) = unnamed {
            return Err(ModelContentsError::Unnamed(cut(path)));
        }
        let named = kinds(&manifest).zip(manifest.files());
        let found = named.map(|(kind, path)| {
            let mut files = self.0.iter();
            let file = files.find(|file| file.kind == kind && file.path == path);
            let file = file.ok_or_else(|| ModelContentsError::Missing(cut(path)))?;
            Ok(file.bytes.clone())
        });
        let found: Vec<Bytes> = found.collect::<Result<_, ModelContentsError>>()?;
        let mut found = found.into_iter();
        let model = found.next().ok_or(ModelContentsError::Unclear)?;
        let weights = manifest.model.weights.as_ref().and_then(|_| found.next());
        let golden = found.by_ref().take(manifest.golden.len()).collect();
        Ok(ModelContents {
            model,
            weights,
            golden,
            docs: found.collect(),
            manifest,
        })
    }

    /// What another tool packed.
    fn foreign(
        &self,
        manifest: &Manifest,
        config: &ModelConfig,
    ) -> Result<ModelContents, ModelContentsError> {
        let weights = |file: &&File<'_>| file.kind == media_type::MODEL_WEIGHT;
        let mut weights = self.0.iter().filter(weights);
        let (Some(model), None) = (weights.next(), weights.next()) else {
            return Err(ModelContentsError::Unclear);
        };
        let is_onnx = match &config.config.format {
            Some(format) => format.eq_ignore_ascii_case("onnx"),
            None => model.path.ends_with(".onnx"),
        };
        let name = manifest.annotations.get(media_type::PACKAGE);
        let name = name.and_then(|name| name.parse::<PackageName>().ok());
        let version = manifest.annotations.get(media_type::VERSION);
        let version = version.and_then(|version| version.parse::<Version>().ok());
        let (true, Some(name), Some(version)) = (is_onnx, name, version) else {
            return Err(ModelContentsError::Unclear);
        };
        let manifest = ModelManifest::bare(name.name(), version, model.path);
        Ok(ModelContents {
            manifest,
            model: model.bytes.clone(),
            weights: None,
            golden: Vec::new(),
            docs: Vec::new(),
        })
    }
}

fn file<'a>((layer, bytes): (&'a Descriptor, &'a Bytes)) -> Result<File<'a>, ModelContentsError> {
    let kind = layer.media_type.as_str();
    let is_raw = [
        media_type::MODEL_WEIGHT,
        media_type::MODEL_WEIGHT_CONFIG,
        media_type::MODEL_DATASET,
        media_type::MODEL_DOC,
    ]
    .contains(&kind);
    if !is_raw {
        return Err(ModelContentsError::LayerType(cut(kind)));
    }
    let path = layer.annotations.get(media_type::MODEL_FILEPATH);
    let path = path.filter(|path| is_path(path));
    let path = path.ok_or(ModelContentsError::LayerPath)?;
    Ok(File { kind, path, bytes })
}

#[cfg(test)]
mod tests;
