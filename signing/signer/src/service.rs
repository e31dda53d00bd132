//! How signing services are reached: certificate authorities, logs, timestamp
//! authorities.
//!
//! Over `https`, or `http` on this machine; with deadlines and without
//! redirections. What they answer may stand in an error, cut and without control
//! characters, and is otherwise theirs to sign and the verifier's to judge.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Certificate, Client, Url, redirect};

/// How long a service may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take, answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of an answer that are told.
const ANSWER_CHARS_MAX: usize = 300;

/// A signing service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The certificate authority.
    Fulcio,
    /// The transparency log.
    Rekor,
    /// The timestamp authority.
    Timestamp,
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fulcio => "certificate authority",
            Self::Rekor => "transparency log",
            Self::Timestamp => "timestamp authority",
        })
    }
}

/// Why a service was of no use.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its address is not one that is safe to use.
    #[error("the address of the {service} is not `https`, or `http` on this machine")]
    Address {
        /// Which.
        service: Service,
    },
    /// The system's or the extra certificates for TLS cannot be used.
    #[error("cannot use the certificates that `https` needs")]
    Roots {
        /// Why.
        source: reqwest::Error,
    },
    /// It did not answer, or not in time.
    #[error("the {service} cannot be reached")]
    Unreachable {
        /// Which.
        service: Service,
        /// Why.
        source: Said,
    },
    /// It answered that it will not.
    #[error("the {service} refused{}", in_brackets(*status))]
    Refused {
        /// Which.
        service: Service,
        /// Its answer's status, where it is known.
        status: Option<u16>,
        /// What it said.
        source: Said,
    },
    /// It answered something else than was asked.
    #[error("the {service} answered wrongly")]
    Answer {
        /// Which.
        service: Service,
        /// What is wrong.
        source: Said,
    },
}

/// What a service or a library said: at most 300 characters, no control
/// characters.
#[derive(Debug, thiserror::Error)]
#[error("it says {0:?}")]
pub struct Said(String);

impl Said {
    pub(crate) fn new(text: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self(text.chars().take(ANSWER_CHARS_MAX).map(plain).collect())
    }
}

impl ServiceError {
    /// Which service, unless it is about what all have in common.
    pub fn service(&self) -> Option<Service> {
        match self {
            Self::Address { service }
            | Self::Unreachable { service, .. }
            | Self::Refused { service, .. }
            | Self::Answer { service, .. } => Some(*service),
            Self::Roots { .. } => None,
        }
    }

    pub(crate) fn unreachable(service: Service, text: &str) -> Self {
        let source = Said::new(text);
        Self::Unreachable { service, source }
    }

    pub(crate) fn refused(service: Service, status: Option<u16>, text: &str) -> Self {
        Self::Refused {
            service,
            status,
            source: Said::new(text),
        }
    }

    pub(crate) fn answer(service: Service, text: &str) -> Self {
        let source = Said::new(text);
        Self::Answer { service, source }
    }
}

fn in_brackets(status: Option<u16>) -> String {
    let text = status.map(|status| format!(" (HTTP {status})"));
    text.unwrap_or_default()
}

/// A client for services at these addresses, which trusts the system's roots
/// and `roots` (PEM).
pub(crate) fn client(
    services: &[(Service, &str)],
    roots: &[Vec<u8>],
) -> Result<Client, ServiceError> {
    let (mut all_here, mut all_plain) = (true, true);
    for &(service, url) in services {
        all_here &= is_here(url).ok_or(ServiceError::Address { service })?;
        all_plain &= !url.trim_start().to_ascii_lowercase().starts_with("https:");
    }
    let failed = |source| ServiceError::Roots { source };
    let mut certificates = Vec::new();
    for root in roots {
        certificates.extend(Certificate::from_pem_bundle(root).map_err(failed)?);
    }
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        // An answer from elsewhere is not from the service that was chosen.
        .redirect(redirect::Policy::none())
        // The libraries read answers whole: none may unfold into more than
        // what comes over the wire in time.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .no_zstd()
        .user_agent(concat!("selvedge/", env!("CARGO_PKG_VERSION")));
    if all_plain {
        // A machine without any certificates can still use its own services.
        builder = builder.tls_certs_only([]);
    } else if !certificates.is_empty() {
        builder = builder.tls_certs_merge(certificates);
    }
    if all_here {
        builder = builder.no_proxy();
    }
    builder.build().map_err(failed)
}

/// Whether a service at `url` is on this machine; `None` if it must not be used.
fn is_here(url: &str) -> Option<bool> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let here = match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    };
    let named = !url.username().is_empty() || url.password().is_some();
    let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
    (safe && !named).then_some(here)
}

#[cfg(test)]
mod tests {
    use super::{Said, is_here};

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for (url, expected) in [
            ("https://fulcio.example", Some(false)),
            ("https://127.0.0.1:8443/", Some(true)),
            ("http://127.0.0.1:8080/x", Some(true)),
            ("http://[::1]:8080/x", Some(true)),
            ("http://localhost", Some(true)),
            ("http://localhost.example", None),
            ("http://fulcio.example", None),
            ("http://127.0.0.1.example", None),
            ("http://127.0.0.1@fulcio.example", None),
            ("https://user@fulcio.example", None),
            ("ftp://127.0.0.1", None),
            ("fulcio.example", None),
            ("", None),
        ] {
            assert_eq!(is_here(url), expected, "{url}");
        }
    }

    #[test]
    fn what_a_service_says_is_cut_and_plain() {
        let said = Said::new(&format!("no\u{1b}[31m\n{}", "x".repeat(1_000_000)));
        let text = said.to_string();
        assert!(text.starts_with("it says \"no [31m xxx"), "{text}");
        assert!(text.len() < 400);
    }
}
