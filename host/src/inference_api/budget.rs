//! What callers may hold and run: all of them together, and each user by itself.
//!
//! Bytes of requests that come in and of answers that go out are taken from one
//! budget, so that no number of callers makes the host hold more. One user has at
//! most half of it, and of the runs at once, over however many connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use super::service::HEAD_BYTES;
use crate::inference::{RunError, Stake};

/// Runs that this API may have at once, those among them that nobody waits for any
/// more: plugins find slots too.
const RUNS_MAX: usize = 16;
/// Of these, how many may be one user's.
const USER_RUNS_MAX: usize = RUNS_MAX / 2;

/// What there is for all.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: Account,
    user_bytes_max: u64,
    runs: Arc<Semaphore>,
    /// Of users who hold something or are connected.
    users: Mutex<HashMap<u32, Weak<Share>>>,
}

/// What one user has of it.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<Budget>,
    bytes: Account,
    runs: Arc<Semaphore>,
}

/// Bytes that are held.
#[derive(Debug)]
struct Account {
    max: u64,
    used: AtomicU64,
}

impl Account {
    fn new(max: u64) -> Self {
        let used = AtomicU64::new(0);
        Self { max, used }
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
}

impl Budget {
    /// A message may be as large as is said, whatever half of all is.
    pub(super) fn new(bytes_max: u32, message_bytes_max: u32) -> Arc<Self> {
        let message = u64::from(message_bytes_max) + HEAD_BYTES as u64;
        let (bytes, half) = (u64::from(bytes_max), u64::from(bytes_max) / 2);
        Arc::new(Self {
            bytes: Account::new(bytes),
            user_bytes_max: half.max(message).min(bytes),
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
            users: Mutex::default(),
        })
    }

    /// The share of a user: the same for as long as anything of it is in use.
    pub(super) fn share(self: &Arc<Self>, user: u32) -> Arc<Share> {
        let mut users = self.users.lock();
        if let Some(share) = users.get(&user).and_then(Weak::upgrade) {
            return share;
        }
        users.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Share {
            all: Arc::clone(self),
            bytes: Account::new(self.user_bytes_max),
            runs: Arc::new(Semaphore::new(USER_RUNS_MAX)),
        });
        users.insert(user, Arc::downgrade(&share));
        share
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.bytes.used.load(Ordering::Acquire)
    }
}

impl Share {
    #[must_use]
    pub(super) fn take(&self, bytes: u64) -> bool {
        if !self.bytes.take(bytes) {
            return false;
        }
        let taken = self.all.bytes.take(bytes);
        if !taken {
            self.bytes.give(bytes);
        }
        taken
    }

    pub(super) fn give(&self, bytes: u64) {
        self.all.bytes.give(bytes);
        self.bytes.give(bytes);
    }

    /// This user's turn, then this API's: those who run much wait for themselves, and
    /// for no longer than `wait_max`. Whoever goes away has none back before its run
    /// has ended.
    pub(super) async fn turn(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        wait_max: Duration,
    ) -> Result<Stake, RunError> {
        let latest = Instant::now() + wait_max;
        let until = deadline.map_or(latest, |deadline| deadline.min(latest));
        let turns = async {
            let own = Arc::clone(&self.runs).acquire_owned().await;
            let all = Arc::clone(&self.all.runs).acquire_owned().await;
            Some((own.ok()?, all.ok()?))
        };
        match timeout_at(until.into(), turns).await {
            Ok(Some(turns)) => Ok(Arc::new((turns, Arc::clone(self)))),
            Err(_) if deadline == Some(until) => Err(RunError::Deadline),
            Ok(None) | Err(_) => Err(RunError::NoSlot),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Budget, HEAD_BYTES, RUNS_MAX, USER_RUNS_MAX};
    use crate::inference::RunError;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_user_leaves_half_of_the_bytes_to_others() {
        let budget = Budget::new(100, 10);
        let (one, again, other) = (budget.share(1), budget.share(1), budget.share(2));
        assert!(one.take(30));
        assert!(!again.take(21));
        assert!(again.take(20));
        assert!(other.take(50));
        assert!(!budget.share(3).take(1));
        one.give(50);
        assert!(budget.share(3).take(50));
        other.give(50);
        assert_eq!(budget.used(), 50);
    }

    #[test]
    fn a_message_of_the_largest_size_fits() {
        let budget = Budget::new(100, 80);
        assert!(budget.share(1).take(80 + HEAD_BYTES as u64));
        let budget = Budget::new(100, 100);
        assert!(budget.share(1).take(100));
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_leaves_half_of_the_runs_to_others() {
        let budget = Budget::new(100, 10);
        let mut stakes = Vec::new();
        for _ in 0..USER_RUNS_MAX {
            // Each with a connection of its own, and some that are gone.
            stakes.push(budget.share(1).turn(None, SECOND).await.unwrap());
        }
        let waited = budget.share(1).turn(None, SECOND).await;
        assert!(matches!(waited, Err(RunError::NoSlot)));
        for _ in USER_RUNS_MAX..RUNS_MAX {
            stakes.push(budget.share(2).turn(None, SECOND).await.unwrap());
        }
        let waited = budget.share(3).turn(None, SECOND).await;
        assert!(matches!(waited, Err(RunError::NoSlot)));
        stakes.pop();
        budget.share(3).turn(None, SECOND).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_less_time_than_the_wait_is_told_that_it_is_over() {
        let budget = Budget::new(100, 10);
        let share = budget.share(1);
        let mut stakes = Vec::new();
        for _ in 0..USER_RUNS_MAX {
            stakes.push(share.turn(None, SECOND).await.unwrap());
        }
        let sooner = Instant::now() + SECOND / 2;
        let waited = share.turn(Some(sooner), SECOND).await;
        assert!(matches!(waited, Err(RunError::Deadline)));
    }
}
