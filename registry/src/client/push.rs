//! Pushes artifacts: blobs that are not there yet, then the manifest.
//!
//! A blob goes in one piece, or in several where the registry asks for that. The
//! address that it goes to is checked like a redirect, and credentials go there
//! only if it is the registry's own. A transfer that breaks begins again.

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use selvedge_artifact::{Descriptor, Digest, Manifest, Packaged, Reference, media_type};

use super::auth::Actions;
use super::body::Answer;
use super::documents::{Under, claimed_digest, same_digest, unusable};
use super::error::ClientError;
use super::place::Place;
use super::transport::Ask;
use super::{Client, Pushed, blocking};
use crate::{Layout, Progress};

/// Bytes up to which a blob goes in one piece in any case, and of a piece.
const PIECE_BYTES: u64 = 8 << 20;
/// A registry with this header wants pieces, of so many bytes at least.
const CHUNK_MIN_HEADER: &str = "oci-chunk-min-length";

/// One blob on its way.
struct Upload<'a> {
    place: &'a Place,
    digest: Digest,
    bytes: &'a Bytes,
    progress: &'a dyn Progress,
}

impl Client {
    /// Pushes blobs and manifest. With the bytes comes whether the registry lists
    /// it as a referrer by itself.
    pub(super) async fn push_packaged(
        &self,
        place: &Place,
        under: Under<'_>,
        artifact: &Packaged,
        progress: &dyn Progress,
    ) -> Result<(Pushed, bool), ClientError> {
        let mut bytes = 0;
        for (descriptor, blob) in &artifact.blobs {
            let upload = Upload {
                place,
                digest: descriptor.digest,
                bytes: blob,
                progress,
            };
            bytes += self.push_blob(&upload).await?;
        }
        let manifest = &artifact.manifest;
        let listed = self
            .put_document(place, under, media_type::MANIFEST, manifest)
            .await?;
        let pushed = Pushed {
            manifest: artifact.descriptor(),
            bytes: bytes + manifest.len() as u64,
        };
        Ok((pushed, listed))
    }

    /// Pushes a manifest of `layout`, and what is about it.
    pub(super) async fn push_stored(
        &self,
        reference: &Reference,
        layout: &Layout,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<Pushed, ClientError> {
        let place = self.place(reference)?;
        let artifact = self.packaged(&place, layout, *digest).await?;
        let mut pushed = self.push(reference, &artifact, progress).await?;
        let (of, subject) = (layout.clone(), *digest);
        let referrers = blocking(move || of.referrers(&subject)).await??;
        for referrer in referrers.manifests {
            let attachment = self.packaged(&place, layout, referrer.digest).await?;
            pushed.bytes += self.attach(reference, &attachment, progress).await?.bytes;
        }
        Ok(pushed)
    }

    /// An artifact of a store, in memory. Every blob is checked as it is read, so
    /// nothing damaged is pushed.
    async fn packaged(
        &self,
        place: &Place,
        layout: &Layout,
        digest: Digest,
    ) -> Result<Packaged, ClientError> {
        let (layout, bytes_max) = (layout.clone(), self.inner.blob_bytes_max);
        let place = place.clone();
        let read = blocking(move || {
            let not_stored = || ClientError::NotStored {
                digest: Box::new(digest),
            };
            let (_, bytes) = layout.manifest(&digest)?.ok_or_else(not_stored)?;
            let manifest = Manifest::parse(&bytes).map_err(|source| unusable(&place, source))?;
            let mut blobs = Vec::new();
            for blob in manifest.layers.into_iter().chain([manifest.config]) {
                let content = layout.blob(&blob.digest, bytes_max.min(blob.size))?;
                blobs.push((blob, content));
            }
            Ok(Packaged {
                manifest: bytes,
                blobs,
            })
        });
        read.await?
    }

    async fn push_blob(&self, upload: &Upload<'_>) -> Result<u64, ClientError> {
        let size = upload.bytes.len() as u64;
        let mut tries = self.inner.transport.tries();
        loop {
            let pushed = self.push_blob_once(upload).await;
            match pushed {
                Ok(pushed) => {
                    upload.progress.finish(&upload.digest);
                    return Ok(if pushed { size } else { 0 });
                }
                Err(error) => tries.wait(error).await?,
            }
        }
    }

    /// Whether it had to be sent.
    async fn push_blob_once(&self, upload: &Upload<'_>) -> Result<bool, ClientError> {
        let (place, size) = (upload.place, upload.bytes.len() as u64);
        let url = place.url(&format!("blobs/{}", upload.digest));
        let head = Ask::new(Method::HEAD, url, Actions::Push);
        let answer = self.inner.transport.send(place, &head, &|_| ()).await?;
        match answer.status() {
            StatusCode::OK => {
                upload.progress.begin(&upload.digest, size, size);
                return Ok(false);
            }
            StatusCode::NOT_FOUND => upload.progress.begin(&upload.digest, size, 0),
            _ => return Err(answer.refusal("blob").await),
        }
        let begin = Ask::new(Method::POST, place.url("blobs/uploads/"), Actions::Push);
        let begin = begin.carrying(Bytes::new());
        let answer = self.inner.transport.send(place, &begin, &|_| ()).await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(answer.refusal("repository").await);
        }
        let session = location(place, &answer)?;
        let wanted = answer.oci_header(CHUNK_MIN_HEADER);
        match wanted.and_then(|wanted| wanted.parse::<u64>().ok()) {
            Some(least) if size > PIECE_BYTES.max(least) => {
                let session = self
                    .send_pieces(upload, session, least.max(PIECE_BYTES))
                    .await?;
                self.finish(upload, session, Bytes::new()).await?;
            }
            _ => self.finish(upload, session, upload.bytes.clone()).await?,
        }
        Ok(true)
    }

