//! Routes one party found, for as long as no subscription changes.

use std::sync::Arc;

use hashbrown::HashMap;

use super::router::Route;
use crate::names::Topic;

/// What is known of a topic: its route, or that it is not granted.
type Known = Option<Arc<Route>>;

/// A bounded cache in two halves: when the younger is full, the older is
/// forgotten. What is used stays, without a list to keep in order.
#[derive(Debug, Default)]
pub(super) struct RouteCache {
    generation: u64,
    young: HashMap<Topic, Known>,
    old: HashMap<Topic, Known>,
}

impl RouteCache {
    /// Forgets everything found in another generation.
    pub(super) fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self {
                generation,
                ..Self::default()
            };
        }
    }

    /// The generation that everything in it was found in.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn get(&mut self, topic: &Topic, max: usize) -> Option<Known> {
        if let Some(known) = self.young.get(topic) {
            return Some(known.clone());
        }
        let (topic, known) = self.old.remove_entry(topic)?;
        self.insert(topic, known.clone(), max);
        Some(known)
    }

    pub(super) fn insert(&mut self, topic: Topic, known: Known, max: usize) {
        if self.young.len() >= max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(topic, known);
    }
}
