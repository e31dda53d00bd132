//! The seam between the models and the libraries that run them.
//!
//! A backend may panic: whoever calls through this seam catches it. It may not
//! block beyond its [`Control`] where it can help it, and it may not serve a
//! model on another device than it was told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::errors::{LoadError, RunError};
use super::golden::Golden;
use super::limits::InferenceLimits;
use super::tensor::{Tensor, TensorKind};
use crate::names::Digest;
use crate::spec::{BackendKind, Target};

/// A model as it is handed in: verified, not yet loaded.
#[derive(Clone, Debug)]
pub struct ModelSource {
    /// The model file.
    pub bytes: Bytes,
    /// SHA-256 of `bytes`; checked once more.
    pub digest: Digest,
    /// Which library runs it.
    pub backend: BackendKind,
    /// Where it may run.
    pub target: Target,
    /// What it must compute to be taken into service.
    pub golden: Option<Golden>,
}

/// Where a model does run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// A library that runs models.
pub trait Backend: Send + Sync {
    fn kind(&self) -> BackendKind;

    /// The devices it can use here and now.
    fn devices(&self) -> &[Device];

    /// Loads a model to run on `device`, which is one of [`Self::devices`], and
    /// nowhere else.
    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        limits: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError>;
}

/// A loaded model.
pub trait Graph: Send + Sync {
    fn inputs(&self) -> &[Port];

    fn outputs(&self) -> &[Port];

    /// Runs it on one tensor for each input, in the order of [`Self::inputs`]
    /// and already found to fit them; returns one for each output.
    fn run(&self, inputs: &[Tensor], control: &Control) -> Result<Vec<Tensor>, RunError>;
}

/// When a run has to stop.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) deadline: Instant,
    cancelled: Arc<AtomicBool>,
}

impl Control {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            cancelled: Arc::default(),
        }
    }

    /// Nobody waits for the result any more.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails once the run has to stop; to be asked between operators.
    pub fn check(&self) -> Result<(), RunError> {
        if self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.deadline {
            Err(RunError::Deadline)
        } else {
            Ok(())
        }
    }
}
