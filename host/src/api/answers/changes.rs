//! What changes what runs. Whoever asks for it may go away: it is done to its
//! end (see [`crate::api::work`]).

use axum::http::StatusCode;
use axum::response::Response;
use tokio::task::spawn_blocking;

use crate::api::refusal::Refusal;
use crate::api::request::{Asked, Outcome, json, nothing};
use crate::api::wire::{RollBackRequest, SubmitRequest, Submitted, SwapRequest};
use crate::deployment::deployments::FILE_BYTES_MAX;
use crate::deployment::document::component_source::ComponentSource;
use crate::deployment::report::{DeploymentId, Reason};
use crate::deployment::submission::{Submission, SubmitError};
use crate::names::{Digest, PluginName};

/// Bytes of a document.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a request with a document in it, as JSON.
const SUBMIT_BYTES_MAX: u64 = 4 << 20;
/// Bytes of any other request.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// Files that one document names, and bytes of the name of its own.
const FILES_MAX: usize = 1_024;
const FILE_NAME_BYTES_MAX: usize = 4_096;

pub(in crate::api) async fn submit(mut asked: Asked) -> Result<Response, Refusal> {
    let submission = submission(&mut asked).await?;
    let deployments = asked.api.deployments.clone();
    let job = async move { deployments.submit(submission).await };
    submitted(asked.api.work.done(job).await?)
}

/// Nothing is changed, so nobody need wait for it but its sender.
pub(in crate::api) async fn plan(mut asked: Asked) -> Result<Response, Refusal> {
    let api = asked.api.clone();
    let Ok(_permit) = api.plans.try_acquire() else {
        return Err(Refusal::Busy);
    };
    let submission = submission(&mut asked).await?;
    let plan = api.deployments.plan(submission).await?;
    json(StatusCode::OK, &plan)
}

pub(in crate::api) async fn file(mut asked: Asked) -> Result<Response, Refusal> {
    let expected: Digest = asked.part("digest")?;
    let api = asked.api.clone();
    let Ok(_permit) = api.files.try_acquire() else {
        return Err(Refusal::Busy);
    };
    let bytes = asked.body.all(FILE_BYTES_MAX).await?;
    let hashed = bytes.clone();
    let found = spawn_blocking(move || Digest::of(&hashed)).await;
    let found = found.map_err(|_| Refusal::Stopping)?;
    if found != expected {
        return Err(Refusal::Digest { found });
    }
    let deployments = api.deployments.clone();
    let job = async move { deployments.put_file(bytes).await };
    api.work.done(job).await??;
    Ok(nothing())
}

pub(in crate::api) async fn roll_back(mut asked: Asked) -> Result<Response, Refusal> {
    let request = asked.body.json_or_default(REQUEST_BYTES_MAX).await?;
    let RollBackRequest { to } = request;
    let (deployments, who) = (asked.api.deployments.clone(), asked.who());
    let job = async move { deployments.roll_back(to, who).await };
    submitted(asked.api.work.done(job).await?)
}

pub(in crate::api) async fn swap(mut asked: Asked) -> Result<Response, Refusal> {
    let plugin = plugin(&asked)?;
    let SwapRequest { component } = asked.body.json(REQUEST_BYTES_MAX).await?;
    let component: Result<ComponentSource, _> = component.parse();
    let component = component.map_err(|error| Refusal::Component(Box::new(error)))?;
    let (deployments, who) = (asked.api.deployments.clone(), asked.who());
    let job = async move { deployments.swap(plugin, component, who).await };
    submitted(asked.api.work.done(job).await?)
}

pub(in crate::api) async fn stop(asked: Asked) -> Result<Response, Refusal> {
    let plugin = plugin(&asked)?;
    let (deployments, name) = (asked.api.deployments.clone(), plugin.clone());
    let job = async move { deployments.stop_plugin(&name).await };
    asked.api.work.done(job).await??;
    report(&asked, plugin)
}

pub(in crate::api) async fn start(asked: Asked) -> Result<Response, Refusal> {
    let plugin = plugin(&asked)?;
    let (deployments, name) = (asked.api.deployments.clone(), plugin.clone());
    let job = async move { deployments.start_plugin(&name).await };
    asked.api.work.done(job).await??;
    report(&asked, plugin)
}

pub(in crate::api) async fn restart(asked: Asked) -> Result<Response, Refusal> {
    let plugin = plugin(&asked)?;
    let (deployments, name) = (asked.api.deployments.clone(), plugin.clone());
    let job = async move { deployments.restart_plugin(&name).await };
    asked.api.work.done(job).await??;
    report(&asked, plugin)
}

async fn submission(asked: &mut Asked) -> Result<Submission, Refusal> {
    let request: SubmitRequest = asked.body.json(SUBMIT_BYTES_MAX).await?;
    let bytes_max = DOCUMENT_BYTES_MAX;
    let has_too_much = request.document.len() as u64 > bytes_max
        || request.files.len() > FILES_MAX
        || request.file.len() > FILE_NAME_BYTES_MAX;
    if has_too_much {
        return Err(Refusal::TooLarge { bytes_max });
    }
    Ok(Submission {
        text: request.document,
        file: request.file.into(),
        files: request.files,
        requested_by: asked.who(),
        reason: Reason::Submitted,
        when_busy: request.when_busy,
    })
}

fn submitted(taken: Result<DeploymentId, SubmitError>) -> Result<Response, Refusal> {
    let deployment = taken?;
    let mut response = json(StatusCode::ACCEPTED, &Submitted { deployment })?;
    let outcome = Outcome(format!("deployment {deployment}"));
    response.extensions_mut().insert(outcome);
    Ok(response)
}

/// How the plugin fares after it.
fn report(asked: &Asked, plugin: PluginName) -> Result<Response, Refusal> {
    let reports = asked.api.deployments.plugins();
    let report = reports.into_iter().find(|report| report.plugin == plugin);
    json(StatusCode::OK, &report.ok_or(Refusal::NoPlugin(plugin))?)
}

fn plugin(asked: &Asked) -> Result<PluginName, Refusal> {
    asked.part("name")
}
