//! Packets that the specifications do not allow: they end their connection, and
//! nothing else.

use super::{Broker, cases};
use crate::mqtt::raw::bytes::frame;
use crate::mqtt::raw::{Client, Packet, Publish, Step, Version, packet};

cases! {
    both: [
        a_faulty_first_byte_ends_the_connection,
        a_faulty_length_ends_the_connection,
        a_faulty_message_ends_the_connection,
        a_topic_with_wildcards_is_not_published,
        a_topic_that_is_not_text_is_not_published,
        a_faulty_subscribe_ends_the_connection,
        a_faulty_unsubscribe_ends_the_connection,
        a_truncated_packet_ends_the_connection,
        a_client_id_that_is_not_text_is_refused,
        a_packet_of_the_server_ends_the_connection,
    ]
    v4: [
        an_authentication_packet_ends_an_older_connection,
    ]
    v5: [
        faulty_subscription_options_end_the_connection,
        a_faulty_acknowledgement_ends_the_connection,
    ]
}

/// Each of these, after CONNECT, ends its connection.
async fn all_end(broker: &Broker, packets: &[Vec<u8>]) {
    let mut tolerated = Vec::new();
    for bytes in packets {
        if !broker.ends_at(bytes).await {
            tolerated.push(format!("{:x?}", &bytes[..bytes.len().min(40)]));
        }
    }
    assert!(tolerated.is_empty(), "tolerated: {tolerated:?}");
    broker.serves().await;
}

async fn a_faulty_first_byte_ends_the_connection(broker: &Broker) {
    // Packet 0, and flags that a packet does not have.
    let mut packets = vec![vec![0, 0], vec![0xC1, 0], vec![0xE1, 0]];
    let (id, version) = ([0, 1], broker.version);
    packets.push(frame(0x41, &id));
    packets.push(frame(0x51, &id));
    packets.push(frame(0x60, &id));
    packets.push(frame(0x71, &id));
    let mut bytes = packet::subscribe(version, 1, &[(&broker.topic("a"), 0)], &Vec::new());
    bytes[0] = 0x80;
    packets.push(bytes);
    let mut bytes = packet::unsubscribe(version, 1, &[&broker.topic("a")]);
    bytes[0] = 0xA0;
    packets.push(bytes);
    all_end(broker, &packets).await;
}

async fn a_faulty_length_ends_the_connection(broker: &Broker) {
    let five_bytes = vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    all_end(broker, &[five_bytes]).await;
}

async fn a_faulty_message_ends_the_connection(broker: &Broker) {
    let (version, topic) = (broker.version, broker.topic("a"));
    let message = |qos| Publish::new(&topic, "x", qos);
    let packets = [
        message(3).bytes(version),
        message(1).with(|message| message.id = 0).bytes(version),
        message(2).with(|message| message.id = 0).bytes(version),
        Publish::new("", "x", 1).bytes(version),
        message(0).with(|message| message.dup = true).bytes(version),
    ];
    all_end(broker, &packets).await;
}

/// Refused in the acknowledgement, or with the connection.
async fn is_not_published(broker: &Broker, topic: &[u8]) {
    for qos in 0..=2 {
        let mut client = broker.client("a").await;
        let publish = Publish::new("", "x", qos);
        let mut bytes = publish.bytes_at(topic, broker.version);
        bytes.extend(packet::PING);
        client.send(&bytes).await;
        match client.next().await {
            None | Some(Packet::Disconnect { .. }) => {}
            Some(Packet::Step { reason, .. }) if reason >= 0x80 => {}
            other => panic!("{other:?} to a message on {topic:x?}"),
        }
    }
}

async fn a_topic_with_wildcards_is_not_published(broker: &Broker) {
    let mut watcher = broker.subscriber("s", &broker.topic("#"), 1).await;
    for rest in ["a/+/#", "a/#", "#", "+", "a/+/b", "a+"] {
        is_not_published(broker, broker.topic(rest).as_bytes()).await;
    }
    watcher.publish(&broker.topic("end"), "end", 1).await;
    assert!(watcher.until("end").await.is_empty());
}

