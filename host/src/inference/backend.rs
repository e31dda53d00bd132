//! The seam between the models and the libraries that run them.
//!
//! A backend may panic: whoever calls through this seam catches it. It may not
//! block beyond its [`Control`] where it can help it, and it may not serve a
//! model on another device than it was told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::errors::{LoadError, RunError};
use super::golden::Golden;
use super::limits::InferenceLimits;
use super::tensor::{Tensor, TensorKind};
use super::watchdog::{OnWatch, Watchdog};
use crate::names::Digest;
use crate::spec::{BackendChoice, BackendKind, RunOptions, Target};

/// In what form a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelFormat {
    /// Open Neural Network Exchange, one file.
    #[default]
    Onnx,
    /// OpenVINO's intermediate representation: a description and its weights.
    OpenvinoIr,
}

/// A model as it is handed in: verified, not yet loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// In what form it is written.
    pub format: ModelFormat,
    /// The model file.
    pub bytes: Bytes,
    /// The weights, for a format that keeps them apart.
    pub weights: Option<Bytes>,
    /// SHA-256 of `bytes`; checked once more.
    pub digest: Digest,
    /// The digest of the artifact that it came in, if it came in one: what stands
    /// for all of its files.
    pub artifact: Option<Digest>,
    /// Which library runs it.
    pub backend: BackendChoice,
    /// Where it may run.
    pub target: Target,
    /// How it is run.
    pub options: RunOptions,
    /// What it must compute to be taken into service.
    pub golden: Vec<Golden>,
    /// The inputs and outputs that it must have, if that was promised.
    pub promised: Option<Interface>,
    /// The version that its publisher gave it; a bare file has none.
    pub version: Option<String>,
    /// What its publisher says of it to plugins, `labels` and the like.
    pub metadata: BTreeMap<String, String>,
}

impl ModelSource {
    /// An ONNX model of which nothing more is known.
    pub fn onnx(bytes: Bytes) -> Self {
        Self {
            format: ModelFormat::Onnx,
            digest: Digest::of(&bytes),
            bytes,
            weights: None,
            artifact: None,
            backend: BackendChoice::Auto,
            target: Target::Cpu,
            options: RunOptions::default(),
            golden: Vec::new(),
            promised: None,
            version: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Interface {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// Where a model does run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    Cpu,
    Gpu,
}

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Dim {
    /// Always this many.
    Fixed(u32),
    /// Decided by each run; the same for all dimensions of this name.
    #[serde(serialize_with = "text")]
    Named(#[schemars(with = "String")] Arc<str>),
    /// Decided by each run.
    Any,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
            Self::Any => f.write_str("any"),
        }
    }
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Port {
    /// Its name.
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    pub name: Arc<str>,
    /// What its numbers are.
    pub kind: TensorKind,
    /// Empty for a single number, which is also taken as `[1]`.
    pub shape: Vec<Dim>,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Interface {
    /// Whether `found` is what was promised: the same names, kinds and ranks, and
    /// where a size is promised, that size. Names of dimensions do not count.
    pub(super) fn check(&self, found: &Self) -> Result<(), LoadError> {
        let differs = |promised: &[Port], found: &[Port]| {
            promised.len() != found.len()
                || promised
                    .iter()
                    .any(|port| !found.iter().any(|found| port.is_met_by(found)))
        };
        let both = [
            ("inputs", &self.inputs, &found.inputs),
            ("outputs", &self.outputs, &found.outputs),
        ];
        for (which, promised, found) in both {
            if differs(promised, found) {
                let text = |ports: &[Port]| {
                    let texts: Vec<_> = ports.iter().take(16).map(Port::to_string).collect();
                    texts.join(", ")
                };
                let what = format!("{which} {} instead of {}", text(found), text(promised));
                return Err(LoadError::NotAsPromised { what });
            }
        }
        Ok(())
    }
}

impl Port {
    fn is_met_by(&self, found: &Self) -> bool {
        let same = |(promised, found): (&Dim, &Dim)| match (promised, found) {
            (Dim::Fixed(promised), Dim::Fixed(found)) => promised == found,
            (Dim::Fixed(_), _) | (_, Dim::Fixed(_)) => false,
            _ => true,
        };
        self.name == found.name
            && self.kind == found.kind
            && self.shape.len() == found.shape.len()
            && self.shape.iter().zip(&found.shape).all(same)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.chars().take(64).collect();
        let shape: Vec<_> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "`{name}` {}[{}]", self.kind, shape.join(", "))
    }
}

/// What computes a loaded model, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Placement {
    /// On which kind of processor.
    pub device: Device,
    /// By which part of the backend: `cpu`, `cuda`, `tensorrt`, `openvino`.
    pub provider: String,
    /// Whether every operator runs there.
    pub whole: bool,
}

/// What is told of a library, whether it can be used or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BackendStatus {
    /// Which library.
    pub backend: BackendKind,
    /// Its version, as it says itself.
    pub version: Option<String>,
    /// The file it was loaded from.
    #[schemars(with = "Option<String>")]
    pub library: Option<PathBuf>,
    /// The digest that the file had when it was loaded.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
    /// The forms of models that it reads.
    pub formats: Vec<ModelFormat>,
    /// What it computes with, and why not with the rest.
    pub providers: Vec<ProviderStatus>,
    /// Why it is not used at all, if so.
    pub unavailable: Option<Unavailable>,
}

/// What is told of one part of a library that computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProviderStatus {
    /// `cpu`, `cuda`, `tensorrt`, `openvino`.
    pub provider: String,
    /// On which kind of processor.
    pub device: Device,
    /// Why it cannot be used, if so.
    pub unavailable: Option<Unavailable>,
}

