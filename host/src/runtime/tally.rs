//! What is counted of one generation.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted of one generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages handed to it.
    pub handled_total: u64,
    /// Messages it gave up, or that were given up because of it.
    pub dead_letters_total: u64,
    /// Messages it wanted to publish that its rate did not allow.
    pub rate_limited_total: u64,
    /// Messages that had passed through too many plugins.
    pub looped_total: u64,
    /// Bytes of linear memory, as of its last call.
    pub memory_bytes: u64,
}

/// A [`Tally`] that goes on.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) handled: Counter,
    pub(super) dead_letters: Counter,
    pub(super) rate_limited: Counter,
    pub(super) looped: Counter,
    pub(super) memory_bytes: AtomicU64,
}

/// A number that only grows. Nothing else is concluded from it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn tally(&self) -> Tally {
        Tally {
            handled_total: self.handled.total(),
            dead_letters_total: self.dead_letters.total(),
            rate_limited_total: self.rate_limited.total(),
            looped_total: self.looped.total(),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
        }
    }
}
