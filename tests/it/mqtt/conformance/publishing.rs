//! Messages in and out at every quality of service.

use super::{Broker, cases};
use crate::mqtt::raw::{Packet, Publish, Step, Version};

cases! {
    both: [
        a_message_arrives_at_the_lower_quality,
        a_message_arrives_whole,
        the_order_of_messages_is_kept,
        a_repeated_qos_2_message_is_delivered_once,
        a_qos_2_identifier_can_be_used_again,
        a_release_of_an_unknown_identifier_is_answered,
        unknown_acknowledgements_are_tolerated,
        acknowledgements_out_of_order_are_tolerated,
        two_clients_use_the_same_identifiers,
        a_publisher_gets_its_own_messages,
        nobody_needs_to_listen,
    ]
}

/// 3 by 3: the lower one of the publisher's and the subscriber's.
async fn a_message_arrives_at_the_lower_quality(broker: &Broker) {
    let mut publisher = broker.client("p").await;
    for granted in 0..=2 {
        let topic = broker.topic(&format!("granted/{granted}"));
        let mut subscriber = broker
            .subscriber(&format!("s{granted}"), &topic, granted)
            .await;
        for qos in 0..=2 {
            publisher.publish(&topic, &qos.to_string(), qos).await;
            let message = subscriber.message().await;
            assert_eq!(message.text(), qos.to_string());
            assert_eq!(message.qos, qos.min(granted));
            assert_eq!(message.topic, topic);
            assert!(!message.retain && !message.dup);
        }
    }
}

async fn a_message_arrives_whole(broker: &Broker) {
    let topic = broker.topic("é/温度/%00/ ");
    let mut client = broker.subscriber("a", &topic, 1).await;
    for length in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
        let mut publish = Publish::new(&topic, "", 1);
        let bytes = (0..=255_u8).cycle().take(length);
        publish.payload = bytes.collect();
        client.publish_this(publish.clone()).await;
        let message = client.message().await;
        assert!(message.payload == publish.payload, "{length} bytes differ");
        assert_eq!(message.topic, topic);
    }
}

async fn the_order_of_messages_is_kept(broker: &Broker) {
    for qos in 0..=2 {
        let topic = broker.topic(&format!("{qos}"));
        let mut subscriber = broker.subscriber(&format!("s{qos}"), &topic, qos).await;
        let mut publisher = broker.client(&format!("p{qos}")).await;
        // Fewer at once than any broker must take.
        for round in 0..10 {
            for number in round * 10..round * 10 + 10 {
                let publish = Publish::new(&topic, &number.to_string(), qos);
                let id = u16::try_from(number + 1).unwrap() * u16::from(qos > 0);
                let publish = publish.with(|publish| publish.id = id);
                publisher.send(&publish.bytes(broker.version)).await;
            }
            for number in round * 10..round * 10 + 10 {
                let id = u16::try_from(number + 1).unwrap();
                match qos {
                    0 => {}
                    1 => assert!(publisher.step(Step::Ack, id).await < 0x80),
                    _ => {
                        publisher.step(Step::Received, id).await;
                        publisher.send(&Step::Release.bytes(id)).await;
                        publisher.step(Step::Complete, id).await;
                    }
                }
            }
        }
        // Acknowledged one by one; releases come between messages.
        let mut arrived = Vec::new();
        while arrived.len() < 100 {
            let message = subscriber
                .next_that(|packet| match packet {
                    Packet::Publish(publish) => Some(publish.clone()),
                    _ => None,
                })
                .await;
            subscriber.acknowledge(&message).await;
            arrived.push(message.text().parse::<u32>().unwrap());
        }
        assert!(arrived.is_sorted(), "QoS {qos}: {arrived:?}");
        assert_eq!(arrived.len(), 100);
    }
}

