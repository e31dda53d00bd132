//! Packets to and from one stream, many to a system call.
//!
//! What is written waits here until the stream takes it, which is bounded by
//! whoever writes: see [`Wire::is_full`]. A peer that takes nothing is noticed by
//! [`Wire::stalled_since`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::buffers::{self, Buffer};
use crate::mqtt::{
    DecodeError, Decoder, EncodeError, Packet, PacketLimits, Peer, PublishHead, Version, encode,
    encode_publish,
};

/// Bytes waiting to be written above which no more deliveries are added.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes that answers may add to that before nothing more is read.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// One stream.
pub(super) struct Wire<S> {
    stream: S,
    decoder: Decoder,
    /// What came and is not yet a packet, if there is something.
    input: Option<Buffer>,
    /// What is to go out, if there is something.
    output: Option<Buffer>,
    /// Whether the stream may hold back what it took.
    unflushed: bool,
    /// Since when the stream has taken nothing though there is something.
    stalled_since: Option<Instant>,
    peer: Peer,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Something was read.
    Read,
    /// There is room for deliveries again.
    Room,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// For a client that has not said yet what it speaks.
    pub(super) fn new(stream: S, limits: PacketLimits) -> Self {
        Self {
            stream,
            decoder: Decoder::new(None, limits),
            input: None,
            output: None,
            unflushed: false,
            stalled_since: None,
            peer: Peer::new(Version::V311, None),
        }
    }

    /// From now on it is written for `peer`, and read within `limits`.
    pub(super) fn agree(&mut self, peer: Peer, limits: PacketLimits) {
        self.peer = peer;
        self.decoder.set_limits(limits);
    }

    pub(super) fn version(&self) -> Version {
        self.peer.version
    }

    /// What the client said that it speaks, whatever else was wrong with it.
    pub(super) fn announced(&self) -> Option<Version> {
        self.decoder.version()
    }

    /// The next packet of those that have come.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, DecodeError> {
        let Some(input) = &mut self.input else {
            return Ok(None);
        };
        let next = self.decoder.decode(input);
        // Read to its very end it has no capacity, and still its memory.
        if let Some(done) = self.input.take_if(|input| input.is_empty()) {
            buffers::give(done);
        }
        next
    }

    /// Whether a whole packet may be waiting to be looked at.
    pub(super) fn has_next(&self) -> bool {
        let input = self.input.as_ref();
        input.is_some_and(|input| !input.is_empty() && self.decoder.lacks(input) == 0)
    }

    pub(super) fn write(&mut self, packet: &Packet) -> Result<(), EncodeError> {
        let output = self.output.get_or_insert_with(buffers::take);
        encode(packet, self.peer, output)?;
        output.watch(OUTPUT_BYTES_MAX);
        Ok(())
    }

    /// What has been written and did not go out yet never will.
    pub(super) fn take_back(&mut self) {
        self.output = None;
    }

    pub(super) fn publish(
        &mut self,
        head: &PublishHead<'_>,
        payload: &[u8],
    ) -> Result<(), EncodeError> {
        let output = self.output.get_or_insert_with(buffers::take);
        encode_publish(head, payload, self.peer, output)?;
        output.watch(OUTPUT_BYTES_MAX);
        Ok(())
    }

    /// Bytes that are to go out.
    fn pending(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    /// Whether so much is to go out that no deliveries are to be added.
    pub(super) fn is_full(&self) -> bool {
        self.pending() >= OUTPUT_BYTES_MAX
    }

    /// Whether so much is to go out that not even answers are to be added.
    pub(super) fn is_clogged(&self) -> bool {
        self.pending() >= OUTPUT_BYTES_MAX + ANSWER_BYTES_MAX
    }

    /// Since when the stream has not taken what made it full. Not by taking a little
    /// of it, whereupon there is room and it is filled again, does it get younger.
    pub(super) fn full_since(&self) -> Option<Instant> {
        self.output.as_ref()?.full_since()
    }

    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Writes what there is and, if `reads`, reads what comes.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        reads: bool,
    ) -> Poll<io::Result<Moved>> {
        let full = self.is_full();
        if self.poll_write(context)?.is_pending() && self.stalled_since.is_none() {
            self.stalled_since = Some(Instant::now());
        }
        if reads {
            if let Poll::Ready(read) = self.poll_read(context) {
                return Poll::Ready(read.map(|()| Moved::Read));
            }
            self.rest();
        }
        if full && !self.is_full() {
            return Poll::Ready(Ok(Moved::Room));
        }
        Poll::Pending
    }

    /// Ready once everything is written.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(output) = self.output.as_mut().filter(|output| !output.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, output))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.went(count, OUTPUT_BYTES_MAX);
            self.unflushed = true;
            self.stalled_since = None;
        }
        if let Some(done) = self.output.take() {
            buffers::give(done);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
            self.stalled_since = None;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, input, .. } = self;
        buffers::with_room(|room| {
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let input = input.get_or_insert_with(buffers::take);
            input.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        })
    }

    /// A part of a packet takes what it needs and no more, while its rest is waited
    /// for.
    fn rest(&mut self) {
        if let Some(input) = &mut self.input
            && input.capacity() > 2 * input.len() + 1_024
        {
            let part = Buffer::of(input);
            buffers::give(std::mem::replace(input, part));
        }
    }
}
