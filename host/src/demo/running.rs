//! A machine that moves on in real time, whoever asks it for something.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::machine::Machine;

const TICK: Duration = Duration::from_millis(20);

/// A machine at work. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Running(Arc<Mutex<Moved>>);

/// Starts the clock of a machine's fault.
#[derive(Debug, Clone)]
pub struct Armer(Running);

/// A machine and how far it has been moved.
#[derive(Debug)]
pub(super) struct Moved {
    machine: Machine,
    last: Instant,
}

impl Running {
    pub(super) fn new(machine: Machine) -> Self {
        let last = Instant::now();
        Self(Arc::new(Mutex::new(Moved { machine, last })))
    }

    pub(super) fn armer(&self) -> Armer {
        Armer(self.clone())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Moved> {
        self.0.lock()
    }

    /// Moves it even if nobody asks for it, without end.
    pub(super) async fn run(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.lock().now();
        }
    }
}

impl Armer {
    pub fn arm(&self) {
        self.0.lock().now().arm();
    }
}

impl Moved {
    /// The machine as it is at this moment.
    pub(super) fn now(&mut self) -> &mut Machine {
        let now = Instant::now();
        self.machine.step(now.saturating_duration_since(self.last));
        self.last = now;
        &mut self.machine
    }
}
