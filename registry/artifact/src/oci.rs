//! The two documents that OCI artifacts are made of: manifests and indexes
//! (OCI image-spec 1.1, manifest.md and image-index.md).
//!
//! Read from hostile bytes: length, numbers of entries and sizes are bounded,
//! and what is not ours to understand is ignored, never repaired. A document is
//! always handed on as the bytes it was read from, for its digest is its name.

use std::collections::BTreeMap;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::foreign::{Cause, cause};
use crate::{Digest, media_type};

/// Bytes of a manifest or index that is looked at. What the
/// distribution-spec asks registries to take.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// Layers of a manifest.
const LAYERS_MAX: usize = 64;
/// Entries of an index. Enough for every referrer and tag of a large store.
const MANIFESTS_MAX: usize = 10_000;
/// Annotations of one document or descriptor.
const ANNOTATIONS_MAX: usize = 64;
/// Bytes of one annotation, key and value.
const ANNOTATION_BYTES_MAX: usize = 4096;
/// Bytes of a media type (RFC 6838, section 4.2: 127 each side of the slash).
const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// Annotations by key.
pub type Annotations = BTreeMap<String, String>;

/// Why bytes are not a manifest or index.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {DOCUMENT_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not the JSON of such a document.
    #[error("it is not well formed")]
    Malformed(#[source] Cause),
    /// A field has a value that no such document may have.
    #[error("`{field}` is not acceptable: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What a document says about other bytes: their type, size and digest (OCI
/// image-spec 1.1, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Of a manifest with a subject: its artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations.
    #[serde(
        default,
        deserialize_with = "each_once",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: Annotations,
}

/// An image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::MANIFEST`]; some writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is, if its configuration does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its contents. At most 64.
    pub layers: Vec<Descriptor>,
    /// The manifest that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations. At most 64, of 4096 bytes each.
    #[serde(
        default,
        deserialize_with = "each_once",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: Annotations,
}

/// An image index: a list of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::INDEX`]; some writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests. At most 10,000.
    pub manifests: Vec<Descriptor>,
    /// Annotations. At most 64, of 4096 bytes each.
    #[serde(
        default,
        deserialize_with = "each_once",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: Annotations,
}

impl Descriptor {
    /// What describes `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }

    /// Whether `bytes` are what is described: size and digest.
    pub fn describes(&self, bytes: &[u8]) -> bool {
        self.size == bytes.len() as u64 && self.digest == Digest::of(bytes)
    }

    fn check(&self) -> Result<(), DocumentError> {
        if self.media_type.is_empty() || self.media_type.len() > MEDIA_TYPE_BYTES_MAX {
            return Err(field("mediaType", "not 1 to 255 bytes"));
        }
        if i64::try_from(self.size).is_err() {
            return Err(field("size", "not a 64-bit number"));
        }
        check_annotations(&self.annotations)
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// If it is too large or not a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: Self = read(bytes)?;
        check_kind(
            manifest.schema_version,
            manifest.media_type.as_deref(),
            media_type::MANIFEST,
        )?;
        if manifest.layers.len() > LAYERS_MAX {
            return Err(field("layers", "more than 64"));
        }
        let described = manifest.layers.iter().chain(&manifest.subject);
        for descriptor in described.chain([&manifest.config]) {
            descriptor.check()?;
        }
        check_annotations(&manifest.annotations)?;
        Ok(manifest)
    }

    /// What kind of artifact it is: its artifact type, else the type of its
    /// configuration (OCI distribution-spec 1.1, "Listing Referrers").
    pub fn kind(&self) -> &str {
        let declared = self.artifact_type.as_deref();
        declared.unwrap_or(&self.config.media_type)
    }

    /// The bytes that are stored, pushed and signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("manifests are plain data")
    }
}

impl Index {
    /// An index of `manifests`.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests,
            annotations: Annotations::new(),
        }
    }

    /// Reads an index.
    ///
    /// # Errors
    ///
    /// If it is too large or not an index.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let index: Self = read(bytes)?;
        check_kind(
            index.schema_version,
            index.media_type.as_deref(),
            media_type::INDEX,
        )?;
        if index.manifests.len() > MANIFESTS_MAX {
            return Err(field("manifests", "more than 10000"));
        }
        for descriptor in &index.manifests {
            descriptor.check()?;
        }
        check_annotations(&index.annotations)?;
        Ok(index)
    }

    /// The bytes that are stored and pushed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("indexes are plain data")
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DocumentError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|error| DocumentError::Malformed(cause(&error)))
}

fn check_kind(version: u32, found: Option<&str>, expected: &str) -> Result<(), DocumentError> {
    if version != 2 {
        return Err(field("schemaVersion", "not 2"));
    }
    match found {
        Some(found) if found != expected => Err(field("mediaType", "another kind of document")),
        _ => Ok(()),
    }
}

fn check_annotations(annotations: &Annotations) -> Result<(), DocumentError> {
    if annotations.len() > ANNOTATIONS_MAX {
        return Err(field("annotations", "more than 64"));
    }
    let too_long =
        |(key, value): (&String, &String)| key.len() + value.len() > ANNOTATION_BYTES_MAX;
    if annotations.iter().any(too_long) {
        return Err(field("annotations", "one has more than 4096 bytes"));
    }
    Ok(())
}

/// Annotations say what an artifact is called. Of two with one key, readers
/// take the first or the last, and would see two artifacts in the same bytes.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Annotations, D::Error> {
    struct EachOnce;

    impl<'de> Visitor<'de> for EachOnce {
        type Value = Annotations;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("annotations")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Annotations, A::Error> {
            let mut annotations = Annotations::new();
            while let Some((key, value)) = entries.next_entry::<String, String>()? {
                if annotations.insert(key, value).is_some() {
                    return Err(A::Error::custom("an annotation stands twice"));
                }
            }
            Ok(annotations)
        }
    }

    deserializer.deserialize_map(EachOnce)
}

fn field(field: &'static str, reason: &'static str) -> DocumentError {
    DocumentError::Field { field, reason }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let config = format!(
            r#"{{"mediaType":"a","digest":"sha256:{}","size":1}}"#,
            "0".repeat(64)
        );
        let parse = |more: &str| {
            let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]{more}}}"#);
            Manifest::parse(text.as_bytes())
        };
        assert!(parse("").is_ok());
        assert!(parse(r#","annotations":{"a":"x","b":"y"}"#).is_ok());
        for more in [
            r#","annotations":{"a":"x","a":"y"}"#,
            r#","annotations":{"a":"x","\u0061":"x"}"#,
            r#","annotations":{},"annotations":{}"#,
            r#","layers":[]"#,
        ] {
            assert!(parse(more).is_err(), "{more}");
        }
    }
}
