//! How capturing fares, in numbers.
//!
//! Each record is counted where it is decided about; a number only grows. Nobody
//! here knows why it did.

use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::QueueStatus;

/// What happened to records so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) queued: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unstored: AtomicU64,
}

/// What is told of capturing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Records that were put in line.
    pub queued_total: u64,
    /// Of these, those that the bus took.
    pub published_total: u64,
    /// Those that are in a file.
    pub stored_total: u64,
    /// Runs and data not taken, since there were so many in that second.
    pub limited_total: u64,
    /// Records that made room for newer ones.
    pub dropped_total: u64,
    /// Records larger than any, or than a message of the bus.
    pub too_large_total: u64,
    /// Records that the bus did not take for another reason.
    pub refused_total: u64,
    /// Records that could not be written to a file.
    pub unstored_total: u64,
    /// What waits now.
    pub waiting: QueueStatus,
}

impl Counts {
    /// What is told of it, with what waits at the moment.
    pub(super) fn status(&self, waiting: QueueStatus) -> CaptureStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CaptureStatus {
            queued_total: of(&self.queued),
            published_total: of(&self.published),
            stored_total: of(&self.stored),
            limited_total: of(&self.limited),
            dropped_total: of(&self.dropped),
            too_large_total: of(&self.too_large),
            refused_total: of(&self.refused),
            unstored_total: of(&self.unstored),
            waiting,
        }
    }
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
