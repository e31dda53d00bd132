//! A model as its users know it: a name, behind which versions change.
//!
//! Whoever holds it runs the version that serves at that moment; a run that has
//! begun ends with the version it began with. A version takes the place of
//! another only if it takes and gives the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::errors::RunError;
use super::interface::Interface;
use super::model::Model;
use super::shadow::{Shadow, ShadowStatus};
use super::slots::Stake;
use super::tensor::Tensor;
use crate::names::{Digest, ModelName};

/// Tensors by name, in the model's order.
pub type Outputs = Vec<(Arc<str>, Tensor)>;

/// Is told of runs: for capture. Must be quick and must not block.
pub trait RunObserver: Send + Sync {
    /// Whether it wants to be told of this run: asked before it, since inputs
    /// must be kept for it.
    fn wants(&self, model: &ModelName) -> bool;

    /// A run that it wanted has ended well.
    fn ran(&self, run: RunRecord);
}

/// One run that went well.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// The name it was asked for by.
    pub model: ModelName,
    /// The version that ran.
    pub digest: Digest,
    pub inputs: Vec<(String, Tensor)>,
    pub outputs: Outputs,
    pub took: Duration,
}

/// A name and the version that serves under it.
pub struct Served {
    name: ModelName,
    current: ArcSwap<Model>,
    observer: ArcSwapOption<Box<dyn RunObserver>>,
    exchanges: AtomicU64,
    shadow: ArcSwapOption<Shadow>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({}, {})", self.name, self.current().digest())
    }
}

impl Served {
    pub fn new(name: ModelName, model: Arc<Model>) -> Self {
        Self {
            name,
            current: ArcSwap::new(model),
            observer: ArcSwapOption::empty(),
            exchanges: AtomicU64::new(0),
            shadow: ArcSwapOption::empty(),
        }
    }

    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// The version that serves now.
    pub fn current(&self) -> Arc<Model> {
        self.current.load_full()
    }

    /// Lets another version serve, which takes and gives the same; returns the one
    /// before it.
    pub(super) fn exchange(&self, next: Arc<Model>) -> Arc<Model> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.current.swap(next)
    }

    /// Another model is to follow it from now on, or none; returns the one that did.
    pub(super) fn followed_by(&self, shadow: Option<Arc<Shadow>>) -> Option<Arc<Shadow>> {
        self.shadow.swap(shadow)
    }

    pub(super) fn shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow.load_full()
    }

    /// How the model that follows it compares, if one does.
    pub fn shadow_status(&self) -> Option<ShadowStatus> {
        let shadow = self.shadow()?;
        Some(shadow.status(self.current().run_status().run_p50_us))
    }

    /// How often another version took the place of one.
    pub(super) fn exchanges_total(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// What it takes and gives: the same for all versions behind it.
    pub fn interface(&self) -> Interface {
        self.current.load().interface()
    }

    /// Who is told of runs from now on.
    pub fn observe(&self, observer: Option<Box<dyn RunObserver>>) {
        self.observer.store(observer.map(Arc::new));
    }

    /// Runs the version that serves now; see [`Model::run`].
    pub async fn run(
        &self,
        inputs: Vec<(String, Tensor)>,
        deadline: Option<Instant>,
    ) -> Result<Outputs, RunError> {
        self.run_for(inputs, deadline, None).await
    }

    /// The same; the run has the `stake` until it has really ended.
    pub async fn run_for(
        &self,
        inputs: Vec<(String, Tensor)>,
        deadline: Option<Instant>,
        stake: Option<Stake>,
    ) -> Result<Outputs, RunError> {
        let model = self.current();
        let observer = self.observer.load_full();
        let observer = observer.filter(|observer| observer.wants(&self.name));
        let shadow = self.shadow.load_full().filter(|shadow| shadow.samples());
        if observer.is_none() && shadow.is_none() {
            return model.run_for(inputs, deadline, stake).await;
        }
        let (given, started) = (inputs.clone(), Instant::now());
        let outputs = model.run_for(inputs, deadline, stake).await?;
        let took = started.elapsed();
        if let Some(shadow) = shadow {
            shadow.follow(given.clone(), &outputs);
        }
        if let Some(observer) = observer {
            observer.ran(RunRecord {
                model: self.name.clone(),
                digest: model.digest(),
                inputs: given,
                outputs: outputs.clone(),
                took,
            });
        }
        Ok(outputs)
    }
}
