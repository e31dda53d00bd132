//! Identifiers of QoS 2 messages, from PUBLISH to PUBREL: so long as one is known,
//! its message is not taken in again. They are on the disk before PUBREC if the
//! session lasts.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::warn;

use super::{Answer, Connection, Ended, Writing, ack};
use crate::broker::inflight::Arrival;
use crate::mqtt::{Packet, PacketId, Reason};
use crate::names::Qos;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to write the identifiers of the first QoS 2 messages that are settled.
    pub(super) fn write_identifiers(&mut self) {
        let (mut count, before) = (0, self.session.received.len());
        for answer in self.owed.answers.iter() {
            if answer.qos != Qos::ExactlyOnce || !answer.is_settled() || answer.is_refused() {
                break;
            }
            if !answer.reason.is_failure() {
                self.session.received.insert(answer.id);
            }
            count += 1;
        }
        if let Some(written) = self.write_record() {
            self.owed.writing = Some(Box::new(Writing {
                count,
                taken_in: self.session.received.len() - before,
                written,
                done: None,
            }));
        }
    }

    pub(super) fn identifiers_written(&mut self, writing: Writing) -> Result<(), Ended> {
        let answers = self.owed.answers.take_first(writing.count);
        if let Some(Err(error)) = writing.done {
            // The device sends them again: better twice than never.
            for answer in &answers {
                self.session.received.release(answer.id);
            }
            let device = &self.session.device.name;
            warn!(%device, error = error.code(), "messages of a device not acknowledged");
            return Err(Ended::fault(Reason::IMPLEMENTATION_SPECIFIC, error.code()));
        }
        for answer in answers {
            self.answer(answer)?;
        }
        Ok(())
    }

    /// Whether a QoS 2 message was taken in already; then it is answered again.
    pub(super) fn is_known(&mut self, id: PacketId, dup: bool) -> Result<bool, Ended> {
        if self.owed.has(id) {
            // Its answer comes by itself.
            return Ok(true);
        }
        if let Some(unsettled) = &mut self.session.unsettled
            && let Some(place) = unsettled.0.iter().position(|(own, ..)| *own == id)
        {
            let (id, reason, settled) = unsettled.0.swap_remove(place);
            if unsettled.0.is_empty() {
                self.session.unsettled = None;
            }
            if dup {
                self.owe(Answer {
                    id,
                    qos: Qos::ExactlyOnce,
                    reason,
                    settled: Some(settled),
                    topic: None,
                    since: Instant::now(),
                })?;
                return Ok(true);
            }
        }
        if self.session.received.look(id, dup) == Arrival::New {
            return Ok(false);
        }
        self.send(&Packet::PubRec(ack(id, Reason::SUCCESS)))?;
        Ok(true)
    }

    /// PUBREL.
    pub(in crate::broker::connection) fn release(&mut self, id: PacketId) -> Result<(), Ended> {
        let known = self.session.received.release(id);
        let reason = if known {
            Reason::SUCCESS
        } else {
            Reason::PACKET_ID_NOT_FOUND
        };
        self.send(&Packet::PubComp(ack(id, reason)))
    }
}
