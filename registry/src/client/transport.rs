//! Sends requests: whom to trust, where redirects may lead, who learns our
//! credentials, and how long all that may take.
//!
//! Redirects are followed here and not by `reqwest`, so that each step is checked
//! and credentials stay with the registry. Proxies are those of the environment
//! (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), as users behind one expect; through
//! it TLS still ends at the registry. What is on the loopback interface is never
//! asked through one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Certificate, Method, Request, Response, StatusCode, Url};
use tokio::sync::OnceCell;
use tokio_rustls::rustls;

use super::auth::{Actions, Auth};
use super::body::Answer;
use super::error::ClientError;
use super::pace::{Meter, Pace, Tries};
use super::place::{Place, is_loopback};
use super::{ClientConfig, blocking};

/// How long a connection may take to be made, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Bytes handed to a connection at once.
const SENT_BYTES: usize = 64 << 10;
/// How often it is looked how far a request has got.
const LOOK: Duration = Duration::from_millis(100);

/// A request, before it is known where it ends up.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Option<Bytes>,
    pub(super) actions: Actions,
}

impl Ask {
    /// A request of something that is only read.
    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Actions::Pull)
    }

    /// A request of any kind.
    pub(super) fn new(method: Method, url: Url, actions: Actions) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: None,
            actions,
        }
    }

    /// The same with a header. `value` is our own and has no odd characters;
    /// foreign text that has some is left out.
    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// The same with a body.
    #[must_use]
    pub(super) fn carrying(mut self, payload: Bytes) -> Self {
        self.payload = Some(payload);
        self
    }
}

/// What sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    /// For the loopback interface without TLS: no proxy, no roots.
    plain: reqwest::Client,
    /// For the loopback interface: no proxy. Made when it is needed, and so is
    /// the next: reading the system's roots takes longer than a small plugin.
    direct: OnceCell<reqwest::Client>,
    /// For everything else.
    outside: OnceCell<reqwest::Client>,
    auth: Auth,
    pub(super) pace: Pace,
}

impl Transport {
    pub(super) fn new(config: &ClientConfig, pace: Pace) -> Result<Self, ClientError> {
        let mut roots = Vec::new();
        for pem in &config.roots {
            let parsed = Certificate::from_pem_bundle(pem);
            let parsed = parsed.map_err(|error| ClientError::Root(Some(error)))?;
            if parsed.is_empty() {
                return Err(ClientError::Root(None));
            }
            roots.extend(parsed);
        }
        // Whether the operator's roots are any is said at once.
        let made = |loopback| match roots.is_empty() {
            true => Ok(OnceCell::new()),
            false => http_client(&roots, loopback).map(OnceCell::from),
        };
        Ok(Self {
            plain: builder(true)
                .tls_certs_only([])
                .build()
                .map_err(ClientError::Setup)?,
            direct: made(true)?,
            outside: made(false)?,
            auth: Auth::new(config),
            pace,
        })
    }

    /// The client for an address.
    async fn client(&self, url: &Url) -> Result<&reqwest::Client, ClientError> {
        let loopback = is_loopback(url);
        if loopback && url.scheme() == "http" {
            return Ok(&self.plain);
        }
        let made = if loopback {
            &self.direct
        } else {
            &self.outside
        };
        let make = || async { blocking(move || http_client(&[], loopback)).await? };
        made.get_or_try_init(make).await
    }

    /// Counts attempts of something that may be asked again.
    pub(super) fn tries(&self) -> Tries {
        Tries::new(self.pace)
    }

