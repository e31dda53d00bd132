//! Pushing blobs: at once, in chunks, or by naming one that is here (end-4,
//! end-5, end-6, end-11, end-13).
//!
//! A chunk that breaks off leaves what has arrived, and the client may go on
//! from there. An upload that becomes too large or is not what its digest says
//! is over, and nothing of it can be found.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use selvedge_artifact::Digest;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::super::body::Incoming;
use super::super::query::{Query, content_range};
use super::super::refusal::{Refusal, put, received};
use super::super::target::{Repository, given_digest};
use super::super::uploads::Held;
use super::{Asked, Registry, blocking, broken, located, refuse};

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

impl Registry {
    /// end-4, end-11: begins an upload, unless the blob is here or comes along.
    pub(super) async fn begin(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
    ) -> Result<Response, Refusal> {
        if asked.parts.method != Method::POST {
            return Err(Refusal::Method);
        }
        let query = Query::parse(asked.parts.uri.query())?;
        if let Some(Ok(digest)) = query.get("mount")?.map(|text| given_digest(&text)) {
            // There is one store, so it does not matter where from.
            let layout = self.layout.clone();
            if blocking(move || Ok(layout.blob_size(&digest)))
                .await?
                .is_some()
            {
                return Ok(created(repository, &digest));
            }
        }
        let digest = query.get("digest")?.map(|text| given_digest(&text));
        let digest = digest.transpose()?;
        let slot = self.uploads.slot()?;
        let (layout, bytes_max) = (self.layout.clone(), self.blob_bytes_max);
        let writer = blocking(move || layout.begin(bytes_max)).await?;
        if let Some(digest) = digest {
            let held = Arc::new(Mutex::new(Some(writer))).lock_owned().await;
            let held = self.receive(held, asked.body, None).await?;
            commit(held, digest).await?;
            drop(slot);
            return Ok(created(repository, &digest));
        }
        let id = self.uploads.begin(repository, writer, slot)?;
        Ok(under_way(StatusCode::ACCEPTED, repository, &id, 0))
    }

