//! The options of commands that reach registries or the store.

use std::path::PathBuf;

use selvedge_registry::{Client, Layout};
use tempfile::TempDir;

use crate::artifacts::{Artifacts, RegistryConfig, RegistryConfigError};
use crate::config::HostConfig;

use super::failure::{Failure, Outcome};
use super::files;

/// How registries are reached.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registry options")]
pub(super) struct RegistryOptions {
    /// The host's configuration, which says how registries are reached, where
    /// the store is and whom the site trusts. Without it, the store is below
    /// /var/lib/selvedge and nobody is trusted.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// Trust the certificates in this file (PEM) besides the system's.
    #[arg(long = "registry-root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// Reach this registry, `host:port`, without TLS. Those on the loopback
    /// interface are in any case.
    #[arg(long, value_name = "REGISTRY")]
    plain_http: Vec<String>,
    /// The folder with docker's `config.json`, which holds the credentials.
    #[arg(long, value_name = "DIRECTORY")]
    docker_config: Option<PathBuf>,
}

/// A store for as long as a command lasts.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) artifacts: Artifacts,
    _directory: TempDir,
}

impl RegistryOptions {
    /// The host's configuration, with these options.
    pub(super) fn host(&self) -> Outcome<HostConfig> {
        let mut host = match &self.host_config {
            Some(path) => {
                let read = files::host_config(path);
                read.map_err(|faults| Failure::config(&faults))?
            }
            None => HostConfig::default(),
        };
        let registry = &mut host.registry;
        registry.roots.extend(self.roots.iter().cloned());
        registry.plain_http.extend(self.plain_http.iter().cloned());
        if let Some(directory) = &self.docker_config {
            registry.docker_config = Some(directory.clone());
        }
        Ok(host)
    }

    /// A client for registries.
    pub(super) fn client(&self) -> Outcome<Client> {
        let config: RegistryConfig = self.host()?.registry;
        let config = config.client().map_err(RegistryConfigError::from)?;
        Ok(Client::new(config)?)
    }

    /// The store that the host uses.
    pub(super) fn store(&self) -> Outcome<Artifacts> {
        let host = self.host()?;
        Ok(Artifacts::open(
            &host.artifacts_directory(),
            &host.registry,
        )?)
    }

    /// A store that goes when the command ends.
    pub(super) fn passing(&self) -> Outcome<Passing> {
        let directory = tempfile::tempdir()?;
        let artifacts =
            Artifacts::open(&directory.path().join("artifacts"), &self.host()?.registry)?;
        Ok(Passing {
            artifacts,
            _directory: directory,
        })
    }
}

/// The store in `directory`, or the host's.
pub(super) fn store_in(directory: Option<&PathBuf>, options: &RegistryOptions) -> Outcome<Layout> {
    match directory {
        Some(directory) => Ok(Layout::open(directory)?),
        None => Ok(options.store()?.layout().clone()),
    }
}
