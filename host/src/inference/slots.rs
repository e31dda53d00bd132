//! How many long runs there are at once, and which of them nobody waits for.
//!
//! A run holds its slot until it really ends. A backend that cannot be stopped
//! goes on past its deadline; it is then *overdue*, still holds its slot, and
//! its model takes no further runs until it ends. So a slow model costs at
//! most the slots it had taken when its first run became overdue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::backend::Control;
use super::errors::RunError;
use super::limits::InferenceLimits;

/// The slots of all models.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicU32,
    waiting_max: u32,
}

impl Slots {
    pub(super) fn new(limits: &InferenceLimits) -> Self {
        let slots = usize::try_from(limits.slots.get()).unwrap_or(usize::MAX);
        Self {
            free: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicU32::new(0),
            waiting_max: limits.waiting_max.get(),
        }
    }

    /// A slot, waited for until `deadline` at most.
    pub(super) async fn take(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, RunError> {
        let free = Arc::clone(&self.free);
        if let Ok(slot) = Arc::clone(&free).try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max)?;
        match timeout_at(deadline.into(), free.acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(RunError::NoSlot),
        }
    }
}

struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicU32, max: u32) -> Result<Self, RunError> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        // Made before the check, so that it is given back either way.
        let entered = Self(waiting);
        if before < max {
            Ok(entered)
        } else {
            Err(RunError::NoSlot)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The two ends of one long run: the thread that runs it and whoever waits.
pub(super) fn pair(control: Control, overdue: &Arc<AtomicU32>) -> (Runner, Waiter) {
    let one_ended = Arc::new(AtomicBool::new(false));
    let runner = Runner {
        one_ended: Arc::clone(&one_ended),
        overdue: Arc::clone(overdue),
    };
    let waiter = Waiter {
        one_ended,
        overdue: Arc::clone(overdue),
        control,
    };
    (runner, waiter)
}

/// Dropped when the run has ended.
#[derive(Debug)]
pub(super) struct Runner {
    one_ended: Arc<AtomicBool>,
    overdue: Arc<AtomicU32>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        if self.one_ended.swap(true, Ordering::AcqRel) {
            self.overdue.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Dropped when nobody waits any more, for whatever reason.
#[derive(Debug)]
pub(super) struct Waiter {
    one_ended: Arc<AtomicBool>,
    overdue: Arc<AtomicU32>,
    control: Control,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.one_ended.load(Ordering::Acquire) {
            return;
        }
        self.control.cancel();
        // Counted before it is known to be so, so that the runner never
        // subtracts first.
        self.overdue.fetch_add(1, Ordering::AcqRel);
        if self.one_ended.swap(true, Ordering::AcqRel) {
            self.overdue.fetch_sub(1, Ordering::Release);
        }
    }
}
