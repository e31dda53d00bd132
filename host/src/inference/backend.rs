//! The seam between the models and the libraries that run them.
//!
//! A backend may panic: whoever calls through this seam catches it. It may not
//! block beyond its [`Control`] where it can help it, and it may not serve a
//! model on another device than it was told.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::errors::{LoadError, RunError};
use super::interface::Port;
use super::limits::InferenceLimits;
use super::source::{ModelFormat, ModelSource};
use super::tensor::Tensor;
use crate::names::Digest;
use crate::spec::BackendKind;

/// Where a model does run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    Cpu,
    Gpu,
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
