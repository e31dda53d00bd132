//! Where a plugin comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use selvedge_artifact::ReferenceError;
use serde::{Deserialize, Serialize};

use crate::names::{PluginName, Reference};

/// What names a plugin in the binary rather than a file.
const SHIPPED: &str = "shipped:";

/// What ends the name of a component's file, and of no package.
const FILE_ENDINGS: [&str; 2] = [".wasm", ".wat"];

/// Bytes in a path: Linux refuses longer ones.
const PATH_BYTES_MAX: usize = 4095;

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ComponentSource {
    /// A plugin that comes with the binary: `shipped:modbus`.
    Shipped(PluginName),
    /// An artifact: `registry.example/acme/thermostat:1.2.0@sha256:…`.
    Artifact(Reference),
    /// A file that nobody has signed, for `selvedge dev`: relative to the document or to a plugin directory of the host.
    File(FilePath),
}

/// A relative path that the operating system will take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Why text names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentSourceError {
    #[error("`{0}` names no shipped plugin: expected `shipped:<name>`")]
    ShippedName(String),
    #[error("`{0}` is not a path relative to the document")]
    Path(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl FilePath {
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Where it is, seen from the folder of the document.
    pub fn within(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }

    /// The first that exists: in the folder of the document, then in
    /// `directories`.
    pub fn find(&self, folder: &Path, directories: &[PathBuf]) -> Option<PathBuf> {
        let folders = std::iter::once(folder).chain(directories.iter().map(PathBuf::as_path));
        let mut candidates = folders.map(|folder| self.within(folder));
        candidates.find(|candidate| candidate.exists())
    }
}

impl TryFrom<String> for FilePath {
    type Error = ComponentSourceError;

    /// Absolute paths are refused: a document is carried from machine to
    /// machine with what it names.
    fn try_from(text: String) -> Result<Self, ComponentSourceError> {
        let fits = (1..=PATH_BYTES_MAX).contains(&text.len());
        if fits && !text.contains('\0') && Path::new(&text).is_relative() {
            Ok(Self(text))
        } else {
            Err(ComponentSourceError::Path(text))
        }
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `host:5000/…` and `registry.example/…`; a folder with a dot in its name is
/// written `./v1.2/…`.
fn begins_with_host(text: &str) -> bool {
    let first = text.split_once('/').map_or("", |(first, _)| first);
    let dots_only = first.bytes().all(|byte| byte == b'.');
    !dots_only && (first.contains('.') || first.contains(':'))
}

impl FromStr for ComponentSource {
    type Err = ComponentSourceError;

    fn from_str(text: &str) -> Result<Self, ComponentSourceError> {
        match text.strip_prefix(SHIPPED) {
            Some(name) => {
                let name = name.parse();
                name.map(Self::Shipped)
                    .map_err(|_| ComponentSourceError::ShippedName(text.to_owned()))
            }
            None if FILE_ENDINGS.iter().any(|ending| text.ends_with(ending)) => {
                FilePath::try_from(text.to_owned()).map(Self::File)
            }
            None => match text.parse() {
                Ok(reference) => Ok(Self::Artifact(reference)),
                // What begins with a host was meant as a reference.
                Err(error) if text.contains('@') || begins_with_host(text) => {
                    Err(ComponentSourceError::Reference(error))
                }
                Err(_) => FilePath::try_from(text.to_owned()).map(Self::File),
            },
        }
    }
}

impl TryFrom<String> for ComponentSource {
    type Error = ComponentSourceError;

    fn try_from(text: String) -> Result<Self, ComponentSourceError> {
        text.parse()
    }
}

impl From<ComponentSource> for String {
    fn from(source: ComponentSource) -> Self {
        match source {
            ComponentSource::Shipped(name) => format!("{SHIPPED}{name}"),
            ComponentSource::Artifact(reference) => reference.into(),
            ComponentSource::File(path) => path.into(),
        }
    }
}

impl JsonSchema for FilePath {
    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^/]" })
    }
}

impl JsonSchema for ComponentSource {
    fn schema_name() -> Cow<'static, str> {
        "ComponentSource".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^/]" })
    }
}

#[cfg(test)]
mod tests {
    use super::ComponentSource;

    #[test]
    fn sources_read_back_what_they_write() {
        for text in [
            "shipped:modbus",
            "modbus.wasm",
            "../out/a b.wasm",
            "v1.2/modbus.wasm",
            "out/modbus",
            "localhost:5000/acme/thermostat:1.2.0",
        ] {
            let source: ComponentSource = text.parse().unwrap();
            assert_eq!(String::from(source), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "/abs.wasm",
            "shipped:",
            "shipped:A/b",
            "a\0b",
            "registry.example/thermostat",
            "registry.example/acme/thermostat@sha256:00",
            "localhost:5000/acme/Thermostat",
        ] {
            assert!(text.parse::<ComponentSource>().is_err(), "{text:?}");
        }
    }
}
