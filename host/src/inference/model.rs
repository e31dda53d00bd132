//! One version of a model: immutable, shared by all who run it.
//!
//! A run that is expected to be short is made where it is asked for: going to
//! another thread and back costs more (25 to 40 us). Any other holds one of a
//! bounded number of slots on a thread of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout_at;

use super::backend::{Control, Device, Graph, Interface, ModelSource, Placement, Port};
use super::errors::{LoadError, RunError, panic_message};
use super::golden::Golden;
use super::inputs::{arrange, smallest};
use super::run_stats::{RunStats, RunStatus};
use super::slots::{Slots, pair};
use super::tensor::Tensor;
use crate::names::Digest;
use crate::spec::{BackendKind, RunOptions, Target};

/// Runs expected to be shorter are made where they are asked for.
const INLINE_MAX: Duration = Duration::from_micros(200);
/// Runs in a trial, and the time after which no further one begins.
const TRIAL_RUNS_MAX: u32 = 5;
const TRIAL_MAX: Duration = Duration::from_millis(200);

/// A loaded, tried version of a model.
pub struct Model {
    graph: Box<dyn Graph>,
    digest: Digest,
    backend: BackendKind,
    target: Target,
    options: RunOptions,
    placement: Placement,
    metadata: BTreeMap<String, String>,
    loaded_at: SystemTime,
    run_time_max: Duration,
    slots: Arc<Slots>,
    overdue: Arc<AtomicU32>,
    /// What a byte of input is expected to cost, in picoseconds.
    byte_cost_ps: AtomicU64,
    stats: RunStats,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({})", self.digest)
    }
}

/// What a [`Model`] is made from besides its graph.
pub(super) struct Loaded {
    pub(super) backend: BackendKind,
    pub(super) run_time_max: Duration,
    pub(super) slots: Arc<Slots>,
}

