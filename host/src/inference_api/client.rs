//! One connection's account: who is at its other end, and what its calls hold.
//!
//! What stands still for too long costs its caller the connection; not while it is
//! the host that lets it wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::budget::Share;
use crate::api::access::Caller;

/// What is held for one purpose, and when that last changed. Dropped, it is given
/// back.
#[derive(Debug)]
pub(super) struct Room {
    share: Arc<Share>,
    held: AtomicU64,
    touched: Mutex<Instant>,
    /// For how many it is the host's turn to do something.
    with_host: AtomicUsize,
}

impl Room {
    pub(super) fn new(share: &Arc<Share>) -> Self {
        Self {
            share: Arc::clone(share),
            held: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
            with_host: AtomicUsize::new(0),
        }
    }

    /// Whether so many more fit.
    #[must_use]
    pub(super) fn take(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let taken = self.share.take(bytes);
        if taken {
            self.held.fetch_add(bytes, Ordering::AcqRel);
        }
        self.touch();
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
        self.share.give(bytes.min(before));
        if before > 0 {
            self.touch();
        }
    }

    /// Something of what is held has moved.
    pub(super) fn touch(&self) {
        *self.touched.lock() = Instant::now();
    }

    /// Whether something is held here that is the client's to move, and nothing has
    /// moved for so long.
    fn stands_still(&self, idle: Duration) -> bool {
        self.held.load(Ordering::Acquire) > 0
            && self.with_host.load(Ordering::Acquire) == 0
            && self.touched.lock().elapsed() > idle
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.share.give(*self.held.get_mut());
    }
}

/// The rooms of one call. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    pub(super) request: Arc<Room>,
    /// Answers that were made and have not gone out.
    pub(super) answer: Arc<Room>,
}

/// As long as it lives, a call waits for the host and not for its client.
#[derive(Debug)]
pub(super) struct WithHost(Rooms);

impl Rooms {
    fn both(&self) -> [&Arc<Room>; 2] {
        [&self.request, &self.answer]
    }

    pub(super) fn with_host(&self) -> WithHost {
        for room in self.both() {
            room.with_host.fetch_add(1, Ordering::AcqRel);
        }
        WithHost(self.clone())
    }
}

impl Drop for WithHost {
    fn drop(&mut self) {
        for room in self.0.both() {
            // In this order: the client's time begins now.
            room.touch();
            room.with_host.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Who is at the other end of a connection. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) caller: Arc<Caller>,
    /// The host is to stop: streams end.
    pub(super) stopping: CancellationToken,
    pub(super) share: Arc<Share>,
    rooms: Arc<Mutex<Vec<Weak<Room>>>>,
}

impl Client {
    pub(super) fn new(caller: Caller, stopping: CancellationToken, share: Arc<Share>) -> Self {
        Self {
            caller: Arc::new(caller),
            stopping,
            share,
            rooms: Arc::default(),
        }
    }

    /// Room for a call that begins.
    pub(super) fn call(&self) -> Rooms {
        let room = || Arc::new(Room::new(&self.share));
        let (request, answer) = (room(), room());
        let call = Rooms { request, answer };
        let mut rooms = self.rooms.lock();
        rooms.retain(|room| room.strong_count() > 0);
        rooms.extend(call.both().map(Arc::downgrade));
        call
    }

    /// Whether a request or an answer has not moved for so long.
    pub(super) fn stands_still(&self, idle: Duration) -> bool {
        let rooms = self.rooms.lock();
        let mut rooms = rooms.iter().filter_map(Weak::upgrade);
        rooms.any(|room| room.stands_still(idle))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arc, Room, Rooms};
    use crate::inference_api::budget::Budget;

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Budget::new(200, 100);
        let share = budget.share(1);
        let (one, other) = (Room::new(&share), Room::new(&share));
        assert!(one.take(60));
        assert!(!other.take(60));
        assert!(other.take(40));
        one.give(10);
        assert!(other.take(10));
        one.give(1_000);
        assert_eq!(budget.used(), 50);
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn only_what_is_held_and_the_clients_to_move_stands_still() {
        let share = Budget::new(200, 100).share(1);
        let room = || Arc::new(Room::new(&share));
        let rooms = Rooms {
            request: room(),
            answer: room(),
        };
        let stands_still = || rooms.request.stands_still(Duration::ZERO);
        let moved = || !rooms.request.stands_still(Duration::from_secs(60));
        assert!(!stands_still());
        assert!(rooms.request.take(1));
        std::thread::yield_now();
        assert!(stands_still() && moved());
        assert!(!rooms.answer.stands_still(Duration::ZERO));
        // Two of one stream run.
        let (first, second) = (rooms.with_host(), rooms.with_host());
        drop(first);
        std::thread::yield_now();
        assert!(!stands_still());
        drop(second);
        std::thread::yield_now();
        assert!(stands_still() && moved());
    }
}
