//! The receiving end of a subscription.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::mailbox::Mailbox;
use super::{InboxLimits, Kept, Message, Party, Shared, SubscribeError};
use crate::names::TopicFilter;

/// Messages of one subscription, in order, within limits. Dropping it ends the
/// subscription and lets publishers that wait for it go on.
pub struct Inbox {
    mailbox: Arc<Mailbox>,
    bus: Arc<Shared>,
}

impl Inbox {
    pub(super) fn new(mailbox: Arc<Mailbox>, bus: Arc<Shared>) -> Self {
        Self { mailbox, bus }
    }

    /// Leads other filters here, as `party` may, which must be of the same name, and
    /// sets other limits. On an error nothing has changed.
    ///
    /// What waits keeps its order, and what no filter matches any more is dropped
    /// and counted. Kept values come only of topics that did not lead here last, and
    /// those that were kept while it rested: who slept must not go by what was.
    /// Nothing that is published meanwhile is lost or comes twice. Without filters
    /// it [rests](Self::rest).
    pub fn resubscribe(
        &self,
        party: &Party,
        filters: &[TopicFilter],
        limits: InboxLimits,
    ) -> Result<(), SubscribeError> {
        party.resubscribe(&self.mailbox, filters, limits)
    }

    /// Leads one more filter here, as `party` may, which must be of the same name.
    /// On an error nothing has changed. What waits stays, and nothing that is
    /// published meanwhile is lost or comes twice.
    ///
    /// `kept` says which kept values that `filter` matches come now; for a shared
    /// subscription none do.
    pub fn extend(
        &self,
        party: &Party,
        filter: &TopicFilter,
        kept: Kept,
    ) -> Result<(), SubscribeError> {
        party.extend(&self.mailbox, filter, kept)
    }

    /// Leads `filter` here no more; false if it did not. What waits stays, also
    /// what no other filter matches. Without filters it lets nothing in.
    pub fn narrow(&self, filter: &TopicFilter) -> bool {
        let mut subscribed = self.mailbox.record().subscribed.lock();
        let Some(count) = self.bus.narrow(&self.mailbox, filter) else {
            return false;
        };
        let own = subscribed
            .iter_mut()
            .find(|own| Arc::ptr_eq(&own.mailbox, &self.mailbox));
        if let Some(own) = own {
            own.filters = count.max(1);
        }
        true
    }

    /// The filters that lead here, in order.
    pub fn filters(&self) -> Arc<[TopicFilter]> {
        self.mailbox.led().filters
    }

    /// Takes all that waits, oldest first.
    pub fn unread(&self) -> Vec<Arc<Message>> {
        let mut all = Vec::new();
        self.mailbox.take(usize::MAX, &mut all);
        all
    }

    /// Lets nothing in until it is [resubscribed](Self::resubscribe). What waits
    /// stays, and nobody waits for room.
    pub fn rest(&self) {
        self.bus.rest(&self.mailbox);
    }

    /// Waits for a message, then moves up to `max` (at least one) to `into`,
    /// oldest first. Dropped before it is done, it has taken nothing.
    pub async fn receive(&mut self, max: usize, into: &mut Vec<Arc<Message>>) {
        while self.try_receive(max.max(1), into) == 0 {
            self.ready().await;
        }
    }

    /// Moves up to `max` waiting messages to `into`; returns how many.
    pub fn try_receive(&self, max: usize, into: &mut Vec<Arc<Message>>) -> usize {
        self.mailbox.take(max, into)
    }

    /// Waits for a message without taking it.
    pub async fn ready(&self) {
        loop {
            // Made before looking, so that no arrival between is missed.
            let arrived = self.mailbox.arrived().notified();
            if !self.is_empty() {
                return;
            }
            arrived.await;
        }
    }

    /// As [`ready`](Self::ready), for one who alone waits: only the last is told.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        self.mailbox.poll_ready(context)
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.mailbox.load().0
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> u64 {
        self.mailbox.load().1
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (messages, bytes) = self.mailbox.load();
        f.debug_struct("Inbox")
            .field("party", self.mailbox.party())
            .field("messages", &messages)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.bus.unsubscribe(&self.mailbox);
        let mut subscribed = self.mailbox.record().subscribed.lock();
        subscribed.retain(|own| !Arc::ptr_eq(&own.mailbox, &self.mailbox));
    }
}
