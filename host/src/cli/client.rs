//! Asks a running host, over its socket or HTTPS.
//!
//! Whoever answers there is not trusted with this process or its terminal: each
//! answer has bounds in bytes and time, nothing is followed elsewhere, and what
//! it says is made plain before it is shown.

mod error;
mod lines;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::output;
use crate::api::wire::{Problem, VERSION};
use crate::cli::failure::Outcome;
use crate::deployment::document::fault::plain;

pub(super) use error::HostError;
pub(super) use lines::Lines;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long an answer may take, to its end unless it is a stream.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a plan may take: artifacts are brought for it.
pub(super) const PLAN_MAX: Duration = Duration::from_secs(900);

/// How long a file may take to be handed in.
const UPLOAD_MAX: Duration = Duration::from_secs(900);

/// Bytes of an answer, streams aside.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Bytes of a refusal.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// Bytes of a part of a file on its way: after each, it is said how far it is.
const PART_BYTES: usize = 256 << 10;

/// Silence on a connection after which it is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Its socket.
    Socket(std::path::PathBuf),
    /// `https://name:port`.
    Https(Url),
}

/// With what a client proves who it is, and whom it believes: PEM.
#[derive(Clone, Default)]
pub(super) struct Tls {
    /// Its certificates and its key.
    pub(super) identity: Option<Vec<u8>>,
    /// The authorities that may vouch for the host, instead of the system's.
    pub(super) authorities: Option<Vec<u8>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A host to ask.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// Where it is, for people.
    at: String,
    /// By what it knows who asks.
    who: String,
}

/// What a host answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) json: Value,
    at: String,
}

impl Client {
    pub(super) fn new(address: &Address, tls: &Tls) -> Result<Self, HostError> {
        let identity = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("selvedge/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([identity]))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // A small answer must not become a large one.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_proxy()
            .tcp_keepalive(KEEPALIVE)
            .connect_timeout(CONNECT_MAX);
        let (base, at, who) = match address {
            Address::Socket(path) => {
                // There is no TLS on a socket, and no need for roots.
                builder = builder.unix_socket(path.as_path()).tls_certs_only([]);
                let base = Url::parse("http://localhost/");
                (base, plain(&path.to_string_lossy()), user())
            }
            Address::Https(url) => {
                builder = builder.https_only(true);
                if let Some(pem) = &tls.authorities {
                    let roots = reqwest::Certificate::from_pem_bundle(pem);
                    builder = builder.tls_certs_only(roots.map_err(HostError::Tls)?);
                }
                if let Some(pem) = &tls.identity {
                    let identity = reqwest::Identity::from_pem(pem);
                    builder = builder.identity(identity.map_err(HostError::Tls)?);
                }
                let who = match tls.identity {
                    Some(_) => "the certificate that you named",
                    None => "no certificate: name one with `--cert` and `--key`",
                };
                let at = plain(url.as_str().trim_end_matches('/'));
                (Ok(url.clone()), at, who.to_owned())
            }
        };
        Ok(Self {
            http: builder.build().map_err(HostError::Tls)?,
            base: base.expect("this is a URL"),
            at,
            who,
        })
    }

    /// The address of `path` below the version, with `query`.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        self.address(&[&[VERSION], path].concat(), query)
    }

