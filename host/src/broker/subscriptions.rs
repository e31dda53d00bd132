//! What one session has subscribed, and how a message is to be handed to it.
//!
//! Where several subscriptions match, the device gets one copy, with the highest
//! QoS among them and the identifiers of all (MQTT 5.0 section 3.3.4). Who gets
//! what at all is the bus's business.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::bus::{Message, Origin};
use crate::names::{Qos, TopicFilter};

/// One topic filter and how it is to be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribed {
    pub(super) filter: TopicFilter,
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<NonZeroU32>,
}

/// What one session has subscribed, each filter once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Subscriptions(Vec<Subscribed>);

/// How one message goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) qos: Qos,
    /// Whether it goes out as a kept value, or as its publisher wished.
    pub(super) retain: bool,
}

impl Subscriptions {
    /// Adds a subscription, or replaces the one with the same filter, which it
    /// returns.
    pub(super) fn insert(&mut self, new: Subscribed) -> Option<Subscribed> {
        let known = self.0.iter_mut().find(|own| own.filter == new.filter);
        match known {
            Some(known) => Some(std::mem::replace(known, new)),
            None => {
                // Most devices have one.
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.push(new);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, filter: &TopicFilter) -> Option<Subscribed> {
        let place = self.0.iter().position(|own| own.filter == *filter)?;
        Some(self.0.remove(place))
    }

    pub(super) fn contains(&self, filter: &TopicFilter) -> bool {
        self.0.iter().any(|own| own.filter == *filter)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Subscribed> {
        self.0.iter()
    }

    /// How `message` goes out to a session that publishes as `origin`; None if it
    /// does not. The identifiers of what matches are put into `ids`.
    pub(super) fn serve(
        &self,
        message: &Message,
        origin: Origin,
        ids: &mut Vec<NonZeroU32>,
    ) -> Option<Served> {
        ids.clear();
        let own = message.origin == Some(origin);
        let mut qos = None;
        let mut as_published = false;
        for subscribed in &self.0 {
            if own && subscribed.no_local || !subscribed.filter.matches(&message.topic) {
                continue;
            }
            qos = qos.max(Some(subscribed.qos));
            as_published |= subscribed.retain_as_published;
            ids.extend(subscribed.id);
        }
        Some(Served {
            qos: qos?.min(message.qos),
            retain: message.retain || as_published && message.kept,
        })
    }
}

#[cfg(test)]
mod tests;
