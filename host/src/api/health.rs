//! Health that tells the truth: what is asked is looked at, not remembered.
//!
//! `/healthz`: the host works at all. `/readyz`: what should run does, and keeps
//! up. A plugin that fails again and again is not well between two failures, so
//! one that failed counts as ill until it has run for a while. A model is looked at
//! for the plugins that may run it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::Api;
use super::recorder::{SeenInbox, SeenUnit, Watched};
use super::wire::{Health, HealthReason};
use crate::deployment::deployments::{ModelReport, PluginReport};
use crate::deployment::line::unit_name;
use crate::deployment::report::Phase;
use crate::error_chain::ErrorChain;
use crate::names::PluginName;
use crate::storage::{Bucket, BucketError, Storage};
use crate::supervisor::UnitState;

/// How long a plugin must have run after a failure to count as well.
const WELL_AFTER: Duration = Duration::from_secs(5);
/// How long a plugin may take to change hands or to start.
const CHANGE_MAX: Duration = Duration::from_millis(500);
/// How long an inbox may be full.
const FULL_MAX: Duration = Duration::from_secs(5);
/// How long a drop counts.
const DROP_COUNTS: Duration = Duration::from_secs(5);
/// How long the executor may leave its tasks waiting.
const BEAT_MAX: Duration = Duration::from_secs(10);
/// How long what was found of the store counts: each look wears out the flash.
const PROBE_COUNTS: Duration = Duration::from_secs(5);
/// How long the store may take to write.
const WRITE_MAX: Duration = Duration::from_secs(3);
/// What the probe may take in the store.
const PROBE_BYTES_MAX: u64 = 4 << 10;

/// Writes to the store now and then.
#[derive(Debug)]
pub(super) struct Probe {
    bucket: Bucket,
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Default)]
struct Found {
    /// When it was last asked, and why it did not write.
    last: Option<(Instant, Option<String>)>,
    /// Since when it has not answered.
    asked_since: Option<Instant>,
}

impl Probe {
    pub(super) fn new(storage: &Storage) -> Result<Self, BucketError> {
        Ok(Self {
            bucket: storage.bucket("$probe", PROBE_BYTES_MAX)?,
            found: Arc::default(),
        })
    }

    /// Why nothing can be written, if so.
    pub(super) async fn trouble(&self) -> Option<String> {
        let now = Instant::now();
        {
            let mut found = self.found.lock();
            match (&found.last, found.asked_since) {
                (_, Some(since)) if now.duration_since(since) > WRITE_MAX => return Some(late()),
                (Some((at, trouble)), _) if now.duration_since(*at) < PROBE_COUNTS => {
                    return trouble.clone();
                }
                (last, Some(_)) => return last.as_ref().and_then(|(_, trouble)| trouble.clone()),
                (_, None) => found.asked_since = Some(now),
            }
        }
        let (bucket, found) = (self.bucket.clone(), Arc::clone(&self.found));
        // Ends by itself, however long it takes: no other is begun before.
        let write = spawn_blocking(move || {
            let at = jiff::Timestamp::now().to_string();
            let written = bucket.set("written-at", at.as_bytes());
            let trouble = written.err().map(|error| ErrorChain(&error).to_string());
            let mut found = found.lock();
            found.asked_since = None;
            found.last = Some((Instant::now(), trouble.clone()));
            trouble
        });
        match timeout(WRITE_MAX, write).await {
            Ok(Ok(trouble)) => trouble,
            Ok(Err(_)) => Some("it did not end".to_owned()),
            Err(_) => Some(late()),
        }
    }
}

fn late() -> String {
    format!("a write takes more than {} seconds", WRITE_MAX.as_secs())
}

/// Whether the host works at all.
pub(super) async fn alive(api: &Api) -> Health {
    health(working(api).await)
}

/// Whether what should run does, and keeps up.
pub(super) async fn ready(api: &Api) -> Health {
    let mut reasons = working(api).await;
    let gate = &api.deployments.deployer().gate;
    if let Some(error) = gate.unbelieved() {
        reasons.push(reason("trust", error));
    }
    let remark = deployment(api, &mut reasons);
    let plugins = api.deployments.plugins();
    reasons.extend(absent(api, &plugins));
    api.recorder.watched(|watched| {
        for plugin in plugins.iter().filter(|plugin| !plugin.stopped_by_operator) {
            if let Some(why) = ailment(plugin, watched) {
                reasons.push(reason(&format!("plugin/{}", plugin.plugin), why));
            }
        }
    });
    for (model, granted_to) in &api.deployments.missing_models() {
        if at_work(granted_to, &plugins) {
            reasons.push(reason(
                &format!("model/{model}"),
                "it is not loaded".to_owned(),
            ));
        }
    }
    for model in &api.deployments.model_reports() {
        if let Some(why) = of_model(model, &plugins) {
            let what = format!("model/{}", model.status.model);
            reasons.push(reason(&what, why));
        }
    }
    let mut health = health(reasons);
    health.reasons.extend(remark.filter(|_| health.ok));
    health
}

fn health(reasons: Vec<HealthReason>) -> Health {
    let ok = reasons.is_empty();
    Health { ok, reasons }
}

fn reason(what: &str, reason: String) -> HealthReason {
    let what = what.to_owned();
    HealthReason { what, reason }
}

