//! What uplinks count.

use std::collections::BTreeMap;

use super::page::{Family, Kind, Page, counter, gauge};
use crate::uplink::{LinkState, UplinkStatus};

const OF_UPLINKS: [Family<UplinkStatus, u64>; 9] = [
    gauge("queue_messages", "Messages waiting on the disk", |own| {
        own.queue_messages
    }),
    gauge("queue_bytes", "Their bytes", |own| own.queue_bytes),
    gauge("queue_limit_bytes", "Most bytes that may wait", |own| {
        own.queue_bytes_max
    }),
    gauge(
        "queue_oldest_seconds",
        "How long the oldest message has waited",
        |own| own.queue_oldest_s.unwrap_or(0),
    ),
    gauge(
        "in_flight_messages",
        "Messages sent and not acknowledged",
        |own| own.in_flight,
    ),
    counter("connections_total", "Connections made", |own| {
        own.connections_total
    }),
    counter(
        "sent_messages_total",
        "Messages sent, repetitions included",
        |own| own.sent_total,
    ),
    counter(
        "acknowledged_messages_total",
        "Messages that the target acknowledged",
        |own| own.acknowledged_total,
    ),
    counter(
        "received_messages_total",
        "Messages that came from the target",
        |own| own.received_total,
    ),
];

const STATES: [LinkState; 4] = [
    LinkState::Connecting,
    LinkState::Connected,
    LinkState::TakenOver,
    LinkState::Stopped,
];

pub(super) fn uplinks(page: &mut Page, uplinks: &[UplinkStatus]) {
    let help = "1 for the state that it is in";
    page.family(Kind::Gauge, "uplink_state", help);
    for uplink in uplinks {
        for state in STATES {
            let labels = [("uplink", uplink.name.as_str()), ("state", state.as_str())];
            page.sample(&labels, u8::from(uplink.state == state));
        }
    }
    let labelled = uplinks
        .iter()
        .map(|uplink| ([("uplink", uplink.name.as_str())], uplink));
    page.table("uplink", &OF_UPLINKS, &labelled.collect::<Vec<_>>());
    type ByReason = fn(&UplinkStatus) -> &BTreeMap<String, u64>;
    let by_reason: [(&str, &str, ByReason); 2] = [
        ("dropped_messages_total", "Messages dropped", |own| {
            &own.dropped_total
        }),
        (
            "dead_letters_total",
            "Messages given up and published as dead letters",
            |own| &own.dead_letters_total,
        ),
    ];
    for (name, help, counts) in by_reason {
        page.family(Kind::Counter, &format!("uplink_{name}"), help);
        for uplink in uplinks {
            for (reason, count) in counts(uplink) {
                let labels = [("uplink", uplink.name.as_str()), ("reason", reason)];
                page.sample(&labels, count);
            }
        }
    }
}
