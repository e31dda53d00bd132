//! One connection and one request at a time on it.
//!
//! The late-reply rule: a reply to an older request of this connection is
//! discarded while waiting for the right one, at most [`STALE_MAX`] times and
//! not beyond the deadline. Any other stray bytes end the connection, because
//! nothing after them could be believed.

use std::time::Duration;

use futures::FutureExt;

use crate::config::Tid;
use crate::frame::{self, FRAME_MAX, Frame, Garbage, Receiver};
use crate::net::{Net, Stream, within};
use crate::pdu::{Answer, AnswerError, Request, RequestError};

/// Late replies discarded for one request.
const STALE_MAX: u32 = 8;
/// How many requests back a late reply may belong.
const OLDER_MAX: u16 = 64;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The unit answered that it cannot or will not.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// Another unit's answer.
    #[error("answer of unit {got}, not {wanted}")]
    Unit { wanted: u8, got: u8 },
    /// Nothing came in time.
    #[error("no answer in {0} ms")]
    Timeout(u128),
    /// There is no connection to be had.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The peer closed the connection.
    #[error("connection closed by the device")]
    Closed,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// What came is no Modbus.
    #[error(transparent)]
    Garbage(#[from] Garbage),
    /// An answer to a request that was never sent.
    #[error("answer with foreign transaction identifier {0}")]
    Foreign(u16),
    /// Late answers without end.
    #[error("more than {STALE_MAX} late answers")]
    Stale,
    /// No frame can carry the request.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Fault {
    /// A stable name for replies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Answer(AnswerError::Exception(_)) => "exception",
            Self::Answer(_) | Self::Unit { .. } => "answer-invalid",
            Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect-failed",
            Self::Closed | Self::Lost(_) => "connection-lost",
            Self::Garbage(_) | Self::Foreign(_) | Self::Stale => "protocol-broken",
            Self::Request(_) => "request-invalid",
        }
    }

    /// The exception code, if the unit gave one.
    pub fn exception(&self) -> Option<u8> {
        match self {
            Self::Answer(AnswerError::Exception(code)) => Some(*code),
            _ => None,
        }
    }

    /// Whether the connection is of no more use.
    fn ends_connection(&self, tid: Tid) -> bool {
        match self {
            Self::Request(_) | Self::Answer(AnswerError::Exception(_)) => false,
            // Without identifiers, whatever is wrong may be an older answer.
            Self::Answer(_) | Self::Unit { .. } | Self::Timeout(_) => tid == Tid::Serial,
            _ => true,
        }
    }
}

/// A connection, or none until it is needed.
#[derive(Debug)]
pub struct Connection<S> {
    tid_mode: Tid,
    open: Option<Open<S>>,
    /// Time-outs since the peer last sent a frame.
    silent: u32,
}

#[derive(Debug)]
struct Open<S> {
    stream: S,
    received: Receiver,
    /// The last identifier used, and how many were.
    tid: u16,
    requests: u32,
}

/// Silent time-outs after which a connection is taken for dead.
const SILENT_MAX: u32 = 2;

impl<S: Stream> Connection<S> {
    /// Connects when first needed.
    pub fn new(tid_mode: Tid) -> Self {
        Self {
            tid_mode,
            open: None,
            silent: 0,
        }
    }

    /// Sends `request` to `unit` and waits for its answer.
    ///
    /// # Errors
    /// See [`Fault`]; the connection is closed if it is of no more use.
    pub async fn ask<N: Net<Stream = S>>(
        &mut self,
        net: &N,
        to: Target<'_>,
        request: &Request,
    ) -> Result<Answer, Fault> {
        let pdu = request.encode()?;
        let fresh = self.prepare(net, to).await?;
        let mut outcome = self.ask_once(net, to, request, &pdu).await;
        let ended = matches!(outcome, Err(Fault::Closed | Fault::Lost(_)));
        if ended && !fresh && request.is_read() {
            // The peer had closed an idle connection: not this request's
            // fault. A write is not repeated: it may have been done.
            self.prepare(net, to).await?;
            outcome = self.ask_once(net, to, request, &pdu).await;
        }
        outcome
    }

