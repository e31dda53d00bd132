//! Manifests and indexes over the network: fetched whole, bounded, and checked
//! against the digest they were asked for by.
//!
//! What kind of document it is, is decided by the announced type and the document
//! together: where they contradict each other, it is refused.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use selvedge_artifact::foreign::cause;
use selvedge_artifact::{Descriptor, Digest, DocumentError, Index, Manifest, media_type};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::auth::Actions;
use super::body::Answer;
use super::error::{ClientError, quote};
use super::place::Place;
use super::transport::Ask;
use super::{Client, blocking};

/// Bytes of a manifest or index (OCI distribution-spec 1.1, "Pushing Manifests").
pub(super) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Entries of an index that are named in an error.
const INSIDE_SHOWN_MAX: usize = 8;
/// The header in which a registry says what it thinks the digest is.
const DIGEST_HEADER: &str = "docker-content-digest";
/// The header in which a registry says that it lists a referrer itself.
const SUBJECT_HEADER: &str = "oci-subject";

/// A manifest or index, as it was read.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) kind: Kind,
}

/// What tells manifests and indexes apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

/// What a document is.
#[derive(Debug)]
pub(super) enum Kind {
    Manifest(Box<Manifest>),
    Index(Index),
}

/// What a manifest is put under.
#[derive(Clone, Copy, Debug)]
pub(super) enum Under<'a> {
    Tag(&'a str),
    Digest,
}

impl Document {
    fn parse(place: &Place, bytes: Bytes, announced: Option<&str>) -> Result<Self, ClientError> {
        let known = [media_type::MANIFEST, media_type::INDEX];
        let announced = announced.map(essence);
        let announced = announced.filter(|announced| known.contains(announced));
        let members: Members = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(place, DocumentError::Malformed(cause(&error))))?;
        // A document that could be read as both (CVE-2021-41190).
        if members.manifests.is_some() && (members.layers.is_some() || members.config.is_some()) {
            return Err(ClientError::Malformed {
                name: place.name(),
                what: "a document is both a manifest and an index",
            });
        }
        let stated = announced.or(members.media_type.as_deref());
        let is_index = match stated {
            Some(stated) => stated == media_type::INDEX,
            None => members.manifests.is_some(),
        };
        let kind = if is_index {
            Index::parse(&bytes).map(Kind::Index)
        } else {
            Manifest::parse(&bytes).map(|manifest| Kind::Manifest(Box::new(manifest)))
        };
        let kind = kind.map_err(|source| unusable(place, source))?;
        Ok(Self { bytes, kind })
    }

    /// What describes it.
    pub(super) fn descriptor(&self) -> Descriptor {
        let kind = match self.kind {
            Kind::Manifest(_) => media_type::MANIFEST,
            Kind::Index(_) => media_type::INDEX,
        };
        Descriptor::of(kind, &self.bytes)
    }
}

/// What went wrong with a document of `place`.
pub(super) fn unusable(place: &Place, source: DocumentError) -> ClientError {
    ClientError::Document {
        name: place.name(),
        source,
    }
}

/// A media type without its parameters.
fn essence(announced: &str) -> &str {
    announced.split(';').next().unwrap_or_default().trim()
}

impl Client {
    /// The document under a tag or digest.
    pub(super) async fn document(
        &self,
        place: &Place,
        what: &str,
        expected: Option<Digest>,
    ) -> Result<Document, ClientError> {
        let mut tries = self.inner.transport.tries();
        loop {
            match self.document_once(place, what, expected).await {
                Err(error) => tries.wait(error).await?,
                done => return done,
            }
        }
    }

    async fn document_once(
        &self,
        place: &Place,
        what: &str,
        expected: Option<Digest>,
    ) -> Result<Document, ClientError> {
        let url = place.url(&format!("manifests/{what}"));
        let ask = Ask::get(url)
            .with(ACCEPT, media_type::MANIFEST)
            .with(ACCEPT, media_type::INDEX);
        let answer = self.inner.transport.send(place, &ask, &|_| ()).await?;
        if answer.status() != StatusCode::OK {
            return Err(answer.refusal(format!("manifest `{what}`")).await);
        }
        let announced = answer.header(&CONTENT_TYPE).map(str::to_owned);
        let claimed = claimed_digest(&answer);
        let bytes = answer.all("manifest", DOCUMENT_BYTES_MAX).await?;
        let digest = Digest::of(&bytes);
        for expected in expected.iter().chain(&claimed) {
            same_digest(place, *expected, digest)?;
        }
        Document::parse(place, bytes, announced.as_deref())
    }

