//! What waits to be written: small packets one behind the other in one buffer, large
//! payloads as what they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::mqtt::buffers;

/// Bytes from which on a payload is shared: below, copying costs less than having
/// one more piece to write.
const SHARED_BYTES_MIN: usize = 8 << 10;
/// Pieces written by one system call.
const PIECES_MAX: usize = 16;

/// Takes no memory when empty.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Before `tail`.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    pieces_bytes: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.pieces_bytes + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Where to append.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.is_empty() {
            buffers::rest(&mut self.tail);
            self.tail = buffers::take();
        }
        &mut self.tail
    }

    pub(super) fn shares(payload: &Bytes) -> bool {
        payload.len() >= SHARED_BYTES_MIN
    }

    /// Appends without a copy.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            // A piece of its own, as long as it is: the buffer stays whole.
            let before = Bytes::copy_from_slice(&self.tail);
            self.tail.clear();
            self.push(before);
        }
        buffers::rest(&mut self.tail);
        self.push(bytes);
    }

    fn push(&mut self, piece: Bytes) {
        self.pieces_bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Hands the stream what it takes at once. Not for an empty one.
    pub(super) fn poll_write(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let count = if self.pieces.is_empty() {
            ready!(stream.poll_write(context, &self.tail))?
        } else if stream.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let pieces = self.pieces.iter().map(|piece| &piece[..]);
            let all = pieces.chain([&self.tail[..]]);
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(all) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            ready!(stream.poll_write_vectored(context, slices))?
        } else {
            let first = self.pieces.front().map_or(&[][..], |piece| piece);
            ready!(stream.poll_write(context, first))?
        };
        self.advance(count);
        Poll::Ready(Ok(count))
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let taken = count.min(first.len());
            first.advance(taken);
            self.pieces_bytes -= taken;
            count -= taken;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        if self.pieces.capacity() > 0 {
            self.pieces = VecDeque::new();
        }
        self.tail.advance(count.min(self.tail.len()));
        if self.tail.is_empty() {
            buffers::rest(&mut self.tail);
        }
    }
}