    /// end-5, end-6, end-13: what can be done with an upload under way.
    pub(super) async fn upload(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
        id: &str,
    ) -> Result<Response, Refusal> {
        let outcome = match asked.parts.method {
            Method::GET | Method::HEAD => {
                let size = size(&self.uploads.hold(repository, id)?);
                Ok(under_way(StatusCode::NO_CONTENT, repository, id, size))
            }
            Method::PATCH => self.append(asked, repository, id).await,
            Method::PUT => self.finish(asked, repository, id).await,
            Method::DELETE => {
                self.uploads.hold(repository, id)?.take();
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            _ => return Err(Refusal::Method),
        };
        // Another request may be at it, and settles it itself.
        if !matches!(outcome, Err(Refusal::UploadBusy | Refusal::UploadUnknown)) {
            self.uploads.settle(id);
        }
        outcome
    }

    async fn append(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
        id: &str,
    ) -> Result<Response, Refusal> {
        let held = self.uploads.hold(repository, id)?;
        let chunk = in_order(&asked, repository, id, &held)?;
        let held = self.receive(held, asked.body, chunk).await?;
        Ok(under_way(StatusCode::ACCEPTED, repository, id, size(&held)))
    }

    async fn finish(
        &self,
        asked: Asked<'_>,
        repository: Repository<'_>,
        id: &str,
    ) -> Result<Response, Refusal> {
        let mut held = self.uploads.hold(repository, id)?;
        let digest = match finishing(&asked) {
            Ok(digest) => digest,
            Err(refusal) => {
                // Who cannot name it cannot finish it: its place is free.
                held.take();
                return Err(refusal);
            }
        };
        let chunk = in_order(&asked, repository, id, &held)?;
        let held = self.receive(held, asked.body, chunk).await?;
        commit(held, digest).await?;
        Ok(created(repository, &digest))
    }

    /// Takes a body in behind what is there; if it is a chunk, of that length.
    async fn receive(
        &self,
        mut held: Held,
        body: &mut Incoming,
        chunk: Option<u64>,
    ) -> Result<Held, Refusal> {
        let room = self.blob_bytes_max.saturating_sub(size(&held));
        let bytes_max = chunk.map_or(room, |length| length.min(room));
        let (mut taken, mut gathered) = (0_u64, BytesMut::new());
        let outcome = loop {
            match body.next(bytes_max).await {
                Ok(Some(bytes)) => {
                    taken += bytes.len() as u64;
                    gathered.extend_from_slice(&bytes);
                    if gathered.len() >= WRITE_BYTES {
                        held = write(held, gathered.split().freeze()).await?;
                    }
                }
                Ok(None) => break Ok(()),
                Err(refusal) => break Err(refusal),
            }
        };
        held = write(held, gathered.freeze()).await?;
        match outcome {
            Err(Refusal::TooLarge(_)) => {
                held.take();
                // The blob may be as large as it may, and still not fit its chunk.
                Err(if bytes_max < room {
                    Refusal::LengthMismatch
                } else {
                    Refusal::TooLarge(self.blob_bytes_max)
                })
            }
            Err(refusal) => Err(refusal),
            Ok(()) if chunk.is_some_and(|length| length != taken) => {
                held.take();
                Err(Refusal::LengthMismatch)
            }
            Ok(()) => Ok(held),
        }
    }
}

/// What an upload is to be.
fn finishing(asked: &Asked<'_>) -> Result<Digest, Refusal> {
    let digest = Query::parse(asked.parts.uri.query())?.get("digest")?;
    given_digest(&digest.ok_or(Refusal::DigestInvalid)?)
}

/// The length of a chunk that says where it belongs, and belongs there.
fn in_order(
    asked: &Asked<'_>,
    repository: Repository<'_>,
    id: &str,
    held: &Held,
) -> Result<Option<u64>, Refusal> {
    let Some(chunk) = content_range(&asked.parts.headers)? else {
        return Ok(None);
    };
    let size = size(held);
    if chunk.from != size {
        let location = location(repository, id);
        return Err(Refusal::OutOfOrder { location, size });
    }
    match asked.body.announced() {
        Some(length) if length != chunk.length => Err(Refusal::LengthMismatch),
        _ => Ok(Some(chunk.length)),
    }
}

/// Adds bytes to an upload, which is over if that fails.
async fn write(mut held: Held, bytes: Bytes) -> Result<Held, Refusal> {
    if bytes.is_empty() {
        return Ok(held);
    }
    let write = move || {
        let outcome = held.as_mut().map_or(Ok(()), |writer| writer.append(&bytes));
        if outcome.is_err() {
            held.take();
        }
        outcome.map(|()| held)
    };
    match spawn_blocking(write).await {
        Ok(outcome) => outcome.map_err(refuse),
        Err(failure) => Err(broken(&failure)),
    }
}

/// Makes an upload a blob. It is over in any case.
async fn commit(mut held: Held, digest: Digest) -> Result<(), Refusal> {
    let writer = held.take().ok_or(Refusal::UploadUnknown)?;
    blocking(move || writer.commit(&digest)).await?;
    Ok(())
}

fn size(held: &Held) -> u64 {
    held.as_ref().map_or(0, crate::BlobWriter::len)
}

fn location(repository: Repository<'_>, id: &str) -> String {
    format!("/v2/{}/blobs/uploads/{id}", repository.as_str())
}

/// The blob is here now.
fn created(repository: Repository<'_>, digest: &Digest) -> Response {
    let location = format!("/v2/{}/blobs/{digest}", repository.as_str());
    located(StatusCode::CREATED, &location, Some(digest))
}

/// The upload is, and has so many bytes.
fn under_way(status: StatusCode, repository: Repository<'_>, id: &str, size: u64) -> Response {
    let mut response = located(status, &location(repository, id), None);
    let headers = response.headers_mut();
    put(headers, header::RANGE, &received(size));
    if let Ok(id) = id.parse() {
        headers.insert("docker-upload-uuid", id);
    }
    response
}
