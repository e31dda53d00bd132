//! Deployments, as they were and as they go on.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use futures::stream;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::api::lines;
use crate::api::refusal::Refusal;
use crate::api::request::{Asked, json, text};
use crate::deployment::deployments::Deployments;
use crate::deployment::report::{DeploymentId, DeploymentReport, Event, Phase};

/// Deployments in one answer, unless asked for fewer.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 500;
/// How long an event may be overlooked.
const LOOK: Duration = Duration::from_secs(1);

/// A line of the events of a deployment.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "DeploymentLine")]
pub(in crate::api) enum Line {
    /// What happened.
    Event(Event),
    /// How it ended: the last line.
    Ended(Box<DeploymentReport>),
}

pub(in crate::api) async fn list(asked: Asked) -> Result<Response, Refusal> {
    let before: Option<u64> = asked.query.value("before", "a number")?;
    let limit = asked.query.count("limit", LIMIT, LIMIT_MAX)?;
    let deployments = &asked.api.deployments;
    let history = deployments.history(before.map(DeploymentId), limit);
    json(StatusCode::OK, &history)
}

pub(in crate::api) async fn one(asked: Asked) -> Result<Response, Refusal> {
    let id = id(&asked)?;
    let report = asked.api.deployments.report(id);
    json(StatusCode::OK, &report.ok_or(Refusal::NoDeployment(id))?)
}

pub(in crate::api) async fn document(asked: Asked) -> Result<Response, Refusal> {
    let id = id(&asked)?;
    let document = asked.api.deployments.document_of(id);
    let document = document.ok_or(Refusal::NoDeployment(id))?;
    Ok(text("application/toml", document))
}

/// What is known at once, what happens, and at last the report.
pub(in crate::api) async fn events(asked: Asked) -> Result<Response, Refusal> {
    let id = id(&asked)?;
    let permit = lines::permit(&asked)?;
    let deployments = asked.api.deployments.clone();
    // Before looking, so that nothing between is missed.
    let events = deployments.events();
    let report = deployments.report(id).ok_or(Refusal::NoDeployment(id))?;
    let watch = Watch {
        deployments,
        events,
        id,
        told: None,
        known: Some(report),
    };
    let source = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        let (batch, goes_on) = watch.next().await;
        Some((batch, goes_on.then_some(watch)))
    });
    Ok(lines::answer(&asked, permit, source))
}

/// One who watches a deployment.
struct Watch {
    deployments: Deployments,
    events: Receiver<Event>,
    id: DeploymentId,
    /// The phase that was told last.
    told: Option<Phase>,
    /// What was known at first, until it is told.
    known: Option<DeploymentReport>,
}

impl Watch {
    /// The next lines, and whether there are more.
    async fn next(&mut self) -> (Vec<Line>, bool) {
        if let Some(report) = self.known.take() {
            let mut batch = self.swaps(&report);
            let goes_on = self.look(report, &mut batch);
            return (batch, goes_on);
        }
        loop {
            let event = timeout(LOOK, self.events.recv()).await;
            match event {
                Ok(Ok(event)) if !self.is_own(&event) => continue,
                Ok(Ok(Event::Phase { phase, .. })) if phase.is_final() => {}
                Ok(Ok(Event::Phase { phase, .. })) if self.told == Some(phase) => continue,
                Ok(Ok(event)) => {
                    if let Event::Phase { phase, .. } = &event {
                        self.told = Some(*phase);
                    }
                    return (vec![Line::Event(event)], true);
                }
                // Behind, or nothing happened for a while: what is true now?
                Ok(Err(RecvError::Lagged(_))) | Err(_) => {}
                Ok(Err(RecvError::Closed)) => return (Vec::new(), false),
            }
            let Some(report) = self.deployments.report(self.id) else {
                return (Vec::new(), false);
            };
            let mut batch = Vec::new();
            let goes_on = self.look(report, &mut batch);
            if !batch.is_empty() {
                return (batch, goes_on);
            }
        }
    }

    /// Tells where it is, if that is new, and how it ended, if it has.
    fn look(&mut self, report: DeploymentReport, batch: &mut Vec<Line>) -> bool {
        let (deployment, phase) = (self.id, report.phase);
        if self.told != Some(phase) {
            self.told = Some(phase);
            batch.push(Line::Event(Event::Phase { deployment, phase }));
        }
        // One that is about to end says so before its report is complete.
        let ended = phase.is_final() && report.ended_at.is_some();
        if ended {
            batch.push(Line::Ended(Box::new(report)));
        }
        !ended
    }

    fn swaps(&self, report: &DeploymentReport) -> Vec<Line> {
        let swaps = report.swaps.iter().cloned();
        let deployment = self.id;
        swaps
            .map(|swap| Line::Event(Event::Swapped { deployment, swap }))
            .collect()
    }

    fn is_own(&self, event: &Event) -> bool {
        let (Event::Phase { deployment, .. }
        | Event::Progress { deployment, .. }
        | Event::Swapped { deployment, .. }) = event;
        *deployment == self.id
    }
}

fn id(asked: &Asked) -> Result<DeploymentId, Refusal> {
    asked.part("id").map(DeploymentId)
}
