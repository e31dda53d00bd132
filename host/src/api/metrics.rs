//! What the host counts, for Prometheus: text exposition format 0.0.4.
//!
//! Names are `selvedge_<noun>_<unit>`, with `_total` for what only grows. Labels
//! are bounded by what is deployed and registered: never a topic, never a client id.
//! What belongs to one version of a plugin begins anew with the next, as counters may.

mod inference;
mod models;
mod mqtt;
mod page;
mod uplinks;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::page::{Family, Kind, Page, counter, gauge};
use super::Api;
use super::health;
use super::recorder::{PAUSES_US, Watched};
use crate::bus::PartyStatus;
use crate::deployment::deployments::PluginReport;
use crate::supervisor::UnitState;

/// What the page is, as an Internet media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Parties that are there without a deployment.
const OWN_PARTIES: [&str; 2] = ["selvedge", super::OPERATOR];

/// Devices that are named one by one; of more there are only sums.
const NAMED_DEVICES_MAX: usize = 1000;

/// How a deployment may end.
const OUTCOMES: [&str; 4] = ["committed", "failed", "rolled-back", "superseded"];

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers"
)]
const OF_PLUGINS: [Family<PluginReport, f64>; 9] = [
    counter("handled_messages_total", "Messages handed to it", |p| {
        p.handled_total as f64
    }),
    counter(
        "published_messages_total",
        "Messages that it published",
        |p| p.published_total as f64,
    ),
    counter(
        "dropped_messages_total",
        "Messages that its inbox dropped",
        |p| p.dropped_total as f64,
    ),
    counter("dead_letters_total", "Messages that were given up", |p| {
        p.dead_letters_total as f64
    }),
    gauge("inbox_messages", "Messages waiting for it", |p| {
        p.inbox_messages as f64
    }),
    gauge("inbox_bytes", "Their bytes", |p| p.inbox_bytes as f64),
    gauge(
        "inbox_limit_messages",
        "Most messages that may wait for it",
        |p| f64::from(p.inbox_messages_max),
    ),
    gauge("memory_bytes", "Linear memory that it has", |p| {
        p.memory_bytes as f64
    }),
    gauge(
        "memory_limit_bytes",
        "Linear memory that it may have",
        |p| p.memory_bytes_max as f64,
    ),
];

const OF_PARTIES: [Family<PartyStatus, u64>; 5] = [
    counter(
        "published_messages_total",
        "Messages that the bus took from it",
        |p| p.published_total,
    ),
    counter(
        "refused_messages_total",
        "Messages that it was refused",
        |p| p.refused_total,
    ),
    counter(
        "unkept_messages_total",
        "Values to be kept that did not fit",
        |p| p.unkept_total,
    ),
    counter("delivered_messages_total", "Messages that it took", |p| {
        p.delivered_total
    }),
    counter(
        "dropped_messages_total",
        "Messages for it that were dropped",
        |p| p.dropped_total,
    ),
];

/// Everything that is counted, as it is now.
pub(super) async fn page(api: &Api) -> String {
    let ready = health::ready(api).await;
    let healthy = health::alive(api).await;
    let mut page = Page::default();
    host(&mut page, api, [ready.ok, healthy.ok]);
    bus(&mut page, api);
    plugins(&mut page, &api.deployments.plugins());
    models::models(&mut page, &api.deployments.model_reports());
    inference::capture(&mut page, &api.deployments.deployer().capture.status());
    if let Some(counts) = &api.inference {
        inference::api(&mut page, counts);
    }
    mqtt::retained(&mut page, &api.retention);
    if let Some((devices, broker)) = &api.devices {
        mqtt::mqtt(&mut page, devices, broker);
    }
    uplinks::uplinks(&mut page, &api.uplink_statuses().await);
    api.recorder.watched(|watched| {
        units(&mut page, api, watched);
        deployments(&mut page, api, watched);
    });
    page.finish()
}

fn host(page: &mut Page, api: &Api, [ready, healthy]: [bool; 2]) {
    page.family(Kind::Gauge, "build_info", "The version of the host");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let started = Duration::try_from(api.started_at.duration_since(jiff::Timestamp::UNIX_EPOCH));
    page.number(
        Kind::Gauge,
        "host_start_time_seconds",
        "When it started, since the Unix epoch",
        started.unwrap_or_default().as_secs_f64(),
    );
    page.number(
        Kind::Gauge,
        "host_ready",
        "Whether everything that should run does",
        u8::from(ready),
    );
    page.number(
        Kind::Gauge,
        "host_healthy",
        "Whether the host works at all",
        u8::from(healthy),
    );
    let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    page.number(
        Kind::Counter,
        "api_requests_total",
        "Requests to the management API",
        counted(&api.requests),
    );
    page.number(
        Kind::Counter,
        "api_refusals_total",
        "Requests that were not done",
        counted(&api.refusals),
    );
    if let Some(bytes) = api.storage.disk_bytes() {
        page.number(
            Kind::Gauge,
            "store_bytes",
            "What the store takes on the disk",
            bytes,
        );
    }
}