    /// The one manifest that a document is or, as an index, lists.
    pub(super) async fn single(
        &self,
        place: &Place,
        document: Document,
    ) -> Result<Document, ClientError> {
        let Kind::Index(index) = &document.kind else {
            return Ok(document);
        };
        let [only] = index.manifests.as_slice() else {
            return Err(not_one(place, index));
        };
        let digest = only.digest;
        let inner = self
            .document(place, &digest.to_string(), Some(digest))
            .await?;
        match &inner.kind {
            Kind::Manifest(_) => Ok(inner),
            // An index in an index: nobody publishes plugins like this.
            Kind::Index(index) => Err(not_one(place, index)),
        }
    }

    /// Puts a manifest or index. True if the registry lists it as a referrer by
    /// itself.
    pub(super) async fn put_document(
        &self,
        place: &Place,
        under: Under<'_>,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<bool, ClientError> {
        let digest = Digest::of(bytes);
        let what = match under {
            Under::Tag(tag) => tag.to_owned(),
            Under::Digest => digest.to_string(),
        };
        let url = place.url(&format!("manifests/{what}"));
        let ask = Ask::new(Method::PUT, url, Actions::Push)
            .with(CONTENT_TYPE, media_type)
            .carrying(bytes.clone());
        let mut tries = self.inner.transport.tries();
        loop {
            match self.put_once(place, &ask, digest).await {
                Err(error) => tries.wait(error).await?,
                done => return done,
            }
        }
    }

    async fn put_once(
        &self,
        place: &Place,
        ask: &Ask,
        digest: Digest,
    ) -> Result<bool, ClientError> {
        let answer = self.inner.transport.send(place, ask, &|_| ()).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal("repository").await);
        }
        if let Some(claimed) = claimed_digest(&answer) {
            same_digest(place, digest, claimed)?;
        }
        Ok(answer.oci_header(SUBJECT_HEADER).is_some())
    }

    /// The manifest `digest`, if the store has it, whole.
    pub(super) async fn stored(
        &self,
        layout: &crate::Layout,
        digest: Digest,
    ) -> Result<Option<Bytes>, ClientError> {
        let layout = layout.clone();
        let stored = blocking(move || layout.manifest(&digest)).await?;
        // What is damaged there is fetched again.
        let (descriptor, bytes) = match stored {
            Ok(Some(stored)) => stored,
            Ok(None) | Err(_) => return Ok(None),
        };
        Ok((descriptor.media_type == media_type::MANIFEST).then_some(bytes))
    }
}

/// The digest that a registry claims. Other algorithms than ours say nothing.
pub(super) fn claimed_digest(answer: &Answer) -> Option<Digest> {
    answer.oci_header(DIGEST_HEADER)?.parse().ok()
}

/// Refuses bytes that are not those asked for.
pub(super) fn same_digest(
    place: &Place,
    expected: Digest,
    found: Digest,
) -> Result<(), ClientError> {
    if expected == found {
        return Ok(());
    }
    Err(ClientError::DigestMismatch {
        name: place.name(),
        expected: Box::new(expected),
        found: found.to_string(),
    })
}

fn not_one(place: &Place, index: &Index) -> ClientError {
    let shown = index.manifests.iter().take(INSIDE_SHOWN_MAX);
    let shown = shown.map(|entry| {
        let kind = entry.artifact_type.as_ref().unwrap_or(&entry.media_type);
        format!("{} ({})", entry.digest, quote(kind))
    });
    ClientError::NotOne {
        name: place.name(),
        count: index.manifests.len(),
        inside: shown.collect::<Vec<_>>().join(", "),
    }
}
