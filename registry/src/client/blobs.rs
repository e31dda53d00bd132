//! Blobs from the network into a store: bounded by their descriptor, resumed
//! where they broke off, checked before they are kept.
//!
//! While one part is hashed and written, the next is received, and what was
//! written is brought to the disk. What is there of a blob may be from another registry or damaged; then it does not match at the
//! end, and is fetched once more from the beginning.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use selvedge_artifact::Descriptor;
use tokio::task::JoinHandle;

use super::body::Answer;
use super::error::{ClientError, quote};
use super::place::Place;
use super::transport::Ask;
use super::{Client, blocking, joined};
use crate::layout::BlobWriter;
use crate::{Layout, LayoutError, Progress};

/// Bytes written at once, about.
const PART_BYTES: u64 = 1 << 20;
/// Bytes written before they are brought to the disk: enough for the disk to be
/// busy, and few that the end waits for.
const FLUSH_BYTES: u64 = 8 << 20;
/// Pieces written at once: a registry may send byte by byte.
const PART_PIECES_MAX: usize = 256;
/// So much gained since the last failure, attempts count anew: a large blob may
/// come over a line that breaks now and then.
const GAIN_BYTES_MIN: u64 = 1 << 20;

/// One blob on its way.
pub(super) struct Fetch<'a> {
    pub(super) place: &'a Place,
    pub(super) layout: &'a Layout,
    pub(super) blob: &'a Descriptor,
    pub(super) progress: &'a dyn Progress,
}

/// Bytes that were received and not written yet, as they came.
#[derive(Default)]
struct Part {
    pieces: Vec<Bytes>,
    bytes: u64,
}

/// Brings to the disk what was written, beside the rest.
struct Flushing {
    /// How many bytes there were when it last began.
    begun: u64,
    running: Option<JoinHandle<Result<(), LayoutError>>>,
}

/// How a request that worked left the writer.
enum Filled {
    /// With all bytes.
    Whole,
    /// With none: the registry does not go on with what was there.
    Anew,
}

/// How a request ended. With an error, the writer has what came before.
type Outcome = Result<Filled, ClientError>;

