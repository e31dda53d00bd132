//! Who we are to a registry: what `docker login` keeps.

use std::path::PathBuf;

/// A user at a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why there are no credentials although there should be.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {}

impl Credentials {
    /// What the docker configuration in `directory` (`config.json`; else
    /// `$DOCKER_CONFIG`, else `~/.docker`) holds for `registry`, itself or
    /// through a credential helper. `None`: ask as nobody.
    ///
    /// # Errors
    ///
    /// If the file or the helper cannot be used.
    pub async fn find(
        registry: &str,
        directory: Option<PathBuf>,
    ) -> Result<Option<Self>, CredentialError> {
        todo!()
    }
}
