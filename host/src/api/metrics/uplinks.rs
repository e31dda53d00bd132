//! What uplinks count.

use std::collections::BTreeMap;

use super::page::{Kind, Page};
use crate::uplink::{LinkState, UplinkStatus};

type OfUplink = (Kind, &'static str, &'static str, fn(&UplinkStatus) -> u64);

const OF_UPLINKS: [OfUplink; 9] = {
    use Kind::{Counter, Gauge};
    [
        (
            Gauge,
            "queue_messages",
            "Messages waiting on the disk",
            |own| own.queue_messages,
        ),
        (Gauge, "queue_bytes", "Their bytes", |own| own.queue_bytes),
        (
            Gauge,
            "queue_limit_bytes",
            "Most bytes that may wait",
            |own| own.queue_bytes_max,
        ),
        (
            Gauge,
            "queue_oldest_seconds",
            "How long the oldest message has waited",
            |own| own.queue_oldest_s.unwrap_or(0),
        ),
        (
            Gauge,
            "in_flight_messages",
            "Messages sent and not acknowledged",
            |own| own.in_flight,
        ),
        (Counter, "connections_total", "Connections made", |own| {
            own.connections_total
        }),
        (
            Counter,
            "sent_messages_total",
            "Messages sent, repetitions included",
            |own| own.sent_total,
        ),
        (
            Counter,
            "acknowledged_messages_total",
            "Messages that the target acknowledged",
            |own| own.acknowledged_total,
        ),
        (
            Counter,
            "received_messages_total",
            "Messages that came from the target",
            |own| own.received_total,
        ),
    ]
};

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
    for (kind, name, help, value) in OF_UPLINKS {
        page.family(kind, &format!("uplink_{name}"), help);
        for uplink in uplinks {
            page.sample(&[("uplink", uplink.name.as_str())], value(uplink));
        }
    }
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
