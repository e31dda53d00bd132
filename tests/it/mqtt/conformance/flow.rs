//! How much may be under way at once.

use super::{Broker, cases};
use crate::mqtt::raw::{Client, Connect, Packet, Publish, Step, Value, packet, property};

cases! {
    both: [
        a_client_that_does_not_acknowledge_is_not_flooded,
    ]
    v5: [
        a_client_gets_no_more_at_once_than_it_allows,
        a_client_that_allows_one_gets_one_at_a_time,
        deliveries_that_fail_make_room,
    ]
}

fn receives(connect: Connect, at_once: u16) -> Connect {
    connect.with(|connect| {
        let max = (property::RECEIVE_MAX, Value::Two(at_once));
        connect.properties.push(max);
    })
}

/// That nothing is sent before the answer to a ping.
async fn is_quiet(client: &mut Client) {
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn a_client_gets_no_more_at_once_than_it_allows(broker: &Broker) {
    let topic = broker.topic("a");
    for qos in [1, 2] {
        let name = format!("s{qos}");
        let mut client = broker.join(&receives(broker.connect(&name), 3)).await;
        client.subscribe(&topic, qos).await;
        let mut publisher = broker.client("p").await;
        for number in 0..10 {
            publisher.publish(&topic, &number.to_string(), qos).await;
        }
        publisher.disconnect().await;
        let mut held = Vec::new();
        for number in 0..3 {
            held.push(client.unacknowledged().await);
            assert_eq!(held[number].text(), number.to_string());
        }
        is_quiet(&mut client).await;
        for number in 3..10 {
            let message = held.remove(0);
            client.acknowledge(&message).await;
            let next = client.unacknowledged().await;
            assert_eq!(next.text(), number.to_string());
            held.push(next);
            is_quiet(&mut client).await;
        }
        client.disconnect().await;
    }
}

async fn a_client_that_allows_one_gets_one_at_a_time(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.join(&receives(broker.keep("s"), 1)).await;
    client.subscribe(&topic, 2).await;
    client.disconnect().await;
    let mut publisher = broker.client("p").await;
    for number in 0..6 {
        publisher
            .publish(&topic, &number.to_string(), 1 + number % 2)
            .await;
    }
    let mut client = broker.join(&receives(broker.keep("s"), 1)).await;
    for number in 0..6 {
        let message = client.unacknowledged().await;
        assert_eq!(message.text(), number.to_string());
        is_quiet(&mut client).await;
        client.acknowledge(&message).await;
    }
}

/// A PUBREC with a reason of 0x80 and above ends a delivery.
async fn deliveries_that_fail_make_room(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.join(&receives(broker.connect("s"), 1)).await;
    client.subscribe(&topic, 2).await;
    let mut publisher = broker.client("p").await;
    for text in ["1", "2", "3"] {
        publisher.publish(&topic, text, 2).await;
    }
    for text in ["1", "2"] {
        let message = client.unacknowledged().await;
        assert_eq!(message.text(), text);
        let [high, low] = message.id.to_be_bytes();
        client.send(&[0x50, 4, high, low, 0x83, 0]).await;
    }
    assert_eq!(client.message().await.text(), "3");
}

/// Whatever the broker's bound, others are served and nothing is lost below 100.
async fn a_client_that_does_not_acknowledge_is_not_flooded(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.subscriber("s", &topic, 1).await;
    let mut publisher = broker.client("p").await;
    for number in 0..100 {
        publisher.publish(&topic, &number.to_string(), 1).await;
    }
    broker.serves().await;
    let mut next = 0;
    while next < 100 {
        let Some(Packet::Publish(message)) = client.next().await else {
            panic!("closed at {next}");
        };
        let message: Publish = message;
        assert_eq!(message.text(), next.to_string());
        client.send(&Step::Ack.bytes(message.id)).await;
        next += 1;
    }
}
