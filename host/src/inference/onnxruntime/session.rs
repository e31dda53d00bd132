//! Makes the sessions of a model: with what they compute, with how many threads,
//! and what a failure means.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use ort::environment::Environment;
use ort::ep::CPU;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::operators::missing;
use super::providers::{dispatch, name_of};
use crate::inference::config::OnnxruntimeConfig;
use crate::inference::native_library::line_of;
use crate::inference::watchdog::Watchdog;
use crate::inference::{Control, Device, InferenceLimits, LoadError, Placement};
use crate::spec::{BackendKind, Provider, RunOptions};

/// Sessions of one model: each has its own copy of the weights.
const SESSIONS_MAX: u32 = 16;
/// Threads of one session.
const THREADS_MAX: u32 = 64;
/// Loading takes seconds for the largest models; what takes longer never ends.
const LOAD_MAX: Duration = Duration::from_secs(120);

/// Where a model is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) device: Device,
    /// None is the library's own code for processors.
    pub(super) provider: Option<Provider>,
    /// No operator may be computed anywhere else.
    pub(super) whole: bool,
}

impl Place {
    pub(super) fn placement(self) -> Placement {
        Placement {
            device: self.device,
            provider: self.provider.map_or("cpu", name_of).to_owned(),
            whole: self.whole || self.provider.is_none(),
        }
    }
}

/// Makes sessions for one model at one place.
pub(super) struct Sessions<'a> {
    pub(super) environment: &'a Environment,
    pub(super) config: &'a OnnxruntimeConfig,
    pub(super) watchdog: &'a Watchdog,
}

impl Sessions<'_> {
    /// As many as runs at once are asked for, unless their copies of the model would
    /// together be larger than a model may be.
    pub(super) fn make(
        &self,
        model: &[u8],
        place: Place,
        options: &RunOptions,
        limits: &InferenceLimits,
    ) -> Result<Vec<Session>, LoadError> {
        let asked = options.concurrency.map_or(1, NonZeroU32::get);
        let asked = asked.min(SESSIONS_MAX);
        let bytes = u64::try_from(model.len()).unwrap_or(u64::MAX).max(1);
        let count = (limits.model_bytes_max.get() / bytes).clamp(1, asked.into());
        (0..count)
            .map(|_| self.one(model, place, options))
            .collect::<Result<_, _>>()
            .map_err(|error| told(&error, place))
    }

    /// One, with what the library says if it cannot be made.
    pub(super) fn one(
        &self,
        model: &[u8],
        place: Place,
        options: &RunOptions,
    ) -> Result<Session, ort::Error> {
        let mut builder = self.builder(place, options)?;
        let canceler = builder.canceler();
        let control = Control::watched(Instant::now() + LOAD_MAX, self.watchdog);
        // Fails for no reason that could be told to anyone.
        let _cancels = control.on_cancel(move || drop(canceler.cancel()));
        builder.commit_from_memory(model)
    }

    /// Writes to `to` what the library makes of a model: operators joined and what
    /// is constant computed. Not what depends on the layout of numbers in memory,
    /// which has operators that no file may name.
    pub(super) fn optimise(
        &self,
        model: &[u8],
        options: &RunOptions,
        to: &Path,
    ) -> Result<(), LoadError> {
        let place = Place {
            device: Device::Cpu,
            provider: None,
            whole: true,
        };
        let optimise = || {
            let mut builder = self
                .builder(place, options)?
                .with_optimization_level(GraphOptimizationLevel::Level2)?
                .with_optimized_model_path(to)?;
            let canceler = builder.canceler();
            let control = Control::watched(Instant::now() + LOAD_MAX, self.watchdog);
            // Fails for no reason that could be told to anyone.
            let _cancels = control.on_cancel(move || drop(canceler.cancel()));
            builder.commit_from_memory(model)
        };
        let made: Result<Session, ort::Error> = optimise();
        made.map(drop).map_err(|error| told(&error, place))
    }

    fn builder(&self, place: Place, options: &RunOptions) -> Result<SessionBuilder, ort::Error> {
        let threads = options.threads.get().min(THREADS_MAX);
        let threads = usize::try_from(threads).unwrap_or(1);
        let mut builder = Session::builder(self.environment)?
            .with_no_environment_execution_providers()?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_parallel_execution(false)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            // Waiting threads that spin take the cores of everyone else.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // What a run took is given back at its end, and sizes vary.
            .with_memory_pattern(false)?
            .with_execution_providers([CPU::default().with_arena_allocator(false).build()])?
            // Never the other form, which was not looked at.
            .with_config_entry("session.load_model_format", "ONNX")?;
        if let Some(provider) = place.provider {
            if place.whole {
                builder = builder.with_disable_cpu_fallback()?;
            }
            let dispatch = dispatch(provider, place.device, options, self.config);
            builder = builder.with_execution_providers(dispatch)?;
        }
        Ok(builder)
    }
}

/// What the library says, as a reason that operators can act on.
fn told(error: &ort::Error, place: Place) -> LoadError {
    let text = line_of(error.message());
    if let Some(operator) = missing(&text) {
        return LoadError::UnsupportedOperator {
            operator,
            backend: BackendKind::Onnxruntime,
        };
    }
    if text.contains("fallback to CPU EP has been explicitly disabled") {
        let provider = place.provider.map_or("cpu", name_of);
        return LoadError::BackendUnavailable {
            backend: BackendKind::Onnxruntime,
            why: format!(
                "not every operator of the model runs on `{provider}`; \
                 `strict = false` lets the others run on the processor"
            ),
        };
    }
    malformed(text)
}

pub(super) fn malformed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LoadError {
    LoadError::Malformed {
        source: source.into(),
    }
}
