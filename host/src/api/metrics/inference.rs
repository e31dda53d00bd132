//! Captured data, and the inference API for native programs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::{Kind, Page};
use crate::api::InferenceCounts;
use crate::capture::CaptureStatus;

type OfCapture = (&'static str, &'static str, fn(&CaptureStatus) -> u64);

const OF_CAPTURE: [OfCapture; 8] = [
    (
        "queued_records_total",
        "Records that were put in line",
        |c| c.queued_total,
    ),
    (
        "published_records_total",
        "Records that the bus took",
        |c| c.published_total,
    ),
    (
        "stored_records_total",
        "Records that were written to a file",
        |c| c.stored_total,
    ),
    (
        "limited_records_total",
        "Runs and data not taken, for the rate",
        |c| c.limited_total,
    ),
    (
        "dropped_records_total",
        "Records that made room for newer ones",
        |c| c.dropped_total,
    ),
    (
        "too_large_records_total",
        "Records larger than any or than a message",
        |c| c.too_large_total,
    ),
    (
        "refused_records_total",
        "Records that the bus refused",
        |c| c.refused_total,
    ),
    ("unstored_records_total", "Records that no file took", |c| {
        c.unstored_total
    }),
];

type OfApi = (
    &'static str,
    &'static str,
    fn(&InferenceCounts) -> &AtomicU64,
);

const OF_API: [OfApi; 5] = [
    ("calls_total", "Calls", |c| &c.calls),
    ("refused_calls_total", "Calls of who may not do that", |c| {
        &c.refused
    }),
    (
        "failed_calls_total",
        "Calls and requests of streams not answered",
        |c| &c.failed,
    ),
    ("predictions_total", "Runs that were answered", |c| {
        &c.predictions
    }),
    (
        "turned_away_connections_total",
        "Connections without a place",
        |c| &c.turned_away,
    ),
];

pub(super) fn capture(page: &mut Page, status: &CaptureStatus) {
    for (name, help, value) in OF_CAPTURE {
        page.family(Kind::Counter, &format!("capture_{name}"), help);
        page.sample(&[], value(status));
    }
    page.family(Kind::Gauge, "capture_queue_records", "Records in line");
    page.sample(&[], status.waiting.records);
    page.family(Kind::Gauge, "capture_queue_bytes", "Their bytes");
    page.sample(&[], status.waiting.bytes);
}

pub(super) fn api(page: &mut Page, counts: &InferenceCounts) {
    for (name, help, value) in OF_API {
        page.family(Kind::Counter, &format!("inference_api_{name}"), help);
        page.sample(&[], value(counts).load(Ordering::Relaxed));
    }
}