    /// Asks once, and once more with authorisation if the registry wants it.
    /// `sent` is told how many bytes of the payload have left.
    pub(super) async fn send(
        &self,
        place: &Place,
        ask: &Ask,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Answer, ClientError> {
        let known = self.auth.known(place, ask.actions);
        let answer = self.follow(place, ask, known, sent).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !place.holds(answer.url()) {
            return Ok(answer);
        }
        let Some(authorization) = self.auth.answer(self, place, ask.actions, &answer).await? else {
            return Ok(answer);
        };
        self.follow(place, ask, Some(authorization), sent).await
    }

    /// Follows redirects of what is only read. An upload that is redirected is
    /// handed back: whoever gets its bytes must have been named beforehand.
    async fn follow(
        &self,
        place: &Place,
        ask: &Ask,
        authorization: Option<HeaderValue>,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Answer, ClientError> {
        let read_only = matches!(ask.method, Method::GET | Method::HEAD);
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::new(ask.method.clone(), url.clone());
            request.headers_mut().extend(ask.headers.clone());
            if place.holds(&url)
                && let Some(authorization) = &authorization
            {
                request
                    .headers_mut()
                    .insert(AUTHORIZATION, authorization.clone());
            }
            let response = self
                .execute(request, ask.payload.clone(), place, sent)
                .await?;
            let location = response.headers().get(LOCATION);
            let redirected = is_redirect(response.status()) && read_only;
            match location.map(HeaderValue::to_str) {
                Some(Ok(location)) if redirected => url = place.step(&url, location)?,
                _ => return Ok(Answer::new(response, place.name(), self.pace)),
            }
        }
        Err(ClientError::Redirects {
            name: place.name(),
            max: REDIRECTS_MAX,
        })
    }

    /// One request to one address. Until the answer's head is there, either bytes
    /// leave fast enough or silence is counted.
    pub(super) async fn execute(
        &self,
        mut request: Request,
        payload: Option<Bytes>,
        place: &Place,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Response, ClientError> {
        let name = place.name();
        let left = Arc::new(AtomicU64::new(0));
        let length = payload.as_ref().map_or(0, |payload| payload.len() as u64);
        if let Some(payload) = payload {
            let headers = request.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            *request.body_mut() = Some(body_of(payload, Arc::clone(&left)));
        }
        let client = self.client(request.url()).await?;
        let mut answer = std::pin::pin!(client.execute(request));
        let (mut seen, mut silent) = (0, Duration::ZERO);
        let mut meter = Meter::new(self.pace);
        loop {
            let looked = tokio::time::timeout(LOOK.min(self.pace.idle), &mut answer).await;
            let moved = left.load(Ordering::Relaxed) - seen;
            seen += moved;
            if moved > 0 {
                sent(moved);
            }
            if let Ok(answer) = looked {
                return answer.map_err(|error| classify(error, &name, self.pace.idle));
            }
            silent = if moved > 0 {
                Duration::ZERO
            } else {
                silent + LOOK
            };
            if silent >= self.pace.idle {
                let idle = self.pace.idle;
                return Err(ClientError::TimedOut { name, idle });
            }
            if seen < length {
                meter.moved(moved, &name)?;
            }
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A client that follows nothing and undoes no encoding.
///
/// A device may have no system roots. Then, without roots of the operator's,
/// only the loopback interface can be reached; that is no reason to fail.
fn http_client(roots: &[Certificate], loopback: bool) -> Result<reqwest::Client, ClientError> {
    let built = builder(loopback).tls_certs_merge(roots.to_vec()).build();
    match built {
        Ok(client) => Ok(client),
        Err(error) if !roots.is_empty() => Err(ClientError::Root(Some(error))),
        Err(_) => builder(loopback)
            .tls_certs_only([])
            .build()
            .map_err(ClientError::Setup),
    }
}

/// What all clients have in common.
fn builder(loopback: bool) -> reqwest::ClientBuilder {
    let identity = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let builder = reqwest::Client::builder()
        .user_agent(concat!("selvedge/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([identity]))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Another crate of the same build may turn these on, and what comes
        // unpacked has lost its length.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connect_timeout(CONNECT_MAX);
    // The only name that tests may trust a certificate for.
    #[cfg(test)]
    let builder = builder.resolve("registry.test", ([127, 0, 0, 1], 0).into());
    if loopback {
        builder.no_proxy()
    } else {
        builder
    }
}

/// A body that counts what has left.
fn body_of(payload: Bytes, left: Arc<AtomicU64>) -> reqwest::Body {
    let parts = std::iter::from_fn({
        let mut rest = payload;
        move || {
            let part = rest.split_to(rest.len().min(SENT_BYTES));
            left.fetch_add(part.len() as u64, Ordering::Relaxed);
            (!part.is_empty()).then_some(Ok::<_, std::convert::Infallible>(part))
        }
    });
    reqwest::Body::wrap_stream(futures::stream::iter(parts))
}

/// What went wrong on the way.
pub(super) fn classify(error: reqwest::Error, name: &str, idle: Duration) -> ClientError {
    let name = name.to_owned();
    // The address may have a query with a signature in it.
    let source = error.without_url();
    if is_tls(&source) {
        ClientError::Tls { name, source }
    } else if source.is_timeout() && !source.is_connect() {
        ClientError::TimedOut { name, idle }
    } else {
        ClientError::Unreachable { name, source }
    }
}

/// Whether TLS is to blame. I/O errors hide what they wrap from `source`, and
/// wrap each other.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let wrapping = error.downcast_ref::<std::io::Error>();
    match wrapping.and_then(std::io::Error::get_ref) {
        Some(wrapped) => is_tls(wrapped),
        None => error.source().is_some_and(is_tls),
    }
}
