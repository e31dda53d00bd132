//! Pulls an artifact and what is about it into a store.
//!
//! Blobs first; manifests, with the tag, in one step at the end, so that nothing
//! that is not whole can be found. What is about an artifact is pulled as it is
//! and judged elsewhere. An attachment that is faulty is left out: whoever
//! can attach one could otherwise keep everyone from pulling.

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use selvedge_artifact::{Descriptor, Digest, Manifest, Reference, from_both_ends, media_type};

use super::blobs::Fetch;
use super::documents::{DOCUMENT_BYTES_MAX, Document, Kind, unusable};
use super::error::ClientError;
use super::place::Place;
use super::{Client, Pulled, blocking};
use crate::layout::Put;
use crate::{Layout, LayoutError, Progress};

/// Blobs fetched at once.
const BLOBS_AT_ONCE: usize = 3;
/// How many times the bytes of one blob all blobs of an artifact may have.
const ARTIFACT_BLOBS: u64 = 4;
/// Attachments that are pulled.
const REFERRERS_MAX: usize = 64;
/// Bytes of one attachment: manifest, and all its blobs.
const REFERRER_BYTES_MAX: u64 = 4 << 20;

/// One pull.
struct Pull<'a> {
    place: Place,
    layout: &'a Layout,
    progress: &'a dyn Progress,
}

/// A manifest whose blobs are in the store.
struct Fetched {
    bytes: Bytes,
    digest: Digest,
    received: u64,
}

impl Client {
    pub(super) async fn pull_all(
        &self,
        reference: &Reference,
        layout: &Layout,
        referrer_types: &[&str],
        progress: &dyn Progress,
    ) -> Result<Pulled, ClientError> {
        let pull = Pull {
            place: self.place(reference)?,
            layout,
            progress,
        };
        let main = self.pull_manifest(&pull, reference).await?;
        let referrers = self
            .pull_referrers(&pull, main.digest, referrer_types)
            .await?;

        let all = referrers.iter().chain([&main]);
        let received = all.map(|fetched| fetched.received).sum();
        let described = |fetched: &Fetched| Descriptor::of(media_type::MANIFEST, &fetched.bytes);
        let manifest = described(&main);
        let kept = keep(layout, reference, main.bytes, referrers).await?;
        Ok(Pulled {
            manifest,
            referrers: kept.iter().map(described).collect(),
            bytes: received,
        })
    }

    async fn pull_manifest(
        &self,
        pull: &Pull<'_>,
        reference: &Reference,
    ) -> Result<Fetched, ClientError> {
        let stored = match reference.digest() {
            Some(digest) => self.stored(pull.layout, digest).await?,
            None => None,
        };
        let known = stored.and_then(|bytes| {
            let manifest = Manifest::parse(&bytes).ok()?;
            Some((bytes, manifest))
        });
        let (bytes, manifest, mut received) = match known {
            Some((bytes, manifest)) => (bytes, manifest, 0),
            None => {
                let document = self.document_of(&pull.place, reference).await?;
                let document = self.single(&pull.place, document).await?;
                let Document { bytes, kind, .. } = document;
                let manifest = as_manifest(&pull.place, kind)?;
                let length = bytes.len() as u64;
                (bytes, manifest, length)
            }
        };
        let blob_max = self.inner.blob_bytes_max;
        let blobs = blobs_of(&manifest);
        let all_max = blob_max.saturating_mul(ARTIFACT_BLOBS);
        check_sizes(&pull.place, &blobs, blob_max, all_max)?;
        received += self.fetch_all(pull, &blobs).await?;
        Ok(Fetched {
            digest: Digest::of(&bytes),
            bytes,
            received,
        })
    }

    /// Fetches blobs, some at once. The first failure ends all; what came stays,
    /// to be gone on with.
    async fn fetch_all(&self, pull: &Pull<'_>, blobs: &[Descriptor]) -> Result<u64, ClientError> {
        let fetches: Vec<_> = blobs
            .iter()
            .map(|blob| Fetch {
                place: &pull.place,
                layout: pull.layout,
                blob,
                progress: pull.progress,
            })
            .collect();
        // Boxed, so that the whole can be seen to be `Send`.
        let fetching: Vec<_> = fetches
            .iter()
            .map(|fetch| self.fetch(fetch).boxed())
            .collect();
        futures::stream::iter(fetching)
            .buffer_unordered(BLOBS_AT_ONCE)
            .try_fold(0, |sum, received| async move { Ok(sum + received) })
            .await
    }

