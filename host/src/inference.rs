//! Models and the backends that run them.
//!
//! A model is loaded once, checked by a trial run, and then shared: any number
//! of callers run it at the same time, each within its own deadline. What
//! callers feed it is hostile: a wrong input costs them an error that says what
//! was wrong, never the host a panic, a stalled executor or unbounded memory.
//!
//! Who may run which model is not decided here, and nothing here knows of
//! plugins; that is `capabilities`. Whose models are trusted is not decided
//! here either: a model has been verified before it comes here, since a native
//! backend can be bounded in what it says it needs, not in what it does.

mod backend;
mod backends;
mod batching;
mod compiled;
pub mod config;
mod control;
mod errors;
mod exchange;
mod golden;
mod inputs;
mod interface;
mod limits;
mod model;
mod model_set;
mod native_library;
mod onnx_file;
mod onnxruntime;
mod openvino;
mod operators;
mod places;
mod rehearsal;
mod run_stats;
mod served;
mod shadow;
mod shown;
mod slots;
mod source;
mod store;
mod tensor;
mod tract;
mod watchdog;

#[cfg(test)]
pub(crate) mod onnx_writer;
#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendStatus, Device, Graph, Placement, ProviderStatus, Unavailable};
pub use backends::Backends;
pub use compiled::{Compiled, this_cpu};
pub use config::{CaptureConfig, InferenceApiConfig, InferenceConfig};
pub use control::{Cancels, Control};
pub use errors::{LoadError, RunError};
pub use exchange::{Exchanged, Exchanges, NextModels};
pub use golden::{Golden, GoldenError};
pub use interface::{Dim, Interface, Port};
pub use limits::InferenceLimits;
pub use model::Model;
pub use model_set::{ModelSet, ModelStatus};
pub use native_library::{LibraryError, pin};
pub use operators::operators;
pub use places::Place;
pub use rehearsal::{COMMAND as REHEARSAL, Mishap, Rehearsal, enable_rehearsals, rehearse_here};
pub use run_stats::RunStatus;
pub use served::{Outputs, RunObserver, RunRecord, Served};
pub use shadow::ShadowStatus;
pub use slots::Stake;
pub use source::{ModelFormat, ModelSource};
pub use store::{Chosen, ModelStore};
pub use tensor::{Tensor, TensorError, TensorKind};