    async fn ask_once<N: Net<Stream = S>>(
        &mut self,
        net: &N,
        to: Target<'_>,
        request: &Request,
        pdu: &[u8],
    ) -> Result<Answer, Fault> {
        let mode = self.tid_mode;
        let outcome = match &mut self.open {
            Some(open) => {
                let exchange = open.exchange(mode, to.unit, request, pdu);
                within(net, to.timeout, exchange)
                    .await
                    .unwrap_or(Err(Fault::Timeout(to.timeout.as_millis())))
            }
            None => Err(Fault::Closed),
        };
        match &outcome {
            Err(Fault::Timeout(_)) => self.silent += 1,
            _ => self.silent = 0,
        }
        let broken = outcome
            .as_ref()
            .is_err_and(|fault| fault.ends_connection(mode));
        if broken || self.silent >= SILENT_MAX {
            self.close();
        }
        outcome
    }

    fn close(&mut self) {
        self.open = None;
        self.silent = 0;
    }

    /// Makes sure that there is a connection on which nothing strays.
    /// Returns whether it is new.
    async fn prepare<N: Net<Stream = S>>(
        &mut self,
        net: &N,
        to: Target<'_>,
    ) -> Result<bool, Fault> {
        if let Some(open) = &mut self.open
            && !open.is_quiet(self.tid_mode)
        {
            self.close();
        }
        if self.open.is_some() {
            return Ok(false);
        }
        let stream = within(net, to.timeout, net.connect(to.address))
            .await
            .ok_or_else(|| Fault::Connect("timed out".to_owned()))?
            .map_err(|error| Fault::Connect(error.to_string()))?;
        self.open = Some(Open {
            stream,
            received: Receiver::default(),
            tid: 0,
            requests: 0,
        });
        Ok(true)
    }
}

/// Whom to ask, and how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// Unit identifier.
    pub unit: u8,
    /// For connecting and for the answer.
    pub timeout: Duration,
}

impl<S: Stream> Open<S> {
    /// Looks, without waiting, at what came unasked. Late replies are taken
    /// out; anything else, and the peer's closing, means `false`.
    fn is_quiet(&mut self, mode: Tid) -> bool {
        let mut buffer = [0; FRAME_MAX];
        // A peer that keeps sending is not quiet, however fast it is.
        for _ in 0..STALE_MAX {
            let room = self.received.room();
            let Some(buffer) = buffer.get_mut(..room) else {
                return false;
            };
            match self.stream.read(buffer).now_or_never() {
                None => return self.received.is_empty(),
                Some(Ok(count @ 1..)) => {
                    self.received.push(buffer.get(..count).unwrap_or_default())
                }
                Some(_) => return false,
            }
            while let Ok(Some(frame)) = self.received.take() {
                if mode == Tid::Serial || !self.was_used(frame.tid) {
                    return false;
                }
            }
        }
        false
    }

    /// Whether `tid` was used on this connection, and not long ago.
    fn was_used(&self, tid: u16) -> bool {
        let back = self.tid.wrapping_sub(tid);
        back <= OLDER_MAX && u32::from(back) < self.requests
    }

    async fn exchange(
        &mut self,
        mode: Tid,
        unit: u8,
        request: &Request,
        pdu: &[u8],
    ) -> Result<Answer, Fault> {
        self.tid = self.tid.wrapping_add(1);
        self.requests = self.requests.saturating_add(1);
        let frame = frame::encode(self.tid, unit, pdu);
        self.stream
            .write_all(&frame)
            .await
            .map_err(|error| Fault::Lost(error.to_string()))?;
        for _ in 0..=STALE_MAX {
            let frame = self.next_frame().await?;
            if mode == Tid::Strict && frame.tid != self.tid {
                if self.was_used(frame.tid) {
                    continue;
                }
                return Err(Fault::Foreign(frame.tid));
            }
            if frame.unit != unit {
                return Err(Fault::Unit {
                    wanted: unit,
                    got: frame.unit,
                });
            }
            return Ok(request.decode(&frame.pdu)?);
        }
        Err(Fault::Stale)
    }

    async fn next_frame(&mut self) -> Result<Frame, Fault> {
        let mut buffer = [0; FRAME_MAX];
        loop {
            if let Some(frame) = self.received.take()? {
                return Ok(frame);
            }
            let room = self.received.room();
            let buffer = buffer.get_mut(..room).ok_or(Garbage)?;
            match self.stream.read(buffer).await {
                Ok(0) => return Err(Fault::Closed),
                Ok(count) => self.received.push(buffer.get(..count).unwrap_or_default()),
                Err(error) => return Err(Fault::Lost(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
#[path = "connection/tests.rs"]
mod tests;
