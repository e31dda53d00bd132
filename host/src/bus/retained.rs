//! The last value of each topic, kept for later subscribers.
//!
//! Bounded in values and in bytes; one party may fill at most half of either,
//! so that none can crowd out the others. A value that does not fit is
//! delivered but not kept, and the one it would have replaced goes too: a value
//! known to be old is worse than none.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::kept::{KeptChange, KeptChanges, KeptPending, KeptValue, is_saved};
use super::unsaved::Unsaved;
use super::{BusLimits, Message, Receipt};
use crate::names::{PartyName, Topic, TopicFilter};

#[derive(Debug)]
pub(super) struct Retained {
    messages_max: u64,
    bytes_max: u64,
    /// By topic, so that those which begin alike lie together.
    values: BTreeMap<Arc<str>, Value>,
    all: KeptUsage,
    by_party: HashMap<PartyName, KeptUsage>,
    /// The number of the last change: each value has that of its own.
    last: u64,
    /// When the first of them expires, if any does; nothing is looked for before.
    first_expiry: Option<Instant>,
    /// Changes that are not on the disk; none if nobody writes them there.
    unsaved: Option<Unsaved>,
}

#[derive(Debug)]
struct Value {
    message: Arc<Message>,
    owner: PartyName,
    number: u64,
}

