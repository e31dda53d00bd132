//! For machines that watch the host: is it well, and in numbers.

use axum::http::StatusCode;
use axum::response::Response;

use crate::api::refusal::Refusal;
use crate::api::request::{Asked, json, text};
use crate::api::wire::Health;
use crate::api::{health, metrics, openapi};

pub(in crate::api) async fn healthz(asked: Asked) -> Result<Response, Refusal> {
    told(&health::alive(&asked.api).await)
}

pub(in crate::api) async fn readyz(asked: Asked) -> Result<Response, Refusal> {
    told(&health::ready(&asked.api).await)
}

fn told(health: &Health) -> Result<Response, Refusal> {
    let status = match health.ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, health)
}

pub(in crate::api) async fn metrics(asked: Asked) -> Result<Response, Refusal> {
    let page = metrics::page(&asked.api).await;
    Ok(text(metrics::MEDIA_TYPE, page))
}

pub(in crate::api) async fn openapi(_: Asked) -> Result<Response, Refusal> {
    json(StatusCode::OK, &openapi::document())
}