impl Client {
    /// Fetches a blob, unless it is there. Returns bytes that came over the
    /// network.
    pub(super) async fn fetch(&self, fetch: &Fetch<'_>) -> Result<u64, ClientError> {
        let (layout, blob) = (fetch.layout.clone(), fetch.blob.clone());
        if blocking(move || layout.holds(&blob))
            .await?
            .unwrap_or(false)
        {
            return Ok(0);
        }
        let mut received = 0;
        let mut writer = open(fetch).await?;
        let mut anew = false;
        loop {
            let resumed = !writer.is_empty() && !anew;
            let begun = writer.len();
            fetch
                .progress
                .begin(&fetch.blob.digest, fetch.blob.size, begun);
            writer = self.fill(fetch, writer, &mut received).await?;
            let digest = fetch.blob.digest;
            match blocking(move || writer.commit(&digest)).await? {
                Ok(_) => {
                    fetch.progress.finish(&digest);
                    return Ok(received);
                }
                Err(LayoutError::Mismatch { .. }) if resumed => {
                    anew = true;
                    writer = open(fetch).await?;
                }
                Err(LayoutError::Mismatch { found, .. }) => {
                    return Err(ClientError::DigestMismatch {
                        name: fetch.place.name(),
                        expected: Box::new(digest),
                        found: found.to_string(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks until all bytes are there.
    async fn fill(
        &self,
        fetch: &Fetch<'_>,
        mut writer: BlobWriter,
        received: &mut u64,
    ) -> Result<BlobWriter, ClientError> {
        let mut tries = self.inner.transport.tries();
        let (mut furthest, mut anew) = (writer.len(), false);
        while writer.len() < fetch.blob.size {
            let outcome;
            (writer, outcome) = self.fill_once(fetch, writer, received).await?;
            // Measured from the furthest point ever: who sends the same bytes
            // again and again gains nothing.
            if writer.len() >= furthest.saturating_add(GAIN_BYTES_MIN) {
                furthest = writer.len();
                tries.reset();
            }
            match outcome {
                Ok(Filled::Anew) if anew => return Err(goes_not_on(fetch)),
                Ok(Filled::Anew) => anew = true,
                Ok(Filled::Whole) => {}
                Err(error) => tries.wait(error).await?,
            }
        }
        Ok(writer)
    }

    /// One request. The outer error is for good; with the inner one, the writer
    /// has what came before.
    async fn fill_once(
        &self,
        fetch: &Fetch<'_>,
        writer: BlobWriter,
        received: &mut u64,
    ) -> Result<(BlobWriter, Outcome), ClientError> {
        let begun = writer.len();
        let url = fetch.place.url(&format!("blobs/{}", fetch.blob.digest));
        let mut ask = Ask::get(url);
        if begun > 0 {
            ask = ask.with(RANGE, &format!("bytes={begun}-"));
        }
        let answer = match self.inner.transport.send(fetch.place, &ask, &|_| ()).await {
            Ok(answer) => answer,
            Err(error) => return Ok((writer, Err(error))),
        };
        match answer.status() {
            StatusCode::OK => check_length(fetch, answer.announced(), 0)?,
            StatusCode::PARTIAL_CONTENT if begun > 0 => {
                check_range(fetch, &answer, begun)?;
                check_length(fetch, answer.announced(), begun)?;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if begun > 0 => {
                return Ok((restart(writer).await?, Ok(Filled::Anew)));
            }
            _ => {
                let what = format!("blob `{}`", fetch.blob.digest);
                return Ok((writer, Err(answer.refusal(what).await)));
            }
        }
        let ranges_ignored = answer.status() == StatusCode::OK && begun > 0;
        let writer = if ranges_ignored {
            restart(writer).await?
        } else {
            writer
        };
        answer.check_encoding()?;
        receive(fetch, writer, answer, received).await
    }
}

/// The writer, on what is there of the blob. If another process fetches it at
/// this moment, it is fetched twice: neither waits for the other's registry.
async fn open(fetch: &Fetch<'_>) -> Result<BlobWriter, ClientError> {
    let (layout, digest, size) = (fetch.layout.clone(), fetch.blob.digest, fetch.blob.size);
    let opened = blocking(move || match layout.resume(&digest, size) {
        Err(LayoutError::Busy(_)) => layout.begin(size),
        opened => opened,
    });
    Ok(opened.await??)
}

async fn restart(mut writer: BlobWriter) -> Result<BlobWriter, ClientError> {
    let (writer, done) = blocking(move || {
        let done = writer.restart();
        (writer, done)
    })
    .await?;
    done?;
    Ok(writer)
}

async fn append(mut writer: BlobWriter, part: Part) -> Result<BlobWriter, ClientError> {
    if part.pieces.is_empty() {
        return Ok(writer);
    }
    let (writer, done) = blocking(move || {
        let done = writer.append_all(&part.pieces);
        (writer, done)
    })
    .await?;
    done?;
    Ok(writer)
}

/// Reads the body to the end that the descriptor sets.
async fn receive(
    fetch: &Fetch<'_>,
    mut writer: BlobWriter,
    mut answer: Answer,
    received: &mut u64,
) -> Result<(BlobWriter, Outcome), ClientError> {
    let mut left = fetch.blob.size - writer.len();
    let mut part = Part::default();
    let mut flushing = Flushing::from(writer.len());
    loop {
        let (written, gathered) =
            futures::join!(append(writer, part), gather(fetch, &mut answer, left));
        writer = written?;
        let outcome;
        (part, outcome) = gathered;
        *received += part.bytes;
        left -= part.bytes;
        fetch.progress.advance(&fetch.blob.digest, part.bytes);
        let ended = match outcome {
            Ok(true) => {
                flushing.go_on(&writer).await?;
                continue;
            }
            Ok(false) => Ok(Filled::Whole),
            Err(error) => Err(error),
        };
        writer = append(writer, part).await?;
        flushing.end().await?;
        return Ok((writer, ended));
    }
}

impl Flushing {
    fn from(begun: u64) -> Self {
        Self {
            begun,
            running: None,
        }
    }

    /// Begins anew when enough was written; waits for nothing.
    async fn go_on(&mut self, writer: &BlobWriter) -> Result<(), ClientError> {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end().await?;
        }
        if self.running.is_none() && writer.len() - self.begun >= FLUSH_BYTES {
            self.begun = writer.len();
            self.running = Some(tokio::task::spawn_blocking(writer.flush()?));
        }
        Ok(())
    }

    /// Waits for what was begun, for its error would be told nobody else.
    async fn end(&mut self) -> Result<(), ClientError> {
        if let Some(running) = self.running.take() {
            joined(running).await??;
        }
        Ok(())
    }
}

/// The next part, and whether more follows. Bytes that came before an error are
/// not lost. The end must be where the descriptor has it.
async fn gather(
    fetch: &Fetch<'_>,
    answer: &mut Answer,
    left: u64,
) -> (Part, Result<bool, ClientError>) {
    let mut part = Part::default();
    while part.bytes < PART_BYTES && part.pieces.len() < PART_PIECES_MAX {
        let chunk = match answer.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => return (part, Err(error)),
        };
        let missing = left - part.bytes;
        match chunk {
            Some(chunk) if chunk.len() as u64 > missing => {
                return (Part::default(), Err(length(fetch, fetch.blob.size + 1)));
            }
            Some(chunk) => {
                part.bytes += chunk.len() as u64;
                part.pieces.push(chunk);
            }
            None if missing > 0 => {
                return (part, Err(length(fetch, fetch.blob.size - missing)));
            }
            None => return (part, Ok(false)),
        }
    }
    (part, Ok(true))
}

fn length(fetch: &Fetch<'_>, found: u64) -> ClientError {
    ClientError::Length {
        name: fetch.place.name(),
        digest: Box::new(fetch.blob.digest),
        expected: fetch.blob.size,
        found,
    }
}

/// What is announced must be what is missing after the first `had` bytes.
fn check_length(fetch: &Fetch<'_>, announced: Option<u64>, had: u64) -> Result<(), ClientError> {
    match announced.map(|announced| announced.saturating_add(had)) {
        Some(found) if found != fetch.blob.size => Err(length(fetch, found)),
        _ => Ok(()),
    }
}

fn goes_not_on(fetch: &Fetch<'_>) -> ClientError {
    ClientError::Malformed {
        name: fetch.place.name(),
        what: "it refuses every range of a blob",
    }
}

/// `bytes 100-199/200` must begin where we stopped and be of this blob.
fn check_range(fetch: &Fetch<'_>, answer: &Answer, begun: u64) -> Result<(), ClientError> {
    let range = answer.header(&CONTENT_RANGE).unwrap_or_default();
    let last = fetch.blob.size - 1;
    let whole = format!("bytes {begun}-{last}/{}", fetch.blob.size);
    let unknown = format!("bytes {begun}-{last}/*");
    if range == whole || range == unknown {
        return Ok(());
    }
    tracing::debug!(found = quote(range), "unexpected range");
    Err(ClientError::Malformed {
        name: fetch.place.name(),
        what: "it sends another range than was asked for",
    })
}