    async fn pull_referrers(
        &self,
        pull: &Pull<'_>,
        subject: Digest,
        types: &[&str],
    ) -> Result<Vec<Fetched>, ClientError> {
        let mut fetched = Vec::new();
        if types.is_empty() {
            return Ok(fetched);
        }
        let listed = self.list_referrers(&pull.place, &subject).await?;
        let wanted = listed.into_iter().filter(|entry| {
            let kind = entry.artifact_type.as_deref();
            // A list may leave the type out; the manifest tells.
            entry.size <= REFERRER_BYTES_MAX && kind.is_none_or(|kind| is_of(kind, types))
        });
        for entry in from_both_ends(wanted.collect()).take(REFERRERS_MAX) {
            match self.pull_referrer(pull, &entry, subject, types).await {
                Ok(found) => fetched.extend(found),
                Err(error) if is_its_own_fault(&error) => {
                    let (digest, code) = (entry.digest.to_string(), error.code());
                    tracing::warn!(digest, code, "attachment left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fetched)
    }

    /// One attachment; nothing if it is about something else or of another type.
    async fn pull_referrer(
        &self,
        pull: &Pull<'_>,
        entry: &Descriptor,
        subject: Digest,
        types: &[&str],
    ) -> Result<Option<Fetched>, ClientError> {
        let digest = entry.digest;
        let (bytes, mut received) = match self.stored(pull.layout, digest).await? {
            Some(bytes) => (bytes, 0),
            None => {
                let what = digest.to_string();
                let document = self.document(&pull.place, &what, Some(digest)).await?;
                let length = document.bytes.len() as u64;
                (document.bytes, length)
            }
        };
        let manifest = Manifest::parse(&bytes).map_err(|source| unusable(&pull.place, source))?;
        let about = manifest.subject.as_ref().map(|subject| subject.digest);
        if about != Some(subject) || !is_of(manifest.kind(), types) {
            tracing::debug!(digest = %digest, "attachment is about something else");
            return Ok(None);
        }
        let blobs = blobs_of(&manifest);
        check_sizes(&pull.place, &blobs, REFERRER_BYTES_MAX, REFERRER_BYTES_MAX)?;
        received += self.fetch_all(pull, &blobs).await?;
        Ok(Some(Fetched {
            bytes,
            digest,
            received,
        }))
    }
}

/// Makes all of it findable, in one step. Returns what was kept besides the
/// artifact itself.
async fn keep(
    layout: &Layout,
    reference: &Reference,
    main: Bytes,
    referrers: Vec<Fetched>,
) -> Result<Vec<Fetched>, ClientError> {
    let (layout, reference) = (layout.clone(), reference.clone());
    let kept: Result<_, LayoutError> = blocking(move || {
        let name = reference.tag().map(|tag| (reference.repository(), tag));
        let main = || Put { bytes: &main, name };
        let attached = referrers.iter().map(unnamed);
        let puts: Vec<_> = attached.chain([main()]).collect();
        match layout.put_manifests(&puts) {
            Ok(()) => return Ok(referrers),
            Err(error) if !is_refused(&error) => return Err(error),
            Err(_) => {}
        }
        // The store refuses one of them. If it is an attachment, go without it.
        let mut kept = Vec::new();
        for referrer in referrers {
            match layout.put_manifests(&[unnamed(&referrer)]) {
                Ok(()) => kept.push(referrer),
                Err(error) if is_refused(&error) => {
                    let digest = referrer.digest.to_string();
                    tracing::warn!(digest, "attachment left out: the store refuses it");
                }
                Err(error) => return Err(error),
            }
        }
        layout.put_manifests(&[main()])?;
        Ok(kept)
    })
    .await?;
    Ok(kept?)
}

fn unnamed(fetched: &Fetched) -> Put<'_> {
    Put {
        bytes: &fetched.bytes,
        name: None,
    }
}

/// Whether the store refuses a manifest for what is in it.
fn is_refused(error: &LayoutError) -> bool {
    matches!(
        error,
        LayoutError::Document(_) | LayoutError::Ambiguous | LayoutError::Unmet { .. }
    )
}

/// Configuration and layers, each once.
fn blobs_of(manifest: &Manifest) -> Vec<Descriptor> {
    let mut blobs: Vec<Descriptor> = Vec::new();
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if !blobs.iter().any(|known| known.digest == blob.digest) {
            blobs.push(blob.clone());
        }
    }
    blobs
}

fn check_sizes(
    place: &Place,
    blobs: &[Descriptor],
    blob_max: u64,
    all_max: u64,
) -> Result<(), ClientError> {
    let too_large = |what, max: u64| ClientError::TooLarge {
        name: place.name(),
        what,
        max: format!("{max} bytes"),
    };
    let mut all: u64 = 0;
    for blob in blobs {
        if blob.size > blob_max {
            return Err(too_large("blob", blob_max));
        }
        all = all.saturating_add(blob.size);
    }
    if all > all_max {
        return Err(too_large("artifact", all_max));
    }
    Ok(())
}

fn as_manifest(place: &Place, kind: Kind) -> Result<Manifest, ClientError> {
    match kind {
        Kind::Manifest(manifest) => Ok(*manifest),
        Kind::Index(_) => Err(ClientError::Malformed {
            name: place.name(),
            what: "an index came where a manifest must be",
        }),
    }
}

fn is_of(kind: &str, types: &[&str]) -> bool {
    types.iter().any(|prefix| kind.starts_with(prefix))
}

/// Whether an attachment itself is faulty, and not the way to it.
fn is_its_own_fault(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::NotFound { .. }
            | ClientError::TooLarge { .. }
            | ClientError::DigestMismatch { .. }
            | ClientError::Length { .. }
            | ClientError::Document { .. }
            | ClientError::Malformed { .. }
    )
}

const _: () = assert!(REFERRER_BYTES_MAX <= DOCUMENT_BYTES_MAX);
