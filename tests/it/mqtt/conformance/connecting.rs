//! How connections begin and end.

use std::time::{Duration, Instant};

use super::{Broker, cases};
use crate::mqtt::raw::bytes::find;
use crate::mqtt::raw::packet;
use crate::mqtt::raw::{Client, Connect, Packet, Publish, Value, Version, property};

cases! {
    both: [
        a_client_connects_and_a_ping_is_answered,
        a_second_connect_ends_the_connection,
        a_packet_before_connect_ends_the_connection,
        a_wrong_protocol_name_is_refused,
        an_unknown_protocol_level_is_refused,
        faulty_connect_flags_are_refused,
        no_keep_alive_is_accepted,
        a_silent_client_is_closed_after_one_and_a_half_keep_alives,
        any_packet_keeps_a_connection_alive,
        a_connection_with_the_same_id_takes_over,
        the_broker_closes_after_disconnect,
        a_clean_session_reports_no_session,
        a_packet_in_single_bytes_is_read,
        many_packets_in_one_write_are_read,
    ]
    v4: [
        an_empty_client_id_without_clean_session_is_refused,
        an_empty_client_id_is_accepted_with_a_clean_session,
    ]
    v5: [
        an_empty_client_id_is_given_one_that_can_be_used_again,
        a_taken_over_client_is_told_why,
        an_unknown_authentication_method_is_refused,
        faulty_connect_properties_are_refused,
    ]
}

async fn a_client_connects_and_a_ping_is_answered(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.ping().await;
    client.ping().await;
}

async fn a_second_connect_ends_the_connection(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&broker.connect("a").bytes()).await;
    client.closed().await;
}

async fn a_packet_before_connect_ends_the_connection(broker: &Broker) {
    let topic = broker.topic("a");
    let packets = [
        packet::PING.to_vec(),
        packet::DISCONNECT.to_vec(),
        Publish::new(&topic, "early", 1).bytes(broker.version),
        packet::subscribe(broker.version, 1, &[(&topic, 0)], &Vec::new()),
    ];
    for bytes in packets {
        let mut client = Client::silent(&broker.target, broker.version).await;
        client.send(&bytes).await;
        let answer = client.next().await;
        assert!(
            matches!(answer, None | Some(Packet::Disconnect { .. })),
            "{answer:?} before CONNECT"
        );
    }
}

async fn a_wrong_protocol_name_is_refused(broker: &Broker) {
    for name in ["MQTX", "mqtt", "", "MQTTT", "MQIsdp"] {
        let connect = broker.connect("a");
        let bytes = connect.bytes_of(name, connect.bytes()[8], connect.flags());
        let mut client = Client::silent(&broker.target, broker.version).await;
        client.send(&bytes).await;
        client.closed().await;
    }
}

async fn an_unknown_protocol_level_is_refused(broker: &Broker) {
    for level in [0, 6, 99] {
        let connect = broker.connect("a");
        let bytes = connect.bytes_of("MQTT", level, connect.flags());
        // The answer may be in either version's form: this reads both.
        let mut client = Client::silent(&broker.target, Version::V5).await;
        client.send(&bytes).await;
        let code = client.closed().await;
        assert!(matches!(code, None | Some(1 | 0x84)), "{code:?}");
    }
}

async fn faulty_connect_flags_are_refused(broker: &Broker) {
    // The reserved bit; QoS and retain of no will; QoS 3 of a will.
    let mut flags = vec![0b0000_0011, 0b0000_1010, 0b0010_0010];
    if broker.version == Version::V4 {
        // A password without a user name.
        flags.push(0b0100_0010);
    }
    for flags in flags {
        let mut bytes = broker.connect("a").bytes_of("MQTT", level(broker), flags);
        if flags & 0x40 != 0 {
            bytes[1] += 3;
            bytes.extend([0, 1, b'x']);
        }
        let mut client = Client::silent(&broker.target, broker.version).await;
        client.send(&bytes).await;
        client.closed().await;
    }
    let will = packet::Will {
        qos: 3,
        ..packet::Will::new(&broker.topic("will"), "gone")
    };
    let connect = broker
        .connect("a")
        .with(|connect| connect.will = Some(will));
    assert!(Client::try_connect(&broker.target, &connect).await.is_err());
}

fn level(broker: &Broker) -> u8 {
    broker.connect("a").bytes()[8]
}

async fn no_keep_alive_is_accepted(broker: &Broker) {
    let connect = broker.connect("a").with(|connect| connect.keep_alive_s = 0);
    broker.join(&connect).await.ping().await;
}

async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives(broker: &Broker) {
    let connect = broker.connect("a").with(|connect| connect.keep_alive_s = 2);
    let begun = Instant::now();
    let mut client = broker.join(&connect).await;
    let reason = client.closed().await;
    let elapsed = begun.elapsed();
    assert!(
        elapsed >= Duration::from_millis(2_900),
        "closed after {elapsed:?}"
    );
    assert!(
        elapsed < Duration::from_secs(15),
        "closed after {elapsed:?}"
    );
    assert!(matches!(reason, None | Some(0x8D)), "{reason:?}");
}

