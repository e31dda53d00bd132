//! Routes one party found, for as long as no subscription changes.
//!
//! What each party may remember is bounded, and so is what all of them do together:
//! beyond that each remembers but a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::router::Route;
use crate::names::Topic;

/// Routes that all parties remember, beyond which each remembers only a few.
const ALL_MAX: usize = 65_536;
/// A few.
const FEW: usize = 16;

/// What is known of a topic: its route, or that it is not granted.
type Known = Option<Arc<Route>>;

/// A bounded cache in two halves: when the younger is full, the older is
/// forgotten. What is used stays, without a list to keep in order.
#[derive(Debug)]
pub(super) struct RouteCache {
    generation: u64,
    young: HashMap<Topic, Known>,
    old: HashMap<Topic, Known>,
    /// What all parties remember.
    all: Arc<AtomicUsize>,
}

impl RouteCache {
    pub(super) fn new(all: &Arc<AtomicUsize>) -> Self {
        Self {
            generation: 0,
            young: HashMap::new(),
            old: HashMap::new(),
            all: Arc::clone(all),
        }
    }

    /// Forgets everything found in another generation.
    pub(super) fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            self.forget();
            self.generation = generation;
        }
    }

    fn forget(&mut self) {
        let (young, old) = (
            std::mem::take(&mut self.young),
            std::mem::take(&mut self.old),
        );
        let count = young.len() + old.len();
        self.all.fetch_sub(count, Ordering::Relaxed);
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
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.insert(topic, known.clone(), max);
        Some(known)
    }

    pub(super) fn insert(&mut self, topic: Topic, known: Known, max: usize) {
        let crowded = self.all.load(Ordering::Relaxed) >= ALL_MAX;
        let max = if crowded { max.min(FEW) } else { max };
        if self.young.len() >= max / 2 {
            let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.all.fetch_sub(old.len(), Ordering::Relaxed);
        }
        if self.young.insert(topic, known).is_none() {
            self.all.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for RouteCache {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{ALL_MAX, FEW, RouteCache};

    #[test]
    fn what_all_remember_together_is_bounded_and_counted() {
        let all = Arc::new(AtomicUsize::new(0));
        let mut alone = RouteCache::new(&all);
        let fill = |cache: &mut RouteCache, max: usize| {
            for number in 0..100 {
                cache.insert(format!("t/{number}").parse().unwrap(), None, max);
            }
            all.load(Ordering::Relaxed)
        };
        assert_eq!(fill(&mut alone, 1000), 100);
        assert_eq!(fill(&mut alone, 1000), 100);
        assert!(alone.get(&"t/7".parse().unwrap(), 1000).is_some());
        alone.renew(1);
        assert_eq!(all.load(Ordering::Relaxed), 0);
        // Each has at most as many as it may, the older half included.
        assert!(fill(&mut alone, 10) <= 10);
        assert!(alone.get(&"t/94".parse().unwrap(), 10).is_some());
        drop(alone);
        assert_eq!(all.load(Ordering::Relaxed), 0);
        all.store(ALL_MAX, Ordering::Relaxed);
        let mut crowded = RouteCache::new(&all);
        assert!(fill(&mut crowded, 1000) <= ALL_MAX + FEW);
        drop(crowded);
        assert_eq!(all.load(Ordering::Relaxed), ALL_MAX);
    }
}
