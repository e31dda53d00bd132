//! Captured data, and the inference API for native programs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::{Family, Kind, Page, counter};
use crate::api::InferenceCounts;
use crate::capture::CaptureStatus;

const OF_CAPTURE: [Family<CaptureStatus, u64>; 8] = [
    counter(
        "queued_records_total",
        "Records that were put in line",
        |c| c.queued_total,
    ),
    counter(
        "published_records_total",
        "Records that the bus took",
        |c| c.published_total,
    ),
    counter(
        "stored_records_total",
        "Records that were written to a file",
        |c| c.stored_total,
    ),
    counter(
        "limited_records_total",
        "Runs and data not taken, for the rate",
        |c| c.limited_total,
    ),
    counter(
        "dropped_records_total",
        "Records that made room for newer ones",
        |c| c.dropped_total,
    ),
    counter(
        "too_large_records_total",
        "Records larger than any or than a message",
        |c| c.too_large_total,
    ),
    counter(
        "refused_records_total",
        "Records that the bus refused",
        |c| c.refused_total,
    ),
    counter("unstored_records_total", "Records that no file took", |c| {
        c.unstored_total
    }),
];

const OF_API: [Family<InferenceCounts, u64>; 5] = [
    counter("calls_total", "Calls", |c| counted(&c.calls)),
    counter("refused_calls_total", "Calls of who may not do that", |c| {
        counted(&c.refused)
    }),
    counter(
        "failed_calls_total",
        "Calls and requests of streams not answered",
        |c| counted(&c.failed),
    ),
    counter("predictions_total", "Runs that were answered", |c| {
        counted(&c.predictions)
    }),
    counter(
        "turned_away_connections_total",
        "Connections without a place",
        |c| counted(&c.turned_away),
    ),
];

pub(super) fn capture(page: &mut Page, status: &CaptureStatus) {
    page.table("capture", &OF_CAPTURE, &[([], status)]);
    page.number(
        Kind::Gauge,
        "capture_queue_records",
        "Records in line",
        status.waiting.records,
    );
    page.number(
        Kind::Gauge,
        "capture_queue_bytes",
        "Their bytes",
        status.waiting.bytes,
    );
}

pub(super) fn api(page: &mut Page, counts: &InferenceCounts) {
    page.table("inference_api", &OF_API, &[([], counts)]);
}

fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
