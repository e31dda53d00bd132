//! Which kept values are not on the disk yet, and who waits until they are.
//!
//! Of each topic only the newest change is known: what it replaced need not be
//! written any more, and whoever waited for that waits for its successor. Bounded:
//! beyond the bound all is to be written anew, which is one flag.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Receipt;
use crate::names::Topic;

/// Changes that are not on the disk, oldest first.
#[derive(Debug)]
pub(super) struct Unsaved {
    changes_max: usize,
    topics: BTreeMap<u64, Topic>,
    numbers: HashMap<Topic, u64>,
    /// Who waits for each topic, and since which change.
    waiting: HashMap<Topic, Vec<(u64, Receipt)>>,
    /// There were too many: all up to the one with this number are to be written, and
    /// they are not among `topics`.
    all: Option<u64>,
}

impl Unsaved {
    pub(super) fn new(changes_max: usize) -> Self {
        Self {
            changes_max,
            topics: BTreeMap::new(),
            numbers: HashMap::new(),
            waiting: HashMap::new(),
            all: None,
        }
    }

    /// Notes the change with this number, the highest so far.
    pub(super) fn note(&mut self, number: u64, topic: &Topic, receipt: Option<Receipt>) {
        if let Some(receipt) = receipt {
            let waiting = self.waiting.entry(topic.clone()).or_default();
            waiting.push((number, receipt));
        }
        if let Some(before) = self.numbers.insert(topic.clone(), number) {
            self.topics.remove(&before);
        }
        self.topics.insert(number, topic.clone());
        if self.topics.len() > self.changes_max {
            self.topics = BTreeMap::new();
            self.numbers = HashMap::new();
            self.all = Some(number);
        }
    }

    /// Whether the newest change of `topic` is not on the disk.
    pub(super) fn is_noted(&self, topic: &Topic) -> bool {
        self.all.is_some() || self.numbers.contains_key(topic)
    }

    /// The oldest changes, by number.
    pub(super) fn oldest(&self) -> impl Iterator<Item = (u64, &Topic)> {
        self.topics.iter().map(|(number, topic)| (*number, topic))
    }

    /// Whether there were too many changes to know them.
    pub(super) fn is_all(&self) -> bool {
        self.all.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.all.is_none()
    }

    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The change with this number is on the disk. Returns who waited for it, to be
    /// let go once no lock is held.
    pub(super) fn saved(&mut self, number: u64, topic: &Topic) -> Vec<(u64, Receipt)> {
        if self.topics.remove(&number).is_some() {
            self.numbers.remove(topic);
        }
        let Some(waiting) = self.waiting.get_mut(topic) else {
            return Vec::new();
        };
        let done = waiting.extract_if(.., |(since, _)| *since <= number);
        let done = done.collect();
        if waiting.is_empty() {
            self.waiting.remove(topic);
        }
        done
    }

    /// As [`saved`](Self::saved), of all changes up to the one with this number.
    pub(super) fn saved_all(&mut self, number: u64) -> Vec<(u64, Receipt)> {
        // There may have been too many again meanwhile.
        self.all.take_if(|last| *last <= number);
        let later = self.topics.split_off(&number.saturating_add(1));
        for topic in std::mem::replace(&mut self.topics, later).into_values() {
            self.numbers.remove(&topic);
        }
        let mut done = Vec::new();
        self.waiting.retain(|_, waiting| {
            done.extend(waiting.extract_if(.., |(since, _)| *since <= number));
            !waiting.is_empty()
        });
        done
    }
}
