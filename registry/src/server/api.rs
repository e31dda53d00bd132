//! Answers requests: what each endpoint does, and for whom.
//!
//! Everything that touches the store happens on the runtime's blocking threads,
//! as many at once as there are connections.

mod blobs;
mod listing;
mod manifests;
mod uploads;

use std::error::Error;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use futures::StreamExt as _;
use selvedge_artifact::Digest;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::{debug, error};

use super::Patience;
use super::access::Gate;
use super::body::Incoming;
use super::connection::Peer;
use super::query::content_length;
use super::refusal::{Refusal, put};
use super::target::Target;
use super::uploads::Uploads;
use crate::{Layout, LayoutError};

/// Bytes of a path or method that are logged.
const LOGGED_BYTES_MAX: usize = 128;
/// Manifests that are taken in at once, each up to 4 MiB in memory.
const MANIFESTS_MAX: usize = 8;

/// The registry that a server serves.
#[derive(Debug)]
pub(super) struct Registry {
    layout: Layout,
    gate: Gate,
    pub(super) uploads: Uploads,
    manifests: Semaphore,
    blob_bytes_max: u64,
    patience: Patience,
}

/// A request whose body is yet to come.
struct Asked<'a> {
    parts: &'a Parts,
    body: &'a mut Incoming,
}

/// Answers one request.
pub(super) async fn answer(
    State(registry): State<Arc<Registry>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let busy = peer.busy();
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &parts.headers, registry.patience);
    let reply = tokio::select! {
        reply = registry.reply(&parts, &mut body) => reply,
        () = peer.cut.cancelled() => Err(Refusal::Stopping),
    };
    let mut response = match reply {
        Ok(response) => response,
        Err(refusal) => {
            let expects = parts.headers.contains_key(header::EXPECT);
            if !expects && !matches!(refusal, Refusal::Late | Refusal::Stopping) {
                body.drain().await;
            }
            refusal.into_response()
        }
    };
    dress(&mut response, &parts.method);
    debug!(
        method = cut(parts.method.as_str()),
        // Quoted: a path may have any character beyond ASCII.
        path = ?cut(parts.uri.path()),
        status = response.status().as_u16(),
        bytes = content_length(response.headers()),
        "registry request"
    );
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // The request is under way until its answer is.
    response.map(|body| {
        let stream = body.into_data_stream();
        Body::from_stream(stream.inspect(move |_| {
            let _ = &busy;
        }))
    })
}

/// Adds what every answer has.
fn dress(response: &mut Response, method: &Method) {
    let length = response.body().size_hint().exact();
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let no_content = response.status() == StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Some(length) = length
        && !no_content
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let version = HeaderValue::from_static("registry/2.0");
    headers.insert("docker-distribution-api-version", version);
}

/// The beginning of what a client sent.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(LOGGED_BYTES_MAX);
    text.get(..end).unwrap_or_default()
}

impl Registry {
    pub(super) fn new(
        layout: Layout,
        gate: Gate,
        uploads: Uploads,
        blob_bytes_max: u64,
        patience: Patience,
    ) -> Self {
        Self {
            layout,
            gate,
            uploads,
            manifests: Semaphore::new(MANIFESTS_MAX),
            blob_bytes_max,
            patience,
        }
    }

    async fn reply(&self, parts: &Parts, body: &mut Incoming) -> Result<Response, Refusal> {
        if parts.version > Version::HTTP_11 {
            return Err(Refusal::Version);
        }
        let target = Target::parse(parts.uri.path())?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        // What of an upload is there concerns who is pushing it.
        if !reads || matches!(target, Target::Upload(..)) {
            self.gate.admit(&parts.headers).await?;
        }
        let asked = Asked { parts, body };
        match target {
            Target::Registry => self.registry(parts).await,
            Target::Blob(_, digest) => self.blob(parts, &digest).await,
            Target::Manifest(repository, name) => self.manifest(asked, repository, &name).await,
            Target::Uploads(repository) => self.begin(asked, repository).await,
            Target::Upload(repository, id) => self.upload(asked, repository, id).await,
            Target::Tags(repository) => self.tags(parts, repository).await,
            Target::Referrers(repository, digest) => {
                self.referrers(parts, repository, &digest).await
            }
        }
    }

    /// end-1. Clients try their credentials here, so wrong ones are refused.
    async fn registry(&self, parts: &Parts) -> Result<Response, Refusal> {
        only_read(parts)?;
        let tries = parts.headers.contains_key(header::AUTHORIZATION);
        if tries && !self.gate.is_read_only() {
            self.gate.admit(&parts.headers).await?;
        }
        let mut response = Response::new(Body::from("{}"));
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, "application/json");
        Ok(response)
    }
}

fn only_read(parts: &Parts) -> Result<(), Refusal> {
    match parts.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// An answer without a body that says where something is.
fn located(status: StatusCode, location: &str, digest: Option<&Digest>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    put(headers, header::LOCATION, location);
    if let Some(digest) = digest {
        name(&mut response, digest);
    }
    response
}

/// Says which digest the answer is about.
fn name(response: &mut Response, digest: &Digest) {
    if let Ok(digest) = HeaderValue::from_str(&digest.to_string()) {
        let headers = response.headers_mut();
        headers.insert("docker-content-digest", digest);
    }
}

/// Does what blocks where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LayoutError> + Send + 'static,
) -> Result<T, Refusal> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(refuse),
        Err(failure) => Err(broken(&failure)),
    }
}

/// The store failed in a way that is not the client's.
fn broken(failure: &(dyn Error + 'static)) -> Refusal {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    error!(error = text, "registry store failed");
    Refusal::Store
}

/// What a client is told when the store does not take something.
fn refuse(error: LayoutError) -> Refusal {
    match error {
        LayoutError::Document(_) => {
            Refusal::ManifestInvalid("it is neither an OCI manifest nor an OCI index")
        }
        LayoutError::Ambiguous => Refusal::ManifestInvalid("it is both a manifest and an index"),
        LayoutError::Unmet { .. } => Refusal::ManifestBlobUnknown,
        LayoutError::Repository(_) => Refusal::NameInvalid,
        LayoutError::Missing(_) => Refusal::BlobUnknown,
        LayoutError::InUse(_) => Refusal::BlobInUse,
        LayoutError::TooLarge { bytes_max } => Refusal::TooLarge(bytes_max),
        LayoutError::Mismatch { .. } => Refusal::DigestMismatch,
        LayoutError::Busy(_) => Refusal::Busy,
        LayoutError::Full => Refusal::Full,
        other => broken(&other),
    }
}
