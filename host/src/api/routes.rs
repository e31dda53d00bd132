//! Everything that can be asked for: one row each.
//!
//! The router, the roles, the audit and the OpenAPI document follow this table,
//! so that none can say what the others do not.

mod kinds;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use futures::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};

use super::Api;
use super::access::Role;
use super::refusal::Refusal;
use super::request::{self, Asked};

pub(super) use table::ROUTES;

pub(super) type Answer = BoxFuture<'static, Result<Response, Refusal>>;
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
}

impl Verb {
    /// What the document calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
        }
    }
}

/// Something that can be asked for.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// What the document calls it.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Who may ask.
    pub(super) role: Role,
    /// Whether it may change something.
    pub(super) changes: bool,
    pub(super) query: &'static [Parameter],
    pub(super) takes: Takes,
    pub(super) status: StatusCode,
    pub(super) gives: Gives,
    /// Whether 503 is answered in the same form.
    pub(super) gives_either_way: bool,
    pub(super) time_max: Duration,
    pub(super) answer: fn(Asked) -> Answer,
}

/// A parameter of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// Its type in JSON Schema.
    pub(super) kind: &'static str,
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) repeats: bool,
}

/// The body of a request.
pub(super) enum Takes {
    Nothing,
    Json(SchemaOf),
    Bytes,
}

/// The body of an answer.
pub(super) enum Gives {
    Nothing,
    Json(SchemaOf),
    Lines(SchemaOf),
    Text(&'static str),
}

/// Leads each request to its row.
pub(super) fn router(api: Arc<Api>) -> Router {
    let mut paths: BTreeMap<&str, MethodRouter<Arc<Api>>> = BTreeMap::new();
    for route in ROUTES {
        let answer = move |State(api): State<Arc<Api>>, request: Request| {
            request::answer(route, api, request)
        };
        let methods = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, methods.on(route.verb.filter(), answer));
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        router = router.route(path, methods);
    }
    router
        .method_not_allowed_fallback(request::no_method)
        .fallback(request::no_route)
        .with_state(api)
}
