//! The messages of one session that wait on the disk, without the messages.

use std::collections::VecDeque;

use crate::broker::inflight::Number;
use crate::mqtt::PacketId;
use crate::names::Qos;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Stored {
    pub(in crate::broker) number: Number,
    pub(in crate::broker) id: PacketId,
    pub(in crate::broker) qos: Qos,
    pub(in crate::broker) retain: bool,
    /// Whether it may have gone out before.
    pub(in crate::broker) sent: bool,
    pub(in crate::broker) bytes: u32,
}

/// What waits on the disk, oldest first.
#[derive(Debug, Default)]
pub(in crate::broker) struct Backlog {
    waiting: VecDeque<Stored>,
    bytes: u64,
}

impl Backlog {
    pub(in crate::broker) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(in crate::broker) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(in crate::broker) fn contains(&self, id: PacketId) -> bool {
        self.waiting.iter().any(|stored| stored.id == id)
    }

    pub(in crate::broker) fn iter(&self) -> std::collections::vec_deque::Iter<'_, Stored> {
        self.waiting.iter()
    }

    pub(in crate::broker) fn push(&mut self, stored: Stored) {
        self.bytes += u64::from(stored.bytes);
        self.waiting.push_back(stored);
    }

    /// Puts what is older than all the others in front, in order.
    pub(in crate::broker) fn put_back(&mut self, older: Vec<Stored>) {
        for stored in older.into_iter().rev() {
            self.bytes += u64::from(stored.bytes);
            self.waiting.push_front(stored);
        }
    }

    pub(in crate::broker) fn pop(&mut self) -> Option<Stored> {
        let stored = self.waiting.pop_front()?;
        self.bytes -= u64::from(stored.bytes);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(stored)
    }

    /// Takes out the oldest that cannot have gone out yet.
    pub(in crate::broker) fn drop_oldest(&mut self) -> Option<Stored> {
        let place = self.waiting.iter().position(|stored| !stored.sent)?;
        let stored = self.waiting.remove(place)?;
        self.bytes -= u64::from(stored.bytes);
        Some(stored)
    }

    /// Marks the first `count` as if they had gone out.
    pub(in crate::broker) fn mark_sent(&mut self, count: usize) {
        for stored in self.waiting.iter_mut().take(count) {
            stored.sent = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backlog, Stored};
    use crate::mqtt::PacketId;
    use crate::names::Qos;

    fn stored(number: u64, sent: bool) -> Stored {
        Stored {
            number,
            id: PacketId::new(u16::try_from(number).unwrap()).unwrap(),
            qos: Qos::AtLeastOnce,
            retain: false,
            sent,
            bytes: 10,
        }
    }

    #[test]
    fn the_oldest_goes_that_no_device_can_know() {
        let mut backlog = Backlog::default();
        backlog.push(stored(3, false));
        backlog.push(stored(4, false));
        backlog.put_back(vec![stored(1, true), stored(2, true)]);
        assert_eq!(backlog.bytes(), 40);
        assert_eq!(backlog.drop_oldest().unwrap().number, 3);
        backlog.mark_sent(9);
        assert!(backlog.drop_oldest().is_none());
        let order: Vec<_> = std::iter::from_fn(|| backlog.pop())
            .map(|one| one.number)
            .collect();
        assert_eq!(order, [1, 2, 4]);
        assert_eq!((backlog.bytes(), backlog.is_empty()), (0, true));
    }
}