/// Why something cannot be used here, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unavailable {
    /// A stable name: `not-configured`, `library-missing`, `library-too-old`, ….
    pub code: String,
    /// Why, with what the library or the system said.
    pub reason: String,
    /// What to do.
    pub help: Option<String>,
}

/// A library that runs models.
pub trait Backend: Send + Sync {
    fn kind(&self) -> BackendKind;

    /// The devices it may be asked to load models for: whether one really is
    /// there may show at loading, as [`LoadError::NoDevice`].
    fn devices(&self) -> &[Device];

    /// The forms of models that it reads.
    fn formats(&self) -> &[ModelFormat] {
        &[ModelFormat::Onnx]
    }

    /// What is told of it.
    fn status(&self) -> BackendStatus;

    /// Whether it has an operator of ONNX, if that can be said without a model;
    /// `domain` is empty for the standard ones.
    fn supports_operator(&self, domain: &str, operator: &str) -> Option<bool> {
        let _ = (domain, operator);
        None
    }

    /// Loads a model to run on `device`, which is one of [`Self::devices`], and
    /// nowhere else.
    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError>;

    /// Writes to `to` what the library makes of `source` for this processor, in a
    /// form that [`Self::load`] takes.
    fn compile(
        &self,
        source: &ModelSource,
        to: &Path,
        limits: &InferenceLimits,
    ) -> Result<(), LoadError> {
        let _ = (source, to, limits);
        Err(LoadError::CannotCompile {
            backend: self.kind(),
            why: "it has nothing to write".to_owned(),
        })
    }
}

/// A loaded model.
pub trait Graph: Send + Sync {
    fn inputs(&self) -> &[Port];

    fn outputs(&self) -> &[Port];

    /// What computes it.
    fn placement(&self) -> Placement;

    /// Whether inputs of one size always take about as long. Of any other, the next
    /// run may take for ever, however short all before it were.
    fn is_steady(&self) -> bool {
        true
    }

    /// Runs at once that it gains from; further ones wait for each other. No bound:
    /// they share the model, and cost nothing while they do not run.
    fn concurrency(&self) -> usize {
        usize::MAX
    }

    /// Runs it on one tensor for each input, in the order of [`Self::inputs`]
    /// and already found to fit them; returns one for each output.
    fn run(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError>;
}

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
