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
#[serde(from = "Vec<Subscribed>", into = "Vec<Subscribed>")]
pub(super) struct Subscriptions(Own);

/// Most devices have one, which takes no memory beside the session.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Own {
    One(Subscribed),
    /// In order of subscribing.
    Some(Vec<Subscribed>),
}

impl Default for Own {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

impl From<Vec<Subscribed>> for Subscriptions {
    fn from(all: Vec<Subscribed>) -> Self {
        match <[Subscribed; 1]>::try_from(all) {
            Ok([only]) => Self(Own::One(only)),
            Err(all) => Self(Own::Some(all)),
        }
    }
}

impl From<Subscriptions> for Vec<Subscribed> {
    fn from(subscriptions: Subscriptions) -> Self {
        match subscriptions.0 {
            Own::One(only) => vec![only],
            Own::Some(all) => all,
        }
    }
}

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
        let all = match &mut self.0 {
            Own::One(only) => std::slice::from_mut(only),
            Own::Some(all) => all,
        };
        if let Some(known) = all.iter_mut().find(|own| own.filter == new.filter) {
            return Some(std::mem::replace(known, new));
        }
        let mut all = Vec::from(std::mem::take(self));
        all.push(new);
        *self = all.into();
        None
    }

    pub(super) fn remove(&mut self, filter: &TopicFilter) -> Option<Subscribed> {
        let place = self.iter().position(|own| own.filter == *filter)?;
        let mut all = Vec::from(std::mem::take(self));
        let removed = all.remove(place);
        *self = all.into();
        Some(removed)
    }

    pub(super) fn contains(&self, filter: &TopicFilter) -> bool {
        self.iter().any(|own| own.filter == *filter)
    }

    pub(super) fn len(&self) -> usize {
        self.iter().len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Subscribed> {
        match &self.0 {
            Own::One(only) => std::slice::from_ref(only).iter(),
            Own::Some(all) => all.iter(),
        }
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
        for subscribed in self.iter() {
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
