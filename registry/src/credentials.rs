//! Who we are to a registry: what `docker login` keeps.
//!
//! Reads docker's `config.json` and asks credential helpers, both bounded in
//! bytes and the latter in time. Reads it itself: the crate `docker_credential`
//! reads files and helpers without bound and waits for a helper for ever. What
//! is found is a secret: no error and no `Debug` shows any of it. Whom it is
//! sent to is the client's business.

mod config;
mod helper;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, Entry};

/// The user under which docker's helpers and `identitytoken` hand out a token to
/// be exchanged (OAuth 2.0 refresh token) instead of a password.
pub(crate) const TOKEN_USER: &str = "<token>";
/// How long a helper may take. It may ask a person to unlock a key ring, but not
/// hold up an installation for ever.
const HELPER_MAX: Duration = Duration::from_secs(10);

/// A user at a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The name. `<token>`: `password` is an OAuth 2.0 refresh token, as docker
    /// has it.
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
pub enum CredentialError {
    /// The configuration is there and cannot be read.
    #[error("cannot read docker's configuration")]
    Unreadable(#[source] std::io::Error),
    /// More bytes than are looked at.
    #[error("{path} has more than {bytes_max} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are looked at.
        bytes_max: u64,
    },
    /// Not the JSON of docker's configuration. Only the place is told: the text
    /// may be a secret.
    #[error("{path}:{line}:{column} is not docker's configuration", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// An entry is neither `user:password` in base64 nor a token.
    #[error("the entry of `{registry}` in {path} cannot be read", path = path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Whose entry.
        registry: String,
    },
    /// A helper's name that could be a path or worse.
    #[error(
        "`{0}` is not the name of a credential helper: expected letters, digits, `.`, `_`, `-`"
    )]
    HelperName(String),
    /// The helper is not in `PATH`.
    #[error("the credential helper `docker-credential-{0}` is not installed")]
    HelperMissing(String),
    /// The helper did not start or was cut off.
    #[error("the credential helper `docker-credential-{helper}` cannot be asked")]
    HelperUnusable {
        /// Which.
        helper: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The helper ran too long.
    #[error("the credential helper `docker-credential-{helper}` took more than {} s", max.as_secs())]
    HelperSlow {
        /// Which.
        helper: String,
        /// How long it may take.
        max: Duration,
    },
    /// The helper gave up.
    #[error("the credential helper `docker-credential-{helper}` failed: `{said}`")]
    HelperFailed {
        /// Which.
        helper: String,
        /// What it said, cut.
        said: String,
    },
    /// The helper's answer is none, or too long.
    #[error("the answer of the credential helper `docker-credential-{0}` cannot be used")]
    HelperAnswer(String),
}

impl CredentialError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "credentials-unreadable",
            Self::TooLarge { .. } | Self::Malformed { .. } | Self::Entry { .. } => {
                "credentials-malformed"
            }
            Self::HelperName(_)
            | Self::HelperMissing(_)
            | Self::HelperUnusable { .. }
            | Self::HelperSlow { .. }
            | Self::HelperFailed { .. }
            | Self::HelperAnswer(_) => "credentials-helper-failed",
        }
    }
}

/// Where credentials are looked for.
pub(crate) struct Sources {
    /// The directory of `config.json`.
    directory: Option<PathBuf>,
    /// Where helpers are: `PATH`.
    path: OsString,
    /// How long a helper may take.
    helper_max: Duration,
}

impl Credentials {
    /// What the docker configuration in `directory` (`config.json`; else
    /// `$DOCKER_CONFIG`, else `~/.docker`) holds for `registry`, itself or
    /// through a credential helper. `None`: ask as nobody.
    ///
    /// A helper for this registry comes first, then the file's own entry, then
    /// the helper for all (`credsStore`). The file has at most 1 MiB, a helper
    /// 10 s and 64 KiB.
    ///
    /// # Errors
    ///
    /// If the file or the helper cannot be used.
    pub async fn find(
        registry: &str,
        directory: Option<PathBuf>,
    ) -> Result<Option<Self>, CredentialError> {
        let sources = Sources {
            directory: directory.or_else(docker_directory),
            path: std::env::var_os("PATH").unwrap_or_default(),
            helper_max: HELPER_MAX,
        };
        sources.find(registry).await
    }
}

impl Sources {
    async fn find(&self, registry: &str) -> Result<Option<Credentials>, CredentialError> {
        let Some(directory) = &self.directory else {
            return Ok(None);
        };
        let Some(config) = Config::read(&directory.join("config.json"))? else {
            return Ok(None);
        };
        if let Some(helper) = config.helper_of(registry) {
            return self.ask(helper, registry).await;
        }
        if let Entry::Found(credentials) = config.entry_of(registry)? {
            return Ok(Some(credentials));
        }
        match config.helper_of_all() {
            Some(helper) => self.ask(helper, registry).await,
            None => Ok(None),
        }
    }

    async fn ask(
        &self,
        helper: &str,
        registry: &str,
    ) -> Result<Option<Credentials>, CredentialError> {
        let server = if config::is_docker_hub(registry) {
            config::DOCKER_HUB_KEY
        } else {
            registry
        };
        helper::ask(helper, server, self).await
    }
}

fn docker_directory() -> Option<PathBuf> {
    let given = std::env::var_os("DOCKER_CONFIG").filter(|given| !given.is_empty());
    given.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(PathBuf::from(home).join(".docker"))
    })
}
