//! What the broker counts, who its devices are, and what became of retained values.

use super::page::{Family, Kind, Page, counter, gauge};
use crate::broker::Broker;
use crate::devices::{Devices, Standing};
use crate::retention::RetentionStatus;

/// A counter of the broker: its name there and here, and what it is.
type OfBroker = (&'static str, &'static str, &'static str);

const OF_BROKER: [OfBroker; 16] = [
    (
        "accepted_total",
        "accepted_connections_total",
        "Connections that the system accepted",
    ),
    (
        "accept_errors_total",
        "accept_errors_total",
        "Connections that the system could not accept",
    ),
    (
        "handshakes_total",
        "handshakes_total",
        "TLS handshakes done",
    ),
    (
        "handshakes_failed_total",
        "failed_handshakes_total",
        "TLS handshakes that failed",
    ),
    (
        "connected_total",
        "connects_total",
        "Clients that were let in",
    ),
    (
        "refused_total",
        "refused_connects_total",
        "Clients that were not let in",
    ),
    (
        "faults_total",
        "faults_total",
        "Connections that a fault of the client ended",
    ),
    (
        "taken_over_total",
        "taken_over_sessions_total",
        "Connections whose session another one took over",
    ),
    (
        "received_total",
        "received_messages_total",
        "Messages that devices published",
    ),
    (
        "sent_total",
        "sent_messages_total",
        "Messages written to devices",
    ),
    (
        "not_granted_total",
        "not_granted_messages_total",
        "Messages of devices that they may not publish",
    ),
    (
        "unhandled_total",
        "unhandled_messages_total",
        "Messages of devices that were not handled in time",
    ),
    (
        "unsent_total",
        "unsent_messages_total",
        "Messages expired or larger than their device takes",
    ),
    (
        "dropped_total",
        "dropped_messages_total",
        "Messages that kept sessions had no room for",
    ),
    (
        "stored_total",
        "stored_messages_total",
        "Messages written to the disk for devices that are away or slow",
    ),
    (
        "store_failures_total",
        "store_failures_total",
        "Writes that the disk did not take",
    ),
];

const OF_RETAINED: [Family<RetentionStatus, u64>; 4] = [
    gauge(
        "restored_messages",
        "Values that were there again at the start",
        |s| s.restored(),
    ),
    gauge(
        "unrestored_messages",
        "Values that could not be read or had no room at the start",
        |s| s.unrestored(),
    ),
    counter("saved_messages_total", "Changes written to the disk", |s| {
        s.saved_total()
    }),
    counter(
        "unsaved_messages_total",
        "Values for which there was no room on the disk",
        |s| s.unsaved_total(),
    ),
];

/// How values that are retained fare on the disk.
pub(super) fn retained(page: &mut Page, status: &RetentionStatus) {
    page.table("retained", &OF_RETAINED, &[([], status)]);
}

/// How the broker and its devices fare. Reasons are as many as the host has names for.
pub(super) fn mqtt(page: &mut Page, devices: &Devices, broker: &Broker) {
    let (all, entering) = broker.connections();
    page.family(
        Kind::Gauge,
        "mqtt_connections",
        "Connections, of those who are let in and of those who are not yet",
    );
    let inside = all.saturating_sub(entering);
    for (state, count) in [("inside", inside), ("entering", entering)] {
        page.sample(&[("state", state)], count);
    }
    let counters = broker.counters();
    for (own, name, help) in OF_BROKER {
        if let Some((_, value)) = counters.iter().find(|(counter, _)| *counter == own) {
            page.number(Kind::Counter, &format!("mqtt_{name}"), help, value);
        }
    }
    page.family(
        Kind::Counter,
        "mqtt_refusals_total",
        "Who was not let in, or may be in no longer",
    );
    for (code, count) in broker.refusals() {
        page.sample(&[("code", code)], count);
    }
    registered(page, devices);
}

fn registered(page: &mut Page, devices: &Devices) {
    let registered = devices.list();
    page.family(Kind::Gauge, "mqtt_devices", "Devices that are registered");
    for (name, standing) in [
        ("good", Standing::Good),
        ("disabled", Standing::Disabled),
        ("revoked", Standing::Revoked),
    ] {
        let own = registered.iter().filter(|own| own.standing == standing);
        page.sample(&[("standing", name)], own.count());
    }
    page.number(
        Kind::Gauge,
        "mqtt_device_faults",
        "Files of devices that cannot be used",
        devices.faults().len(),
    );
}
