//! How the host, its plugins, models and parties fare.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::api::health;
use crate::api::refusal::Refusal;
use crate::api::request::{Asked, json};
use crate::api::wire::{HostStatus, ModelSummary, Parties};
use crate::deployment::deployments::ModelReport;
use crate::deployment::report::ComputedBy;
use crate::names::PluginName;

pub(in crate::api) async fn status(asked: Asked) -> Result<Response, Refusal> {
    let api = &asked.api;
    let health = health::ready(api).await;
    let status = HostStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: api.started_at,
        ready: health.ok,
        reasons: health.reasons,
        active: api.deployments.active(),
        under_way: api.deployments.under_way(),
        plugins: api.deployments.plugins(),
        models: api
            .deployments
            .model_reports()
            .into_iter()
            .map(summary)
            .collect(),
    };
    json(StatusCode::OK, &status)
}

pub(in crate::api) async fn plugins(asked: Asked) -> Result<Response, Refusal> {
    json(StatusCode::OK, &asked.api.deployments.plugins())
}

pub(in crate::api) async fn plugin(asked: Asked) -> Result<Response, Refusal> {
    let name: PluginName = asked.part("name")?;
    let reports = asked.api.deployments.plugins();
    let report = reports.into_iter().find(|report| report.plugin == name);
    json(StatusCode::OK, &report.ok_or(Refusal::NoPlugin(name))?)
}

pub(in crate::api) async fn parties(asked: Asked) -> Result<Response, Refusal> {
    let parties = asked.api.bus.parties();
    json(StatusCode::OK, &Parties { parties })
}

pub(in crate::api) async fn uplinks(asked: Asked) -> Result<Response, Refusal> {
    json(StatusCode::OK, &asked.api.uplink_statuses().await)
}

pub(in crate::api) async fn models(asked: Asked) -> Result<Response, Refusal> {
    json(StatusCode::OK, &asked.api.deployments.model_reports())
}

pub(in crate::api) async fn backends(asked: Asked) -> Result<Response, Refusal> {
    let store = Arc::clone(&asked.api.deployments.deployer().models);
    // It looks whether the files are still those that were loaded.
    let status = tokio::task::spawn_blocking(move || store.backends().status());
    json(StatusCode::OK, &status.await.unwrap_or_default())
}

fn summary(report: ModelReport) -> ModelSummary {
    let status = report.status;
    ModelSummary {
        model: status.model,
        version: status.version,
        digest: status.digest,
        by: ComputedBy {
            backend: status.backend,
            provider: status.provider,
            device: status.device,
        },
        degraded: status.degraded,
        failures_total: status.runs.failures_total,
        swaps_total: status.swaps_total,
        loaded_by: report.loaded_by,
        withdrawn: report.withdrawn,
    }
}