async fn working(api: &Api) -> Vec<HealthReason> {
    let mut reasons = Vec::new();
    if let Some(trouble) = api.probe.trouble().await {
        reasons.push(reason("storage", trouble));
    }
    let troubles = api.deployments.troubles().into_iter();
    reasons.extend(troubles.map(|trouble| reason("deployment", trouble)));
    let beat = api.recorder.watched(|watched| watched.beat);
    if beat.is_some_and(|beat| beat.elapsed() > BEAT_MAX) {
        let text = format!("tasks wait for more than {} seconds", BEAT_MAX.as_secs());
        reasons.push(reason("executor", text));
    }
    let lost = api.supervisor.states().into_iter();
    reasons.extend(lost.filter_map(|(name, state)| match state {
        UnitState::GivenUp { error } if !name.starts_with("plugin/") => Some(reason(&name, error)),
        _ => None,
    }));
    reasons
}

/// Whether something is deployed; what is worth saying if nothing is wrong.
fn deployment(api: &Api, reasons: &mut Vec<HealthReason>) -> Option<HealthReason> {
    let deployments = &api.deployments;
    let under_way = deployments.under_way();
    let in_probation = under_way
        .iter()
        .any(|report| report.phase == Phase::Probation);
    if in_probation || deployments.active().is_some() {
        return None;
    }
    if let Some(first) = under_way.first() {
        let text = format!("deployment {} is under way, and none is in force", first.id);
        reasons.push(reason("deployment", text));
        return None;
    }
    if deployments.history(None, 1).is_empty() {
        return Some(reason("deployment", "nothing was ever deployed".to_owned()));
    }
    reasons.push(reason("deployment", "none is in force".to_owned()));
    None
}

/// Plugins of what is in force that nobody has started yet.
fn absent(api: &Api, plugins: &[PluginReport]) -> Vec<HealthReason> {
    let under_way = api.deployments.under_way();
    let swapped = under_way
        .into_iter()
        .find(|report| report.phase.has_swapped());
    let in_force = match swapped {
        // Its plugins come and go at this moment.
        Some(report) if report.phase != Phase::Probation => return Vec::new(),
        swapped => swapped.or_else(|| api.deployments.active()),
    };
    let expected = in_force.into_iter().flat_map(|report| report.plugins);
    let missing = expected.filter(|(name, _)| {
        let mut there = plugins.iter();
        !there.any(|plugin| plugin.plugin == *name)
    });
    missing
        .map(|(name, _)| reason(&format!("plugin/{name}"), "it was not started".to_owned()))
        .collect()
}

/// What is wrong with a plugin.
fn ailment(plugin: &PluginReport, watched: &Watched) -> Option<String> {
    let unit = watched.units.get(&unit_name(&plugin.plugin));
    not_running(plugin, unit).or_else(|| {
        let inbox = watched.inboxes.get(plugin.plugin.as_str())?;
        not_keeping_up(inbox)
    })
}

fn not_running(plugin: &PluginReport, seen: Option<&SeenUnit>) -> Option<String> {
    let for_long = seen.is_none_or(|seen| seen.since.elapsed() > CHANGE_MAX);
    let failed = seen.and_then(|seen| Some((seen.failed_at?, seen.error.as_deref()?)));
    let recently = failed.filter(|(at, _)| at.elapsed() < WELL_AFTER);
    let told = plugin.error.as_deref().unwrap_or("it does not run");
    match (&*plugin.state, recently) {
        ("given-up", _) => Some(format!("given up: {told}")),
        ("backing-off", _) => Some(format!("it failed: {told}")),
        (_, Some((_, error))) => Some(format!("it failed a moment ago: {error}")),
        ("running", None) => None,
        ("starting", None) => for_long.then(|| "it is starting".to_owned()),
        _ => for_long.then(|| told.to_owned()),
    }
}

/// Why a model serves none of the plugins that may run it. One that no plugin at
/// work may run is nobody's trouble, nor is one that native programs loaded.
fn of_model(model: &ModelReport, plugins: &[PluginReport]) -> Option<String> {
    if !at_work(&model.granted_to, plugins) {
        return None;
    }
    if let Some(why) = &model.withdrawn {
        return Some(format!("out of service: {why}"));
    }
    let overdue = model.status.runs.overdue;
    (overdue > 0).then(|| {
        format!("{overdue} of its runs go on past the limit of the host, and it takes no more")
    })
}

/// Whether one of those that may run a model is to work.
fn at_work(granted_to: &[PluginName], plugins: &[PluginReport]) -> bool {
    let mut at_work = plugins.iter().filter(|plugin| !plugin.stopped_by_operator);
    at_work.any(|plugin| granted_to.contains(&plugin.plugin))
}

fn not_keeping_up(inbox: &SeenInbox) -> Option<String> {
    if inbox
        .full_since
        .is_some_and(|since| since.elapsed() > FULL_MAX)
    {
        let seconds = FULL_MAX.as_secs();
        return Some(format!("its inbox is full for more than {seconds} seconds"));
    }
    let drops = inbox
        .dropped_at
        .is_some_and(|at| at.elapsed() < DROP_COUNTS);
    drops.then(|| "its inbox drops messages".to_owned())
}

#[cfg(test)]
mod tests;
