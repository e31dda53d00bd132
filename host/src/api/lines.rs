//! Answers that come line by line: JSON, one value a line, for as long as it
//! lasts.
//!
//! So many for each role. A stream ends when its client goes, when its source
//! ends and when the host stops. When there is nothing to say for a while it
//! says a blank line, so that connections to nobody are noticed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::STREAMS_MAX;
use super::access::Role;
use super::refusal::{Refusal, put};
use super::request::Asked;

/// What the lines are, as an Internet media type.
pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";
/// Silence before a blank line.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A stream under way.
struct Lines<T> {
    source: Pin<Box<dyn Stream<Item = Vec<T>> + Send>>,
    stopping: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// The right to one more stream, for who asks.
pub(super) fn permit(asked: &Asked) -> Result<OwnedSemaphorePermit, Refusal> {
    let permits = match asked.peer.caller.role {
        Role::Operator => &asked.api.operators_streams,
        Role::Viewer | Role::Anyone => &asked.api.viewers_streams,
    };
    let permit = Arc::clone(permits).try_acquire_owned();
    permit.map_err(|_| Refusal::TooManyStreams(STREAMS_MAX))
}

/// What `source` gives, in as many lines.
pub(super) fn answer<T: Serialize + 'static>(
    asked: &Asked,
    permit: OwnedSemaphorePermit,
    source: impl Stream<Item = Vec<T>> + Send + 'static,
) -> Response {
    let lines = Lines {
        source: Box::pin(source),
        stopping: asked.peer.stopping.clone(),
        _permit: permit,
    };
    let body = stream::unfold(lines, |mut lines| async move {
        let batch = tokio::select! {
            biased;
            () = lines.stopping.cancelled() => return None,
            batch = lines.source.next() => batch?,
            () = sleep(SILENCE_MAX) => Vec::new(),
        };
        Some((Ok::<_, Infallible>(write(&batch)), lines))
    });
    let mut response = Response::new(Body::from_stream(body));
    put(&mut response, header::CONTENT_TYPE, MEDIA_TYPE);
    response
}

/// A line for each value; one blank line for none.
fn write<T: Serialize>(batch: &[T]) -> Bytes {
    let mut text = Vec::new();
    for value in batch {
        let before = text.len();
        match serde_json::to_writer(&mut text, value) {
            Ok(()) => text.push(b'\n'),
            // Plain data can be written; half a line would be worse than none.
            Err(_) => text.truncate(before),
        }
    }
    if text.is_empty() {
        text.push(b'\n');
    }
    text.into()
}