impl Value {
    fn share(&self) -> KeptValue {
        KeptValue {
            owner: self.owner.clone(),
            message: Arc::clone(&self.message),
        }
    }
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
            values: BTreeMap::new(),
            all: KeptUsage::default(),
            by_party: HashMap::new(),
            last: 0,
            first_expiry: None,
            unsaved: None,
        }
    }

    /// The number of the last change.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Keeps `message` as its topic's value; an empty payload clears it. False
    /// if it did not fit. `trusted` owners may fill the whole store. Where changes
    /// are written to the disk, `receipt` is held until this one is.
    pub(super) fn keep(
        &mut self,
        owner: &PartyName,
        trusted: bool,
        message: Message,
        receipt: Option<Receipt>,
    ) -> bool {
        let topic = message.topic.clone();
        let cleared = self.clear(&topic);
        let is_value = !message.payload.is_empty();
        let fits = is_value && self.insert(owner, trusted, message);
        if cleared || fits {
            self.changed(&topic, receipt);
        } else if let Some(unsaved) = &mut self.unsaved
            && unsaved.is_noted(&topic)
        {
            // What is to be cleared is not cleared on the disk yet.
            self.changed(&topic, receipt);
        }
        fits || !is_value
    }

    /// Keeps a value from before, unless there is a newer one. False if it does not
    /// fit or has expired.
    pub(super) fn restore(
        &mut self,
        owner: &PartyName,
        message: Arc<Message>,
        now: Instant,
    ) -> bool {
        let topic = message.topic.clone();
        if self.values.contains_key(topic.shared()) {
            return true;
        }
        let message = Arc::unwrap_or_clone(message);
        let kept = !message.is_expired(now) && self.insert(owner, true, message);
        if !kept {
            self.changed(&topic, None);
        }
        kept
    }

    fn insert(&mut self, owner: &PartyName, trusted: bool, message: Message) -> bool {
        let size = message.size();
        let mut fitting = self.fitting(owner, trusted, size);
        if fitting.is_none() && self.expire(Instant::now()) > 0 {
            fitting = self.fitting(owner, trusted, size);
        }
        let Some((all, own)) = fitting else {
            return false;
        };
        self.all = all;
        self.by_party.insert(owner.clone(), own);
        self.first_expiry = self
            .first_expiry
            .into_iter()
            .chain(message.expires_at)
            .min();
        self.last += 1;
        let value = Value {
            owner: owner.clone(),
            message: Arc::new(message),
            number: self.last,
        };
        let topic = Arc::clone(value.message.topic.shared());
        self.values.insert(topic, value);
        true
    }

    /// What would be kept with one more value, in all and of its owner, if it fits.
    fn fitting(
        &self,
        owner: &PartyName,
        trusted: bool,
        size: u64,
    ) -> Option<(KeptUsage, KeptUsage)> {
        let own = self.by_party.get(owner).copied().unwrap_or_default();
        let (all, own) = (self.all.with(size), own.with(size));
        let share = if trusted { 1 } else { 2 };
        let fits = all.messages <= self.messages_max
            && all.bytes <= self.bytes_max
            && own.messages * share <= self.messages_max
            && own.bytes * share <= self.bytes_max;
        fits.then_some((all, own))
    }

    /// Notes that the value of `topic` is another one, or none.
    fn changed(&mut self, topic: &Topic, receipt: Option<Receipt>) {
        if let Some(unsaved) = &mut self.unsaved
            && is_saved(topic)
        {
            self.last += 1;
            unsaved.note(self.last, topic, receipt);
        }
    }

    /// From now on changes are noted.
    pub(super) fn record_changes(&mut self) {
        let max = usize::try_from(self.messages_max).unwrap_or(usize::MAX);
        // Values that are there, and as many that are to go.
        let max = max.saturating_mul(2);
        self.unsaved.get_or_insert_with(|| Unsaved::new(max));
    }

    /// As [`super::Bus::kept_changes`].
    pub(super) fn changes(&self, messages_max: usize, bytes_max: u64) -> KeptChanges {
        let Some(unsaved) = &self.unsaved else {
            return KeptChanges::Some(Vec::new());
        };
        if unsaved.is_all() {
            let saved = |value: &&Value| is_saved(&value.message.topic);
            let values = self.values.values().filter(saved);
            return KeptChanges::All {
                values: values.map(Value::share).collect(),
                upto: self.last,
            };
        }
        let mut bytes = 0;
        let oldest = unsaved.oldest().take(messages_max).map(|(number, topic)| {
            let value = self.values.get(topic.shared());
            KeptChange {
                topic: topic.clone(),
                value: value.map(Value::share),
                number,
            }
        });
        let fits = |change: &KeptChange| {
            let fits = bytes < bytes_max;
            bytes += change.size();
            fits
        };
        KeptChanges::Some(oldest.take_while(fits).collect())
    }

    pub(super) fn pending(&self) -> KeptPending {
        match &self.unsaved {
            Some(unsaved) if unsaved.is_awaited() => KeptPending::Awaited,
            Some(unsaved) if !unsaved.is_empty() => KeptPending::Some,
            _ => KeptPending::Nothing,
        }
    }

    /// The changes that are not on the disk, where they are noted.
    pub(super) fn unsaved(&mut self) -> Option<&mut Unsaved> {
        self.unsaved.as_mut()
    }

    /// Forgets what has expired; returns how many values that were.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        if self.first_expiry.is_none_or(|first| first > now) {
            return 0;
        }
        let values = self.values.values();
        let expired = values.filter(|value| value.message.is_expired(now));
        let expired: Vec<_> = expired.map(|value| value.message.topic.clone()).collect();
        for topic in &expired {
            self.clear(topic);
            self.changed(topic, None);
        }
        let values = self.values.values();
        self.first_expiry = values.filter_map(|value| value.message.expires_at).min();
        expired.len()
    }

    /// What is kept, in all.
    pub(super) fn usage(&self) -> KeptUsage {
        self.all
    }

    /// False if there was nothing.
    fn clear(&mut self, topic: &Topic) -> bool {
        let Some(Value { message, owner, .. }) = self.values.remove(topic.shared()) else {
            return false;
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
        true
    }

    /// The values that `filters` match and that were not `had`, oldest first. Shared
    /// subscriptions get none (MQTT 5.0 section 3.8.4), and nobody gets what has
    /// expired.
    pub(super) fn matching(&self, filters: &[TopicFilter], had: Had<'_>) -> Vec<Arc<Message>> {
        let alone = |filter: &&TopicFilter| filter.group().is_none();
        let had_filters: Vec<_> = had.filters.iter().filter(alone).collect();
        let now = self.first_expiry.is_some().then(Instant::now);
        let wanted = |value: &Value| {
            let topic = &value.message.topic;
            let had_it = || had_filters.iter().any(|filter| filter.matches(topic));
            (value.number > had.last || !had_it())
                && now.is_none_or(|now| !value.message.is_expired(now))
        };
        let mut found = Vec::new();
        for filter in filters.iter().filter(alone) {
            let matches = |value: &&Value| filter.matches(&value.message.topic) && wanted(value);
            found.extend(self.below(start(filter)).filter(matches));
        }
        found.sort_unstable_by_key(|value| (value.message.published_at, value.number));
        found.dedup_by_key(|value| value.number);
        let shared = found.into_iter().map(|value| Arc::clone(&value.message));
        shared.collect()
    }

    /// The values whose topics begin with `start`.
    fn below(&self, start: &str) -> impl Iterator<Item = &Value> {
        let from = (Bound::Included(start), Bound::Unbounded);
        let values = self.values.range::<str, _>(from);
        let values = values.take_while(move |(topic, _)| topic.starts_with(start));
        values.map(|(_, value)| value)
    }
}

/// What all topics that `filter` matches begin with.
fn start(filter: &TopicFilter) -> &str {
    let filter = filter.filter();
    let wild = filter.find(['+', '#']).unwrap_or(filter.len());
    let (start, rest) = filter.split_at_checked(wild).unwrap_or((filter, ""));
    // `a/#` matches `a` too.
    let parent = if rest == "#" {
        start.strip_suffix('/')
    } else {
        None
    };
    parent.unwrap_or(start)
}
