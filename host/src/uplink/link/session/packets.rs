//! What the target sends, and what is answered.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use super::{Expected, Session, UNSETTLED_BYTES_MAX, UNSETTLED_MAX, UNSETTLED_V311_MAX};
use crate::mqtt::{Ack, DecodeError, Packet, PacketId, Publish, Reason, Version};
use crate::names::{Qos, Topic};
use crate::uplink::error::UplinkError;
use crate::uplink::link::LinkError;
use crate::uplink::link::flight::Acked;
use crate::uplink::remote::{Fate, Remote, Ticket};
use crate::uplink::status::add;

/// The user property that names gateways that a message came through.
pub(super) const VIA: &str = "selvedge-via";

/// What a message and a user property take beside their own bytes, about.
const MESSAGE_BYTES: usize = 512;
const PAIR_BYTES: usize = 64;

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
                        self.unsettled.push_back(Expected::answered(id, reason));
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
        let Some(topic) = publish.topic.clone() else {
            return Err(LinkError::Protocol("a topic alias, which nobody offered"));
        };
        let own = self.shared.identity.client_id.as_str();
        let mut via = publish.properties.user.iter();
        let returned = via.any(|(name, value)| &**name == VIA && &**value == own);
        if returned {
            self.shared.counters.dropped("returned", 1);
        }
        if returned {
            let answered = |id| Expected::answered(id, Reason::SUCCESS);
            self.unsettled.extend(publish.packet_id.map(answered));
            return Ok(());
        }
        let bytes = size(&topic, &publish);
        let ticket = publish.packet_id.map(|id| self.expect(id, bytes));
        let remote = Remote {
            topic,
            payload: publish.payload,
            retain: publish.retain,
            content_type: publish.properties.content_type,
            correlation: publish.properties.correlation,
            user: publish.properties.user,
            ticket,
            room: None,
        };
        let more = super::super::incoming::More {
            utf8: publish.properties.utf8,
            expiry_s: publish.properties.expiry_s,
            response: publish.properties.response_topic,
        };
        if !self.hand.over(remote, more, bytes) {
            self.shared.counters.dropped("busy", 1);
        }
        Ok(())
    }

    /// Whether the target has more unacknowledged than it may, in messages or bytes.
    pub(super) fn is_full(&self) -> bool {
        if self.unsettled_bytes > UNSETTLED_BYTES_MAX {
            return true;
        }
        match self.version {
            Version::V5 => self.unsettled.len() > usize::from(UNSETTLED_MAX),
            Version::V311 => self.unsettled.len() >= UNSETTLED_V311_MAX,
        }
    }

    /// Notes what is to be acknowledged when it is done with.
    fn expect(&mut self, id: PacketId, bytes: usize) -> Arc<Ticket> {
        let (ticket, fate) = Ticket::new(&self.settled);
        self.unsettled_bytes += bytes;
        self.unsettled.push_back(Expected {
            id,
            fate,
            reason: Reason::SUCCESS,
            bytes,
        });
        ticket
    }

    /// Acknowledges what is done with, in the order in which it came (MQTT 5.0
    /// section 4.6). What somebody here could not keep is not acknowledged: with MQTT
    /// 5 the target is told so, and with 3.1.1 it keeps the message and sends it on
    /// another connection.
    pub(super) fn settle(&mut self) -> Result<(), LinkError> {
        while let Some(first) = self.unsettled.pop_front_if(|first| first.fate.is_done()) {
            self.unsettled_bytes = self.unsettled_bytes.saturating_sub(first.bytes);
            let reason = match (first.fate.is_refused(), self.version) {
                (false, _) => first.reason,
                (true, Version::V5) => Reason::IMPLEMENTATION_SPECIFIC,
                (true, Version::V311) => return Err(LinkError::NotKept),
            };
            let ack = Packet::PubAck(Ack {
                packet_id: first.id,
                reason,
                reason_text: None,
                user: Vec::new(),
            });
            self.put(&ack)?;
        }
        Ok(())
    }
}

impl Expected {
    /// What is answered without being handed on.
    fn answered(id: PacketId, reason: Reason) -> Self {
        Self {
            id,
            fate: Fate::settled(),
            reason,
            bytes: 0,
        }
    }
}

/// What a message takes while it is here.
fn size(topic: &Topic, publish: &Publish) -> usize {
    let properties = &publish.properties;
    let content_type = properties
        .content_type
        .as_ref()
        .map_or(0, |text| text.len());
    let correlation = properties.correlation.as_ref().map_or(0, Bytes::len);
    let response = properties.response_topic.as_ref();
    let response = response.map_or(0, |topic| topic.as_str().len());
    let user = properties.user.iter();
    let user = user.map(|(name, value)| PAIR_BYTES + name.len() + value.len());
    let parts = topic.as_str().len() + publish.payload.len() + content_type;
    MESSAGE_BYTES + parts + correlation + response + user.sum::<usize>()
}
