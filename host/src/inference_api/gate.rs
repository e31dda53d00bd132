//! What comes before every call: may this caller do that, and is there room for the
//! request? Nothing of a request is read before the first is known.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};

use super::Shared;
use super::client::{Client, Room, Rooms};
use super::fault::{Fault, full};
use super::outgoing::Outgoing;
use crate::api::access::Role;

/// Stands before `inner`.
#[derive(Clone)]
pub(super) struct Gate<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

/// What a caller needs for a call.
fn needed(path: &str) -> Role {
    match path.rsplit('/').next() {
        Some("LoadModel" | "UnloadModel") => Role::Operator,
        _ => Role::Viewer,
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let counts = Arc::clone(&self.shared.counts);
        counts.calls.fetch_add(1, Ordering::Relaxed);
        let client = request.extensions().get::<Client>().cloned();
        let needed = needed(request.uri().path());
        let Some(client) = client.filter(|client| client.caller.role >= needed) else {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            let fault = Fault::not_allowed(needed);
            return Box::pin(async move { Ok(fault.status().into_http()) });
        };
        let Rooms {
            request: incoming,
            answer: outgoing,
        } = client.call();
        request.extensions_mut().insert(Rooms {
            request: Arc::clone(&incoming),
            answer: Arc::clone(&outgoing),
        });
        let call = self.inner.call(request.map(|body| metered(body, incoming)));
        Box::pin(async move {
            let response = call.await?;
            Ok(response.map(|body| Body::new(Outgoing::new(body, outgoing))))
        })
    }
}

/// The same, as long as there is room for it.
fn metered(body: Body, room: Arc<Room>) -> Body {
    let frames = AnyBody::new(body).into_data_stream();
    let frames = frames.map(move |frame| {
        let frame = frame.map_err(|error| tonic::Status::from_error(error.into_inner()))?;
        if room.take(frame.len()) {
            Ok(frame)
        } else {
            Err(full().status())
        }
    });
    Body::new(AnyBody::from_stream(frames))
}
