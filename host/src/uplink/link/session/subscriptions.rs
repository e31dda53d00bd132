//! What is subscribed at the target: made anew on each connection, changed while it
//! lasts, and ended when nobody wants it any more, also after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::warn;

use super::{LinkError, Session};
use crate::mqtt::{
    Packet, PacketId, Reason, RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe,
};
use crate::names::{Qos, TopicFilter};

/// Where it is kept what a session was told to subscribe.
const KEY: &str = "subscribed";

/// What the target was asked for, and what it said.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    filters: BTreeMap<TopicFilter, Answer>,
    pending: HashMap<PacketId, Pending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Confirmed,
    Refused,
}

#[derive(Debug)]
struct Pending {
    filters: Vec<TopicFilter>,
    since: Instant,
    adds: bool,
}

impl Subscriptions {
    pub(super) fn is_confirmed(&self, filter: &TopicFilter) -> bool {
        self.filters.get(filter) == Some(&Answer::Confirmed)
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn pending_since(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.since).min()
    }

    pub(super) fn has(&self, id: PacketId) -> bool {
        self.pending.contains_key(&id)
    }
}

impl Session<'_> {
    /// Whether the target owes an answer to something else than a message.
    pub(in crate::uplink::link) fn is_asking(&self) -> bool {
        self.subscriptions.is_pending() || !self.asks.is_empty()
    }

    /// Subscribes what is wanted, and ends what an earlier process subscribed.
    pub(super) async fn resume_subscriptions(&mut self) -> Result<(), LinkError> {
        let wanted = self.wanted();
        let shared = Arc::clone(self.shared);
        let keeping: Vec<_> = wanted.iter().cloned().collect();
        let before = tokio::task::spawn_blocking(move || {
            let bucket = &shared.identity.bucket;
            let before = bucket.get(KEY).ok().flatten();
            let before = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let before: BTreeSet<TopicFilter> = before.unwrap_or_default();
            if !before.iter().eq(&keeping) {
                let text = serde_json::to_vec(&keeping).expect("filters are texts");
                if let Err(error) = bucket.set(KEY, &text) {
                    warn!(uplink = %shared.name, error = %error, "subscriptions not kept");
                }
            }
            before
        });
        let before = before.await.map_err(|_| LinkError::Stopped)?;
        if self.session_present {
            let stale: Vec<_> = before.difference(&wanted).cloned().collect();
            self.unsubscribe(&stale)?;
        }
        self.subscribe_changes()?;
        self.confirmed();
        Ok(())
    }

    /// What rules and listeners want, as far as the target lets.
    fn wanted(&self) -> BTreeSet<TopicFilter> {
        let shared = self.shared;
        // Rules first: a listener too many must not cost a rule.
        let rules = shared.rules.subscriptions();
        let all = rules.into_iter().chain(shared.remotes.filters());
        let max = shared.limits.subscriptions_max as usize;
        let mut wanted = BTreeSet::new();
        for filter in all {
            if wanted.len() < max {
                wanted.insert(filter);
            } else if !wanted.contains(&filter) {
                let text = format!("`{filter}` is one more than {max}");
                shared.counters.failed("subscriptions-exhausted", text);
            }
        }
        wanted
    }

    /// Asks for what is wanted and was not asked for, and ends the rest.
    pub(super) fn subscribe_changes(&mut self) -> Result<(), LinkError> {
        let wanted = self.wanted();
        let old: Vec<_> = self.subscriptions.filters.keys().cloned().collect();
        let unwanted: Vec<_> = old
            .into_iter()
            .filter(|old| !wanted.contains(old))
            .collect();
        self.unsubscribe(&unwanted)?;
        let is_new = |filter: &TopicFilter| !self.subscriptions.filters.contains_key(filter);
        let new: Vec<_> = wanted.into_iter().filter(is_new).collect();
        for filters in new.chunks(self.shared.limits.subscriptions_at_once_max as usize) {
            let packet_id = self.free_id();
            let subscription = |filter: &TopicFilter| Subscription {
                filter: Ok(filter.clone()),
                qos: Qos::AtLeastOnce,
                // What we publish does not come back, unless the target is older
                // than MQTT 5; shared subscriptions may not ask for it.
                no_local: filter.group().is_none(),
                retain_as_published: true,
                retain_handling: RetainHandling::SendIfNew,
            };
            self.put(&Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: None,
                user: Vec::new(),
                subscriptions: filters.iter().map(subscription).collect(),
            }))?;
            for filter in filters {
                let filters = &mut self.subscriptions.filters;
                filters.insert(filter.clone(), Answer::Awaited);
            }
            self.pend(packet_id, filters, true);
        }
        // Someone may have come whose filters are confirmed already.
        self.confirmed();
        Ok(())
    }

    fn unsubscribe(&mut self, filters: &[TopicFilter]) -> Result<(), LinkError> {
        for filters in filters.chunks(self.shared.limits.subscriptions_at_once_max as usize) {
            let packet_id = self.free_id();
            self.put(&Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user: Vec::new(),
                filters: filters.iter().cloned().map(Ok).collect(),
            }))?;
            for filter in filters {
                self.subscriptions.filters.remove(filter);
            }
            self.pend(packet_id, filters, false);
        }
        Ok(())
    }

    fn pend(&mut self, id: PacketId, filters: &[TopicFilter], adds: bool) {
        let pending = Pending {
            filters: filters.to_vec(),
            since: Instant::now(),
            adds,
        };
        self.subscriptions.pending.insert(id, pending);
    }

    /// What the target said.
    pub(super) fn subscriptions_changed(&mut self, ack: &SubAck) -> Result<(), LinkError> {
        let Some(pending) = self.subscriptions.pending.remove(&ack.packet_id) else {
            return Ok(());
        };
        if pending.adds && ack.reasons.len() != pending.filters.len() {
            return Err(LinkError::Protocol("a SUBACK of another length"));
        }
        for (filter, reason) in pending.filters.iter().zip(&ack.reasons) {
            if pending.adds {
                self.answered(filter, *reason);
            }
        }
        self.confirmed();
        Ok(())
    }

    fn answered(&mut self, filter: &TopicFilter, reason: Reason) {
        // Ended in the meantime, it is of no interest any more.
        let Some(answer) = self.subscriptions.filters.get_mut(filter) else {
            return;
        };
        *answer = Answer::Confirmed;
        if reason.is_failure() {
            *answer = Answer::Refused;
            let text = format!("`{filter}` was refused: {reason}");
            warn!(uplink = %self.shared.name, filter = %filter, reason = %reason, "subscription refused");
            self.shared.counters.failed("subscription-refused", text);
        }
    }
}