async fn any_packet_keeps_a_connection_alive(broker: &Broker) {
    let connect = broker.connect("a").with(|connect| connect.keep_alive_s = 2);
    let mut client = broker.join(&connect).await;
    for _ in 0..5 {
        // Time is what is tested.
        tokio::time::sleep(Duration::from_secs(1)).await;
        client.publish(&broker.topic("a"), "alive", 0).await;
    }
    client.ping().await;
}

async fn a_connection_with_the_same_id_takes_over(broker: &Broker) {
    let mut first = broker.client("a").await;
    let mut second = broker.client("a").await;
    first.closed().await;
    second.ping().await;
}

async fn a_taken_over_client_is_told_why(broker: &Broker) {
    let mut first = broker.client("a").await;
    let mut second = broker.client("a").await;
    assert_eq!(first.closed().await, Some(0x8E));
    second.ping().await;
}

async fn the_broker_closes_after_disconnect(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&packet::DISCONNECT).await;
    assert!(client.next().await.is_none());
}

async fn a_clean_session_reports_no_session(broker: &Broker) {
    broker.kept("a").await.disconnect().await;
    assert!(!broker.client("a").await.session_present);
}

async fn a_packet_in_single_bytes_is_read(broker: &Broker) {
    let mut client = Client::silent(&broker.target, broker.version).await;
    for byte in broker.connect("a").bytes() {
        client.send(&[byte]).await;
    }
    assert!(matches!(
        client.next().await,
        Some(Packet::Connected { code: 0, .. })
    ));
}

async fn many_packets_in_one_write_are_read(broker: &Broker) {
    let (version, topic) = (broker.version, broker.topic("a"));
    let mut bytes = broker.connect("a").bytes();
    bytes.extend(packet::subscribe(version, 1, &[(&topic, 0)], &Vec::new()));
    for number in 0..50 {
        bytes.extend(Publish::new(&topic, &number.to_string(), 0).bytes(version));
    }
    let mut client = Client::silent(&broker.target, version).await;
    client.send(&bytes).await;
    assert!(matches!(
        client.next().await,
        Some(Packet::Connected { code: 0, .. })
    ));
    let subscribed = client.next().await;
    assert!(matches!(subscribed, Some(Packet::Subscribed { .. })));
    for number in 0..50 {
        assert_eq!(client.message().await.text(), number.to_string());
    }
}

async fn an_empty_client_id_without_clean_session_is_refused(broker: &Broker) {
    let connect = Connect::kept(Version::V4, "");
    let refused = Client::try_connect(&broker.target, &connect).await;
    assert_eq!(refused.err(), Some(Some(2)));
}

async fn an_empty_client_id_is_accepted_with_a_clean_session(broker: &Broker) {
    let connect = Connect::new(Version::V4, "");
    let mut first = broker.join(&connect).await;
    let mut second = broker.join(&connect).await;
    first.ping().await;
    second.ping().await;
}

async fn an_empty_client_id_is_given_one_that_can_be_used_again(broker: &Broker) {
    let client = broker.join(&Connect::kept(Version::V5, "")).await;
    let assigned = find(&client.properties, property::ASSIGNED_CLIENT_ID).cloned();
    client.disconnect().await;
    let Some(Value::Text(assigned)) = assigned else {
        panic!("no client id was assigned");
    };
    let again = broker.join(&Connect::kept(Version::V5, &assigned)).await;
    assert!(again.session_present);
    assert!(find(&again.properties, property::ASSIGNED_CLIENT_ID).is_none());
}

async fn an_unknown_authentication_method_is_refused(broker: &Broker) {
    let method = Value::Text("HANDSHAKE-NOBODY-KNOWS".to_owned());
    let connect = broker.connect("a").with(|connect| {
        connect.properties = vec![(property::AUTH_METHOD, method)];
    });
    let refused = Client::try_connect(&broker.target, &connect).await;
    assert!(matches!(refused.err(), Some(Some(0x8C | 0x87))));
}

async fn faulty_connect_properties_are_refused(broker: &Broker) {
    let faulty = [
        // A receive maximum and a packet size of nothing.
        vec![(property::RECEIVE_MAX, Value::Two(0))],
        vec![(property::PACKET_BYTES_MAX, Value::Four(0))],
        // Twice.
        vec![
            (property::SESSION_EXPIRY, Value::Four(1)),
            (property::SESSION_EXPIRY, Value::Four(1)),
        ],
        // Of another packet; of none.
        vec![(property::TOPIC_ALIAS, Value::Two(1))],
        vec![(0x7E, Value::Byte(0))],
        // Authentication data without a method.
        vec![(0x16, Value::Bytes(vec![1]))],
        // Neither 0 nor 1.
        vec![(0x17, Value::Byte(2))],
    ];
    let mut tolerated = Vec::new();
    for properties in faulty {
        let connect = broker.connect("a");
        let connect = connect.with(|connect| connect.properties = properties.clone());
        let refused = Client::try_connect(&broker.target, &connect).await;
        match refused {
            Ok(_) => tolerated.push(properties),
            Err(code) => assert!(code.is_none_or(|code| code >= 0x80), "{code:?}"),
        }
    }
    assert!(tolerated.is_empty(), "tolerated: {tolerated:?}");
}
