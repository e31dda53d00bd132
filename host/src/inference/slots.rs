//! How many long runs there are at once, and which of them nobody waits for.
//!
//! A run holds its slot until it really ends. A backend that cannot be stopped
//! goes on past its deadline; it is then *overdue*, still holds its slot, and
//! its model takes no further runs until it ends. So a slow model costs at
//! most the slots it had taken when its first run became overdue.
//!
//! A model also has turns, its own runs at once: one is had before a slot is
//! asked for, so that those who wait for a model keep no slot from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::backend::Control;
use super::errors::RunError;
use super::limits::InferenceLimits;
use super::watchdog::Watchdog;

/// The slots of all models.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicU32,
    waiting_max: u32,
    watchdog: Watchdog,
}

/// The runs at once of one model.
#[derive(Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    max: usize,
}

impl Turns {
    pub(super) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(max));
        Self { free, max }
    }

    /// One that is free now.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

impl Slots {
    pub(super) fn new(limits: &InferenceLimits) -> Self {
        let slots = usize::try_from(limits.slots.get()).unwrap_or(usize::MAX);
        Self {
            free: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicU32::new(0),
            waiting_max: limits.waiting_max.get(),
            watchdog: Watchdog::default(),
        }
    }

    /// A slot, waited for until `deadline` at most.
    pub(super) async fn take(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, RunError> {
        if let Some(slot) = self.try_take() {
            return Ok(slot);
        }
        let slot = self.wait(&self.free, deadline).await;
        slot.ok_or(RunError::NoSlot)
    }

    /// A slot that is free now.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// A turn of a model, waited for until `deadline` at most.
    pub(super) async fn turn(
        &self,
        turns: &Turns,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, RunError> {
        if let Some(turn) = turns.try_take() {
            return Ok(turn);
        }
        let turn = self.wait(&turns.free, deadline).await;
        turn.ok_or(RunError::NoTurn { max: turns.max })
    }

    async fn wait(&self, free: &Arc<Semaphore>, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        let _waiting = self.enter()?;
        let taken = timeout_at(deadline.into(), Arc::clone(free).acquire_owned()).await;
        taken.ok()?.ok()
    }

    /// A place among those who wait, if there is one.
    pub(super) fn enter(&self) -> Option<Waiting<'_>> {
        Waiting::enter(&self.waiting, self.waiting_max)
    }

    /// For a run that has to stop at `deadline`, whoever waits for it.
    pub(super) fn control(&self, deadline: Instant) -> Control {
        Control::watched(deadline, &self.watchdog)
    }
}

#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicU32, max: u32) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        // Made before the check, so that it is given back either way.
        let entered = Self(waiting);
        (before < max).then_some(entered)
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
