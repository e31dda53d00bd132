//! Answers on their way out: what they hold is held until the last of their bytes has
//! gone out, or has been thrown away, by whoever had them.
//!
//! HTTP/2 keeps an answer for as long as its client lets nothing go out, and forgets
//! it when the client takes the call back. So it is the bytes themselves that give
//! the room back, and that say that something moves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;

use super::client::Room;

/// Bytes that go out at once, of which an answer is seen to move: one frame of
/// HTTP/2.
const PIECE_BYTES: usize = 16 << 10;

/// A body whose bytes are held in a room.
pub(super) struct Outgoing {
    body: Body,
    room: Arc<Room>,
    left: Option<(Bytes, Arc<Part>)>,
}

/// What was made at once, and lies in memory until all of it is gone.
struct Part {
    room: Arc<Room>,
    bytes: usize,
}

struct Piece {
    bytes: Bytes,
    part: Arc<Part>,
}

impl Outgoing {
    pub(super) fn new(body: Body, room: Arc<Room>) -> Self {
        let left = None;
        Self { body, room, left }
    }

    fn piece(&mut self) -> Option<Bytes> {
        let (left, part) = self.left.as_mut()?;
        let bytes = left.split_to(left.len().min(PIECE_BYTES));
        let part = Arc::clone(part);
        if left.is_empty() {
            self.left = None;
        }
        Some(Bytes::from_owner(Piece { bytes, part }))
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let data = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data(),
                other => return Poll::Ready(other),
            };
            match data {
                Ok(data) => {
                    let part = Part {
                        room: Arc::clone(&self.room),
                        bytes: data.len(),
                    };
                    self.left = Some((data, Arc::new(part)));
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && self.body.is_end_stream()
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.part.room.touch();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;

    use axum::body::Body as AnyBody;
    use bytes::Bytes;
    use futures::stream;
    use http_body::Body as _;
    use tonic::body::Body;

    use super::{Outgoing, PIECE_BYTES};
    use crate::inference_api::budget::Budget;
    use crate::inference_api::client::Room;

    const ANSWER: usize = PIECE_BYTES * 2 + 10;

    /// A body of two answers, whose bytes were taken.
    fn outgoing() -> (Arc<Budget>, Outgoing) {
        let budget = Budget::new(1 << 20, 1 << 20);
        let room = Arc::new(Room::new(&budget.share(1)));
        assert!(room.take(ANSWER * 2));
        let answers = [vec![1; ANSWER], vec![2; ANSWER]].map(Ok::<_, tonic::Status>);
        let body = AnyBody::from_stream(stream::iter(answers));
        (budget, Outgoing::new(Body::new(body), room))
    }

    async fn next(body: &mut Outgoing) -> Option<Bytes> {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        frame.map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_held_until_the_last_of_its_pieces_has_gone_out() {
        let (budget, mut body) = outgoing();
        let mut pieces = Vec::new();
        for _ in 0..3 {
            pieces.push(next(&mut body).await.unwrap());
        }
        let sizes: Vec<_> = pieces.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, 10]);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.iter().all(|byte| *byte == 1))
        );
        let last = pieces.pop();
        drop(pieces);
        // It lies in memory as a whole.
        assert_eq!(budget.used(), 2 * ANSWER as u64);
        drop(last);
        assert_eq!(budget.used(), ANSWER as u64);
        while next(&mut body).await.is_some() {}
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_ends_with_the_last_piece_and_not_before() {
        let room = Arc::new(Room::new(&Budget::new(1, 1).share(1)));
        let body = Body::new(AnyBody::from(vec![1; ANSWER]));
        let mut body = Outgoing::new(body, room);
        let mut ends = Vec::new();
        while !body.is_end_stream() {
            next(&mut body).await.unwrap();
            ends.push(body.is_end_stream());
        }
        assert_eq!(ends, [false, false, true]);
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_back_holds_nothing() {
        let (budget, body) = outgoing();
        drop(body);
        assert_eq!(budget.used(), 0);

        let (budget, mut body) = outgoing();
        let kept = next(&mut body).await;
        drop(body);
        // HTTP/2 has a piece, and with it the whole of what it is a piece of.
        assert_eq!(budget.used(), 2 * ANSWER as u64);
        drop(kept);
        assert_eq!(budget.used(), 0);
    }
}
