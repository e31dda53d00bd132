//! How many long runs there are at once, and which of them nobody waits for.
//!
//! A run holds its slot until it really ends. One that nobody waits for any more
//! is asked to stop, and keeps its slot, its turn and what its caller staked until
//! it has. A run that goes on past the host's limit is *overdue*: its model takes
//! no further runs until it ends, so that a model that hangs costs at most the
//! slots it had taken by then. How short a time callers have decides nothing here.
//!
//! A model also has turns, its own runs at once: one is had before a slot is
//! asked for, so that those who wait for a model keep no slot from others. Turns
//! and slots go to those who wait in the order in which they came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::control::Control;
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

/// What a caller gives for a run and has back only when that has really ended,
/// however long it waits for it: its right to have further runs.
pub type Stake = Arc<dyn Send + Sync>;

/// The runs of one model on threads of their own.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<Runs>);

#[derive(Debug, Default)]
struct Runs {
    next: u64,
    by_number: BTreeMap<u64, Run>,
}

#[derive(Debug)]
struct Run {
    began: Instant,
    abandoned: bool,
}

impl UnderWay {
    /// How many go on for longer than `limit`.
    pub(super) fn overdue(&self, limit: Duration) -> u32 {
        self.count(|run| run.began.elapsed() > limit)
    }

    /// How many go on though nobody waits for them.
    pub(super) fn abandoned(&self) -> u32 {
        self.count(|run| run.abandoned)
    }

    fn count(&self, which: impl Fn(&Run) -> bool) -> u32 {
        let runs = self.0.lock();
        let count = runs.by_number.values().filter(|run| which(run)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Both ends of one long run: the thread that runs it and whoever waits.
pub(super) fn pair(
    control: Control,
    under_way: &Arc<UnderWay>,
    stakes: Vec<Stake>,
) -> (Runner, Waiter) {
    let mut runs = under_way.0.lock();
    let number = runs.next;
    runs.next += 1;
    let run = Run {
        began: Instant::now(),
        abandoned: false,
    };
    runs.by_number.insert(number, run);
    drop(runs);
    let runner = Runner {
        under_way: Arc::clone(under_way),
        number,
        _stakes: stakes,
    };
    let waiter = Waiter {
        under_way: Arc::clone(under_way),
        number,
        control,
    };
    (runner, waiter)
}

/// Dropped when the run has ended.
pub(super) struct Runner {
    under_way: Arc<UnderWay>,
    number: u64,
    _stakes: Vec<Stake>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runner({})", self.number)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.under_way.0.lock().by_number.remove(&self.number);
    }
}

/// Dropped when nobody waits any more, for whatever reason.
#[derive(Debug)]
pub(super) struct Waiter {
    under_way: Arc<UnderWay>,
    number: u64,
    control: Control,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let goes_on = match self.under_way.0.lock().by_number.get_mut(&self.number) {
            Some(run) => {
                run.abandoned = true;
                true
            }
            None => false,
        };
        // Not under the lock: stopping is the backend's.
        if goes_on {
            self.control.cancel();
        }
    }
}
