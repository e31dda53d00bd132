//! Why a registry did not do what it should: one variant for each thing that an
//! operator would treat differently.
//!
//! Every error names the registry and repository. What the registry says of
//! itself is quoted, cut and without control characters, and never decides.

use std::time::Duration;

use selvedge_artifact::{Digest, DocumentError};

use crate::{CredentialError, LayoutError};

/// Characters of foreign text that are shown.
const QUOTED_CHARS_MAX: usize = 200;

/// Why a registry did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was given as a trusted certificate is none.
    #[error("a certificate to be trusted cannot be read")]
    Root(#[source] Option<reqwest::Error>),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// It does not have it, or does not show it to us.
    #[error("`{name}` has no {what}{said}")]
    NotFound {
        /// Registry and repository.
        name: String,
        /// What was asked for.
        what: String,
        /// What the registry says.
        said: Said,
    },
    /// It wants to know who we are, and is not content with what it was told.
    #[error("`{name}` wants credentials, or does not accept ours{said}")]
    Unauthorised {
        /// Registry and repository.
        name: String,
        /// What the registry says.
        said: Said,
    },
    /// Who we are may not do this.
    #[error("`{name}` does not allow this{said}")]
    Denied {
        /// Registry and repository.
        name: String,
        /// What the registry says.
        said: Said,
    },
    /// Credentials are there and cannot be used.
    #[error("the credentials for `{name}` cannot be used")]
    Credentials {
        /// Registry and repository.
        name: String,
        /// Why.
        source: CredentialError,
    },
    /// It wants credentials, which are not sent without TLS beyond the loopback
    /// interface.
    #[error("`{name}` wants credentials, which are not sent without TLS")]
    ClearText {
        /// Registry and repository.
        name: String,
    },
    /// Its certificate is not trusted, or TLS failed otherwise.
    #[error("no trusted connection to `{name}`")]
    Tls {
        /// Registry and repository.
        name: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No connection, or it broke too often.
    #[error("no connection to `{name}`")]
    Unreachable {
        /// Registry and repository.
        name: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It was silent for too long.
    #[error("`{name}` was silent for {} s", idle.as_secs_f32())]
    TimedOut {
        /// Registry and repository.
        name: String,
        /// How long it may be silent.
        idle: Duration,
    },
    /// It sends, or takes, less than the minimum rate.
    #[error("`{name}` moves less than {bytes_min} bytes in {} s", window.as_secs_f32())]
    TooSlow {
        /// Registry and repository.
        name: String,
        /// Bytes that must come.
        bytes_min: u64,
        /// In this time.
        window: Duration,
    },
    /// More than is taken in.
    #[error("the {what} of `{name}` has more than {max}")]
    TooLarge {
        /// Registry and repository.
        name: String,
        /// What.
        what: &'static str,
        /// How much is taken, with its unit.
        max: String,
    },
    /// The bytes are not those asked for.
    #[error("`{name}` gave {found} instead of {expected}")]
    DigestMismatch {
        /// Registry and repository.
        name: String,
        /// What was asked for.
        expected: Box<Digest>,
        /// What came.
        found: String,
    },
    /// It announced another length than it should have, or sent another.
    #[error("`{name}` gave {found} bytes instead of {expected} of {digest}")]
    Length {
        /// Registry and repository.
        name: String,
        /// Of which blob.
        digest: Box<Digest>,
        /// How many it has.
        expected: u64,
        /// How many came or were announced; one more stands for all that follow.
        found: u64,
    },
    /// It sent us to a place without TLS, or where requests may not go.
    #[error("`{name}` redirects to `{to}`, which is not protected")]
    InsecureRedirect {
        /// Registry and repository.
        name: String,
        /// Where to, quoted.
        to: String,
    },
    /// It sends us on and on.
    #[error("`{name}` redirects more than {max} times")]
    Redirects {
        /// Registry and repository.
        name: String,
        /// How often is followed.
        max: usize,
    },
    /// It compresses, which was not asked for and is not undone.
    #[error("`{name}` answers with the encoding `{encoding}`, which was not asked for")]
    Encoded {
        /// Registry and repository.
        name: String,
        /// The encoding, quoted.
        encoding: String,
    },
    /// Its answer is not what the distribution-spec asks for.
    #[error("`{name}` does not answer as a registry should: {what}")]
    Malformed {
        /// Registry and repository.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A manifest or index cannot be used.
    #[error("a manifest of `{name}` cannot be used")]
    Document {
        /// Registry and repository.
        name: String,
        /// Why.
        source: DocumentError,
    },
    /// The reference stands for several manifests, or for none.
    #[error("`{name}` has no single plugin there, but an index of {count}: {inside}")]
    NotOne {
        /// Registry and repository.
        name: String,
        /// How many manifests.
        count: usize,
        /// Their digests and types, cut.
        inside: String,
    },
    /// A reference without tag and digest.
    #[error("`{name}` needs a tag or digest")]
    Unspecific {
        /// Registry and repository.
        name: String,
    },
    /// Too many requests for its taste.
    #[error("`{name}` is asked too often{said}")]
    RateLimited {
        /// Registry and repository.
        name: String,
        /// When to ask again, if it says.
        retry_after: Option<Duration>,
        /// What the registry says.
        said: Said,
    },
    /// It refused otherwise.
    #[error("`{name}` refused with status {status}{said}")]
    Refused {
        /// Registry and repository.
        name: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says.
        said: Said,
    },
    /// It is broken, for now at least.
    #[error("`{name}` failed with status {status}{said}")]
    Failing {
        /// Registry and repository.
        name: String,
        /// The HTTP status.
        status: u16,
        /// When to ask again, if it says.
        retry_after: Option<Duration>,
        /// What the registry says.
        said: Said,
    },
    /// Others write the list of what is about an artifact all the time, or the
    /// registry does not keep it.
    #[error("`{name}` did not keep an entry in its list of referrers, {attempts} times")]
    Contended {
        /// Registry and repository.
        name: String,
        /// How often it was tried.
        attempts: usize,
    },
    /// What is to be pushed is not in the store.
    #[error("the store has no manifest {digest}")]
    NotStored {
        /// The manifest.
        digest: Box<Digest>,
    },
    /// The program is stopping.
    #[error("interrupted: the program is stopping")]
    Stopping,
    /// The store did not do its part.
    #[error("the store did not take it, or does not have it")]
    Layout(#[from] LayoutError),
}

/// What a registry says about its refusal; may be nothing. Shown, never believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(Option<String>);

impl Said {
    /// The registry's words, as [`quote`] leaves them.
    pub(super) fn new(text: &str) -> Self {
        Self(Some(quote(text)).filter(|text| !text.is_empty()))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "; it says `{text}`"),
            None => Ok(()),
        }
    }
}

/// Foreign text as it may be shown: cut, and without control characters.
pub(crate) fn quote(text: &str) -> String {
    let shown = |c: char| if c.is_control() || c == '`' { ' ' } else { c };
    text.chars().take(QUOTED_CHARS_MAX).map(shown).collect()
}

impl ClientError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Root(_) | Self::Setup(_) => "registry-client-config",
            Self::NotFound { .. } => "registry-not-found",
            Self::Unauthorised { .. } => "registry-unauthorised",
            Self::Denied { .. } => "registry-denied",
            Self::Credentials { source, .. } => source.code(),
            Self::ClearText { .. } => "registry-credentials-without-tls",
            Self::Tls { .. } => "registry-tls",
            Self::Unreachable { .. } => "registry-unreachable",
            Self::TimedOut { .. } => "registry-timed-out",
            Self::TooSlow { .. } => "registry-too-slow",
            Self::TooLarge { .. } => "registry-too-large",
            Self::DigestMismatch { .. } => "registry-digest-mismatch",
            Self::Length { .. } => "registry-length-mismatch",
            Self::InsecureRedirect { .. } => "registry-insecure-redirect",
            Self::Redirects { .. } => "registry-redirects",
            Self::Encoded { .. } => "registry-encoded",
            Self::Malformed { .. } | Self::Document { .. } => "registry-malformed",
            Self::NotOne { .. } => "registry-ambiguous",
            Self::Unspecific { .. } => "registry-reference-incomplete",
            Self::RateLimited { .. } => "registry-rate-limited",
            Self::Refused { .. } => "registry-refused",
            Self::Failing { .. } => "registry-failing",
            Self::Contended { .. } => "registry-referrers-contended",
            Self::NotStored { .. } => "store-not-found",
            Self::Stopping => "stopping",
            Self::Layout(_) => "store-failed",
        }
    }

    /// Whether asking again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::RateLimited { .. }
            | Self::Failing { .. } => true,
            // A body without a length ends like this when a line breaks.
            Self::Length {
                expected, found, ..
            } => found < expected,
            _ => false,
        }
    }

    /// When the registry wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Failing { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Said, quote};

    #[test]
    fn foreign_text_is_cut_and_harmless() {
        assert_eq!(quote("a\u{1b}[31m`b`\n"), "a [31m b  ");
        assert_eq!(quote(&"x".repeat(10_000)).len(), 200);
        assert_eq!(Said::new("").to_string(), "");
        assert_eq!(
            Said::new("DENIED: no").to_string(),
            "; it says `DENIED: no`"
        );
    }
}
