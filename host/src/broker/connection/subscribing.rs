//! What a device subscribes. For a session that lasts it is on the disk before it
//! is acknowledged.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Ended};
use crate::broker::subscriptions::Subscribed;
use crate::bus::{Kept, SubscribeError};
use crate::mqtt::{Packet, Reason, RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe};
use crate::names::Qos;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Ended> {
        let id = subscribe.subscription_id;
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        for subscription in subscribe.subscriptions {
            // Each may lead every kept value here.
            self.spend(0);
            let Subscription {
                filter,
                qos,
                no_local,
                retain_as_published,
                retain_handling,
            } = subscription;
            let Ok(filter) = filter else {
                reasons.push(Reason::FILTER_INVALID);
                continue;
            };
            if no_local && filter.group().is_some() {
                return Err(Ended::fault(Reason::PROTOCOL_ERROR, "no-local-shared"));
            }
            let subscribed = Subscribed {
                filter,
                qos,
                no_local,
                retain_as_published,
                id,
            };
            reasons.push(self.subscribe_one(subscribed, retain_handling));
        }
        let ack = SubAck {
            packet_id: subscribe.packet_id,
            reason_text: None,
            user: Vec::new(),
            reasons,
        };
        self.acknowledge(Packet::SubAck(ack))
    }

    fn subscribe_one(&mut self, subscribed: Subscribed, handling: RetainHandling) -> Reason {
        let session = &mut self.session;
        let max = usize::try_from(session.device.quota.subscriptions_max.get());
        let known = session.subscriptions.contains(&subscribed.filter);
        if !known && session.subscriptions.len() >= max.unwrap_or(usize::MAX) {
            return Reason::QUOTA_EXCEEDED;
        }
        let kept = match handling {
            RetainHandling::Send => Kept::All,
            RetainHandling::SendIfNew => Kept::IfNew,
            RetainHandling::Leave => Kept::None,
        };
        let qos = subscribed.qos;
        match session.subscribe(subscribed, kept) {
            Ok(()) => match qos {
                Qos::AtMostOnce => Reason::SUCCESS,
                Qos::AtLeastOnce => Reason::GRANTED_QOS_1,
                Qos::ExactlyOnce => Reason::GRANTED_QOS_2,
            },
            Err(SubscribeError::NotGranted { .. }) => Reason::NOT_AUTHORIZED,
            Err(SubscribeError::TooDeep { .. }) => Reason::FILTER_INVALID,
            Err(SubscribeError::TooManyOfParty { .. } | SubscribeError::TooMany { .. }) => {
                Reason::QUOTA_EXCEEDED
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<(), Ended> {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            self.spend(0);
            reasons.push(match filter {
                Err(_) => Reason::FILTER_INVALID,
                Ok(filter) if self.session.unsubscribe(filter) => Reason::SUCCESS,
                Ok(_) => Reason::NO_SUBSCRIPTION_EXISTED,
            });
        }
        self.acknowledge(Packet::UnsubAck(SubAck {
            packet_id: unsubscribe.packet_id,
            reason_text: None,
            user: Vec::new(),
            reasons,
        }))
    }

    /// Sends `packet` once the session's record is written, if it lasts.
    fn acknowledge(&mut self, packet: Packet) -> Result<(), Ended> {
        match (self.write_record(), &mut self.shelf) {
            (Some(write), Some(shelf)) => {
                shelf.acknowledge(packet, write);
                Ok(())
            }
            _ => self.send(&packet),
        }
    }
}
