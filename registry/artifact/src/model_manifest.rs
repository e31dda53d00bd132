//! `model.toml`: what a model is called, what it takes and gives, and how it
//! wants to be run.
//!
//! It travels inside the artifact and so is signed with it. What only a host
//! understands, backends and how they are told, is kept as it is written; a
//! deployment may say otherwise.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::foreign::{Cause, cause};
use crate::package_name::is_half;

/// Bytes of a manifest.
pub(crate) const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// Characters of a line.
const TEXT_CHARS_MAX: usize = 1000;
/// Characters of a name: of an input, a dimension, a backend.
const NAME_CHARS_MAX: usize = 256;
/// Bytes of a file's path within the artifact.
const PATH_BYTES_MAX: usize = 255;
/// Inputs of a model, and as many outputs.
const PORTS_MAX: usize = 64;
/// Dimensions of an input or output.
const DIMENSIONS_MAX: usize = 8;
/// Golden vectors, and as many texts for people.
const FILES_MAX: usize = 16;
/// Options of a run.
const OPTIONS_MAX: usize = 32;
/// Entries of the metadata.
const METADATA_MAX: usize = 64;
/// Characters of all metadata.
const METADATA_CHARS_MAX: usize = 48 << 10;

/// A model's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// The second half of the package name.
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0).
    pub version: Version,
    /// What it tells from what, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The licence (SPDX expression).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Where what it was made with is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it was made from: the data, the model it was tuned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The library that should run it: `auto`, `tract`, `onnxruntime`, `openvino`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The processor it should run on: `cpu`, `gpu`, `gpu-preferred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Files with inputs and the outputs that they must give. A host that
    /// computes otherwise does not serve it. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<String>,
    /// Files for people: `README.md`, `LICENSE`. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docs: Vec<String>,
    /// Its files.
    pub model: ModelFiles,
    /// How it should be run: `threads`, `concurrency`, `precision`, `provider`,
    /// `strict`, `batching`, as in a deployment.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub run: serde_json::Map<String, serde_json::Value>,
    /// What it takes. If given, a file that takes anything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ModelPort>,
    /// What it gives; given together with `inputs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ModelPort>,
    /// What plugins that run it may ask for: `labels` and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The files of a model, by their paths beside `model.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFiles {
    /// The model.
    pub file: String,
    /// In what form it is written.
    #[serde(default)]
    pub format: ModelFileFormat,
    /// The weights, where the form keeps them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

/// In what form a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelFileFormat {
    /// Open Neural Network Exchange, one file.
    #[default]
    Onnx,
    /// OpenVINO's intermediate representation: a description and its weights.
    OpenvinoIr,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPort {
    /// Its name in the file.
    pub name: String,
    /// What its numbers are: `fp32`, `fp16`, `fp64`, `bf16`, `u8`, `i32`, `i64`.
    #[serde(default = "single")]
    pub kind: String,
    /// Its dimensions; none for a single number.
    #[serde(default)]
    pub shape: Vec<ModelDimension>,
}

/// A dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelDimension {
    /// Always this many.
    Fixed(u32),
    /// Decided by each run, for all dimensions of this name alike; `?` for one
    /// that is like no other.
    Named(String),
}

/// Why text is no model manifest.
#[derive(Debug, thiserror::Error)]
pub enum ModelManifestError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {MANIFEST_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not TOML, or not these fields.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// A field has a value that it may not have.
    #[error("`{field}` is not acceptable: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn single() -> String {
    "fp32".to_owned()
}

impl ModelFileFormat {
    /// What model registries call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::OpenvinoIr => "openvino-ir",
        }
    }
}

impl ModelManifest {
    /// What its file is called, in an artifact and beside a model.
    pub const FILE: &str = "model.toml";

