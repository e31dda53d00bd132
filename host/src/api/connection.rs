//! Connections: how long each may keep us waiting, and how they end.
//!
//! A connection is cut off when a request's head does not arrive in time or is
//! too long, when nobody reads what is sent, and when its place is needed while
//! it waits for nothing, and when it would go on in HTTP/2: all these bounds are
//! for one request after the other. What a request says is not looked at here; how
//! long its body may take is the business of [`super::body`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::access::Caller;

/// Bytes of a request's head, with what is read ahead of its body.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Bytes that are read at once while a head is awaited.
const READ_BYTES: usize = 8 << 10;

/// What a connection in HTTP/2 begins with, and no request of HTTP/1: servers
/// that know both would follow it.
const HTTP_2: &[u8] = b"PRI ";

/// How long a server waits, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a request's head, from the connection or the answer before it on.
    pub(super) head: Duration,
    /// For the next bytes of a body, in either direction.
    pub(super) idle: Duration,
    /// For who connects to be known: the handshake of TLS.
    pub(super) entry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            entry: Duration::from_secs(5),
        }
    }
}

/// Bytes in both directions.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) caller: Arc<Caller>,
    /// Cancelled when the server is to stop: streams end.
    pub(super) stopping: CancellationToken,
    /// Cancelled when nobody waits for this connection any longer.
    pub(super) cut: CancellationToken,
    phase: Arc<Mutex<Phase>>,
}

/// Whether a connection waits for a request or has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Serving(Instant),
}

/// A request is under way while this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Mutex<Phase>>);

impl Peer {
    pub(super) fn new(caller: Caller, stopping: CancellationToken, cut: CancellationToken) -> Self {
        Self {
            caller: Arc::new(caller),
            stopping,
            cut,
            phase: Arc::new(Mutex::new(Phase::Waiting(Instant::now()))),
        }
    }

    /// A request has arrived.
    pub(super) fn busy(&self) -> Busy {
        *self.phase.lock() = Phase::Serving(Instant::now());
        Busy(Arc::clone(&self.phase))
    }

    /// Whether the connection has ended, or is about to.
    pub(super) fn is_gone(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Since when it waits for a request; nothing, while it has one.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        match *self.phase.lock() {
            Phase::Waiting(since) => Some(since),
            Phase::Serving(_) => None,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.lock() = Phase::Waiting(Instant::now());
    }
}

/// One connection.
pub(super) struct Connection {
    stream: Box<dyn Bytes>,
    peer: Peer,
    patience: Patience,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    phase: Phase,
    /// Bytes since the phase began.
    read: u64,
    head: Pin<Box<Sleep>>,
    write: Pin<Box<Sleep>>,
    write_waits: bool,
    /// How much of [`HTTP_2`] it began with, as long as it did.
    prior: Option<usize>,
    _place: OwnedSemaphorePermit,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Drop for Connection {
    /// Nobody is left to answer.
    fn drop(&mut self) {
        self.peer.cut.cancel();
    }
}

impl Connection {
    pub(super) fn new(
        stream: Box<dyn Bytes>,
        peer: Peer,
        patience: Patience,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            stream,
            cut: Box::pin(peer.cut.clone().cancelled_owned()),
            phase: Phase::Waiting(Instant::now()),
            peer,
            patience,
            read: 0,
            head: Box::pin(sleep(patience.head)),
            write: Box::pin(sleep(patience.idle)),
            write_waits: false,
            prior: Some(0),
            _place: place,
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Notices that a request began or ended.
    fn follow(&mut self) {
        let phase = *self.peer.phase.lock();
        if phase != self.phase {
            self.phase = phase;
            self.read = 0;
            if let Phase::Waiting(since) = phase {
                self.head.as_mut().reset(since + self.patience.head);
            }
        }
    }

    /// Whether what was read so far, these bytes last, asks for HTTP/2.
    fn is_http_2(&mut self, bytes: &[u8]) -> bool {
        let Some(same) = self.prior else { return false };
        let rest = HTTP_2.get(same..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        self.prior = (rest.get(..count) == bytes.get(..count)).then_some(same + count);
        self.prior == Some(HTTP_2.len())
    }

    /// Fails if the connection is cut off or the head is late.
    fn poll_reading(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let waits = matches!(self.phase, Phase::Waiting(_));
        let late = waits && self.head.as_mut().poll(context).is_ready();
        self.poll_cut(context)?;
        if late {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Minds the clock while a write waits.
    fn waited<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_waits = false;
            return outcome;
        }
        if !self.write_waits {
            self.write_waits = true;
            let deadline = Instant::now() + self.patience.idle;
            self.write.as_mut().reset(deadline);
        }
        if self.write.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.follow();
        this.poll_reading(context)?;
        let waiting = matches!(this.phase, Phase::Waiting(_));
        // While a head is awaited little is read at once, so that it is not
        // blamed for a body behind it.
        let most = if waiting { READ_BYTES } else { usize::MAX };
        let room = buffer.remaining().min(most);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        let count = piece.filled().len();
        this.read += count as u64;
        let is_http_2 = this.prior.is_some() && this.is_http_2(piece.filled());
        buffer.advance(count);
        if is_http_2 || (waiting && this.read > HEAD_BYTES_MAX) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.follow();
        this.poll_cut(context)?;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.waited(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.waited(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.waited(context, shut)
    }
}

#[cfg(test)]
mod tests;
