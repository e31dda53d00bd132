//! The QoS 2 messages of a device whose release has not come yet.

use crate::mqtt::PacketId;

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Arrival {
    New,
    /// It was taken in already: only PUBREC again.
    Again,
}

/// Packet identifiers taken in and not released, in the order of arrival. Without
/// memory when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Received(Option<Box<Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    ids: Vec<PacketId>,
    /// How many of the first are from before the host was started again, or were
    /// never answered. Of those a release may have been lost with the host, or the
    /// device has not heard that they are taken in.
    restored: usize,
}

impl Received {
    /// What the store had.
    pub(in crate::broker) fn restored(ids: Vec<PacketId>) -> Self {
        let restored = ids.len();
        Self((restored > 0).then(|| Box::new(Known { ids, restored })))
    }

    /// Whether a PUBLISH with `id` was taken in already. One that the host knows
    /// from before it was started again, or has never answered, and that is not
    /// marked as sent again, is another message: losing it would be worse than having
    /// it twice.
    pub(in crate::broker) fn look(&mut self, id: PacketId, dup: bool) -> Arrival {
        let Some((known, place)) = self.find(id) else {
            return Arrival::New;
        };
        if place < known.restored && !dup {
            self.release(id);
            return Arrival::New;
        }
        Arrival::Again
    }

    pub(in crate::broker) fn insert(&mut self, id: PacketId) {
        if self.find(id).is_none() {
            self.0.get_or_insert_default().ids.push(id);
        }
    }

    /// It is taken in, and the device has not heard so.
    pub(in crate::broker) fn insert_unheard(&mut self, id: PacketId) {
        if self.find(id).is_none() {
            let known = self.0.get_or_insert_default();
            known.ids.insert(known.restored, id);
            known.restored += 1;
        }
    }

    /// PUBREL: false if there was no such message.
    pub(in crate::broker) fn release(&mut self, id: PacketId) -> bool {
        let Some((known, place)) = self.find(id) else {
            return false;
        };
        known.ids.remove(place);
        if place < known.restored {
            known.restored -= 1;
        }
        if known.ids.is_empty() {
            self.0 = None;
        }
        true
    }

    pub(in crate::broker) fn len(&self) -> usize {
        self.ids().len()
    }

    pub(in crate::broker) fn ids(&self) -> &[PacketId] {
        self.0.as_ref().map_or(&[], |known| &known.ids)
    }

    fn find(&mut self, id: PacketId) -> Option<(&mut Known, usize)> {
        let known = self.0.as_mut()?;
        let place = known.ids.iter().position(|own| *own == id)?;
        Some((known, place))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Received};
    use crate::mqtt::PacketId;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    #[test]
    fn a_message_counts_once_until_it_is_released() {
        let mut received = Received::default();
        assert_eq!(received.look(id(5), false), Arrival::New);
        received.insert(id(5));
        received.insert(id(5));
        assert_eq!(received.len(), 1);
        for dup in [true, false] {
            assert_eq!(received.look(id(5), dup), Arrival::Again);
        }
        assert!(received.release(id(5)));
        assert!(!received.release(id(5)));
        assert_eq!(received.look(id(5), true), Arrival::New);
    }

    #[test]
    fn after_a_restart_what_is_not_marked_as_sent_again_is_new() {
        let mut received = Received::restored(vec![id(1), id(2)]);
        received.insert(id(3));
        assert_eq!(received.look(id(2), true), Arrival::Again);
        assert_eq!(received.look(id(2), false), Arrival::New);
        assert_eq!(received.ids(), [id(1), id(3)]);
        assert_eq!(received.look(id(3), false), Arrival::Again);
        assert_eq!(received.look(id(1), false), Arrival::New);
        received.insert_unheard(id(4));
        assert_eq!(received.ids(), [id(4), id(3)]);
        assert_eq!(received.look(id(4), true), Arrival::Again);
        assert_eq!(received.look(id(4), false), Arrival::New);
        assert_eq!(received.look(id(3), false), Arrival::Again);
    }
}
