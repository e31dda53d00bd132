//! Connections: when they are cut off.
//!
//! A connection ends when it does not begin to speak HTTP/2 in time, when nobody
//! reads what is written, when a request or an answer stands still, and when the
//! server has stopped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Interval, interval};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::client::Client;
use super::door::Place;

/// How long a client may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(10);
/// Bytes that it has begun with: the preface of HTTP/2 and an empty SETTINGS.
const BEGIN_BYTES: u64 = 24 + 9;
/// How long something may stand still that is the client's to move.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    client: Client,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    look: Interval,
    since: Instant,
    read: u64,
    write_waits_since: Option<Instant>,
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        stream: UnixStream,
        client: Client,
        cut: CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            stream,
            client,
            cut: Box::pin(cut.cancelled_owned()),
            look: interval(LOOK),
            since: Instant::now(),
            read: 0,
            write_waits_since: None,
            _place: place,
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut looked = false;
        while self.look.poll_tick(context).is_ready() {
            looked = true;
        }
        if !looked {
            return Ok(());
        }
        let begins_late = self.read < BEGIN_BYTES && self.since.elapsed() > BEGIN_MAX;
        let writes_late = self
            .write_waits_since
            .is_some_and(|since| since.elapsed() > IDLE_MAX);
        if begins_late || writes_late || self.client.stands_still(IDLE_MAX) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn waited<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        if outcome.is_ready() {
            self.write_waits_since = None;
        } else if self.write_waits_since.is_none() {
            self.write_waits_since = Some(Instant::now());
        }
        outcome
    }
}

impl Connected for Connection {
    type ConnectInfo = Client;

    fn connect_info(&self) -> Client {
        self.client.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_end(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.read += (buffer.filled().len() - before) as u64;
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
        this.poll_end(context)?;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.waited(written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_end(context)?;
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.waited(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_end(context)?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
