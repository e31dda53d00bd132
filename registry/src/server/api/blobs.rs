//! Blobs: pulled whole or in part, and removed (end-2, end-10).

use std::io::{self, Read as _, Seek as _, SeekFrom};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;
use selvedge_artifact::Digest;
use tokio::task::spawn_blocking;

use super::super::query::{Slice, range};
use super::super::refusal::{Refusal, put};
use super::super::target::wanted_digest;
use super::{Registry, blocking, name};

/// Bytes that are read from the store at once.
const READ_BYTES: u64 = 128 << 10;

impl Registry {
    pub(super) async fn blob(&self, parts: &Parts, digest: &str) -> Result<Response, Refusal> {
        let digest = wanted_digest(digest, Refusal::BlobUnknown)?;
        match parts.method {
            Method::GET | Method::HEAD => self.send(parts, digest).await,
            Method::DELETE => {
                let layout = self.layout.clone();
                if !blocking(move || layout.delete_blob(&digest)).await? {
                    return Err(Refusal::BlobUnknown);
                }
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::ACCEPTED;
                Ok(response)
            }
            _ => Err(Refusal::Method),
        }
    }

    async fn send(&self, parts: &Parts, digest: Digest) -> Result<Response, Refusal> {
        let layout = self.layout.clone();
        let open = move || match layout.blob_size(&digest) {
            Some(_) => layout.open_blob(&digest).map(Some),
            None => Ok(None),
        };
        let (file, size) = blocking(open).await?.ok_or(Refusal::BlobUnknown)?;
        let slice = range(&parts.headers, size)?;
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, "application/octet-stream");
        put(headers, header::ACCEPT_RANGES, "bytes");
        if let Some(Slice { from, length }) = slice {
            let last = from + length - 1;
            let range = format!("bytes {from}-{last}/{size}");
            put(headers, header::CONTENT_RANGE, &range);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let (from, length) = slice.map_or((0, size), |slice| (slice.from, slice.length));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        name(&mut response, &digest);
        if parts.method == Method::GET && length > 0 {
            *response.body_mut() = Body::from_stream(read(file, from, length));
        }
        Ok(response)
    }
}

/// Part of a file. One that has become shorter ends in an error, so that nobody
/// takes the part for the whole.
fn read(
    file: fs_err::File,
    from: u64,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    try_unfold((file, from, length), |(mut file, from, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let piece = spawn_blocking(move || {
            let want = left.min(READ_BYTES);
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            let count = (&mut file).take(want).read_to_end(&mut bytes)? as u64;
            if count < want {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((Bytes::from(bytes), (file, from + count, left - count)))
        });
        piece.await.map_err(io::Error::other)?.map(Some)
    })
}
