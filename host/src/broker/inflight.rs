//! What is under way to a device: packet identifiers, and who has answered what.
//!
//! Pure. A QoS 1 message is under way from PUBLISH to PUBACK, a QoS 2 message from
//! PUBLISH by PUBREC and PUBREL to PUBCOMP (MQTT 5.0 section 4.3). Identifiers are
//! given in order, so that one comes again only after all others.

mod received;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

pub(super) use self::received::{Arrival, Received};
use super::rare_queue::RareQueue;
use super::session::Stored;
use crate::bus::Message;
use crate::mqtt::PacketId;
use crate::names::Qos;

/// Tells an entry of the store from the others.
pub(super) type Number = u64;

/// One message under way, in the order of sending.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: PacketId,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) stage: Stage,
    /// Where it is in the store, if it is, and the bytes that it takes there.
    pub(super) stored: Option<Number>,
    pub(super) stored_bytes: u32,
    /// Kept until it is answered or stored: whoever owes it has not done with it.
    pub(super) message: Option<Arc<Message>>,
    pub(super) at: Instant,
}

impl Sent {
    /// Whether its publisher waits for it.
    fn owes(&self) -> bool {
        let message = self.message.as_ref();
        message.is_some_and(|message| message.receipt.is_some())
    }

    /// How it waits on the disk, if it is there.
    pub(super) fn stored_form(&self) -> Option<Stored> {
        Some(Stored {
            number: self.stored?,
            id: self.id,
            qos: self.qos,
            retain: self.retain,
            sent: true,
            bytes: self.stored_bytes,
        })
    }
}

/// What was heard of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing yet.
    Sent,
    /// PUBREC came; PUBREL goes out when that is on the disk.
    Answered,
    /// PUBREL went out.
    Released,
}

/// What an answer of the device came to.
#[derive(Debug)]
pub(super) enum Answer {
    /// The message is done.
    Done(Sent),
    /// PUBREC of a message that is in the store: note it there, then release.
    Note(Option<Number>),
    /// PUBREC again: PUBREL goes out again.
    Again,
    /// PUBREC again, while the first is being noted.
    Busy,
    /// There is no such message under way.
    Unknown,
}

/// All that is under way to one device.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    sent: RareQueue<Sent>,
    /// The last identifier given.
    last: u16,
}

impl Inflight {
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn iter(&self) -> std::collections::vec_deque::Iter<'_, Sent> {
        self.sent.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::collections::vec_deque::IterMut<'_, Sent> {
        self.sent.iter_mut()
    }

    /// The next identifier that is neither under way nor `taken`; None if there
    /// is none.
    pub(super) fn next_id(&mut self, taken: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            self.last = self.last.checked_add(1).unwrap_or(1);
            let id = NonZeroU16::new(self.last)?;
            if !taken(id) && self.sent.iter().all(|sent| sent.id != id) {
                return Some(id);
            }
        }
        None
    }

    /// Identifiers go on after `last`.
    pub(super) fn go_on_after(&mut self, last: u16) {
        self.last = last;
    }

    pub(super) fn push(&mut self, sent: Sent) {
        self.sent.push_back(sent);
    }

    /// PUBACK.
    pub(super) fn acknowledged(&mut self, id: PacketId) -> Answer {
        self.take(id, |sent| sent.qos == Qos::AtLeastOnce)
    }

    /// PUBREC of success. `durable`: what is heard must be noted before it is
    /// answered.
    pub(super) fn received(&mut self, id: PacketId, durable: bool) -> Answer {
        let Some(sent) = self.find(id, |sent| sent.qos == Qos::ExactlyOnce) else {
            return Answer::Unknown;
        };
        match sent.stage {
            Stage::Released => Answer::Again,
            Stage::Answered => Answer::Busy,
            Stage::Sent if durable => {
                sent.stage = Stage::Answered;
                // The device has it: nobody owes it any more.
                sent.message = None;
                Answer::Note(sent.stored)
            }
            Stage::Sent => {
                sent.stage = Stage::Released;
                sent.message = None;
                Answer::Again
            }
        }
    }

    /// That PUBREC came is noted in the store, as the entry `stored`: false if it
    /// is not under way any more.
    pub(super) fn noted(&mut self, id: PacketId, stored: Option<Number>) -> bool {
        let found = self.find(id, |sent| sent.stage == Stage::Answered);
        let Some(sent) = found else {
            return false;
        };
        sent.stage = Stage::Released;
        sent.stored = stored;
        true
    }

    /// PUBREC of failure: the message is done.
    pub(super) fn refused(&mut self, id: PacketId) -> Answer {
        self.take(id, |sent| {
            sent.qos == Qos::ExactlyOnce && sent.stage == Stage::Sent
        })
    }

    /// PUBCOMP.
    pub(super) fn completed(&mut self, id: PacketId) -> Answer {
        self.take(id, |sent| sent.stage == Stage::Released)
    }

    /// Since when the first message is under way whose publisher waits for it.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let first = self.sent.iter().find(|sent| sent.owes());
        first.map(|sent| sent.at)
    }

    /// Takes out all that no answer has come for, in order; what is released stays.
    pub(super) fn take_unanswered(&mut self) -> Vec<Sent> {
        let (unanswered, rest): (Vec<_>, Vec<_>) = self
            .sent
            .drain()
            .partition(|sent| sent.stage == Stage::Sent);
        self.sent = rest.into();
        unanswered
    }

    /// Gives back memory that is not needed now.
    pub(super) fn shrink(&mut self) {
        self.sent.shrink();
    }

    fn find(&mut self, id: PacketId, fits: impl Fn(&Sent) -> bool) -> Option<&mut Sent> {
        self.sent
            .iter_mut()
            .find(|sent| sent.id == id && fits(sent))
    }

    fn take(&mut self, id: PacketId, fits: impl Fn(&Sent) -> bool) -> Answer {
        let place = self.sent.iter().position(|sent| sent.id == id);
        let Some(place) = place.filter(|place| self.sent.get(*place).is_some_and(&fits)) else {
            return Answer::Unknown;
        };
        self.sent
            .remove(place)
            .map_or(Answer::Unknown, Answer::Done)
    }
}

#[cfg(test)]
mod tests;