impl Model {
    pub(super) fn new(graph: Box<dyn Graph>, source: &ModelSource, loaded: Loaded) -> Self {
        Self {
            placement: graph.placement(),
            graph,
            digest: source.digest,
            backend: loaded.backend,
            target: source.target,
            options: source.options,
            metadata: source.metadata.clone(),
            loaded_at: SystemTime::now(),
            run_time_max: loaded.run_time_max,
            slots: loaded.slots,
            overdue: Arc::default(),
            byte_cost_ps: AtomicU64::new(u64::MAX),
            stats: RunStats::new(),
        }
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn backend(&self) -> BackendKind {
        self.backend
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// Where it does run.
    pub fn device(&self) -> Device {
        self.placement.device
    }

    /// What computes it.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// How it is run.
    pub fn options(&self) -> &RunOptions {
        &self.options
    }

    /// What its publisher says of it.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What it takes and gives.
    pub fn interface(&self) -> Interface {
        Interface {
            inputs: self.inputs().to_vec(),
            outputs: self.outputs().to_vec(),
        }
    }

    /// Whether it runs somewhere less than was asked for.
    pub fn degraded(&self) -> bool {
        self.target == Target::GpuPreferred && self.device() == Device::Cpu
    }

    pub fn loaded_at(&self) -> SystemTime {
        self.loaded_at
    }

    pub fn inputs(&self) -> &[Port] {
        self.graph.inputs()
    }

    pub fn outputs(&self) -> &[Port] {
        self.graph.outputs()
    }

    pub fn run_status(&self) -> RunStatus {
        self.stats.status(self.overdue.load(Ordering::Acquire))
    }

    /// Runs it on named inputs, each given once, in any order. Returns the
    /// outputs in the model's order, by `deadline` or the limit of a run,
    /// whichever is sooner.
    pub async fn run(
        self: &Arc<Self>,
        inputs: Vec<(String, Tensor)>,
        deadline: Option<Instant>,
    ) -> Result<Vec<(Arc<str>, Tensor)>, RunError> {
        let latest = Instant::now() + self.run_time_max;
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let result = match arrange(self.inputs(), inputs) {
            Ok(inputs) if self.expected(&inputs) <= INLINE_MAX => {
                self.run_here(&inputs, &Control::new(deadline))
            }
            Ok(inputs) => self.run_elsewhere(inputs, deadline).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.stats.failed(error);
        }
        let names = self.outputs().iter().map(|port| Arc::clone(&port.name));
        Ok(names.zip(result?).collect())
    }

    async fn run_elsewhere(
        self: &Arc<Self>,
        inputs: Vec<Tensor>,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, RunError> {
        let overdue = self.overdue.load(Ordering::Acquire);
        if overdue > 0 {
            return Err(RunError::Overdue { overdue });
        }
        let slot = self.slots.take(deadline).await?;
        let control = Control::new(deadline);
        let (runner, waiter) = pair(control.clone(), &self.overdue);
        let model = Arc::clone(self);
        let run = tokio::task::spawn_blocking(move || {
            let result = model.run_here(&inputs, &control);
            drop(slot);
            drop(runner);
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

    /// Runs on this thread; a panic is an error like any other.
    fn run_here(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError> {
        let started = Instant::now();
        control.check()?;
        let run = AssertUnwindSafe(|| self.graph.run(inputs, control));
        let result = catch_unwind(run).unwrap_or_else(|payload| {
            Err(RunError::Panicked {
                message: panic_message(payload.as_ref()),
            })
        });
        let took = started.elapsed();
        if !matches!(&result, Err(error) if error.is_callers_fault()) {
            self.learn(inputs, took);
        }
        if result.is_ok() {
            self.stats.succeeded(took);
        }
        result
    }

    /// How long a run should take, if its time grows with its input. Where it
    /// grows faster, the next one is expected to take longer.
    fn expected(&self, inputs: &[Tensor]) -> Duration {
        let cost = self.byte_cost_ps.load(Ordering::Relaxed);
        Duration::from_nanos(cost.saturating_mul(bytes(inputs)) / 1_000)
    }

    /// Moves the expectation towards what was seen. One run that was held up
    /// by other work must not move it far.
    fn learn(&self, inputs: &[Tensor], took: Duration) {
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

    /// Runs it a few times before anyone else does, on each of its golden vectors
    /// if it has any: does it compute what it must, and how long does that take?
    pub(super) fn try_out(&self, golden: &[Golden]) -> Result<(), LoadError> {
        if golden.is_empty() {
            return self.try_on(None);
        }
        golden
            .iter()
            .try_for_each(|golden| self.try_on(Some(golden)))
    }

    fn try_on(&self, golden: Option<&Golden>) -> Result<(), LoadError> {
        let failed = |source| LoadError::Trial { source };
        let given = match golden {
            Some(golden) => golden
                .inputs()
                .map_err(|source| LoadError::Golden { source })?,
            None => {
                let given: Result<Vec<_>, _> = self.inputs().iter().map(smallest).collect();
                given.map_err(|error| {
                    failed(RunError::Failed {
                        source: error.into(),
                    })
                })?
            }
        };
        let inputs = arrange(self.inputs(), given).map_err(failed)?;
        let started = Instant::now();
        let control = Control::new(started + self.run_time_max);
        let mut fastest = Duration::MAX;
        for _ in 0..TRIAL_RUNS_MAX {
            let start = Instant::now();
            let outputs = self.graph.run(&inputs, &control).map_err(failed)?;
            fastest = fastest.min(start.elapsed());
            if let Some(golden) = golden {
                let checked = golden.check(self.outputs(), &outputs);
                checked.map_err(|source| LoadError::Wrong { source })?;
            }
            if started.elapsed() > TRIAL_MAX {
                break;
            }
        }
        self.learn(&inputs, fastest);
        Ok(())
    }
}

/// At least 1, so that a model without inputs has a cost too.
fn bytes(inputs: &[Tensor]) -> u64 {
    let bytes: usize = inputs.iter().map(|tensor| tensor.data().len()).sum();
    u64::try_from(bytes.max(1)).unwrap_or(u64::MAX)
}
