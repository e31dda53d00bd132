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
    /// Identifiers of those that were last taken to be sent: nobody else may have
    /// them meanwhile.
    lent: Vec<PacketId>,
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
        self.lent.contains(&id) || self.waiting.iter().any(|stored| stored.id == id)
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

    /// Takes out the oldest, to be sent: as many, and until they have `bytes`. Those
    /// taken before are under way, or were put back.
    pub(in crate::broker) fn lend(&mut self, count: usize, bytes: u64) -> Vec<Stored> {
        let (mut lent, mut lent_bytes) = (Vec::new(), 0);
        while lent.len() < count
            && lent_bytes < bytes
            && let Some(stored) = self.pop()
        {
            lent_bytes += u64::from(stored.bytes);
            lent.push(stored);
        }
        self.lent = lent.iter().map(|stored| stored.id).collect();
        lent
    }

    fn pop(&mut self) -> Option<Stored> {
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
    fn what_is_taken_to_be_sent_is_bounded_and_keeps_its_identifiers() {
        let mut backlog = Backlog::default();
        for number in 1..=5 {
            backlog.push(stored(number, false));
        }
        let numbers = |lent: Vec<Stored>| lent.iter().map(|one| one.number).collect::<Vec<_>>();
        let has = |backlog: &Backlog, id| backlog.contains(PacketId::new(id).unwrap());
        // At least one, and none after enough.
        assert_eq!(numbers(backlog.lend(9, 11)), [1, 2]);
        assert!(has(&backlog, 1) && has(&backlog, 2) && has(&backlog, 3));
        assert_eq!(numbers(backlog.lend(1, 99)), [3]);
        assert!(!has(&backlog, 1) && has(&backlog, 3) && has(&backlog, 4));
        assert_eq!((backlog.len(), backlog.bytes()), (2, 20));
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
