//! How many plugins what a plugin publishes has passed through.
//!
//! A message follows from whatever its publisher had in hand, and a tick from all
//! that was handled since the tick before. That is more than is true now and then,
//! and never less: a cycle is found whatever its guests say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::bus::Message;

#[derive(Debug, Default)]
pub(super) struct Hops {
    /// Of what is published now.
    now: AtomicU8,
    /// Of what the next tick publishes.
    tick: AtomicU8,
}

impl Hops {
    /// Of what is published now.
    pub(super) fn now(&self) -> u8 {
        self.now.load(Ordering::Relaxed)
    }

    /// These are in hand now.
    pub(super) fn take(&self, messages: &[Arc<Message>]) {
        let most = messages.iter().map(|message| message.hops).max();
        let hops = most.map_or(0, |most| most.saturating_add(1));
        self.now.store(hops, Ordering::Relaxed);
        self.tick.fetch_max(hops, Ordering::Relaxed);
    }

    /// A tick begins.
    pub(super) fn tick(&self) {
        let hops = self.tick.swap(0, Ordering::Relaxed);
        self.now.store(hops, Ordering::Relaxed);
    }

    /// Nothing is in hand any more, and no tick goes on.
    pub(super) fn rest(&self) {
        self.now.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Hops;
    use crate::bus::Message;

    #[test]
    fn what_follows_has_come_one_further_than_the_furthest_in_hand() {
        let message = |hops: u8| {
            let mut message = Message::new("a".parse().unwrap(), "");
            message.hops = hops;
            Arc::new(message)
        };
        let hops = Hops::default();
        hops.take(&[message(3), message(7), message(0)]);
        assert_eq!(hops.now(), 8);
        hops.rest();
        hops.take(&[message(1)]);
        assert_eq!(hops.now(), 2);
        hops.rest();
        assert_eq!(hops.now(), 0);
        hops.tick();
        assert_eq!(hops.now(), 8);
        hops.rest();
        // Nothing was handled since.
        hops.tick();
        assert_eq!(hops.now(), 0);
        hops.take(&[message(u8::MAX)]);
        assert_eq!(hops.now(), u8::MAX);
    }
}
