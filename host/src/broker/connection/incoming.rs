//! Packets of a device, but for those that publish and subscribe.

use tokio::io::{AsyncRead, AsyncWrite};

use super::publishing::ack;
use super::{Connection, Ended};
use crate::broker::inflight::{Answer, Sent};
use crate::mqtt::{Ack, DecodeError, Disconnect, Packet, Reason, Version};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn take_in(&mut self, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(ack) => {
                if let Answer::Done(sent) = self.session.inflight.acknowledged(ack.packet_id) {
                    self.done(&sent);
                }
                Ok(())
            }
            Packet::PubRec(ack) => self.pub_rec(&ack),
            Packet::PubRel(ack) => self.release(ack.packet_id),
            Packet::PubComp(ack) => {
                if let Answer::Done(sent) = self.session.inflight.completed(ack.packet_id) {
                    self.done(&sent);
                }
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe),
            Packet::PingReq => self.send(&Packet::PingResp),
            Packet::Disconnect(disconnect) => Err(self.left(&disconnect)),
            Packet::Auth(_)
            | Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => Err(Ended::fault(Reason::PROTOCOL_ERROR, "packet-unexpected")),
        }
    }

    pub(super) fn send(&mut self, packet: &Packet) -> Result<(), Ended> {
        // Only a device that takes hardly any bytes at all comes here.
        self.wire
            .write(packet)
            .map_err(|error| Ended::fault(Reason::PACKET_TOO_LARGE, error.code()))
    }

    /// A packet that cannot be read: a PUBLISH in good form is answered.
    pub(super) fn refuse_packet(&mut self, error: DecodeError) -> Result<(), Ended> {
        match error {
            DecodeError::Publish {
                flaw,
                qos,
                packet_id,
            } if !flaw.is_fault() => {
                self.spend(0);
                self.refuse_publish(qos, packet_id, error.reason(), error.code())
            }
            error => Err(error.into()),
        }
    }

    /// A message is done.
    fn done(&mut self, sent: &Sent) {
        if let (Some(number), Some(lasting)) = (sent.stored, &self.session.lasting) {
            lasting.store.remove([number]);
        }
    }

    fn pub_rec(&mut self, received: &Ack) -> Result<(), Ended> {
        let id = received.packet_id;
        let session = &mut self.session;
        if received.reason.is_failure() {
            if let Answer::Done(sent) = session.inflight.refused(id) {
                self.done(&sent);
            }
            return Ok(());
        }
        let lasts = session.lasting.is_some();
        match session.inflight.received(id, lasts) {
            Answer::Again => self.send(&Packet::PubRel(ack(id, Reason::SUCCESS))),
            Answer::Note(stored) => {
                if let Some(shelf) = &mut self.shelf {
                    shelf.note(id, stored);
                }
                Ok(())
            }
            Answer::Busy | Answer::Done(_) => Ok(()),
            Answer::Unknown => {
                let reason = Reason::PACKET_ID_NOT_FOUND;
                self.send(&Packet::PubRel(ack(id, reason)))
            }
        }
    }

    /// DISCONNECT (MQTT 5.0 section 3.14).
    fn left(&self, disconnect: &Disconnect) -> Ended {
        let known = self.session.lasting.as_ref();
        let ends = known.is_none_or(|lasting| lasting.expiry_s == 0);
        let expiry_s = disconnect.session_expiry_s;
        if self.wire.version() == Version::V5 && ends && expiry_s.is_some_and(|new| new > 0) {
            return Ended::fault(Reason::PROTOCOL_ERROR, "session-expiry");
        }
        Ended::Left {
            will: disconnect.reason != Reason::SUCCESS,
            expiry_s,
        }
    }
}
