//! What goes to the device, in the order in which it came.
//!
//! A session that lasts hands messages over from memory while its device keeps up;
//! then their publishers wait for the device's answers. What the device does not
//! answer in time goes to the disk, and so does everything after it until all of
//! that has been sent; likewise what waits for a device that does not read what it
//! was given, so that nobody waits for that. QoS 2 messages of such a session go there
//! first in any case: their identifiers must be the same after a crash.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::aliases::Written;
use super::{Connection, Ended, buffers};
use crate::broker::inflight::{Sent, Stage};
use crate::broker::session::Stored;
use crate::broker::translate;
use crate::bus::Message;
use crate::mqtt::{EncodeError, PacketId};
use crate::names::Qos;

mod shelf;

pub(in crate::broker) use self::shelf::Shelf;

/// Messages taken out of the inbox at once.
const TAKEN_MAX: usize = 64;
/// Messages put on the disk at once.
const SHELVED_MAX: usize = 256;

/// How one message goes out.
#[derive(Clone, Copy, Debug)]
struct Going {
    qos: Qos,
    retain: bool,
    dup: bool,
    id: Option<PacketId>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Whether what arrives is of interest now.
    pub(super) fn may_deliver(&self) -> bool {
        if self.is_shelving() {
            // The disk takes what the stream does not.
            let shelf = self.shelf.as_ref();
            return shelf.is_none_or(|shelf| shelf.is_free(Instant::now()));
        }
        !self.wire.is_full() && self.room() > 0 && !self.is_shelf_busy()
    }

    /// QoS 1 and 2 messages that may be sent before the device has answered.
    fn room(&self) -> usize {
        let under_way = self.session.inflight.len() + self.loaded_count();
        usize::from(self.window).saturating_sub(under_way)
    }

    fn is_shelf_busy(&self) -> bool {
        self.shelf.as_ref().is_some_and(|shelf| shelf.is_busy())
    }

    /// Messages from the disk that are not sent.
    fn loaded_count(&self) -> usize {
        self.shelf.as_ref().map_or(0, |shelf| shelf.loaded())
    }

    /// Whether so much waits for the disk that nothing more is to be read.
    pub(super) fn is_clogged(&self) -> bool {
        self.shelf.as_ref().is_some_and(|shelf| shelf.is_clogged())
    }

    /// Whether everything new goes to the disk first.
    fn is_shelving(&self) -> bool {
        self.session.lasting.as_ref().is_some_and(|lasting| {
            let inflight = &self.session.inflight;
            !lasting.backlog.is_empty()
                || self.loaded_count() > 0
                || self.room() == 0 && inflight.oldest().is_none()
                || self.behind_at().is_some_and(|at| at <= Instant::now())
        })
    }

    /// When the device will have taken too long to read what it was given.
    fn behind_at(&self) -> Option<Instant> {
        Some(self.wire.full_since()? + self.spill_after())
    }

    /// How long others wait for the device.
    fn spill_after(&self) -> Duration {
        Duration::from_millis(self.shared.config.sessions.spill_ms.get().into())
    }

    /// When what the device has not answered, or what waits until it reads, goes to
    /// the disk.
    pub(super) fn spill_at(&self) -> Option<Instant> {
        let shelf = self.shelf.as_ref()?;
        if let Some(retry) = shelf.retry_at() {
            return Some(retry);
        }
        if shelf.is_busy() {
            return None;
        }
        let oldest = self.session.inflight.oldest();
        let late_at = oldest.map(|oldest| Instant::from_std(oldest) + self.spill_after());
        // Later, whatever comes goes there at once.
        let behind_at = self.behind_at().filter(|at| *at > Instant::now());
        let times = [late_at, behind_at, shelf.note_at()];
        times.into_iter().flatten().min()
    }

    /// Sends what there is, as far as the device and the stream take it.
    pub(super) fn deliver(&mut self) -> Result<(), Ended> {
        if self.shelf.is_some() {
            self.unshelve()?;
            self.send_loaded();
            self.send_held();
        }
        if !self.is_shelving() && !self.is_shelf_busy() {
            self.send_taken();
        }
        self.shelve();
        Ok(())
    }

    /// Sends from memory.
    fn send_taken(&mut self) {
        while !self.wire.is_full() && self.room() > 0 {
            if self.session.taken.is_empty() && !self.take_more(self.room().min(TAKEN_MAX)) {
                return;
            }
            let Some(message) = self.session.taken.pop_front() else {
                return;
            };
            if let Some(message) = self.send_one(message) {
                // It has to be on the disk first.
                self.session.taken.push_front(message);
                if let Some(shelf) = &mut self.shelf {
                    shelf.want();
                }
                return;
            }
        }
    }