    /// Reads `model.toml`.
    ///
    /// # Errors
    ///
    /// If it is too large, not TOML, or says what no model may say.
    pub fn parse(text: &[u8]) -> Result<Self, ModelManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ModelManifestError::TooLarge(text.len()));
        }
        let text = std::str::from_utf8(text);
        let text = text.map_err(|error| ModelManifestError::Malformed(cause(&error)))?;
        let manifest = toml::from_str(text);
        let manifest: Self =
            manifest.map_err(|error| ModelManifestError::Malformed(cause(&error)))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Of a model whose artifact says no more of it than this.
    pub(crate) fn bare(name: &str, version: Version, file: &str) -> Self {
        Self {
            name: name.to_owned(),
            version,
            description: None,
            licenses: None,
            vendor: None,
            source: None,
            origin: None,
            backend: None,
            target: None,
            golden: Vec::new(),
            docs: Vec::new(),
            model: ModelFiles {
                file: file.to_owned(),
                format: ModelFileFormat::Onnx,
                weights: None,
            },
            run: serde_json::Map::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Whether every field is within its bounds.
    ///
    /// # Errors
    ///
    /// The first field that is not.
    pub fn check(&self) -> Result<(), ModelManifestError> {
        let field = |field, reason| Err(ModelManifestError::Field { field, reason });
        if !is_half(&self.name) {
            return field(
                "name",
                "not 1 to 63 lower-case letters, digits, `-`, `_` and `.`",
            );
        }
        let lines = [
            &self.description,
            &self.licenses,
            &self.vendor,
            &self.source,
            &self.origin,
        ];
        if lines.into_iter().flatten().any(|text| !is_line(text)) {
            return field("description", "more than one line or than 1000 characters");
        }
        let words = [&self.backend, &self.target];
        if words.into_iter().flatten().any(|word| !is_name(word)) {
            return field("backend", "not a name");
        }
        if self.golden.len() > FILES_MAX || self.docs.len() > FILES_MAX {
            return field("golden", "more than 16 files");
        }
        self.check_files()?;
        if self.run.len() > OPTIONS_MAX {
            return field("run", "more than 32 options");
        }
        for (which, ports) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if ports.len() > PORTS_MAX {
                return field(which, "more than 64");
            }
            if ports.iter().any(|port| !port.is_acceptable()) {
                return field(which, "a name, a kind and at most 8 dimensions each");
            }
            let names: BTreeSet<_> = ports.iter().map(|port| &port.name).collect();
            if names.len() != ports.len() {
                return field(which, "a name stands twice");
            }
        }
        if self.inputs.is_empty() != self.outputs.is_empty() {
            return field("outputs", "inputs and outputs are given together");
        }
        self.check_metadata()
    }

    /// The files of the artifact besides `model.toml`, in its order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let model = [Some(&self.model.file), self.model.weights.as_ref()];
        let others = self.golden.iter().chain(&self.docs);
        model
            .into_iter()
            .flatten()
            .chain(others)
            .map(String::as_str)
    }

    fn check_files(&self) -> Result<(), ModelManifestError> {
        let field = |field, reason| Err(ModelManifestError::Field { field, reason });
        if self.files().any(|path| !is_path(path)) {
            return field(
                "file",
                "not a path below the folder of `model.toml`, in letters, digits, `-`, `_` and `.`",
            );
        }
        let all: BTreeSet<_> = self.files().collect();
        if all.len() != self.files().count() || all.contains(Self::FILE) {
            return field("file", "a file stands twice");
        }
        match (self.model.format, &self.model.weights) {
            (ModelFileFormat::Onnx, Some(_)) => {
                field("weights", "an ONNX model keeps its weights in its one file")
            }
            (ModelFileFormat::OpenvinoIr, None) => field(
                "weights",
                "OpenVINO's form keeps its weights in a file apart",
            ),
            _ => Ok(()),
        }
    }

    fn check_metadata(&self) -> Result<(), ModelManifestError> {
        let field = |field, reason| Err(ModelManifestError::Field { field, reason });
        if self.metadata.len() > METADATA_MAX {
            return field("metadata", "more than 64 entries");
        }
        if self.metadata.keys().any(|key| !is_name(key)) {
            return field("metadata", "a key is not a name");
        }
        let characters = self.metadata.values().map(|value| value.chars().count());
        if characters.sum::<usize>() > METADATA_CHARS_MAX {
            return field("metadata", "more than 49152 characters");
        }
        Ok(())
    }
}

impl ModelPort {
    fn is_acceptable(&self) -> bool {
        let fits = |dimension: &ModelDimension| match dimension {
            ModelDimension::Fixed(size) => *size > 0,
            ModelDimension::Named(name) => is_name(name),
        };
        is_name(&self.name)
            && is_name(&self.kind)
            && self.shape.len() <= DIMENSIONS_MAX
            && self.shape.iter().all(fits)
    }
}

/// Texts are printed to people's terminals: no control characters.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.chars().count() <= TEXT_CHARS_MAX
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && is_line(text) && text.chars().count() <= NAME_CHARS_MAX
}

/// A relative path without ways up: it is unpacked on other machines.
pub(crate) fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part_fits =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits);
    text.len() <= PATH_BYTES_MAX && text.split('/').all(part_fits)
}

#[cfg(test)]
mod tests {
    use super::{ModelDimension, ModelManifest};

    const PUMP: &str = "name = 'pump'\nversion = '1.2.0'\n";
    const FILES: &str = "[model]\nfile = 'pump.onnx'\n";

    fn parse(before: &str, after: &str) -> Result<ModelManifest, String> {
        let text = format!("{PUMP}{before}\n{FILES}{after}");
        ModelManifest::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_manifest_says_what_a_model_takes_and_gives() {
        let ports = "[[inputs]]\nname = 'x'\nshape = ['batch', 4]\n\
                     [[outputs]]\nname = 'y'\nkind = 'i64'\n";
        let manifest = parse("golden = ['a.golden.json']\nbackend = 'tract'", ports).unwrap();
        let batch = ModelDimension::Named("batch".to_owned());
        assert_eq!(manifest.inputs[0].shape, [batch, ModelDimension::Fixed(4)]);
        assert_eq!(manifest.inputs[0].kind, "fp32");
        let files: Vec<_> = manifest.files().collect();
        assert_eq!(files, ["pump.onnx", "a.golden.json"]);
    }

    #[test]
    fn a_manifest_reaches_no_file_beyond_its_folder() {
        for path in [
            "../x",
            "/x",
            "a/../x",
            ".ssh/x",
            "",
            "a//x",
            "a\\x",
            "model.toml",
        ] {
            assert!(
                parse(&format!("golden = ['{path}']"), "").is_err(),
                "{path}"
            );
        }
        assert!(parse("golden = ['golden/a.json']", "").is_ok());
        assert!(parse("golden = ['pump.onnx']", "").is_err());
    }

    #[test]
    fn what_no_model_may_say_is_refused() {
        for (before, after) in [
            ("nonsense = 1", ""),
            ("description = \"a\\nb\"", ""),
            ("", "weights = 'pump.bin'"),
            ("", "format = 'openvino-ir'"),
            ("", "format = 'pickle'"),
            ("", "[[inputs]]\nname = 'x'\n"),
            (
                "",
                "[[inputs]]\nname = 'x'\nshape = [0]\n[[outputs]]\nname = 'y'",
            ),
        ] {
            assert!(parse(before, after).is_err(), "{before} {after}");
        }
        let large = format!("{PUMP}{FILES}[metadata]\na = '{}'", "x".repeat(70_000));
        assert!(ModelManifest::parse(large.as_bytes()).is_err());
        assert!(ModelManifest::parse(b"\xff").is_err());
    }
}
