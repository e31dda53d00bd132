//! Why a host did not answer, or did not do as asked.

use std::error::Error;
use std::io;

use crate::api::wire::Problem;
use crate::deployment::document::fault::plain;

/// Why a host did not answer, or did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum HostError {
    #[error("no host answers at {at}")]
    Nobody { at: String, source: io::Error },
    #[error("the host at {at} may not be asked by this user")]
    NotAllowed { at: String, source: io::Error },
    #[error("cannot reach the host at {at}")]
    Unreachable { at: String, source: reqwest::Error },
    #[error("the connection to the host at {at} broke")]
    Broken { at: String, source: reqwest::Error },
    #[error("the host at {at} did not answer in time")]
    TimedOut { at: String },
    #[error("what the host at {at} answers has more than {bytes_max} bytes")]
    TooLarge { at: String, bytes_max: usize },
    #[error("what the host at {at} answers makes no sense: {why}")]
    Nonsense { at: String, why: String },
    #[error("the host at {at} answered with status {status} and no reason")]
    Unexpected { at: String, status: u16 },
    #[error("{title} [{code}]", title = plain(&.problem.title), code = plain(&.problem.code))]
    Refused { problem: Box<Problem>, who: String },
    #[error("cannot use the certificates")]
    Tls(#[source] reqwest::Error),
}

impl HostError {
    /// What `error` on the way to the host at `at` comes down to.
    pub(super) fn of(error: reqwest::Error, at: &str) -> Self {
        let at = at.to_owned();
        let source = error.without_url();
        if !source.is_connect() {
            return Self::Broken { at, source };
        }
        match reason(&source) {
            Some(kind @ (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)) => {
                let source = kind.into();
                Self::Nobody { at, source }
            }
            Some(kind @ io::ErrorKind::PermissionDenied) => {
                let source = kind.into();
                Self::NotAllowed { at, source }
            }
            _ => Self::Unreachable { at, source },
        }
    }

    /// JSON that is none, or another than was expected. What it quotes is cut.
    pub(super) fn nonsense(at: &str, error: &serde_json::Error) -> Self {
        let at = at.to_owned();
        let why = plain(&error.to_string());
        Self::Nonsense { at, why }
    }

    /// What can be done about it.
    pub(in crate::cli) fn help(&self) -> Option<String> {
        match self {
            Self::Nobody { .. } => {
                Some("start it with `selvedge run`, or name its socket with `--host`".to_owned())
            }
            Self::NotAllowed { .. } => Some(
                "use `sudo`, or become a member of the group that the socket belongs to".to_owned(),
            ),
            Self::Refused { problem, who } => {
                let help = problem.help.as_deref().map(plain);
                match problem.status {
                    401 | 403 => {
                        let help = help.map_or(String::new(), |help| format!(": {help}"));
                        Some(format!("the host knows you by {who}{help}"))
                    }
                    _ => help,
                }
            }
            Self::Nonsense { .. } => Some(format!(
                "is it a selvedge host, of about this version ({})?",
                env!("CARGO_PKG_VERSION")
            )),
            _ => None,
        }
    }

    /// What the host refused, if that is what it did.
    pub(in crate::cli) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the host may answer again after a while, as one does that was
    /// started anew.
    pub(in crate::cli) fn may_pass(&self) -> bool {
        match self {
            Self::Nobody { .. }
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. } => true,
            Self::Unexpected { status, .. } => *status == 503,
            Self::Refused { problem, .. } => problem.status == 503,
            Self::NotAllowed { .. }
            | Self::TooLarge { .. }
            | Self::Nonsense { .. }
            | Self::Tls(_) => false,
        }
    }
}

/// What the operating system says, below what libraries say.
fn reason(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
