//! What a manifest may say: how long, how many, and in what letters.
//!
//! It was written by whoever made the model, and is shown to people and unpacked on
//! other machines.

use std::collections::BTreeSet;

use super::{ModelDimension, ModelFileFormat, ModelManifest, ModelManifestError, ModelPort};
use crate::package_name::is_half;

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

impl ModelManifest {
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