async fn a_repeated_qos_2_message_is_delivered_once(broker: &Broker) {
    let topic = broker.topic("a");
    let mut subscriber = broker.subscriber("s", &topic, 2).await;
    let mut publisher = broker.client("p").await;
    let first = Publish::new(&topic, "once", 2).with(|publish| publish.id = 7);
    let again = first.clone().with(|publish| publish.dup = true);
    for publish in [&first, &again] {
        publisher.send(&publish.bytes(broker.version)).await;
        assert!(publisher.step(Step::Received, 7).await < 0x80);
    }
    for _ in 0..2 {
        publisher.send(&Step::Release.bytes(7)).await;
        publisher.step(Step::Complete, 7).await;
    }
    publisher.publish(&topic, "end", 2).await;
    let before = subscriber.until("end").await;
    let texts: Vec<_> = before.iter().map(Publish::text).collect();
    assert_eq!(texts, ["once"]);
}

async fn a_qos_2_identifier_can_be_used_again(broker: &Broker) {
    let topic = broker.topic("a");
    let mut subscriber = broker.subscriber("s", &topic, 2).await;
    let mut publisher = broker.client("p").await;
    for number in 0..5 {
        let publish = Publish::new(&topic, &number.to_string(), 2);
        let publish = publish.with(|publish| publish.id = u16::MAX);
        publisher.send(&publish.bytes(broker.version)).await;
        publisher.step(Step::Received, u16::MAX).await;
        publisher.send(&Step::Release.bytes(u16::MAX)).await;
        publisher.step(Step::Complete, u16::MAX).await;
        assert_eq!(subscriber.message().await.text(), number.to_string());
    }
}

async fn a_release_of_an_unknown_identifier_is_answered(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&Step::Release.bytes(77)).await;
    let reason = client.step(Step::Complete, 77).await;
    assert!(matches!(reason, 0 | 0x92), "{reason:#x}");
    client.ping().await;
}

async fn unknown_acknowledgements_are_tolerated(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&Step::Ack.bytes(4_000)).await;
    client.send(&Step::Complete.bytes(4_001)).await;
    client.ping().await;
    client.send(&Step::Received.bytes(4_002)).await;
    if broker.version == Version::V5 {
        // MQTT 5 lets a sender say that it knows nothing of it.
        client.ping().await;
    }
    drop(client);
    broker.serves().await;
}

async fn acknowledgements_out_of_order_are_tolerated(broker: &Broker) {
    let topic = broker.topic("a");
    let mut subscriber = broker.subscriber("s", &topic, 1).await;
    let mut publisher = broker.client("p").await;
    for round in 0..5 {
        for number in 0..3 {
            publisher
                .publish(&topic, &format!("{round} {number}"), 1)
                .await;
        }
        let mut held = Vec::new();
        for number in 0..3 {
            let message = subscriber.unacknowledged().await;
            assert_eq!(message.text(), format!("{round} {number}"));
            held.push(message);
        }
        let mut ids: Vec<_> = held.iter().map(|message| message.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "identifiers under way are different");
        for message in held.iter().rev() {
            subscriber.acknowledge(message).await;
        }
    }
    subscriber.ping().await;
}

async fn two_clients_use_the_same_identifiers(broker: &Broker) {
    let (topic, version) = (broker.topic("a"), broker.version);
    let mut subscriber = broker.subscriber("s", &topic, 2).await;
    let (mut one, mut two) = (broker.client("1").await, broker.client("2").await);
    let publish = |text| Publish::new(&topic, text, 2).with(|publish| publish.id = 9);
    one.send(&publish("one").bytes(version)).await;
    one.step(Step::Received, 9).await;
    two.send(&publish("two").bytes(version)).await;
    two.step(Step::Received, 9).await;
    for client in [&mut one, &mut two] {
        client.send(&Step::Release.bytes(9)).await;
        client.step(Step::Complete, 9).await;
    }
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(subscriber.message().await.text().to_owned());
    }
    texts.sort();
    assert_eq!(texts, ["one", "two"]);
}

async fn a_publisher_gets_its_own_messages(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.subscriber("a", &topic, 2).await;
    for qos in 0..=2 {
        client.publish(&topic, "mine", qos).await;
        let message = client.message().await;
        assert_eq!((message.text(), message.qos), ("mine", qos));
    }
}

async fn nobody_needs_to_listen(broker: &Broker) {
    let mut client = broker.client("a").await;
    for qos in 0..=2 {
        let reason = client.publish(&broker.topic("nobody"), "heard?", qos).await;
        assert!(matches!(reason, 0 | 0x10), "{reason:#x}");
    }
}
