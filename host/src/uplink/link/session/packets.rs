//! What the target sends, and what is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use tracing::warn;

use super::{Session, UNSETTLED_MAX, UNSETTLED_V311_MAX};
use crate::mqtt::{Ack, DecodeError, Packet, PacketId, Publish, Reason, Version};
use crate::names::Qos;
use crate::uplink::error::UplinkError;
use crate::uplink::link::LinkError;
use crate::uplink::link::flight::Acked;
use crate::uplink::remote::{Remote, Ticket};
use crate::uplink::status::add;

/// The user property that names gateways that a message came through.
pub(super) const VIA: &str = "selvedge-via";

impl Session<'_> {
    /// The next packet that has arrived, if there is room for one. One that cannot be
    /// handed on is answered and passed over.
    pub(super) fn decode(&mut self) -> Result<Option<Packet>, LinkError> {
        loop {
            if self.is_full() {
                return Ok(None);
            }
            let error = match self.decoder.decode(&mut self.input) {
                Ok(packet) => return Ok(packet),
                Err(error) => error,
            };
            let reason = error.reason();
            match error {
                DecodeError::Publish {
                    packet_id, flaw, ..
                } => {
                    let reason = match flaw.is_fault() {
                        // No acknowledgement may say that it breaks the protocol.
                        true => Reason::TOPIC_NAME_INVALID,
                        false => reason,
                    };
                    self.shared.counters.dropped("invalid-from-target", 1);
                    if let Some(id) = packet_id {
                        self.unsettled.push_back((id, done(), reason));
                    }
                }
                error => return Err(LinkError::Decode(error)),
            }
        }
    }

    /// Takes every packet that has arrived and that there is room for.
    pub(super) fn take_all(&mut self) -> Result<(), LinkError> {
        while let Some(packet) = self.decode()? {
            self.take(packet)?;
        }
        self.unread = self.is_full();
        Ok(())
    }

    fn take(&mut self, packet: Packet) -> Result<(), LinkError> {
        match packet {
            Packet::Publish(publish) => self.came(publish),
            Packet::PubAck(ack) => {
                self.acknowledged(&ack);
                Ok(())
            }
            Packet::SubAck(ack) | Packet::UnsubAck(ack) => self.subscriptions_changed(&ack),
            Packet::PingResp => {
                self.probed_at = None;
                Ok(())
            }
            Packet::Disconnect(told) => Err(LinkError::Disconnected(told.reason)),
            _ => Err(LinkError::Protocol("a packet that it must not send")),
        }
    }

    fn acknowledged(&mut self, ack: &Ack) {
        if let Some((answer, _)) = self.asks.remove(&ack.packet_id) {
            let outcome = if ack.reason.is_failure() {
                Err(UplinkError::Refused(ack.reason))
            } else {
                Ok(())
            };
            // Whoever asked may have gone.
            drop(answer.send(outcome));
            return;
        }
        let now = Instant::now();
        match self.flight.acknowledged(ack.packet_id, ack.reason, now) {
            Acked::Done => add(&self.shared.counters.acknowledged, 1),
            // An answer to what an earlier connection sent, or to nothing.
            Acked::Unknown => {}
            Acked::Later => {
                let reason = ack.reason.to_string();
                warn!(uplink = %self.shared.name, reason, "the target takes no more for now");
            }
            Acked::Refused(sent, poison) => {
                let entry = &sent.entry;
                self.shared
                    .bury(&entry.topic, &entry.payload, entry.hops, poison);
            }
        }
    }

    fn came(&mut self, publish: Publish) -> Result<(), LinkError> {
        add(&self.shared.counters.received, 1);
        if publish.qos == Qos::ExactlyOnce {
            return Err(LinkError::Protocol("QoS 2, which nobody asked for"));
        }
        let Some(topic) = publish.topic else {
            return Err(LinkError::Protocol("a topic alias, which nobody offered"));
        };
        let own = self.shared.identity.client_id.as_str();
        let mut via = publish.properties.user.iter();
        let returned = via.any(|(name, value)| &**name == VIA && &**value == own);
        if returned {
            self.shared.counters.dropped("returned", 1);
        }
        let ticket = match publish.packet_id {
            Some(id) => self.expect(id, returned),
            None => None,
        };
        if returned {
            return Ok(());
        }
        let sure = ticket.is_some();
        let remote = Remote {
            topic,
            payload: publish.payload,
            retain: publish.retain,
            content_type: publish.properties.content_type,
            correlation: publish.properties.correlation,
            user: publish.properties.user,
            ticket,
        };
        let more = super::super::incoming::More {
            utf8: publish.properties.utf8,
            expiry_s: publish.properties.expiry_s,
            response: publish.properties.response_topic,
        };
        if !self.hand.over(remote, more, sure) {
            self.shared.counters.dropped("busy", 1);
        }
        Ok(())
    }

    /// Whether the target has more messages unacknowledged than it may.
    pub(super) fn is_full(&self) -> bool {
        match self.version {
            Version::V5 => self.unsettled.len() > usize::from(UNSETTLED_MAX),
            Version::V311 => self.unsettled.len() >= UNSETTLED_V311_MAX,
        }
    }

    /// Notes what is to be acknowledged when it is done with.
    fn expect(&mut self, id: PacketId, at_once: bool) -> Option<Arc<Ticket>> {
        if at_once {
            self.unsettled.push_back((id, done(), Reason::SUCCESS));
            return None;
        }
        let (ticket, done) = Ticket::new(&self.settled);
        self.unsettled.push_back((id, done, Reason::SUCCESS));
        Some(ticket)
    }

    /// Acknowledges what is done with, in the order in which it came (MQTT 5.0
    /// section 4.6).
    pub(super) fn settle(&mut self) -> Result<(), LinkError> {
        while let Some((packet_id, done, reason)) = self.unsettled.front() {
            if !done.load(Ordering::Acquire) {
                break;
            }
            let ack = Packet::PubAck(Ack {
                packet_id: *packet_id,
                reason: *reason,
                reason_text: None,
                user: Vec::new(),
            });
            self.put(&ack)?;
            self.unsettled.pop_front();
        }
        Ok(())
    }
}

fn done() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}
