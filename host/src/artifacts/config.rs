//! How this device reaches registries.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use selvedge_registry::{ClientConfig, ClientError, LayoutError};
use serde::{Deserialize, Serialize};

/// How this device reaches registries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Whether a deployment may bring artifacts that are not in the store from
    /// their registries. Without it they must be there: `selvedge pull`,
    /// `selvedge bundle import`.
    pub pull: bool,
    /// Files with certificates (PEM) that are trusted besides the system's.
    /// Relative to this file.
    pub roots: Vec<PathBuf>,
    /// Registries, as `host:port`, that are reached without TLS. Those on the
    /// loopback interface are in any case.
    pub plain_http: Vec<String>,
    /// The folder with docker's `config.json`, which holds the credentials; else
    /// where docker has it. Relative to this file.
    pub docker_config: Option<PathBuf>,
}

/// Why registries cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum RegistryConfigError {
    #[error("cannot read a certificate")]
    Root(#[from] std::io::Error),
    #[error("cannot open the store of artifacts")]
    Layout(#[from] LayoutError),
    #[error("cannot make the client")]
    Client(#[from] ClientError),
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            pull: true,
            roots: Vec::new(),
            plain_http: Vec::new(),
            docker_config: None,
        }
    }
}

impl RegistryConfig {
    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        for path in self.roots.iter_mut().chain(&mut self.docker_config) {
            *path = folder.join(&path);
        }
    }

    /// The same for a client.
    pub(crate) fn client(&self) -> Result<ClientConfig, std::io::Error> {
        let roots: Result<_, _> = self.roots.iter().map(fs_err::read).collect();
        Ok(ClientConfig {
            roots: roots?,
            plain_http: self.plain_http.clone(),
            docker_config: self.docker_config.clone(),
            ..ClientConfig::default()
        })
    }
}