fn bus(page: &mut Page, api: &Api) {
    let parties = api.bus.parties();
    let plugins = api.deployments.plugins();
    page.number(
        Kind::Gauge,
        "bus_parties",
        "Everyone on the bus",
        parties.len(),
    );
    let kept = api.bus.kept_usage();
    page.number(
        Kind::Gauge,
        "bus_kept_messages",
        "Values kept for later subscribers",
        kept.messages,
    );
    page.number(Kind::Gauge, "bus_kept_bytes", "Their bytes", kept.bytes);
    let devices = api.devices.as_ref().map(|(devices, _)| devices.list());
    let mut devices = devices.unwrap_or_default();
    if devices.len() > NAMED_DEVICES_MAX {
        devices.clear();
    }
    let devices: HashSet<_> = devices.iter().map(|own| own.device.name.as_str()).collect();
    let is_known = |party: &&PartyStatus| {
        let name = party.name.as_str();
        OWN_PARTIES.contains(&name)
            || devices.contains(name)
            || plugins.iter().any(|own| own.plugin.as_str() == name)
    };
    let known = parties.iter().filter(is_known);
    let known: Vec<_> = known
        .map(|party| ([("party", party.name.as_str())], party))
        .collect();
    page.table("party", &OF_PARTIES, &known);
}

fn plugins(page: &mut Page, plugins: &[PluginReport]) {
    let labelled = plugins
        .iter()
        .map(|plugin| ([("plugin", plugin.plugin.as_str())], plugin));
    let labelled: Vec<_> = labelled.collect();
    page.table("plugin", &OF_PLUGINS, &labelled);
    let help = "How long nobody handled its messages when it last changed hands";
    page.family(Kind::Gauge, "plugin_last_pause_seconds", help);
    for (labels, plugin) in &labelled {
        if let Some(pause) = plugin.last_pause_us {
            let pause = Duration::from_micros(pause).as_secs_f64();
            page.sample(labels, pause);
        }
    }
}

fn units(page: &mut Page, api: &Api, watched: &Watched) {
    let states = api.supervisor.states();
    page.family(Kind::Gauge, "unit_state", "1 for the state that it is in");
    for (unit, state) in &states {
        let own = match state {
            UnitState::Starting => "starting",
            UnitState::Running => "running",
            UnitState::BackingOff { .. } => "backing-off",
            UnitState::GivenUp { .. } => "given-up",
            UnitState::Stopped => "stopped",
        };
        for state in ["starting", "running", "backing-off", "given-up", "stopped"] {
            page.sample(&[("unit", unit), ("state", state)], u8::from(state == own));
        }
    }
    page.family(Kind::Counter, "unit_failures_total", "How often it failed");
    for (unit, _) in &states {
        let failures = watched
            .units
            .get(&**unit)
            .map_or(0, |seen| seen.failures_total);
        page.sample(&[("unit", unit)], failures);
    }
}

fn deployments(page: &mut Page, api: &Api, watched: &Watched) {
    let help = "Deployments that ended since the host started";
    page.family(Kind::Counter, "deployments_total", help);
    for outcome in OUTCOMES {
        let count = watched.outcomes.get(outcome).copied().unwrap_or_default();
        page.sample(&[("outcome", outcome)], count);
    }
    let help = "Deployments under way and in line";
    page.number(
        Kind::Gauge,
        "deployments_under_way",
        help,
        api.deployments.under_way().len(),
    );
    page.number(
        Kind::Gauge,
        "deployment_active",
        "The number of the one in force",
        api.deployments.active().map_or(0, |active| active.id.0),
    );
    let help = "How long nobody handled messages when a plugin changed hands";
    let pauses = &watched.pauses;
    let bounds = PAUSES_US.map(|bound| Duration::from_micros(bound).as_secs_f64());
    let buckets = bounds.into_iter().zip(pauses.up_to);
    let sum = Duration::from_micros(pauses.sum_us).as_secs_f64();
    page.histogram("swap_pause_seconds", help, buckets, (pauses.count, sum));
}
