//! The sessions of one model: each makes one run at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ort::session::{RunOptions, Session};
use parking_lot::{Condvar, Mutex};

use crate::inference::{Control, RunError};

/// How soon it shows that nobody waits any more.
const STEP: Duration = Duration::from_millis(20);

pub(super) struct Pool {
    size: usize,
    free: Mutex<Vec<Place>>,
    freed: Condvar,
}

/// A session, and what stops its run.
pub(super) struct Place {
    pub(super) session: Session,
    pub(super) options: Arc<RunOptions>,
}

/// Given back when dropped.
pub(super) struct Taken<'a> {
    pool: &'a Pool,
    place: Option<Place>,
}

impl Pool {
    pub(super) fn new(sessions: Vec<Session>) -> Result<Self, ort::Error> {
        let place = |session| {
            let options = Arc::new(RunOptions::new()?);
            Ok(Place { session, options })
        };
        let free = sessions.into_iter().map(place);
        let free = free.collect::<Result<Vec<_>, ort::Error>>()?;
        Ok(Self {
            size: free.len(),
            free: Mutex::new(free),
            freed: Condvar::new(),
        })
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A session, waited for until the run has to stop.
    pub(super) fn take(&self, control: &Control) -> Result<Taken<'_>, RunError> {
        let mut free = self.free.lock();
        loop {
            if let Some(place) = free.pop() {
                return Ok(Taken {
                    pool: self,
                    place: Some(place),
                });
            }
            control.check()?;
            let until = control.deadline().min(Instant::now() + STEP);
            self.freed.wait_until(&mut free, until);
        }
    }
}

impl Taken<'_> {
    pub(super) fn place(&mut self) -> Option<&mut Place> {
        self.place.as_mut()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.pool.free.lock().push(place);
            self.pool.freed.notify_one();
        }
    }
}
