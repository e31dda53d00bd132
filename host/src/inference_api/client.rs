//! One connection's account: who is at its other end, and what its calls hold.
//!
//! Bytes of requests that come in and of answers that were made are taken from one
//! budget, so that no number of callers makes the host hold more. What stands still
//! for too long costs its caller the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::access::Caller;

/// Runs of one connection at once, those among them that it no longer waits for.
const RUNS_MAX: usize = 8;

/// What all callers may hold together.
#[derive(Debug)]
pub(super) struct Budget {
    max: u64,
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(max: u64) -> Self {
        Self {
            max,
            used: AtomicU64::new(0),
        }
    }

    fn take(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok()
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    #[cfg(test)]
    fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }
}

/// What is held for one purpose, and when that last changed. Dropped, it is given
/// back.
#[derive(Debug)]
pub(super) struct Room {
    budget: Arc<Budget>,
    held: AtomicU64,
    touched: Mutex<Instant>,
}

impl Room {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            held: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
        }
    }

    /// Whether so many more fit.
    #[must_use]
    pub(super) fn take(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let taken = self.budget.take(bytes);
        if taken {
            self.held.fetch_add(bytes, Ordering::AcqRel);
        }
        *self.touched.lock() = Instant::now();
        taken
    }

    /// Gives up to so many back.
    pub(super) fn give(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let before = self
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        let before = before.unwrap_or_default();
        self.budget.give(bytes.min(before));
        if before > 0 {
            *self.touched.lock() = Instant::now();
        }
    }

    /// Whether something is held here and nothing has moved for so long.
    fn stands_still(&self, idle: Duration) -> bool {
        self.held.load(Ordering::Acquire) > 0 && self.touched.lock().elapsed() > idle
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.give(*self.held.get_mut());
    }
}

/// Who is at the other end of a connection. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) caller: Arc<Caller>,
    /// The host is to stop: streams end.
    pub(super) stopping: CancellationToken,
    pub(super) runs: Arc<Semaphore>,
    /// Answers that were made and not yet written.
    pub(super) answers: Arc<Room>,
    requests: Arc<Mutex<Vec<Weak<Room>>>>,
}

impl Client {
    pub(super) fn new(caller: Caller, stopping: CancellationToken, budget: &Arc<Budget>) -> Self {
        Self {
            caller: Arc::new(caller),
            stopping,
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
            answers: Arc::new(Room::new(budget)),
            requests: Arc::default(),
        }
    }

    /// Room for the request of a call that begins.
    pub(super) fn request(&self, budget: &Arc<Budget>) -> Arc<Room> {
        let room = Arc::new(Room::new(budget));
        let mut requests = self.requests.lock();
        requests.retain(|request| request.strong_count() > 0);
        requests.push(Arc::downgrade(&room));
        room
    }

    /// Whether a request or an answer has not moved for so long.
    pub(super) fn stands_still(&self, idle: Duration) -> bool {
        let requests = self.requests.lock();
        let mut requests = requests.iter().filter_map(Weak::upgrade);
        self.answers.stands_still(idle) || requests.any(|request| request.stands_still(idle))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arc, Budget, Room};

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Arc::new(Budget::new(100));
        let (one, other) = (Room::new(&budget), Room::new(&budget));
        assert!(one.take(60));
        assert!(!other.take(41));
        assert!(other.take(40));
        one.give(10);
        assert!(other.take(10));
        one.give(1_000);
        assert_eq!(budget.used(), 50);
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn only_what_is_held_stands_still() {
        let budget = Arc::new(Budget::new(100));
        let room = Room::new(&budget);
        assert!(!room.stands_still(Duration::ZERO));
        assert!(room.take(1));
        std::thread::yield_now();
        assert!(room.stands_still(Duration::ZERO));
        assert!(!room.stands_still(Duration::from_secs(60)));
    }
}
