//! One request: who asks, for what, and what they are told.
//!
//! Roles, times and the audit are the same for all routes and are decided here,
//! from the route's row. Nothing of a body is read before the role is known.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequestParts as _, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::timeout;
use tracing::debug;

use super::Api;
use super::body::Incoming;
use super::connection::Peer;
use super::refusal::{Refusal, put};
use super::routes::Route;

/// Parameters of one request.
const PARAMETERS_MAX: usize = 32;
/// Bytes of a foreign name that is repeated.
const REPEATED_BYTES_MAX: usize = 64;

/// A request that may be done.
pub(super) struct Asked {
    pub(super) api: Arc<Api>,
    pub(super) peer: Peer,
    pub(super) query: Parameters,
    pub(super) body: Incoming,
    path: Vec<(String, String)>,
}

/// What came of a request, for the audit.
#[derive(Clone, Debug)]
pub(super) struct Outcome(pub(super) String);

impl Asked {
    /// A part of the path, as `T`. What is none does not exist.
    pub(super) fn part<T: std::str::FromStr>(&self, name: &str) -> Result<T, Refusal> {
        let part = self.path.iter().find(|(own, _)| own == name);
        let part = part.and_then(|(_, text)| text.parse().ok());
        part.ok_or(Refusal::NoSuchPath)
    }

    /// Who asks, as it is written down.
    pub(super) fn who(&self) -> String {
        self.peer.caller.who.clone()
    }
}

/// Answers a request on `route`.
pub(super) async fn answer(route: &'static Route, api: Arc<Api>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(ConnectInfo(peer)) = ConnectInfo::<Peer>::from_request_parts(&mut parts, &()).await
    else {
        return Refusal::Stopping.into_response();
    };
    let busy = peer.busy();
    let mut body = Some(Incoming::new(body, &parts.headers));
    api.requests.fetch_add(1, Ordering::Relaxed);
    let asked = (parts.method.clone(), parts.uri.clone());
    let deed = route
        .changes
        .then(|| api.audit.deed(&peer.caller.who, asked));
    let outcome = tokio::select! {
        outcome = done(route, &api, &peer, (&mut parts, &mut body)) => outcome,
        () = peer.cut.cancelled() => Err(Refusal::Stopping),
    };
    let code = outcome.as_ref().err().map(Refusal::code);
    if let Some(mut deed) = deed {
        let status = outcome
            .as_ref()
            .map_or_else(Refusal::status, Response::status);
        let done = outcome.as_ref().ok();
        let done = done.and_then(|response| response.extensions().get::<Outcome>());
        deed.ended(status, code, done.map(|outcome| outcome.0.clone()));
    }
    let response = match outcome {
        Ok(response) => response,
        Err(refusal) => {
            api.refusals.fetch_add(1, Ordering::Relaxed);
            let unread = body.as_mut().filter(|_| !refusal.ends_connection());
            if let Some(body) = unread {
                body.drain().await;
            }
            refusal.into_response()
        }
    };
    debug!(
        who = peer.caller.who,
        method = parts.method.as_str(),
        path = route.path,
        status = response.status().as_u16(),
        code,
        "api answer"
    );
    let response = dress(response);
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // The request is under way until its answer is.
    response.map(|body| {
        let stream = body.into_data_stream();
        Body::from_stream(stream.inspect(move |_| {
            let _ = &busy;
        }))
    })
}

async fn done(
    route: &'static Route,
    api: &Arc<Api>,
    peer: &Peer,
    (parts, body): (&mut Parts, &mut Option<Incoming>),
) -> Result<Response, Refusal> {
    if peer.caller.role < route.role {
        return Err(Refusal::Forbidden { needed: route.role });
    }
    // No page of a browser, which would come with its user's certificate.
    if parts.method != Method::GET && parts.headers.contains_key(header::ORIGIN) {
        return Err(Refusal::CrossOrigin);
    }
    let path = match RawPathParams::from_request_parts(parts, &()).await {
        Ok(path) => path
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        Err(_) => return Err(Refusal::NoSuchPath),
    };
    let query = Parameters::read(parts, route)?;
    let Some(body) = body.take() else {
        return Err(Refusal::BrokenOff);
    };
    let asked = Asked {
        api: Arc::clone(api),
        peer: peer.clone(),
        query,
        body,
        path,
    };
    let answered = timeout(route.time_max, (route.answer)(asked)).await;
    answered.map_err(|_| Refusal::TimedOut)?
}

/// What is answered where there is no route.
pub(super) async fn no_route(request: Request) -> Response {
    turn_away(request, Refusal::NoSuchPath).await
}

/// What is answered where there is no such method.
pub(super) async fn no_method(request: Request) -> Response {
    turn_away(request, Refusal::Method).await
}

async fn turn_away(request: Request, refusal: Refusal) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = ConnectInfo::<Peer>::from_request_parts(&mut parts, &()).await;
    let _busy = peer.ok().map(|ConnectInfo(peer)| peer.busy());
    Incoming::new(body, &parts.headers).drain().await;
    dress(refusal.into_response())
}

/// Adds what every answer has.
fn dress(mut response: Response) -> Response {
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(parts: &Parts, route: &Route) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Refusal::Parameter(String::new()))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            let known = route.query.iter().find(|known| known.name == name);
            let again = pairs.iter().take(index).any(|(other, _)| other == name);
            if !known.is_some_and(|known| known.repeats || !again) || index >= PARAMETERS_MAX {
                let end = name.floor_char_boundary(REPEATED_BYTES_MAX);
                let name = name.get(..end).unwrap_or_default();
                return Err(Refusal::Parameter(name.to_owned()));
            }
        }
        Ok(Self(pairs))
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let own = self.0.iter().filter(move |(own, _)| own == name);
        own.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter as `T`.
    pub(super) fn value<T: std::str::FromStr>(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Refusal> {
        let value = self.all(name).next().map(str::parse);
        let value = value.transpose();
        value.map_err(|_| Refusal::Value { name, expected })
    }

    /// A number of entries, within a bound.
    pub(super) fn count(
        &self,
        name: &'static str,
        usual: usize,
        max: usize,
    ) -> Result<usize, Refusal> {
        let count = self.value::<usize>(name, "a number")?;
        Ok(count.unwrap_or(usual).min(max))
    }

    /// A switch that is off unless it is said.
    pub(super) fn switch(&self, name: &'static str) -> Result<bool, Refusal> {
        Ok(self.value(name, "`true` or `false`")?.unwrap_or(false))
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Refusal> {
    let body = serde_json::to_vec(value).map_err(Refusal::Unwritable)?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_TYPE, "application/json");
    Ok(response)
}

/// An answer in text.
pub(super) fn text(media_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let media_type = HeaderValue::from_static(media_type);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    response
}

/// An answer that only says that it is done.
pub(super) fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
