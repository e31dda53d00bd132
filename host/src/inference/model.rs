//! One version of a model: immutable, shared by all who run it.
//!
//! How it is run is in [`running`], how it is tried out in [`trial`].

mod running;
mod trial;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use super::backend::{Device, Graph, Placement};
use super::batching::Batcher;
use super::inputs::smallest;
use super::interface::{Interface, Port};
use super::run_stats::{RunStats, RunStatus};
use super::slots::{Slots, Turns, UnderWay};
use super::source::ModelSource;
use super::tensor::{Tensor, TensorError};
use crate::names::Digest;
use crate::spec::{BackendKind, RunOptions, Target};

pub(super) use running::Held;

/// A loaded, tried version of a model.
pub struct Model {
    graph: Box<dyn Graph>,
    digest: Digest,
    artifact: Option<Digest>,
    backend: BackendKind,
    target: Target,
    options: RunOptions,
    placement: Placement,
    version: Option<String>,
    metadata: BTreeMap<String, String>,
    loaded_at: SystemTime,
    run_time_max: Duration,
    slots: Arc<Slots>,
    turns: Turns,
    batcher: Option<Batcher>,
    under_way: Arc<UnderWay>,
    /// What a byte of input is expected to cost, in picoseconds.
    byte_cost_ps: AtomicU64,
    stats: RunStats,
    withdrawn: OnceLock<String>,
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

/// How often it may run at once. Runs that cost no memory of their own need not
/// wait for each other, unless they are to meet.
fn turns(graph: &dyn Graph, options: &RunOptions) -> usize {
    let shares = graph.concurrency() == usize::MAX && options.batching.is_none();
    let asked = match options.concurrency {
        Some(runs) => usize::try_from(runs.get()).unwrap_or(usize::MAX),
        None if shares => available_parallelism().map_or(1, NonZeroUsize::get),
        None => 1,
    };
    graph.concurrency().min(asked)
}

impl Model {
    pub(super) fn new(graph: Box<dyn Graph>, source: &ModelSource, loaded: Loaded) -> Self {
        Self {
            placement: graph.placement(),
            turns: Turns::new(turns(&*graph, &source.options)),
            batcher: source.options.batching.and_then(Batcher::new),
            graph,
            digest: source.digest,
            artifact: source.artifact,
            backend: loaded.backend,
            target: source.target,
            options: source.options,
            version: source.version.clone(),
            metadata: source.metadata.clone(),
            loaded_at: SystemTime::now(),
            run_time_max: loaded.run_time_max,
            slots: loaded.slots,
            under_way: Arc::default(),
            byte_cost_ps: AtomicU64::new(u64::MAX),
            stats: RunStats::new(),
            withdrawn: OnceLock::new(),
        }
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the artifact that it came in; none of a file by itself.
    pub fn artifact(&self) -> Option<Digest> {
        self.artifact
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

    /// The version that its publisher gave it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
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

    /// What computes it, for whoever measures what all the rest costs: a run of it
    /// is not checked, bounded or counted.
    pub fn graph(&self) -> &dyn Graph {
        &*self.graph
    }

    #[cfg(test)]
    pub(super) fn batcher(&self) -> Option<&Batcher> {
        self.batcher.as_ref()
    }

    /// How long a run may take.
    pub fn run_time_max(&self) -> Duration {
        self.run_time_max
    }

    pub fn inputs(&self) -> &[Port] {
        self.graph.inputs()
    }

    pub fn outputs(&self) -> &[Port] {
        self.graph.outputs()
    }

    /// The smallest inputs that it takes, for whoever has none.
    pub fn smallest_inputs(&self) -> Result<Vec<(String, Tensor)>, TensorError> {
        self.inputs().iter().map(smallest).collect()
    }

    pub fn run_status(&self) -> RunStatus {
        self.stats.status(&self.under_way, self.run_time_max)
    }

    /// Takes it out of service, for good: what runs ends, no run begins, and each
    /// is told why. Whether it was in service.
    pub fn withdraw(&self, reason: String) -> bool {
        self.withdrawn.set(reason).is_ok()
    }

    /// Why it is out of service, if so.
    pub fn withdrawn(&self) -> Option<&str> {
        self.withdrawn.get().map(String::as_str)
    }
}
