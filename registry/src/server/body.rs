//! The body of a request: bounded in bytes, in silence and in time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::Patience;
use super::query::content_length;
use super::refusal::Refusal;

/// Bytes of a refused body that are read so that the client, which may still be
/// sending, gets to read why.
const DRAIN_BYTES_MAX: usize = 1 << 20;
/// How long that may take.
const DRAIN: Duration = Duration::from_secs(1);

/// The body of a request.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: BodyDataStream,
    announced: Option<u64>,
    begun: Instant,
    taken: u64,
    patience: Patience,
}

impl Incoming {
    pub(super) fn new(body: Body, headers: &HeaderMap, patience: Patience) -> Self {
        Self {
            stream: body.into_data_stream(),
            announced: content_length(headers),
            begun: Instant::now(),
            taken: 0,
            patience,
        }
    }

    /// How many bytes there will be, if the client has said so.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next bytes, of `bytes_max` in all.
    pub(super) async fn next(&mut self, bytes_max: u64) -> Result<Option<Bytes>, Refusal> {
        if self.announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(Refusal::TooLarge(bytes_max));
        }
        let silent = Instant::now() + self.patience.idle;
        let slow = self.begun + self.patience.for_body(self.taken);
        let next = timeout_at(silent.min(slow), self.stream.next()).await;
        let Some(bytes) = next.map_err(|_| Refusal::Late)? else {
            return Ok(None);
        };
        let bytes = bytes.map_err(|_| Refusal::BrokenOff)?;
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > bytes_max {
            return Err(Refusal::TooLarge(bytes_max));
        }
        Ok(Some(bytes))
    }

    /// All of it, at most `bytes_max` bytes.
    pub(super) async fn all(&mut self, bytes_max: u64) -> Result<Bytes, Refusal> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next(bytes_max).await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// Reads a little more of a body that nobody wants.
    pub(super) async fn drain(&mut self) {
        let read = async {
            let mut left = DRAIN_BYTES_MAX;
            while let Some(Ok(bytes)) = self.stream.next().await {
                match left.checked_sub(bytes.len()) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Late or not, the answer is the same.
        drop(timeout(DRAIN, read).await);
    }
}
