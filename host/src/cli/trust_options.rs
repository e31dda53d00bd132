//! The options of commands that decide by a site's policy.

use std::path::PathBuf;

use jiff::Timestamp;
use selvedge_signing::Verifier;

use crate::trust::{TrustConfig, refresh_s, site_verifier};

use super::failure::{Failure, Outcome};
use super::registry_options::RegistryOptions;

/// Whom the site trusts.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Trust options")]
pub(super) struct TrustOptions {
    /// The root metadata of the trust repository, instead of what the host's
    /// configuration names.
    #[arg(long, value_name = "FILE", requires = "trust_repository")]
    trust_root: Option<PathBuf>,
    /// The trust repository.
    #[arg(long, value_name = "DIRECTORY", requires = "trust_root")]
    trust_repository: Option<PathBuf>,
}

impl TrustOptions {
    /// Where the policy is.
    pub(super) fn config(&self, registry: &RegistryOptions) -> Outcome<Option<TrustConfig>> {
        match (&self.trust_root, &self.trust_repository) {
            (Some(root), Some(repository)) => Ok(Some(TrustConfig {
                root: root.clone(),
                repository: repository.clone(),
                refresh_s: refresh_s(),
            })),
            _ => Ok(registry.host()?.trust),
        }
    }

    /// Who decides.
    pub(super) fn verifier(&self, registry: &RegistryOptions) -> Outcome<Verifier> {
        let config = self.config(registry)?.ok_or_else(|| {
            Failure::usage(
                "by which policy? name `--trust-root` and `--trust-repository`, \
                 or a `--host-config` that does",
            )
        })?;
        Ok(site_verifier(&config, Timestamp::now())?)
    }
}
