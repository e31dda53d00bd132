//! What the target says of messages, and since when it owes an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::{Flight, Poison, Sent};
use crate::mqtt::{PacketId, Reason};

/// How often the target may fail at one message before it is given up.
const FAILURES_MAX: u32 = 5;

/// How long nothing is sent when the target has no more room, doubling.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What an acknowledgement means.
#[derive(Debug)]
pub(in crate::uplink::link) enum Acked {
    Unknown,
    Done,
    /// It goes again later.
    Later,
    /// It is given up.
    Refused(Box<Sent>, Poison),
}

impl Flight {
    /// The target's answer to a message.
    pub(in crate::uplink::link) fn acknowledged(
        &mut self,
        id: PacketId,
        reason: Reason,
        now: Instant,
    ) -> Acked {
        let own = |sent: &Sent| sent.on_wire && sent.id == id;
        let Some(place) = self.sent.iter().position(own) else {
            return Acked::Unknown;
        };
        self.answered(place, now);
        if !reason.is_failure() {
            self.takes = true;
            self.mended |= std::mem::take(&mut self.buried);
            self.pause = PAUSE_MIN;
            self.discard_at(place);
            return Acked::Done;
        }
        let passing = [Reason::UNSPECIFIED, Reason::IMPLEMENTATION_SPECIFIC];
        let full = reason == Reason::QUOTA_EXCEEDED;
        if let Some(sent) = self.sent.get_mut(place) {
            sent.failures += 1;
            if full || passing.contains(&reason) && sent.failures < FAILURES_MAX {
                sent.on_wire = false;
                // One at a time, so that nothing overtakes it again.
                self.careful = self.careful.max(1);
                self.paused_until = Some(now + self.pause);
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                return Acked::Later;
            }
        }
        match self.discard_at(place) {
            Some(sent) => Acked::Refused(Box::new(sent), Poison::Refused(reason)),
            None => Acked::Unknown,
        }
    }

    /// The target has answered one; what went before it is passed over.
    fn answered(&mut self, place: usize, now: Instant) {
        self.answered_at = Some(now);
        self.loose = 0;
        let Some(sent) = self.sent.get(place) else {
            return;
        };
        let order = sent.order;
        self.denied.forget(&sent.entry.topic);
        for sent in self.sent.iter_mut().take(place) {
            if sent.on_wire && sent.order < order {
                sent.passed_at.get_or_insert(now);
            }
        }
    }

    /// Since when the target owes an answer. One to what went later, and none to what
    /// went before, pays nothing.
    pub(in crate::uplink::link) fn waiting_since(&self) -> Option<Instant> {
        let on_wire = self.sent.iter().filter(|sent| sent.on_wire);
        let since = |sent: &Sent| match sent.passed_at {
            Some(at) => at,
            None => self
                .answered_at
                .map_or(sent.sent_at, |at| at.max(sent.sent_at)),
        };
        on_wire.map(since).min()
    }

    /// When the target last answered a message.
    pub(in crate::uplink::link) fn answered_at(&self) -> Option<Instant> {
        self.answered_at
    }
}
