//! QoS 2 messages of a device that others had not done with when its connection
//! ended. The device will send them again, and they must not come twice.
//!
//! Those that are done with before the device is back are known as taken in, on the
//! disk too: the host may end meanwhile. Those that somebody could not answer for
//! are forgotten, and taken in anew.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::warn;

use super::Session;
use crate::bus::Settled;
use crate::mqtt::{PacketId, Reason};

/// Messages that others have not done with, oldest first.
#[derive(Debug, Default)]
pub(in crate::broker) struct Unsettled(VecDeque<Unanswered>);

#[derive(Debug)]
struct Unanswered {
    id: PacketId,
    reason: Reason,
    settled: Settled,
    /// It is known as taken in, which is not on the disk yet.
    noted: bool,
}

impl Session {
    /// A connection ends that owes the device an answer to this.
    pub(in crate::broker) fn leave_unsettled(
        &mut self,
        id: PacketId,
        reason: Reason,
        settled: Settled,
    ) {
        let unsettled = self.unsettled.get_or_insert_default();
        unsettled.0.push_back(Unanswered {
            id,
            reason,
            settled,
            noted: false,
        });
    }

    /// Forgets the oldest, so that with what is taken in no more than `max` are
    /// known: who has more under way does not send again what it must.
    pub(in crate::broker) fn bound_unsettled(&mut self, max: usize) {
        let max = max.saturating_sub(self.received.len());
        if let Some(unsettled) = &mut self.unsettled {
            let over = unsettled.0.len().saturating_sub(max);
            unsettled.0.drain(..over);
        }
        self.shrink_unsettled();
    }

    /// The device has sent a message with this identifier.
    pub(in crate::broker) fn take_unsettled(&mut self, id: PacketId) -> Option<(Reason, Settled)> {
        let unsettled = &mut self.unsettled.as_mut()?.0;
        let place = unsettled.iter().position(|own| own.id == id)?;
        let own = unsettled.remove(place)?;
        self.shrink_unsettled();
        Some((own.reason, own.settled))
    }

    /// Ready when one of them is done with.
    pub(super) fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for own in self.unsettled.iter_mut().flat_map(|own| &mut own.0) {
            if Pin::new(&mut own.settled).poll(context).is_ready() {
                ready = Poll::Ready(());
            }
        }
        ready
    }

    /// Writes which of them are done with. True: the disk did not take it.
    pub(super) async fn write_settled(&mut self) -> bool {
        if !self.note_settled() {
            return false;
        }
        let ended = self.lasting.as_ref().and_then(|lasting| lasting.ended);
        let written = self.write(ended).await;
        written.is_err_and(|error| {
            warn!(device = %self.device.name, error = error.code(), "session not written");
            true
        })
    }

    /// Those that are done with are known as taken in from now on; whether there are
    /// any. They stay until that is on the disk.
    pub(super) fn note_settled(&mut self) -> bool {
        let Some(unsettled) = &mut self.unsettled else {
            return false;
        };
        unsettled.0.retain(|own| !own.settled.is_refused());
        let mut any = false;
        for own in &mut unsettled.0 {
            if own.settled.is_settled() {
                self.received.insert_unheard(own.id);
                own.noted = true;
                any = true;
            }
        }
        self.shrink_unsettled();
        any
    }

    /// What was noted is on the disk.
    pub(super) fn settled_written(&mut self) {
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.0.retain(|own| !own.noted);
        }
        self.shrink_unsettled();
    }

    fn shrink_unsettled(&mut self) {
        self.unsettled.take_if(|unsettled| unsettled.0.is_empty());
    }
}
