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
