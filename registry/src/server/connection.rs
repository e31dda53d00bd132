//! Connections: how many there are, and how long each may keep us waiting.
//!
//! A connection has a permit, and gives it back when it ends. It is cut off when
//! a request's head does not arrive in time or is too long, when nobody reads
//! what is sent, and when the server has stopped. What a request says is not
//! looked at here; how long its body may take is the business of [`super::body`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Patience;

/// Bytes of a request's head, with what is read ahead of its body, and with the
/// handshake of TLS.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// Bytes that are read at once while a head is awaited.
const READ_BYTES: usize = 8 << 10;

/// Accepts connections, so many at once.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    permits: Arc<Semaphore>,
    patience: Patience,
    cut: CancellationToken,
}

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    activity: Arc<Activity>,
    /// Cancelled when the server does not wait for requests any longer.
    pub(super) cut: CancellationToken,
}

/// Whether a connection waits for a request or has one.
#[derive(Debug)]
struct Activity(Mutex<Phase>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Serving(Instant),
}

/// A request is under way while this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

/// One connection.
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    patience: Patience,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    phase: Phase,
    /// Bytes since the phase began.
    read: u64,
    written: u64,
    head: Pin<Box<Sleep>>,
    write: Pin<Box<Sleep>>,
    write_waits: bool,
    _permit: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connections {
    pub(super) fn new(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        connections_max: usize,
        patience: Patience,
    ) -> Self {
        Self {
            listener,
            tls,
            permits: Arc::new(Semaphore::new(connections_max)),
            patience,
            cut: CancellationToken::new(),
        }
    }

    /// Cancelling it ends every connection.
    pub(super) fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Who comes when all permits are out waits in the system's queue.
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection::new(self, stream, permit);
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().peer.clone()
    }
}

impl Peer {
    /// A request has arrived.
    pub(super) fn busy(&self) -> Busy {
        *self.activity.0.lock() = Phase::Serving(Instant::now());
        Busy(self.activity.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.0.lock() = Phase::Waiting(Instant::now());
    }
}

impl Connection {
    fn new(from: &Connections, stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        let phase = Phase::Waiting(Instant::now());
        let patience = from.patience;
        Self {
            stream: match &from.tls {
                Some(tls) => {
                    let accept = TlsAcceptor::from(tls.clone()).accept(stream);
                    Stream::Handshake(Box::new(accept))
                }
                None => Stream::Plain(stream),
            },
            peer: Peer {
                activity: Arc::new(Activity(Mutex::new(phase))),
                cut: from.cut.clone(),
            },
            patience,
            cut: Box::pin(from.cut.clone().cancelled_owned()),
            phase,
            read: 0,
            written: 0,
            head: Box::pin(sleep(patience.head)),
            write: Box::pin(sleep(patience.idle)),
            write_waits: false,
            _permit: permit,
        }
    }

    /// Notices that a request began or ended.
    fn follow(&mut self) {
        let phase = *self.peer.activity.0.lock();
        if phase != self.phase {
            self.phase = phase;
            (self.read, self.written) = (0, 0);
            if let Phase::Waiting(since) = phase {
                self.head.as_mut().reset(since + self.patience.head);
            }
        }
    }

    /// Fails if the server has stopped or the head is late.
    fn poll_reading(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let late =
            matches!(self.phase, Phase::Waiting(_)) && self.head.as_mut().poll(context).is_ready();
        self.poll_cut(context)?;
        if late {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Called when nothing can be written: fails if that is so for too long.
    fn poll_writing(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.write_waits {
            self.write_waits = true;
            let idle = Instant::now() + self.patience.idle;
            let deadline = match self.phase {
                Phase::Serving(since) => idle.min(since + self.patience.for_body(self.written)),
                Phase::Waiting(_) => idle,
            };
            self.write.as_mut().reset(deadline);
        }
        if self.write.as_mut().poll(context).is_ready() {
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
        ready!(
            this.stream
                .poll_with(context, |stream, context| match stream {
                    Ready::Plain(stream) => stream.poll_read(context, &mut piece),
                    Ready::Tls(stream) => stream.poll_read(context, &mut piece),
                })
        )?;
        let count = piece.filled().len();
        buffer.advance(count);
        this.read += count as u64;
        if waiting && this.read > HEAD_BYTES_MAX {
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
        let written = this
            .stream
            .poll_with(context, |stream, context| match stream {
                Ready::Plain(stream) => stream.poll_write(context, bytes),
                Ready::Tls(stream) => stream.poll_write(context, bytes),
            });
        this.waited(context, written).map_ok(|count| {
            this.written += count as u64;
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        let flushed = this
            .stream
            .poll_with(context, |stream, context| match stream {
                Ready::Plain(stream) => stream.poll_flush(context),
                Ready::Tls(stream) => stream.poll_flush(context),
            });
        this.waited(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_cut(context)?;
        let shut = this
            .stream
            .poll_with(context, |stream, context| match stream {
                Ready::Plain(stream) => stream.poll_shutdown(context),
                Ready::Tls(stream) => stream.poll_shutdown(context),
            });
        this.waited(context, shut)
    }
}

impl Connection {
    /// Minds the clock while a write waits.
    fn waited<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            self.poll_writing(context)?;
        } else {
            self.write_waits = false;
        }
        outcome
    }
}

/// A stream that bytes can go through.
enum Ready<'a> {
    Plain(Pin<&'a mut TcpStream>),
    Tls(Pin<&'a mut TlsStream<TcpStream>>),
}

impl Stream {
    /// Finishes the handshake if there is one, then does what is to be done.
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        io: impl FnOnce(Ready<'_>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Self::Handshake(accept) = self {
            let stream = ready!(Pin::new(accept.as_mut()).poll(context))?;
            *self = Self::Tls(Box::new(stream));
        }
        match self {
            Self::Plain(stream) => io(Ready::Plain(Pin::new(stream)), context),
            Self::Tls(stream) => io(Ready::Tls(Pin::new(stream)), context),
            Self::Handshake(_) => Poll::Pending,
        }
    }
}