async fn a_topic_that_is_not_text_is_not_published(broker: &Broker) {
    let mut watcher = broker.subscriber("s", &broker.topic("#"), 1).await;
    let below = |tail: &[u8]| [broker.topic("").as_bytes(), tail].concat();
    // U+0000, a lone byte, an overlong form, a surrogate, a cut letter.
    let tails: [&[u8]; 5] = [b"a\0b", b"\xFF", b"\xC0\xAF", b"\xED\xA0\x80", b"\xE2\x82"];
    for tail in tails {
        is_not_published(broker, &below(tail)).await;
    }
    watcher.publish(&broker.topic("end"), "end", 1).await;
    assert!(watcher.until("end").await.is_empty());
}

async fn a_faulty_subscribe_ends_the_connection(broker: &Broker) {
    let (version, topic) = (broker.version, broker.topic("a"));
    let none = Vec::new();
    let mut packets = vec![
        packet::subscribe(version, 1, &[], &none),
        packet::subscribe(version, 0, &[(&topic, 0)], &none),
        packet::subscribe(version, 1, &[(&topic, 3)], &none),
        packet::subscribe(version, 1, &[(&topic, 0x40)], &none),
        packet::subscribe(version, 1, &[(&topic, 0x80)], &none),
    ];
    // A filter without its options.
    let mut cut = packet::subscribe(version, 1, &[(&topic, 0)], &none);
    cut.pop();
    cut[1] -= 1;
    packets.push(cut);
    all_end(broker, &packets).await;
}

async fn a_faulty_unsubscribe_ends_the_connection(broker: &Broker) {
    let (version, topic) = (broker.version, broker.topic("a"));
    let packets = [
        packet::unsubscribe(version, 1, &[]),
        packet::unsubscribe(version, 0, &[&topic]),
    ];
    all_end(broker, &packets).await;
}

async fn a_truncated_packet_ends_the_connection(broker: &Broker) {
    let packets = [
        // A topic that is longer than its packet, no packet identifier, half of one.
        frame(0x30, &[0, 9, b'a']),
        frame(0x32, &[0, 1, b'a']),
        frame(0x32, &[0, 1, b'a', 1]),
        frame(0x30, &[0]),
        frame(0x30, &[]),
        frame(0x40, &[]),
        frame(0x40, &[1]),
        frame(0x62, &[1]),
        frame(0x82, &[0]),
        frame(0xA2, &[]),
    ];
    all_end(broker, &packets).await;
}

async fn a_client_id_that_is_not_text_is_refused(broker: &Broker) {
    for tail in [[b'a', 0], [0xFF, b'a'], [0xC0, 0xAF]] {
        let mut bytes = broker.connect("xx").bytes();
        let length = bytes.len();
        bytes[length - 2..].copy_from_slice(&tail);
        let mut client = Client::silent(&broker.target, broker.version).await;
        client.send(&bytes).await;
        client.closed().await;
    }
}

async fn a_packet_of_the_server_ends_the_connection(broker: &Broker) {
    let connected = if broker.version == Version::V5 {
        frame(0x20, &[0, 0, 0])
    } else {
        frame(0x20, &[0, 0])
    };
    let packets = [
        connected,
        frame(0x90, &[0, 1, 0]),
        frame(0xB0, &[0, 1]),
        frame(0xD0, &[]),
    ];
    all_end(broker, &packets).await;
}

async fn an_authentication_packet_ends_an_older_connection(broker: &Broker) {
    all_end(broker, &[vec![0xF0, 0]]).await;
}

async fn faulty_subscription_options_end_the_connection(broker: &Broker) {
    use crate::mqtt::raw::{Value, property};

    let topic = broker.topic("a");
    let version = broker.version;
    let id = |number| vec![(property::SUBSCRIPTION_ID, Value::Variable(number))];
    let packets = [
        // Retain handling 3.
        packet::subscribe(version, 1, &[(&topic, 0x30)], &Vec::new()),
        packet::subscribe(version, 1, &[(&topic, 0)], &id(0)),
        packet::subscribe(version, 1, &[(&topic, 0)], &[id(1), id(2)].concat()),
    ];
    all_end(broker, &packets).await;
}

async fn a_faulty_acknowledgement_ends_the_connection(broker: &Broker) {
    let mut long = Step::Ack.bytes(1);
    // A property that does not belong there.
    long.extend([0, 2, 0x01, 1]);
    long[1] += 4;
    all_end(broker, &[long]).await;
}
