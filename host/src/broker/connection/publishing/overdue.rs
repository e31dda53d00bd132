//! Ends the wait for those who do not get done with a device's message.
//!
//! A plugin that stopped keeps what waits for it until it is started again, which
//! may be never. The device is told that its message was not handled, and may send
//! it again: better twice than never.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::warn;

use super::{Connection, Ended, Owed, Waiting, answered};
use crate::mqtt::{Reason, Version};

impl Owed {
    /// Since when the first that is not done has been waited for.
    fn since(&self) -> Option<Instant> {
        let unsettled = self.answers.iter().find(|answer| !answer.is_settled());
        let waiting = self.waiting.iter().find(|waiting| waiting.done.is_none());
        let since = unsettled.map(|answer| answer.since);
        let waiting = waiting.map(|waiting| waiting.since);
        since.into_iter().chain(waiting).min()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn settle_max(&self) -> Duration {
        let sessions = &self.shared.config.sessions;
        Duration::from_millis(sessions.settle_ms_max.get().into())
    }

    /// When a message will have been waited for too long.
    pub(in crate::broker::connection) fn overdue_at(&self) -> Option<Instant> {
        Some(self.owed.since()? + self.settle_max())
    }

    /// Gives up what is overdue.
    pub(in crate::broker::connection) fn give_up_overdue(
        &mut self,
        now: Instant,
    ) -> Result<(), Ended> {
        if self.overdue_at().is_none_or(|at| at > now) {
            return Ok(());
        }
        let settle_max = self.settle_max();
        let is_overdue = |since: Instant| since + settle_max <= now;
        let (mut count, mut topic) = (0, None);
        for answer in self.owed.answers.iter_mut() {
            if answer.is_settled() || !is_overdue(answer.since) {
                continue;
            }
            answer.settled = None;
            answer.reason = Reason::IMPLEMENTATION_SPECIFIC;
            topic = topic.or_else(|| answer.topic.take());
            count += 1;
        }
        let device = &self.session.device.name;
        if count > 0 {
            let topic = topic.as_ref().map(tracing::field::display);
            warn!(%device, topic, count, "messages of a device not handled in time");
            self.shared.counters.unhandled_total.add(count);
            if self.wire.version() == Version::V311 {
                // It has no answer for that: silence would stop the device for ever.
                let reason = Reason::IMPLEMENTATION_SPECIFIC;
                return Err(Ended::fault(reason, "message-unhandled"));
            }
        }
        let is_waiting =
            |waiting: &mut Box<Waiting>| waiting.done.is_none() && is_overdue(waiting.since);
        let Some(waiting) = self.owed.waiting.take_if(is_waiting) else {
            return Ok(());
        };
        let Waiting { topic, answer, .. } = *waiting;
        warn!(%device, %topic, "no room in time for a message of a device");
        self.shared.counters.unhandled_total.add(1);
        let (qos, id) = answered(answer.as_ref());
        self.refuse_publish(qos, id, Reason::QUOTA_EXCEEDED, "message-without-room")
    }
}
