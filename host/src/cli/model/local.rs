//! A model from a file, and the libraries of this machine.

use std::path::{Path, PathBuf};

use selvedge_artifact::ModelContents;

use super::folder::Folder;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files;
use crate::config::HostConfig;
use crate::deployment::model_artifact;
use crate::inference::{Backends, InferenceLimits, ModelSource, ModelStore};

/// Which machine this is, as far as models go.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Machine {
    /// The host's configuration, which says which libraries this machine has.
    /// Without it, only the one that is built in.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
}

impl Machine {
    /// What models are run with here. Loads libraries.
    pub(super) fn store(&self) -> Outcome<ModelStore> {
        let host = match &self.host_config {
            Some(path) => files::host_config(path).map_err(|faults| Failure::config(&faults))?,
            None => HostConfig::default(),
        };
        let limits = InferenceLimits {
            slots: host.inference.slots_max,
            ..InferenceLimits::default()
        };
        Ok(ModelStore::with(limits, Backends::open(&host.inference)))
    }
}

/// A model as a host would load it.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) source: ModelSource,
    /// Of a model that has `model.toml`.
    pub(super) contents: Option<ModelContents>,
}

impl Local {
    /// Of `model.toml`, the folder that it is in, or an ONNX file alone.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        if path
            .extension()
            .is_some_and(|extension| extension == "onnx")
        {
            let bytes = super::folder::read(path)?;
            let source = ModelSource::onnx(bytes);
            return Ok(Self {
                source,
                contents: None,
            });
        }
        let contents = Folder::read(path)?.contents();
        Ok(Self {
            source: model_artifact::source(&contents)?,
            contents: Some(contents),
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        self.contents
            .as_ref()
            .map_or("model", |contents| &contents.manifest.name)
    }
}
