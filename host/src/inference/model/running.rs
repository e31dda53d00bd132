//! How a model is run.
//!
//! A run that is expected to be short is made where it is asked for: going to
//! another thread and back costs more (25 to 40 us). Any other holds one of a
//! bounded number of slots on a thread of its own. Either way it first has one
//! of the model's turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use super::Model;
use crate::inference::control::Control;
use crate::inference::errors::{RunError, panic_message};
use crate::inference::inputs::arrange;
use crate::inference::slots::{Runner, Slots, Stake, Waiter, pair};
use crate::inference::tensor::Tensor;

/// Runs expected to be shorter are made where they are asked for.
const INLINE_MAX: Duration = Duration::from_micros(200);

/// What a run holds until it really ends.
#[derive(Debug)]
pub(in crate::inference) struct Held {
    _turn: OwnedSemaphorePermit,
    _slot: OwnedSemaphorePermit,
}

impl Model {
    /// Runs it on named inputs, each given once, in any order. Returns the
    /// outputs in the model's order, by `deadline` or the limit of a run,
    /// whichever is sooner.
    pub async fn run(
        self: &Arc<Self>,
        inputs: Vec<(String, Tensor)>,
        deadline: Option<Instant>,
    ) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        self.run_for(inputs, deadline, None).await
    }

    /// The same; the run has the `stake` until it has really ended.
    pub async fn run_for(
        self: &Arc<Self>,
        inputs: Vec<(String, Tensor)>,
        deadline: Option<Instant>,
        stake: Option<Stake>,
    ) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        let latest = Instant::now() + self.run_time_max;
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let arranged = self.unless_withdrawn();
        let arranged = arranged.and_then(|()| arrange(self.inputs(), inputs));
        let result = match arranged {
            Ok(inputs) => self.run_arranged(inputs, deadline, stake).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.stats.failed(error);
        }
        let names = self.outputs().iter().map(|port| Arc::clone(&port.name));
        Ok(names.zip(result?).collect())
    }

    async fn run_arranged(
        self: &Arc<Self>,
        inputs: Vec<Tensor>,
        deadline: Instant,
        stake: Option<Stake>,
    ) -> Result<Vec<Tensor>, RunError> {
        if self.graph.is_steady() && self.expected(&inputs) <= INLINE_MAX {
            let turn = match (self.turns.try_take(), &self.batcher) {
                (Some(turn), _) => Some(turn),
                // Those before it are as short: it is not worth another thread.
                (None, None) => {
                    self.unless_overdue()?;
                    Some(self.slots.turn(&self.turns, deadline).await?)
                }
                (None, Some(_)) => None,
            };
            if let Some(_turn) = turn {
                return self.run_here(&inputs, &self.slots.control(deadline));
            }
        }
        self.unless_overdue()?;
        match &self.batcher {
            Some(batcher) => batcher.run(self, inputs, (deadline, stake)).await,
            None => self.run_elsewhere(inputs, (deadline, stake)).await,
        }
    }

    fn unless_withdrawn(&self) -> Result<(), RunError> {
        match self.withdrawn() {
            None => Ok(()),
            Some(reason) => Err(RunError::Withdrawn {
                reason: reason.to_owned(),
            }),
        }
    }

    pub(in crate::inference) fn unless_overdue(&self) -> Result<(), RunError> {
        match self.under_way.overdue(self.run_time_max) {
            0 => Ok(()),
            overdue => Err(RunError::Overdue { overdue }),
        }
    }

    pub(in crate::inference) async fn run_elsewhere(
        self: &Arc<Self>,
        inputs: Vec<Tensor>,
        (deadline, stake): (Instant, Option<Stake>),
    ) -> Result<Vec<Tensor>, RunError> {
        let held = self.hold(deadline).await?;
        let (control, runner, waiter) = self.begin(deadline, stake.into_iter().collect());
        let model = Arc::clone(self);
        let run = tokio::task::spawn_blocking(move || {
            let result = model.run_here(&inputs, &control);
            // In this order: whoever has its turn next does not find it overdue.
            drop(runner);
            drop(held);
            result
        });
        let result = timeout_at(deadline.into(), run).await;
        drop(waiter);
        match result {
            Ok(Ok(result)) => result,
            Ok(Err(lost)) => Err(RunError::Failed {
                source: lost.into(),
            }),
            Err(_) => Err(RunError::Deadline),
        }
    }

    /// A turn of the model and a slot, waited for until `deadline` at most.
    pub(in crate::inference) async fn hold(&self, deadline: Instant) -> Result<Held, RunError> {
        let turn = self.slots.turn(&self.turns, deadline).await?;
        let slot = self.slots.take(deadline).await?;
        // One may have become overdue while this one waited.
        self.unless_overdue()?;
        Ok(Held {
            _turn: turn,
            _slot: slot,
        })
    }

    /// The same, if both are free now.
    pub(in crate::inference) fn try_hold(&self) -> Option<Held> {
        Some(Held {
            _turn: self.turns.try_take()?,
            _slot: self.slots.try_take()?,
        })
    }

    pub(in crate::inference) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Both ends of a run on another thread.
    pub(in crate::inference) fn begin(
        &self,
        deadline: Instant,
        stakes: Vec<Stake>,
    ) -> (Control, Runner, Waiter) {
        let control = self.slots.control(deadline);
        let (runner, waiter) = pair(control.clone(), &self.under_way, stakes);
        (control, runner, waiter)
    }

    /// Runs on this thread, for one caller.
    pub(in crate::inference) fn run_here(
        &self,
        inputs: &[Tensor],
        control: &Control,
    ) -> Result<Vec<Tensor>, RunError> {
        let (result, took) = self.compute(inputs, control)?;
        if result.is_ok() {
            self.stats.succeeded(took);
        }
        result
    }

    /// Runs on this thread, for several callers at once.
    pub(in crate::inference) fn run_batch(
        &self,
        (members, rows): (usize, u32),
        inputs: &[Tensor],
        control: &Control,
    ) -> Result<Vec<Tensor>, RunError> {
        let (result, took) = self.compute(inputs, control)?;
        if result.is_ok() {
            self.stats.batch_succeeded(members, rows, took);
        }
        result
    }

    /// A run that nobody waited for has failed.
    pub(in crate::inference) fn count_failed(&self, error: &RunError) {
        self.stats.failed(error);
    }

    /// A panic is an error like any other. Fails if it is too late to begin, or if
    /// the model was withdrawn while this run waited.
    fn compute(
        &self,
        inputs: &[Tensor],
        control: &Control,
    ) -> Result<(Result<Vec<Tensor>, RunError>, Duration), RunError> {
        let started = Instant::now();
        control.check()?;
        self.unless_withdrawn()?;
        let run = AssertUnwindSafe(|| self.graph.run(inputs, control));
        let result = catch_unwind(run).unwrap_or_else(|payload| {
            Err(RunError::Panicked {
                message: panic_message(payload.as_ref()),
            })
        });
        let took = started.elapsed();
        // What fails or is stopped may end long before its time: that tells nothing
        // of those that go well, unless it was longer than they.
        if result.is_ok() || took > self.expected(inputs) {
            self.learn(inputs, took);
        }
        Ok((result, took))
    }

    /// How long a run should take, if its time grows with its input. Where it
    /// grows faster, the next one is expected to take longer.
    fn expected(&self, inputs: &[Tensor]) -> Duration {
        let cost = self.byte_cost_ps.load(Ordering::Relaxed);
        Duration::from_nanos(cost.saturating_mul(bytes(inputs)) / 1_000)
    }

    /// Moves the expectation towards what was seen. One run that was held up
    /// by other work must not move it far.
    pub(super) fn learn(&self, inputs: &[Tensor], took: Duration) {
        let seen = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let seen = seen.saturating_mul(1_000) / bytes(inputs);
        let before = self.byte_cost_ps.load(Ordering::Relaxed);
        let after = if before == u64::MAX {
            seen
        } else {
            let seen = seen.min(before.saturating_mul(8).saturating_add(8));
            (before.saturating_mul(7).saturating_add(seen)) / 8
        };
        self.byte_cost_ps.store(after, Ordering::Relaxed);
    }
}

/// At least 1, so that a model without inputs has a cost too.
fn bytes(inputs: &[Tensor]) -> u64 {
    let bytes: usize = inputs.iter().map(|tensor| tensor.data().len()).sum();
    u64::try_from(bytes.max(1)).unwrap_or(u64::MAX)
}
