//! The body of a request: bounded in bytes, in silence and in time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::refusal::Refusal;

/// For the next bytes.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// For a whole body, on top of one second for each [`RATE_BYTES_MIN`].
const WHOLE_MAX: Duration = Duration::from_secs(30);
/// Bytes in a second that a body moves at least, on average.
const RATE_BYTES_MIN: u64 = 64 << 10;
/// Bytes of a refused body that are read so that the client, which may still be
/// sending, gets to read why.
const DRAIN_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// The body of a request.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: BodyDataStream,
    announced: Option<u64>,
    /// Whether the client sends nothing before it is told to go on.
    waits: bool,
    begun: Instant,
    taken: u64,
}

impl Incoming {
    pub(super) fn new(body: Body, headers: &HeaderMap) -> Self {
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            stream: body.into_data_stream(),
            announced,
            waits: headers.contains_key(header::EXPECT),
            begun: Instant::now(),
            taken: 0,
        }
    }

    async fn next(&mut self, bytes_max: u64) -> Result<Option<Bytes>, Refusal> {
        if self.announced.is_some_and(|bytes| bytes > bytes_max) {
            self.drain().await;
            return Err(Refusal::TooLarge { bytes_max });
        }
        let whole = WHOLE_MAX + Duration::from_secs(self.taken / RATE_BYTES_MIN);
        let deadline = (Instant::now() + IDLE_MAX).min(self.begun + whole);
        let next = timeout_at(deadline, self.stream.next()).await;
        let Some(bytes) = next.map_err(|_| Refusal::Late)? else {
            return Ok(None);
        };
        let bytes = bytes.map_err(|_| Refusal::BrokenOff)?;
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > bytes_max {
            self.drain().await;
            return Err(Refusal::TooLarge { bytes_max });
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

    /// All of it as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&mut self, bytes_max: u64) -> Result<T, Refusal> {
        let bytes = self.all(bytes_max).await?;
        serde_json::from_slice(&bytes).map_err(Refusal::Body)
    }

    /// The same, where no body stands for what is usual.
    pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
        &mut self,
        bytes_max: u64,
    ) -> Result<T, Refusal> {
        let bytes = self.all(bytes_max).await?;
        if bytes.is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(&bytes).map_err(Refusal::Body)
    }

    /// Reads a little more of a body that nobody wants.
    pub(super) async fn drain(&mut self) {
        if self.waits {
            return;
        }
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
        drop(timeout(DRAIN_MAX, read).await);
    }
}
