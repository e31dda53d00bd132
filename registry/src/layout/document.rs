//! A manifest or index as a store looks at it: what it leads to, what it is
//! about, and the entry that it gets in the list.
//!
//! A document is one or the other. One that can be read as both is refused, or
//! two readers would see two artifacts under one digest (CVE-2021-41190).

use selvedge_artifact::foreign::cause;
use selvedge_artifact::{
    Annotations, Descriptor, Digest, DocumentError, Index, Manifest, media_type,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{LayoutError, name};

/// Bytes of a manifest or index: what the distribution-spec asks for.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Bytes of an artifact type (RFC 6838, section 4.2).
const ARTIFACT_TYPE_BYTES_MAX: usize = 255;
/// Bytes of annotations that an entry repeats from its manifest. Beyond, it
/// repeats none, or a few manifests would fill the list.
const ENTRY_ANNOTATIONS_BYTES_MAX: usize = 2048;
/// Annotations that an entry repeats: with our own, what a descriptor may have.
const ENTRY_ANNOTATIONS_MAX: usize = 61;

/// A manifest or index.
#[derive(Debug)]
pub(crate) struct Document {
    /// What describes it, with the artifact type if it has a subject.
    pub(crate) descriptor: Descriptor,
    /// What it is about.
    pub(crate) subject: Option<Digest>,
    /// Its annotations.
    pub(crate) annotations: Annotations,
    /// What it is made of.
    pub(crate) blobs: Vec<Descriptor>,
    /// The manifests and indexes that it lists.
    pub(crate) manifests: Vec<Descriptor>,
}

/// What both kinds have, and what only one has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    media_type: Option<String>,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
}

impl Document {
    /// Reads a manifest or index.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LayoutError> {
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge(bytes.len()).into());
        }
        let outline: Outline = serde_json::from_slice(bytes)
            .map_err(|error| DocumentError::Malformed(cause(&error)))?;
        let lists = outline.manifests.is_some();
        if lists && (outline.config.is_some() || outline.layers.is_some()) {
            return Err(LayoutError::Ambiguous);
        }
        let declared = outline.artifact_type.as_deref();
        if declared.is_some_and(|kind| kind.len() > ARTIFACT_TYPE_BYTES_MAX) {
            let (field, reason) = ("artifactType", "more than 255 bytes");
            return Err(DocumentError::Field { field, reason }.into());
        }
        // A document says what it is, or its shape does.
        let is_index = lists || outline.media_type.as_deref() == Some(media_type::INDEX);
        if is_index {
            Self::of_index(bytes, outline)
        } else {
            Self::of_manifest(bytes)
        }
    }

    fn of_manifest(bytes: &[u8]) -> Result<Self, LayoutError> {
        let manifest = Manifest::parse(bytes)?;
        let mut descriptor = Descriptor::of(media_type::MANIFEST, bytes);
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        descriptor.artifact_type = subject.map(|_| manifest.kind().to_owned());
        let mut blobs = manifest.layers;
        blobs.push(manifest.config);
        Ok(Self {
            descriptor,
            subject,
            annotations: manifest.annotations,
            blobs,
            manifests: Vec::new(),
        })
    }

    fn of_index(bytes: &[u8], outline: Outline) -> Result<Self, LayoutError> {
        let index = Index::parse(bytes)?;
        let mut descriptor = Descriptor::of(media_type::INDEX, bytes);
        let subject = outline.subject.map(|subject| subject.digest);
        descriptor.artifact_type = subject.and(outline.artifact_type);
        let (manifests, blobs) = index.manifests.into_iter().partition(is_document);
        Ok(Self {
            descriptor,
            subject,
            annotations: index.annotations,
            blobs,
            manifests,
        })
    }

    /// The package that it says it is.
    pub(crate) fn package(&self) -> Option<&str> {
        self.annotations
            .get(media_type::PACKAGE)
            .map(String::as_str)
    }

    /// Its entry in the list, without a name. That of a referrer repeats its
    /// annotations, as lists of referrers do (OCI distribution-spec 1.1,
    /// "Listing Referrers"), but for those that mean something in our list.
    pub(crate) fn entry(&self) -> Descriptor {
        let mut entry = self.descriptor.clone();
        if self.subject.is_some() {
            entry.annotations = self.repeated();
        }
        let subject = self.subject.map(|subject| subject.to_string());
        let subject = subject.unwrap_or_else(|| name::NO_SUBJECT.to_owned());
        entry.annotations.insert(name::SUBJECT.to_owned(), subject);
        entry
    }

    fn repeated(&self) -> Annotations {
        let ours = [media_type::REF_NAME, name::NAME, name::SUBJECT];
        let mut repeated = self.annotations.clone();
        repeated.retain(|key, _| !ours.contains(&key.as_str()));
        let bytes: usize = repeated
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let fits = bytes <= ENTRY_ANNOTATIONS_BYTES_MAX && repeated.len() <= ENTRY_ANNOTATIONS_MAX;
        if fits { repeated } else { Annotations::new() }
    }
}

/// Whether what is described is a manifest or index.
pub(crate) fn is_document(described: &Descriptor) -> bool {
    [media_type::MANIFEST, media_type::INDEX].contains(&described.media_type.as_str())
}
