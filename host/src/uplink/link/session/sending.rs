//! Messages onto the wire, as window, rate and target allow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::packets::VIA;
use super::{ASKS_MAX, Session, WRITE_BYTES};
use crate::mqtt::{EncodeError, PacketId, PublishHead, UserProperties, Version, encode_publish};
use crate::names::Qos;
use crate::uplink::Ask;
use crate::uplink::entry::Entry;
use crate::uplink::error::UplinkError;
use crate::uplink::link::LinkError;
use crate::uplink::link::flight::{Flight, Next};
use crate::uplink::status::add;
use crate::uplink::target::Poison;

impl Session<'_> {
    /// Encodes what may go now. When more may, if only time is in the way.
    pub(super) fn fill(&mut self) -> Result<Option<Instant>, LinkError> {
        let now = Instant::now();
        let clock = self.shared.queue.clock.now();
        let mut wake = self.flight.paused_until(now);
        let waits = self.flight.is_careful() && self.is_asking();
        while wake.is_none() && !waits && self.output.len() < WRITE_BYTES {
            wake = self.pace.ready_at(now);
            if wake.is_some() {
                break;
            }
            // Answers to questions count too.
            let window = self.window.saturating_sub(self.asks.len());
            match self.flight.next(window, now) {
                Next::Nothing => {
                    wake = self.flight.wake_at(now);
                    break;
                }
                Next::Again(place) => self.again(place, now, clock),
                Next::New(lane, number, entry) => self.first((lane, number), entry, now, clock),
            }
        }
        let in_flight = self.flight.len() as u64;
        let counters = &self.shared.counters;
        counters.in_flight.store(in_flight, Ordering::Relaxed);
        Ok(wake)
    }

    fn again(&mut self, place: usize, now: Instant, clock: u64) {
        let dup = self.session_present;
        let Some(sent) = self.flight.at(place) else {
            return;
        };
        if sent.entry.is_expired(clock) {
            self.flight.discard_at(place);
            self.shared.counters.dropped("expired", 1);
            return;
        }
        let (id, number, entry) = (sent.id, sent.number, sent.entry.clone());
        match self.encode(&entry, number, Some((id, dup)), clock) {
            Ok(()) => self.flight.went(place, now),
            Err(error) => {
                if let Some(sent) = self.flight.discard_at(place) {
                    self.unsendable(&sent.entry, &error);
                }
            }
        }
    }

    fn first(&mut self, at: (u8, u64), entry: Entry, now: Instant, clock: u64) {
        if entry.is_expired(clock) {
            self.flight.discard(at.0, at.1);
            self.shared.counters.dropped("expired", 1);
            return;
        }
        let id = Flight::wants_id(&entry).then(|| self.free_id());
        match self.encode(&entry, at.1, id.map(|id| (id, false)), clock) {
            Ok(()) => self.flight.first(at, entry, id, now),
            Err(error) => {
                self.flight.discard(at.0, at.1);
                self.unsendable(&entry, &error);
            }
        }
    }

    fn unsendable(&self, entry: &Entry, error: &EncodeError) {
        let poison = Poison::Unsendable(error.code());
        self.shared
            .bury(&entry.topic, &entry.payload, entry.hops, poison);
    }

    pub(super) fn free_id(&mut self) -> PacketId {
        let (asks, subscriptions) = (&self.asks, &self.subscriptions);
        let taken = |id| asks.contains_key(&id) || subscriptions.has(id);
        self.flight.free_id(taken)
    }

    /// Writes a PUBLISH; `id` is its identifier and whether it may be there already.
    fn encode(
        &mut self,
        entry: &Entry,
        number: u64,
        id: Option<(PacketId, bool)>,
        clock: u64,
    ) -> Result<(), EncodeError> {
        let user = match self.version {
            Version::V5 => self.user(entry, Some(number)),
            Version::V311 => Vec::new(),
        };
        let before = self.output.len();
        self.write(entry, id, &user, clock)?;
        self.pace.took(self.output.len() - before);
        add(&self.shared.counters.sent, 1);
        Ok(())
    }

    fn write(
        &mut self,
        entry: &Entry,
        id: Option<(PacketId, bool)>,
        user: &[(Arc<str>, Arc<str>)],
        clock: u64,
    ) -> Result<(), EncodeError> {
        let left = entry.left(clock);
        // A second too many rather than one too few.
        let expiry_s = left.map(|ms| u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX));
        let head = PublishHead {
            dup: id.is_some_and(|(_, dup)| dup),
            qos: if id.is_some() {
                Qos::AtLeastOnce
            } else {
                Qos::AtMostOnce
            },
            retain: entry.retain && self.retain_available,
            topic: Some(&entry.topic),
            packet_id: id.map(|(id, _)| id),
            utf8: entry.utf8,
            expiry_s,
            topic_alias: None,
            response_topic: entry.response.as_ref(),
            correlation: entry.correlation.as_deref(),
            user,
            subscription_ids: &[],
            content_type: entry.content_type.as_deref(),
        };
        encode_publish(&head, &entry.payload, self.peer, &mut self.output)
    }

    /// Its own properties, and those by which it is known again.
    fn user(&self, entry: &Entry, number: Option<u64>) -> UserProperties {
        let identity = &self.shared.identity;
        let mut user = entry.user.clone();
        let mut set = |name: &str, value: &str| user.push((name.into(), value.into()));
        if let Some(number) = number {
            set("selvedge-queue", &identity.queue);
            set("selvedge-seq", &number.to_string());
        }
        set("selvedge-hops", &entry.hops.saturating_add(1).to_string());
        set(VIA, &identity.client_id);
        user
    }

    /// Whether a question may go: questions count as messages to the target, which
    /// may have told how many it takes unacknowledged, and when it takes none.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        let unacknowledged = self.flight.on_wire().0 + self.asks.len();
        self.asks.len() < ASKS_MAX
            && self.output.len() < WRITE_BYTES
            && unacknowledged < self.window
            && self.flight.lets_ask()
            && self.flight.paused_until(now).is_none()
            && self.pace.ready_at(now).is_none()
    }

    /// Sends the questions that wait and may go. Before messages of the queue, which
    /// would leave them no room: somebody waits for each, and there are few.
    pub(super) fn ask_all(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), LinkError> {
        let now = Instant::now();
        while self.may_ask(now)
            && let Ok(ask) = asked.try_recv()
        {
            self.ask(ask)?;
        }
        Ok(())
    }

    /// Sends a question.
    pub(super) fn ask(&mut self, ask: Ask) -> Result<(), LinkError> {
        let Ask { entry, answer } = ask;
        let id = self.free_id();
        let clock = self.shared.queue.clock.now();
        let before = self.output.len();
        // The target's own services know nothing of our properties.
        match self.write(&entry, Some((id, false)), &[], clock) {
            Ok(()) => {
                self.pace.took(self.output.len() - before);
                add(&self.shared.counters.sent, 1);
                self.asks.insert(id, (answer, Instant::now()));
            }
            Err(error) => {
                let refused = UplinkError::NotTaken {
                    code: error.code(),
                    text: error.to_string(),
                };
                drop(answer.send(Err(refused)));
            }
        }
        Ok(())
    }
}
