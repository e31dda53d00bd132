//! Keeps the host's units running, and stops them in order.
//!
//! A *unit* is a named loop: one plugin instance, one simulated machine, one
//! uplink. Only this module spawns tasks, so nothing outlives
//! [`Supervisor::shut_down`]. A unit that fails is started again with growing
//! delays; one that fails too often is given up, and only an essential unit
//! takes the host with it. What a unit does is not its business.

mod group;
mod policy;
mod state;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::error_chain::ErrorChain;

pub use group::{GroupFull, TaskGroup};
pub use policy::{RestartPolicy, WhenLost};
pub use state::UnitState;

/// Units that may use up their grace one after another when the host shuts down.
const DEAF_MAX: u32 = 3;

/// What an attempt to run a unit ends with.
pub type UnitResult = Result<(), Box<dyn Error + Send + Sync>>;

type Attempt = Pin<Box<dyn Future<Output = UnitResult> + Send>>;

/// A named loop, and how to start it again.
pub struct Unit {
    name: Arc<str>,
    policy: RestartPolicy,
    start: Box<dyn Fn(UnitContext) -> Attempt + Send + Sync>,
}

/// Is told of every change of a unit's state, as it happens. Must not block.
pub type Observer = Arc<dyn Fn(&str, &UnitState) + Send + Sync>;

/// What a running attempt knows of its surroundings.
#[derive(Clone)]
pub struct UnitContext {
    /// Cancelled when the unit is to stop.
    pub stop: CancellationToken,
    abort: CancellationToken,
    name: Arc<str>,
    state: watch::Sender<UnitState>,
    observer: Observer,
}

impl std::fmt::Debug for UnitContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnitContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl UnitContext {
    /// Says that the unit is at work: from now on its state is `running`.
    pub fn ready(&self) {
        if !self.stop.is_cancelled() {
            self.enter(UnitState::Running);
        }
    }

    fn enter(&self, state: UnitState) {
        (self.observer)(&self.name, &state);
        self.state.send_replace(state);
    }
}

/// A started unit.
#[derive(Debug)]
struct Running {
    name: Arc<str>,
    context: UnitContext,
    state: watch::Receiver<UnitState>,
    task: AbortOnDropHandle<()>,
}

/// Starts units and stops them.
#[derive(Clone)]
pub struct Supervisor {
    running: Arc<Mutex<Vec<Running>>>,
    lost: CancellationToken,
    grace: Duration,
    observer: Observer,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("units", &self.states())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Unit {
    /// A unit called `name` that `start` runs, as often as `policy` allows.
    pub fn new<F>(
        name: impl Into<Arc<str>>,
        policy: RestartPolicy,
        start: impl Fn(UnitContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = UnitResult> + Send + 'static,
    {
        Self {
            name: name.into(),
            policy,
            start: Box::new(move |context| Box::pin(start(context))),
        }
    }

    /// Runs until the unit finishes, is told to stop, or fails too often.
    async fn keep_alive(self, context: UnitContext, lost: CancellationToken) {
        let mut failures = Vec::new();
        loop {
            context.enter(UnitState::Starting);
            let outcome = self.attempt(context.clone()).await;
            let Err(failure) = outcome else { break };
            if context.stop.is_cancelled() {
                break;
            }
            let error = ErrorChain(failure.as_ref()).to_string();
            let Some(delay) = self.policy.next_delay(&mut failures, Instant::now()) else {
                error!(unit = &*self.name, error, "unit given up");
                context.enter(UnitState::GivenUp { error });
                if self.policy.when_lost == WhenLost::StopHost {
                    lost.cancel();
                }
                return;
            };
            warn!(
                unit = &*self.name,
                error,
                delay_ms = delay.as_millis(),
                "unit restarting"
            );
            context.enter(UnitState::BackingOff { error, delay });
            tokio::select! {
                () = sleep(delay) => {}
                () = context.stop.cancelled() => break,
            }
        }
        info!(unit = &*self.name, "unit stopped");
        context.enter(UnitState::Stopped);
    }

    /// Runs once, in a task of its own so that a panic is only a failure. When
    /// this returns, nothing of it runs any more.
    async fn attempt(&self, context: UnitContext) -> UnitResult {
        let abort = context.abort.clone();
        let mut task = spawn((self.start)(context));
        tokio::select! {
            outcome = &mut task => outcome?,
            () = abort.cancelled() => {
                task.abort();
                task.await?
            }
        }
    }
}

impl Supervisor {
    /// A supervisor that gives each unit `grace` to stop before it is aborted,
    /// and tells `observer` how its units fare.
    pub fn new(grace: Duration, observer: Observer) -> Self {
        Self {
            running: Arc::default(),
            lost: CancellationToken::new(),
            grace,
            observer,
        }
    }

    /// Starts a unit, and says how it fares from now on.
    pub fn start(&self, unit: Unit) -> watch::Receiver<UnitState> {
        let (state, watched) = watch::channel(UnitState::Starting);
        let name = Arc::clone(&unit.name);
        let context = UnitContext {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            name: Arc::clone(&name),
            state,
            observer: Arc::clone(&self.observer),
        };
        let task = spawn(unit.keep_alive(context.clone(), self.lost.clone()));
        let mut running = self.running.lock();
        // One that ended is remembered until another takes its name.
        running.retain(|unit| unit.name != name || !unit.task.is_finished());
        running.push(Running {
            name,
            context,
            state: watched.clone(),
            task,
        });
        watched
    }

    /// Stops the unit called `name` and waits until it has.
    pub async fn stop(&self, name: &str) {
        self.stop_within(name, self.grace).await;
    }

    /// The same, for a unit that may need another grace than most. False if it
    /// had to be aborted.
    pub async fn stop_within(&self, name: &str, grace: Duration) -> bool {
        let unit = {
            let mut running = self.running.lock();
            let place = running.iter().position(|unit| &*unit.name == name);
            place.map(|place| running.remove(place))
        };
        match unit {
            Some(unit) => self.stop_unit(unit, Instant::now() + grace).await,
            None => true,
        }
    }

    /// The units and how they fare, in the order in which they were started.
    pub fn states(&self) -> Vec<(Arc<str>, UnitState)> {
        let running = self.running.lock();
        running
            .iter()
            .map(|unit| (Arc::clone(&unit.name), unit.state.borrow().clone()))
            .collect()
    }

    /// Resolves when an essential unit is given up.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Stops everything: last started, first stopped, so that no unit outlives
    /// one that it relies on. However many do not listen, all together get no
    /// more than [`DEAF_MAX`] times the grace of one.
    pub async fn shut_down(&self) {
        let end = Instant::now() + self.grace * DEAF_MAX;
        loop {
            let unit = self.running.lock().pop();
            let Some(unit) = unit else { return };
            let end = end.min(Instant::now() + self.grace);
            self.stop_unit(unit, end).await;
        }
    }

    async fn stop_unit(&self, mut unit: Running, end: Instant) -> bool {
        unit.context.stop.cancel();
        let stopped = timeout_at(end, &mut unit.task).await.is_ok();
        if !stopped {
            warn!(unit = &*unit.name, "unit aborted: it did not stop in time");
            unit.context.abort.cancel();
            // It ends where it next waits.
            if timeout(self.grace, &mut unit.task).await.is_err() {
                error!(unit = &*unit.name, "unit left behind: it never waits");
            }
        }
        stopped
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that spawns")]
fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(future))
}