    /// Takes up to `max` out of the inbox; false if there is nothing.
    fn take_more(&mut self, max: usize) -> bool {
        let session = &mut *self.session;
        let Some(inbox) = &session.inbox else {
            return false;
        };
        let mut taken = Vec::new();
        inbox.try_receive(max, &mut taken);
        session.taken.extend(taken);
        !session.taken.is_empty()
    }

    /// Sends a message that is in memory; returned if it may not go yet.
    fn send_one(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        buffers::with_ids(|ids| self.send_with(message, ids))
    }

    fn send_with(
        &mut self,
        message: Arc<Message>,
        ids: &mut Vec<NonZeroU32>,
    ) -> Option<Arc<Message>> {
        let served = self.session.serve(&message, ids)?;
        let lasts = self.session.lasting.is_some();
        if served.qos == Qos::ExactlyOnce && lasts {
            return Some(message);
        }
        let mut going = Going {
            qos: served.qos,
            retain: served.retain,
            dup: false,
            id: None,
        };
        if going.qos > Qos::AtMostOnce {
            going.id = self.session.next_id();
            if going.id.is_none() {
                self.shared.counters.unsent_total.add(1);
                return None;
            }
        }
        if self.write(&message, going, ids)
            && let Some(id) = going.id
        {
            self.session.inflight.push(Sent {
                id,
                qos: going.qos,
                retain: going.retain,
                stage: Stage::Sent,
                stored: None,
                stored_bytes: 0,
                message: lasts.then_some(message),
                at: std::time::Instant::now(),
            });
        }
        None
    }

    /// Sends what need not arrive and found no room before.
    fn send_held(&mut self) {
        while !self.wire.is_full()
            && let Some(message) = self.shelf.as_mut().and_then(|own| own.next_held())
        {
            if message.is_expired(std::time::Instant::now()) {
                self.shared.counters.unsent_total.add(1);
                continue;
            }
            buffers::with_ids(|ids| {
                if let Some(served) = self.session.serve(&message, ids) {
                    let going = Going {
                        // As it was held, whatever was subscribed since.
                        qos: Qos::AtMostOnce,
                        retain: served.retain,
                        dup: false,
                        id: None,
                    };
                    self.write(&message, going, ids);
                }
            });
        }
    }

    /// Sends what was read from the disk.
    fn send_loaded(&mut self) {
        while !self.wire.is_full()
            && let Some((stored, message)) = self.shelf.as_mut().and_then(|own| own.next_loaded())
        {
            let going = Going {
                qos: stored.qos,
                retain: stored.retain,
                dup: stored.sent,
                id: Some(stored.id),
            };
            let expired = message.is_expired(std::time::Instant::now());
            let written = !expired
                && buffers::with_ids(|ids| {
                    // For its identifiers; what it was stored as stands.
                    if self.session.serve(&message, ids).is_none() {
                        ids.clear();
                    }
                    self.write(&message, going, ids)
                });
            if !written {
                self.remove_stored(&stored);
                continue;
            }
            self.session.inflight.push(Sent {
                id: stored.id,
                qos: stored.qos,
                retain: stored.retain,
                stage: Stage::Sent,
                stored: Some(stored.number),
                stored_bytes: stored.bytes,
                message: None,
                at: std::time::Instant::now(),
            });
        }
    }

    fn remove_stored(&self, stored: &Stored) {
        if let Some(lasting) = &self.session.lasting {
            lasting.store.remove([stored.number]);
        }
    }

    /// Writes one PUBLISH; false if the device does not take it.
    fn write(&mut self, message: &Message, going: Going, ids: &[NonZeroU32]) -> bool {
        let topic = &message.topic;
        let aliases = self.outgoing.as_mut();
        let written = aliases.map_or(Written::Plain, |aliases| aliases.write(topic));
        let mut head = translate::head(message, ids);
        head.qos = going.qos;
        head.retain = going.retain;
        head.dup = going.dup;
        head.packet_id = going.id;
        match written {
            Written::Plain => {}
            Written::Sets(alias) => head.topic_alias = Some(alias),
            Written::By(alias) => {
                head.topic = None;
                head.topic_alias = Some(alias);
            }
        }
        match self.wire.publish(&head, &message.payload) {
            Ok(()) => {
                self.shared.counters.sent_total.add(1);
                true
            }
            // A device that takes no packets so large has done with it (section
            // 3.1.2.11.4).
            Err(EncodeError::TooLarge { .. } | EncodeError::FieldTooLong { .. })
            | Err(EncodeError::Invalid { .. }) => {
                if let (Written::Sets(_), Some(aliases)) = (written, &mut self.outgoing) {
                    aliases.forget(topic);
                }
                self.shared.counters.unsent_total.add(1);
                false
            }
        }
    }
}
