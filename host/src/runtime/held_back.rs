//! What a generation publishes before it has the seat: kept in order, bounded, and
//! sent when it gets the seat or forgotten when it does not.

use std::collections::VecDeque;

use crate::bus::Message;
use crate::capabilities::port::Delivery;

/// Messages held back.
const MESSAGES_MAX: usize = 1024;
/// Their bytes.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct HeldBack {
    messages: VecDeque<(Message, Delivery)>,
    bytes: u64,
}

impl HeldBack {
    /// Keeps a message. False if there is no room for it.
    pub(super) fn push(&mut self, message: Message, delivery: Delivery) -> bool {
        let bytes = self.bytes.saturating_add(message.size());
        let fits = self.messages.len() < MESSAGES_MAX && bytes <= BYTES_MAX;
        if fits {
            self.bytes = bytes;
            self.messages.push_back((message, delivery));
        }
        fits
    }

    /// The oldest message.
    pub(super) fn pop(&mut self) -> Option<(Message, Delivery)> {
        let (message, delivery) = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.size());
        Some((message, delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, HeldBack, MESSAGES_MAX};
    use crate::bus::Message;
    use crate::capabilities::port::Delivery;

    #[test]
    fn what_is_held_back_is_bounded_and_comes_out_in_order() {
        let mut held = HeldBack::default();
        let mut push = |bytes: usize| {
            let message = Message::new("a".parse().unwrap(), vec![0; bytes]);
            held.push(message, Delivery::AtLeastOnce)
        };
        let half = usize::try_from(BYTES_MAX / 2).unwrap();
        assert!(push(half) && !push(half));
        assert!((1..MESSAGES_MAX).all(|_| push(1)) && !push(1));
        assert_eq!(held.pop().unwrap().0.payload.len(), half);
        assert_eq!(held.pop().unwrap().0.payload.len(), 1);
        let rest = std::iter::from_fn(|| held.pop()).count();
        assert_eq!((rest, held.bytes), (MESSAGES_MAX - 2, 0));
    }
}
