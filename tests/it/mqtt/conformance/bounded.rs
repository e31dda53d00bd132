//! A broker that is set up with bounds says them, and keeps to them.

use super::{Broker, cases};
use crate::mqtt::raw::bytes::find;
use crate::mqtt::raw::{Publish, Step, Value, Version, property};

cases! {
    both: [
        a_packet_that_is_too_large_ends_the_connection,
        a_packet_that_announces_too_much_ends_the_connection,
    ]
    v5: [
        a_longer_keep_alive_is_cut,
        the_bounds_are_said,
        too_many_messages_at_once_end_the_connection,
    ]
}

/// The bounds of the broker for these cases.
pub(crate) const KEEP_ALIVE_S_MAX: u16 = 60;
pub(crate) const PACKET_BYTES_MAX: u32 = 4_096;
/// QoS 1 and 2 messages under way at once.
pub(crate) const INFLIGHT_MAX: u16 = 5;

/// mosquitto's words for them.
pub(super) const MOSQUITTO_SETTINGS: &str =
    "max_keepalive 60\nmax_packet_size 4096\nmax_inflight_messages 5\n";

/// Where mosquitto departs.
pub(super) const MOSQUITTO: &[(&str, &str)] = &[(
    "V5 too_many_messages_at_once_end_the_connection",
    "it closes, and does not say why",
)];

async fn a_longer_keep_alive_is_cut(broker: &Broker) {
    for (asked, is_cut) in [(30, false), (60, false), (61, true), (600, true), (0, true)] {
        let connect = broker.connect("a");
        let client = broker
            .join(&connect.with(|connect| connect.keep_alive_s = asked))
            .await;
        let told = find(&client.properties, property::SERVER_KEEP_ALIVE);
        let expected = Value::Two(KEEP_ALIVE_S_MAX);
        assert!(
            told.is_none_or(|told| is_cut && *told == expected),
            "{asked}: {told:?}"
        );
        assert_eq!(told.is_some(), is_cut, "{asked} s were asked for");
    }
}

async fn the_bounds_are_said(broker: &Broker) {
    let client = broker.client("a").await;
    let said = |name| find(&client.properties, name).map(Value::number);
    assert_eq!(said(property::PACKET_BYTES_MAX), Some(PACKET_BYTES_MAX));
    assert_eq!(said(property::RECEIVE_MAX), Some(u32::from(INFLIGHT_MAX)));
}

async fn a_packet_that_is_too_large_ends_the_connection(broker: &Broker) {
    let topic = broker.topic("a");
    let room = usize::try_from(PACKET_BYTES_MAX).unwrap() - 200;
    let mut client = broker.subscriber("a", &topic, 1).await;
    client.publish(&topic, &"x".repeat(room), 1).await;
    assert_eq!(client.message().await.payload.len(), room);
    let large = Publish::new(&topic, &"x".repeat(room + 200), 1);
    client.send(&large.bytes(broker.version)).await;
    let reason = client.closed().await;
    assert!(matches!(reason, None | Some(0x95)), "{reason:?}");
    broker.serves().await;
}

/// Nobody waits for what will be refused anyway.
async fn a_packet_that_announces_too_much_ends_the_connection(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).await;
    let reason = client.closed().await;
    assert!(matches!(reason, None | Some(0x95)), "{reason:?}");
    broker.serves().await;
}

async fn too_many_messages_at_once_end_the_connection(broker: &Broker) {
    assert_eq!(broker.version, Version::V5);
    let (topic, mut client) = (broker.topic("a"), broker.client("a").await);
    for id in 1..=INFLIGHT_MAX {
        let publish = Publish::new(&topic, "x", 2).with(|publish| publish.id = id);
        client.send(&publish.bytes(broker.version)).await;
        client.step(Step::Received, id).await;
    }
    let publish = Publish::new(&topic, "x", 2).with(|publish| publish.id = INFLIGHT_MAX + 1);
    client.send(&publish.bytes(broker.version)).await;
    assert_eq!(client.closed().await, Some(0x93));
    broker.serves().await;
}
