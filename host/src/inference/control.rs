//! When a run has to stop, and how a backend hears of it.
//!
//! A backend asks between operators, or leaves a way to be stopped from another
//! thread. Who cancels, and when, is the business of [`super::slots`] and of
//! [`super::watchdog`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::errors::RunError;
use super::watchdog::{OnWatch, Watchdog};

/// When a run has to stop.
#[derive(Clone)]
pub struct Control {
    pub(super) deadline: Instant,
    shared: Arc<Shared>,
    watchdog: Option<Watchdog>,
}

#[derive(Default)]
pub(super) struct Shared {
    cancelled: AtomicBool,
    stop: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cancelled = self.shared.cancelled.load(Ordering::Relaxed);
        f.debug_struct("Control")
            .field("deadline", &self.deadline)
            .field("cancelled", &cancelled)
            .finish_non_exhaustive()
    }
}

/// As long as it lives, what was given to [`Control::on_cancel`] may be called.
#[derive(Debug)]
#[must_use]
pub struct Cancels<'a> {
    shared: &'a Shared,
    _watched: Option<OnWatch<'a>>,
}

impl Drop for Cancels<'_> {
    fn drop(&mut self) {
        *self.shared.stop.lock() = None;
    }
}

impl Shared {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(stop) = self.stop.lock().as_mut() {
            stop();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Control {
    /// One that nobody cancels but by its deadline.
    pub fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            shared: Arc::default(),
            watchdog: None,
        }
    }

    /// One that is cancelled at its deadline even if nobody waits, where the
    /// backend can be stopped.
    pub(super) fn watched(deadline: Instant, watchdog: &Watchdog) -> Self {
        Self {
            watchdog: Some(watchdog.clone()),
            ..Self::new(deadline)
        }
    }

    /// When it has to stop.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Nobody waits for the result any more.
    pub(super) fn cancel(&self) {
        self.shared.cancel();
    }

    /// For a backend that can be stopped from another thread: `stop` is called
    /// there once the run has to stop, at once if it has to already; not after
    /// what is returned was dropped. It must be quick.
    pub fn on_cancel(&self, mut stop: impl FnMut() + Send + 'static) -> Cancels<'_> {
        let mut slot = self.shared.stop.lock();
        if self.shared.cancelled.load(Ordering::Acquire) {
            stop();
        }
        *slot = Some(Box::new(stop));
        drop(slot);
        let watchdog = self.watchdog.as_ref();
        let _watched = watchdog.map(|watchdog| watchdog.watch(self.deadline, &self.shared));
        Cancels {
            shared: &self.shared,
            _watched,
        }
    }

    /// Fails once the run has to stop; to be asked between operators.
    pub fn check(&self) -> Result<(), RunError> {
        if self.shared.cancelled.load(Ordering::Acquire) || Instant::now() >= self.deadline {
            Err(RunError::Deadline)
        } else {
            Ok(())
        }
    }
}
