//! Tries a model out before anyone gets it: loaded as a host would, with this
//! machine's libraries, and run on its golden vectors.

use std::sync::Arc;

use selvedge_artifact::ModelContents;

use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::config::HostConfig;
use crate::deployment::model_artifact;
use crate::inference::{Backends, InferenceLimits, Model, ModelStore};
use crate::spec::Target;

/// How a model is tried out.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct TrialOptions {
    /// Neither load the model nor run it on its golden vectors.
    #[arg(long)]
    no_check: bool,
}

impl TrialOptions {
    /// Whether `contents` are what they say, as far as this machine can tell.
    pub(super) fn check(self, contents: &ModelContents, host: &HostConfig) -> Outcome<()> {
        if contents.golden.is_empty() {
            complain(
                &"warning: the model has no golden vectors, so that no host can tell whether it computes what it should",
            );
        }
        if self.no_check {
            return Ok(model_artifact::source(contents).map(drop)?);
        }
        load(contents, host).map(drop).map_err(|failure| {
            failure.with_hint(
                "a `--host-config` says which libraries this machine has; `--no-check` tries nothing out",
            )
        })
    }
}

/// The model, loaded with what this machine has. Where it is for a graphics
/// processor that is not there, the processor computes it.
pub(super) fn load(contents: &ModelContents, host: &HostConfig) -> Outcome<Arc<Model>> {
    let mut source = model_artifact::source(contents)?;
    if source.target == Target::Gpu {
        source.target = Target::GpuPreferred;
    }
    let limits = InferenceLimits {
        slots: host.inference.slots_max,
        ..InferenceLimits::default()
    };
    let store = ModelStore::with(limits, Backends::open(&host.inference));
    let model = store.prepare(&source).map_err(|error| {
        let name = &contents.manifest.name;
        Failure::new(Unfit(name.clone(), error), None)
    })?;
    if model.degraded() {
        complain(
            &"note: tried out on the processor; this machine has no graphics processor for it",
        );
    }
    Ok(model)
}

/// Which model no host could serve.
#[derive(Debug, thiserror::Error)]
#[error("model `{0}` is not fit to serve")]
struct Unfit(String, #[source] crate::inference::LoadError);
