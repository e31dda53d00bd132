//! Identifiers of QoS 2 messages, from PUBLISH to PUBREL: so long as one is known,
//! its message is not taken in again. If the session lasts they are on the disk
//! before PUBREC, and off it before PUBCOMP: then the device may give the identifier
//! to another message, which must not be taken for this one after a crash. What has
//! come meanwhile is written together.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::warn;

use super::{Answer, Connection, Ended, Owed, Written, ack};
use crate::broker::inflight::Arrival;
use crate::broker::store::StoreError;
use crate::mqtt::{Packet, PacketId, Reason};
use crate::names::Qos;

/// What is to be written of identifiers, and what is being written.
#[derive(Default)]
pub(super) struct Identifiers {
    /// The device has released them, and gets PUBCOMP when that is on the disk.
    released: Vec<PacketId>,
    writing: Option<Writing>,
}

/// The identifiers of the first so many QoS 2 messages are being written, and that
/// others are released.
pub(super) struct Writing {
    count: usize,
    /// How many of them are among those taken in already.
    taken_in: usize,
    released: Vec<PacketId>,
    written: Written,
    /// What became of that.
    done: Option<Result<(), StoreError>>,
}

impl Identifiers {
    /// True: something moved.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(writing) = &mut self.writing
            && writing.done.is_none()
            && let Poll::Ready(written) = writing.written.as_mut().poll(context)
        {
            writing.done = Some(written);
            return true;
        }
        false
    }

    pub(super) fn is_empty(&self) -> bool {
        self.released.is_empty() && self.writing.is_none()
    }
}

impl Owed {
    pub(super) fn writing(&self) -> Option<&Writing> {
        self.identifiers.as_ref()?.writing.as_ref()
    }

    /// Messages not answered that are not among those taken in.
    pub(super) fn unknown(&self) -> usize {
        let taken_in = self.writing().map_or(0, |writing| writing.taken_in);
        self.len().saturating_sub(taken_in)
    }

    /// Identifiers that the device has released, and has not heard so.
    pub(super) fn releasing(&self) -> usize {
        let Some(own) = &self.identifiers else {
            return 0;
        };
        let writing = own.writing.as_ref();
        own.released.len() + writing.map_or(0, |writing| writing.released.len())
    }

    fn is_releasing(&self, id: PacketId) -> bool {
        let Some(own) = &self.identifiers else {
            return false;
        };
        let writing = own.writing.iter().flat_map(|writing| &writing.released);
        own.released.iter().chain(writing).any(|own| *own == id)
    }

    fn has(&self, id: PacketId) -> bool {
        let mut answers = self.answers.iter();
        answers.any(|answer| answer.id == id && answer.qos == Qos::ExactlyOnce)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to write the identifiers of the first QoS 2 messages that are settled,
    /// and that others are released.
    pub(super) fn write_identifiers(&mut self) {
        if self.session.lasting.is_none() || self.owed.writing().is_some() {
            return;
        }
        let (mut count, before) = (0, self.session.received.len());
        for answer in self.owed.answers.iter() {
            if answer.qos != Qos::ExactlyOnce || !answer.is_settled() || answer.is_refused() {
                break;
            }
            if answer.is_taken_in() {
                self.session.received.insert(answer.id);
            }
            count += 1;
        }
        let known = self.owed.identifiers.as_ref();
        if count == 0 && known.is_none_or(|known| known.released.is_empty()) {
            return;
        }
        let taken_in = self.session.received.len() - before;
        if let Some(written) = self.write_record() {
            let own = self.owed.identifiers.get_or_insert_default();
            own.writing = Some(Writing {
                count,
                taken_in,
                released: std::mem::take(&mut own.released),
                written,
                done: None,
            });
        }
    }

    /// Answers what has been written.
    pub(super) fn identifiers_written(&mut self) -> Result<(), Ended> {
        let own = self.owed.identifiers.as_mut();
        let written = own.and_then(|own| own.writing.take_if(|writing| writing.done.is_some()));
        let Some(writing) = written else {
            return Ok(());
        };
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
        for id in writing.released {
            self.send(&Packet::PubComp(ack(id, Reason::SUCCESS)))?;
        }
        Ok(())
    }

    /// Whether a QoS 2 message was taken in already; then it is answered again.
    pub(super) fn is_known(&mut self, id: PacketId, dup: bool) -> Result<bool, Ended> {
        if self.owed.has(id) {
            // Its answer comes by itself.
            return Ok(true);
        }
        if let Some((reason, settled)) = self.session.take_unsettled(id)
            && dup
        {
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
        if self.session.received.look(id, dup) == Arrival::New {
            return Ok(false);
        }
        self.send(&Packet::PubRec(ack(id, Reason::SUCCESS)))?;
        Ok(true)
    }

    /// PUBREL.
    pub(in crate::broker::connection) fn release(&mut self, id: PacketId) -> Result<(), Ended> {
        if self.owed.is_releasing(id) {
            // Its answer comes by itself.
            return Ok(());
        }
        // What has not been answered yet cannot be released.
        let known = !self.owed.has(id) && self.session.received.release(id);
        if known && self.session.lasting.is_some() {
            let own = self.owed.identifiers.get_or_insert_default();
            own.released.push(id);
            return Ok(());
        }
        let reason = if known {
            Reason::SUCCESS
        } else {
            Reason::PACKET_ID_NOT_FOUND
        };
        self.send(&Packet::PubComp(ack(id, reason)))
    }
}
