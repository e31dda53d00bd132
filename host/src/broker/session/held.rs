//! QoS 0 messages for a device that does not read as fast as they come.
//!
//! They need not arrive, so they never go to the disk, and they stand in nobody's
//! way: those that must arrive go past them. As many are held as may wait for a
//! session; beyond that its policy decides.

use std::sync::Arc;

use super::Session;
use crate::broker::rare_queue::RareQueue;
use crate::bus::{InboxLimits, Message};
use crate::spec::Overflow;

/// Such messages, in order. Nobody waits for them.
#[derive(Debug, Default)]
pub(in crate::broker) struct Held {
    waiting: RareQueue<Arc<Message>>,
    bytes: u64,
}

impl Held {
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(in crate::broker) fn pop(&mut self) -> Option<Arc<Message>> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.size();
        self.waiting.shrink();
        Some(message)
    }

    /// Returns how many messages found no room: this one, or older ones.
    fn push(&mut self, message: Arc<Message>, limits: InboxLimits) -> u64 {
        let size = message.size();
        let messages_max = usize::try_from(limits.messages_max).unwrap_or(usize::MAX);
        if size > limits.bytes_max {
            return 1;
        }
        let mut dropped = 0;
        while self.waiting.len() >= messages_max || self.bytes + size > limits.bytes_max {
            if limits.overflow != Overflow::DropOldest || self.pop().is_none() {
                return dropped + 1;
            }
            dropped += 1;
        }
        self.bytes += size;
        self.waiting.push_back(message);
        dropped
    }
}

impl Session {
    /// Puts a message that need not arrive behind those `held`. Its publisher is not
    /// kept waiting.
    pub(in crate::broker) fn hold(&self, held: &mut Held, message: Arc<Message>) {
        let message = if message.receipt.is_some() {
            let mut own = Message::clone(&message);
            own.receipt = None;
            Arc::new(own)
        } else {
            message
        };
        let dropped = held.push(message, self.limits());
        self.counters.dropped_total.add(dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Held;
    use crate::bus::{InboxLimits, Message};
    use crate::spec::Overflow;

    fn check(overflow: Overflow, left: &[&str]) {
        let limits = InboxLimits {
            messages_max: 3,
            bytes_max: 10,
            overflow,
            answers: true,
        };
        let mut held = Held::default();
        let mut dropped = 0;
        // Each is as long as its topic and itself.
        for text in ["1", "2", "3", "4", "four", "much too long"] {
            let message = Message::new("a".parse().unwrap(), text.to_owned());
            dropped += held.push(Arc::new(message), limits);
        }
        let rest: Vec<_> = std::iter::from_fn(|| held.pop()).collect();
        let rest: Vec<_> = rest.iter().map(|one| &*one.payload).collect();
        assert_eq!(
            rest,
            left.iter().map(|text| text.as_bytes()).collect::<Vec<_>>()
        );
        assert_eq!(dropped + rest.len() as u64, 6);
        assert_eq!((held.bytes, held.is_empty()), (0, true));
    }

    #[test]
    fn what_is_held_is_bounded_and_the_policy_says_what_goes() {
        check(Overflow::DropOldest, &["3", "4", "four"]);
        check(Overflow::DropNewest, &["1", "2", "3"]);
    }
}