    /// The address of a probe, which has no version.
    pub(super) fn probe(&self, name: &str) -> Url {
        self.address(&[name], &[])
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    pub(super) async fn get(&self, url: Url) -> Result<Answer, HostError> {
        let request = self.http.request(Method::GET, url);
        self.ask(request, ANSWER_MAX).await
    }

    /// Asks for something to be done; the host may take `within` for it.
    pub(super) async fn post(
        &self,
        url: Url,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<Answer, HostError> {
        let request = self.http.request(Method::POST, url).json(body);
        self.ask(request, within).await
    }

    /// Hands in a file; `sent` is told of the bytes of each part that left.
    pub(super) async fn put(
        &self,
        url: Url,
        bytes: Bytes,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<(), HostError> {
        let length = bytes.len();
        let mut rest = bytes;
        let parts = std::iter::from_fn(move || {
            let part = rest.split_to(rest.len().min(PART_BYTES));
            sent(part.len() as u64);
            (!part.is_empty()).then_some(Ok::<_, std::convert::Infallible>(part))
        });
        let request = self.http.request(Method::PUT, url);
        let request = request.header(CONTENT_LENGTH, length);
        let request = request.body(Body::wrap_stream(futures::stream::iter(parts)));
        self.ask(request, UPLOAD_MAX).await.map(drop)
    }

    /// The state that a probe tells: refused or not, its answer is one.
    pub(super) async fn state(&self, probe: Url) -> Result<Answer, HostError> {
        let deadline = Instant::now() + ANSWER_MAX;
        let request = self.http.request(Method::GET, probe);
        let response = self.send(request, deadline).await?;
        match response.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => self.read(response, deadline).await,
            _ => Err(self.refusal(response, deadline).await),
        }
    }

    /// A text document.
    pub(super) async fn text(&self, url: Url) -> Result<String, HostError> {
        let deadline = Instant::now() + ANSWER_MAX;
        let response = self.begin(self.http.request(Method::GET, url), deadline);
        let response = response.await?;
        let bytes = self.body(response, deadline, ANSWER_BYTES_MAX).await?;
        let nonsense = |_| HostError::Nonsense {
            at: self.at.clone(),
            why: "it is not UTF-8 text".to_owned(),
        };
        String::from_utf8(bytes).map_err(nonsense)
    }

    /// An answer that comes line by line, for as long as it lasts.
    pub(super) async fn stream(&self, url: Url) -> Result<Lines, HostError> {
        let deadline = Instant::now() + ANSWER_MAX;
        let response = self.begin(self.http.request(Method::GET, url), deadline);
        Ok(Lines::new(response.await?, self.at.clone()))
    }

    async fn ask(&self, request: RequestBuilder, within: Duration) -> Result<Answer, HostError> {
        let deadline = Instant::now() + within;
        let response = self.begin(request, deadline).await?;
        self.read(response, deadline).await
    }

    /// The head of an answer that is a success.
    async fn begin(
        &self,
        request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Response, HostError> {
        let response = self.send(request, deadline).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refusal(response, deadline).await)
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Response, HostError> {
        match timeout_at(deadline, request.send()).await {
            Ok(sent) => sent.map_err(|error| HostError::of(error, &self.at)),
            Err(_) => Err(self.timed_out()),
        }
    }

    async fn read(&self, response: Response, deadline: Instant) -> Result<Answer, HostError> {
        let bytes = self.body(response, deadline, ANSWER_BYTES_MAX).await?;
        let at = self.at.clone();
        // What needs no answer may have none.
        if bytes.is_empty() {
            return Ok(Answer {
                json: Value::Null,
                at,
            });
        }
        let json = serde_json::from_slice(&bytes);
        let json = json.map_err(|error| HostError::nonsense(&self.at, &error))?;
        Ok(Answer { json, at })
    }

    async fn body(
        &self,
        mut response: Response,
        deadline: Instant,
        bytes_max: usize,
    ) -> Result<Vec<u8>, HostError> {
        let mut body = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.chunk()).await;
            let chunk = chunk.map_err(|_| self.timed_out())?;
            match chunk.map_err(|error| HostError::of(error, &self.at))? {
                Some(chunk) if body.len() + chunk.len() <= bytes_max => {
                    body.extend_from_slice(&chunk);
                }
                Some(_) => {
                    return Err(HostError::TooLarge {
                        at: self.at.clone(),
                        bytes_max,
                    });
                }
                None => return Ok(body),
            }
        }
    }

    /// Why a host did not do as asked.
    async fn refusal(&self, response: Response, deadline: Instant) -> HostError {
        let status = response.status().as_u16();
        let body = self.body(response, deadline, PROBLEM_BYTES_MAX).await;
        let problem = body.ok().and_then(|body| {
            let problem: Problem = serde_json::from_slice(&body).ok()?;
            Some(Box::new(problem))
        });
        match problem {
            Some(problem) => HostError::Refused {
                problem,
                who: self.who.clone(),
            },
            None => HostError::Unexpected {
                at: self.at.clone(),
                status,
            },
        }
    }

    fn timed_out(&self) -> HostError {
        HostError::TimedOut {
            at: self.at.clone(),
        }
    }
}

impl Answer {
    /// What it says.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        T::deserialize(&self.json).map_err(|error| HostError::nonsense(&self.at, &error))
    }

    /// Prints it as it is, for programs.
    pub(super) fn print(&self) -> Outcome<()> {
        output::json(&self.json)
    }

    /// The same as one line of a stream.
    pub(super) fn print_line(&self) -> Outcome<()> {
        output::json_line(&self.json)
    }
}

/// Who the kernel says that this process is.
fn user() -> String {
    use std::os::unix::fs::MetadataExt as _;

    match fs_err::metadata("/proc/self") {
        Ok(process) => format!("uid {}", process.uid()),
        Err(_) => "your user".to_owned(),
    }
}

/// Whether something answers to that name in the file system.
pub(super) fn exists(socket: &Path) -> bool {
    // A folder that may not be looked into may hold it.
    fs_err::symlink_metadata(socket).map_or_else(
        |error| error.kind() != std::io::ErrorKind::NotFound,
        |_| true,
    )
}

#[cfg(test)]
mod tests;
