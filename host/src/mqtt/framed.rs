//! Packets to and from one stream, many to a system call.
//!
//! What is written waits here until the stream takes it. How much that may be is
//! kept by whoever writes, who asks [`Framed::is_full`]; a peer that takes nothing
//! is noticed by [`Framed::stalled_since`]. While nothing happens there is no
//! memory for either direction but for a part of a packet.

mod output;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use self::output::Output;
use super::{
    DecodeError, Decoder, EncodeError, EncodedPublish, Packet, PacketId, PacketLimits, Peer,
    PublishHead, buffers,
};

/// Bytes waiting to be written above which no more messages are added.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes that answers may add to that before nothing more is to be read.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Room below which a buffer grows before more is read, by as much as it holds.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// One stream and what is on its way.
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    decoder: Decoder,
    peer: Peer,
    /// What came and is not yet a packet.
    input: BytesMut,
    output: Output,
    /// Whether the stream may hold back what it took.
    unflushed: bool,
    /// Since when the stream has taken nothing though there is something.
    stalled_since: Option<Instant>,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Something was read.
    Read,
    /// There is room for messages again.
    Room,
}

/// Why no packet is received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("the connection is lost")]
    Lost(#[source] io::Error),
    #[error("what the peer sent is refused")]
    Refused(#[source] DecodeError),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// A server knows its peer only from CONNECT: see [`agree`](Self::agree).
    pub fn new(stream: S, decoder: Decoder, peer: impl Into<Peer>) -> Self {
        Self {
            stream,
            decoder,
            peer: peer.into(),
            input: BytesMut::new(),
            output: Output::default(),
            unflushed: false,
            stalled_since: None,
        }
    }

    /// From now on it is written for `peer`, and read within `limits`.
    pub fn agree(&mut self, peer: Peer, limits: PacketLimits) {
        self.peer = peer;
        self.decoder.set_limits(limits);
    }

    pub fn peer(&self) -> Peer {
        self.peer
    }

    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The next packet of those that have come.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let next = self.decoder.decode(&mut self.input);
        if self.input.is_empty() {
            buffers::rest(&mut self.input);
        }
        next
    }

    /// Whether [`next_packet`](Self::next_packet) has something to say.
    pub fn has_next(&self) -> bool {
        !self.input.is_empty() && self.decoder.lacks(&self.input) == 0
    }

    pub fn write(&mut self, packet: &Packet) -> Result<(), EncodeError> {
        super::encode(packet, self.peer, self.output.tail())
    }

    /// A large payload is not copied: it waits as what it is, shared.
    pub fn publish(&mut self, head: &PublishHead<'_>, payload: &Bytes) -> Result<(), EncodeError> {
        if Output::shares(payload) {
            super::encode_publish_head(head, payload.len(), self.peer, self.output.tail())?;
            self.output.share(payload.clone());
            return Ok(());
        }
        super::encode_publish(head, payload, self.peer, self.output.tail())
    }

    /// With `packet_id` if its QoS is above 0. The caller sees to it that it is of
    /// the peer's version.
    pub fn publish_encoded(
        &mut self,
        publish: &EncodedPublish,
        packet_id: Option<PacketId>,
    ) -> Result<(), EncodeError> {
        self.peer.check_len(publish.bytes().len())?;
        match packet_id {
            None if Output::shares(publish.bytes()) => self.output.share(publish.bytes().clone()),
            None => self.output.tail().extend_from_slice(publish.bytes()),
            Some(id) => publish.write(id, false, self.output.tail()),
        }
        Ok(())
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.output.len()
    }

    /// Whether so much is to go out that no messages are to be added.
    pub fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES_MAX
    }

    /// Whether so much is to go out that not even answers are to be added, and so
    /// nothing more read.
    pub fn is_clogged(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES_MAX + ANSWER_BYTES_MAX
    }

    /// Whether all that was written has left.
    pub fn is_idle(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Since when the stream has taken nothing of what waits.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Writes what there is and, if `reads`, reads what comes. An end of what comes
    /// is an error of kind [`io::ErrorKind::UnexpectedEof`].
    pub fn poll(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<io::Result<Moved>> {
        let was_full = self.is_full();
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        if reads && let Poll::Ready(read) = self.poll_read(context) {
            return Poll::Ready(read.map(|()| Moved::Read));
        }
        if was_full && !self.is_full() {
            return Poll::Ready(Ok(Moved::Room));
        }
        Poll::Pending
    }

    /// Ready once everything has left.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_output(context);
        match written {
            Poll::Pending if self.stalled_since.is_none() => {
                self.stalled_since = Some(Instant::now());
            }
            Poll::Ready(_) => self.stalled_since = None,
            Poll::Pending => {}
        }
        written
    }

    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let count = ready!(self.output.poll_write(Pin::new(&mut self.stream), context))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.stalled_since = None;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            buffers::rest(&mut self.input);
            self.input = buffers::take();
        }
        let held = self.input.len();
        if self.input.capacity() - held < ROOM_BYTES_MIN {
            // In proportion to what has come, not to what was announced.
            self.input.reserve(held.max(ROOM_BYTES_MIN));
        }
        let read = poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input);
        if read.is_pending() {
            buffers::rest(&mut self.input);
        }
        match ready!(read)? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// The next packet, while what waits is written. Nothing is lost if this is
    /// dropped while it waits.
    pub async fn receive(&mut self) -> Result<Packet, ReceiveError> {
        loop {
            if let Some(packet) = self.next_packet().map_err(ReceiveError::Refused)? {
                return Ok(packet);
            }
            let moved = poll_fn(|context| self.poll(context, true)).await;
            moved.map_err(ReceiveError::Lost)?;
        }
    }

    /// Until all that waits has left.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_write(context)).await
    }

    /// Writes all that waits, and says that nothing more comes.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        poll_fn(|context| self.poll_shutdown(context)).await
    }

    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