    /// Sends all of it, piece by piece.
    async fn send_pieces(
        &self,
        upload: &Upload<'_>,
        mut session: Url,
        piece_bytes: u64,
    ) -> Result<Url, ClientError> {
        let place = upload.place;
        let mut rest = upload.bytes.clone();
        let mut begun = 0;
        while !rest.is_empty() {
            let length = usize::try_from(piece_bytes).unwrap_or(usize::MAX);
            let piece = rest.split_to(rest.len().min(length));
            let last = begun + piece.len() as u64 - 1;
            let ask = Ask::new(Method::PATCH, session, Actions::Push)
                .with(CONTENT_TYPE, "application/octet-stream")
                .with(CONTENT_RANGE, &format!("{begun}-{last}"))
                .carrying(piece);
            let advance = |bytes| upload.progress.advance(&upload.digest, bytes);
            let answer = self.inner.transport.send(place, &ask, &advance).await?;
            if answer.status() != StatusCode::ACCEPTED {
                return Err(answer.refusal("upload").await);
            }
            let range = answer
                .header(&RANGE)
                .map(|range| range.trim_start_matches("bytes="));
            if range.is_some_and(|range| range != format!("0-{last}")) {
                return Err(ClientError::Malformed {
                    name: place.name(),
                    what: "it took another part of a blob than was sent",
                });
            }
            session = location(place, &answer)?;
            begun = last + 1;
        }
        Ok(session)
    }

    /// Sends the rest, and what the whole must be.
    async fn finish(
        &self,
        upload: &Upload<'_>,
        mut session: Url,
        rest: Bytes,
    ) -> Result<(), ClientError> {
        let digest = upload.digest.to_string();
        session.query_pairs_mut().append_pair("digest", &digest);
        let ask = Ask::new(Method::PUT, session, Actions::Push)
            .with(CONTENT_TYPE, "application/octet-stream")
            .carrying(rest);
        let advance = |bytes| upload.progress.advance(&upload.digest, bytes);
        let answer = self
            .inner
            .transport
            .send(upload.place, &ask, &advance)
            .await?;
        if !matches!(answer.status().as_u16(), 201 | 204) {
            return Err(answer.refusal("upload").await);
        }
        match claimed_digest(&answer) {
            Some(claimed) => same_digest(upload.place, upload.digest, claimed),
            None => Ok(()),
        }
    }
}

/// Where an upload goes on.
fn location(place: &Place, answer: &Answer) -> Result<Url, ClientError> {
    let location = answer
        .header(&LOCATION)
        .ok_or_else(|| ClientError::Malformed {
            name: place.name(),
            what: "it does not say where an upload goes",
        })?;
    place.step(answer.url(), location)
}

/// What a pushed manifest is put under: its tag, if the reference has one.
pub(super) fn under(reference: &Reference) -> Under<'_> {
    match reference.tag() {
        Some(tag) => Under::Tag(tag.as_str()),
        None => Under::Digest,
    }
}

/// What describes an attachment in a list of referrers: with its artifact type
/// and annotations (OCI distribution-spec 1.1, "Listing Referrers").
pub(super) fn listed_as(
    place: &Place,
    attachment: &Packaged,
) -> Result<(Descriptor, Option<Digest>), ClientError> {
    let manifest =
        Manifest::parse(&attachment.manifest).map_err(|source| unusable(place, source))?;
    let entry = Descriptor {
        artifact_type: Some(manifest.kind().to_owned()),
        annotations: manifest.annotations.clone(),
        ..attachment.descriptor()
    };
    Ok((entry, manifest.subject.map(|subject| subject.digest)))
}
