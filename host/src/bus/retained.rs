//! The last value of each topic, kept for later subscribers.
//!
//! Bounded in values and in bytes; one party may fill at most half of either,
//! so that none can crowd out the others. A value that does not fit is
//! delivered but not kept, and the one it would have replaced goes too: a value
//! known to be old is worse than none.

use std::collections::HashMap;
use std::sync::Arc;

use super::{BusLimits, Message};
use crate::names::{PartyName, Topic, TopicFilter};

#[derive(Debug)]
pub(super) struct Retained {
    messages_max: u64,
    bytes_max: u64,
    values: HashMap<Topic, Value>,
    all: KeptUsage,
    by_party: HashMap<PartyName, KeptUsage>,
    /// Values that were ever kept: the number of the last one.
    last: u64,
}

#[derive(Debug)]
struct Value {
    message: Arc<Message>,
    owner: PartyName,
    number: u64,
}

/// What a subscriber has of the kept values: those of the topics that `filters`
/// match, up to the one with the number `last`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had<'a> {
    pub(super) filters: &'a [TopicFilter],
    pub(super) last: u64,
}

impl Had<'_> {
    pub(super) const NOTHING: Self = Self {
        filters: &[],
        last: 0,
    };
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptUsage {
    /// Values.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl KeptUsage {
    fn with(self, size: u64) -> Self {
        Self {
            messages: self.messages + 1,
            bytes: self.bytes + size,
        }
    }

    fn without(self, size: u64) -> Self {
        Self {
            messages: self.messages - 1,
            bytes: self.bytes - size,
        }
    }
}

impl Retained {
    pub(super) fn new(limits: &BusLimits) -> Self {
        Self {
            messages_max: limits.retained_messages_max.into(),
            bytes_max: limits.retained_bytes_max,
            values: HashMap::new(),
            all: KeptUsage::default(),
            by_party: HashMap::new(),
            last: 0,
        }
    }

    /// The number of the value that was kept last.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Keeps `message` as its topic's value; an empty payload clears it. False
    /// if it did not fit. `trusted` owners may fill the whole store.
    pub(super) fn keep(&mut self, owner: &PartyName, trusted: bool, message: Message) -> bool {
        self.clear(&message.topic);
        if message.payload.is_empty() {
            return true;
        }
        let size = message.size();
        let all = self.all.with(size);
        let own = self
            .by_party
            .get(owner)
            .copied()
            .unwrap_or_default()
            .with(size);
        let share = if trusted { 1 } else { 2 };
        let fits = all.messages <= self.messages_max
            && all.bytes <= self.bytes_max
            && own.messages * share <= self.messages_max
            && own.bytes * share <= self.bytes_max;
        if fits {
            self.all = all;
            self.by_party.insert(owner.clone(), own);
            self.last += 1;
            let value = Value {
                owner: owner.clone(),
                message: Arc::new(message),
                number: self.last,
            };
            self.values.insert(value.message.topic.clone(), value);
        }
        fits
    }

    /// What is kept, in all.
    pub(super) fn usage(&self) -> KeptUsage {
        self.all
    }

    fn clear(&mut self, topic: &Topic) {
        let Some(Value { message, owner, .. }) = self.values.remove(topic) else {
            return;
        };
        let size = message.size();
        self.all = self.all.without(size);
        let own = self
            .by_party
            .get(&owner)
            .copied()
            .map(|own| own.without(size));
        match own {
            Some(own) if own.messages > 0 => self.by_party.insert(owner, own),
            _ => self.by_party.remove(&owner),
        };
    }

    /// The values that `filters` match and that were not `had`, oldest first. Shared
    /// subscriptions get none (MQTT 5.0 section 3.8.4).
    pub(super) fn matching(&self, filters: &[TopicFilter], had: Had<'_>) -> Vec<Arc<Message>> {
        let alone = |filter: &&TopicFilter| filter.group().is_none();
        let filters: Vec<_> = filters.iter().filter(alone).collect();
        let had_filters: Vec<_> = had.filters.iter().filter(alone).collect();
        if filters.is_empty() {
            return Vec::new();
        }
        let any = |filters: &[&TopicFilter], topic: &Topic| {
            filters.iter().any(|filter| filter.matches(topic))
        };
        let wanted = |value: &Value| {
            let topic = &value.message.topic;
            any(&filters, topic) && (value.number > had.last || !any(&had_filters, topic))
        };
        let mut found: Vec<_> = self
            .values
            .values()
            .filter(|value| wanted(value))
            .map(|value| Arc::clone(&value.message))
            .collect();
        found.sort_by_key(|message| message.published_at);
        found
    }
}
