//! Five ways in which a well-meaning client ended another broker for everybody.

use tokio::time::timeout;

use super::{Broker, cases};
use crate::mqtt::raw::bytes::user;
use crate::mqtt::raw::{Client, Connect, DEADLINE, Publish, Version};

cases! {
    both: [
        a_topic_that_begins_with_a_letter_beyond_ascii_harms_nobody,
        a_client_id_of_wildcards_that_comes_twice_harms_nobody,
        a_group_left_with_unacknowledged_messages_harms_nobody,
        connections_that_say_nothing_harm_nobody,
    ]
    v5: [
        a_user_property_for_an_older_client_harms_nobody,
    ]
}

/// Whether it may publish there is the broker's affair.
async fn a_topic_that_begins_with_a_letter_beyond_ascii_harms_nobody(broker: &Broker) {
    for topic in ["é/temp", "温度", "\u{10FFFD}/a", "\u{FEFF}a"] {
        let mut client = broker.client("a").await;
        for qos in 0..=2 {
            let publish = Publish::new(topic, "x", qos);
            client.send(&publish.bytes(broker.version)).await;
        }
        broker.serves().await;
    }
}

/// Whether such an id is accepted is the broker's affair.
async fn a_client_id_of_wildcards_that_comes_twice_harms_nobody(broker: &Broker) {
    for bad in ["a+b", "a#", "$a", "a/b", "+/#", "/"] {
        let id = broker.id(bad);
        let mut open = Vec::new();
        for id in [bad, bad, &id, &id] {
            let connect = Connect::new(broker.version, id);
            open.extend(Client::try_connect(&broker.target, &connect).await.ok());
        }
        broker.serves().await;
    }
}

async fn a_group_left_with_unacknowledged_messages_harms_nobody(broker: &Broker) {
    let topic = broker.topic("a");
    let mut member = broker.kept("m").await;
    member.subscribe(&format!("$share/g/{topic}"), 1).await;
    let mut publisher = broker.client("p").await;
    for _ in 0..5 {
        publisher.publish(&topic, "x", 1).await;
        member.unacknowledged().await;
    }
    drop(member);
    broker.serves().await;
    publisher.publish(&topic, "x", 1).await;
    broker.serves().await;
    let back = broker.kept("m").await;
    assert!(back.session_present);
    broker.serves().await;
}

/// With TLS they have not even shaken hands.
async fn connections_that_say_nothing_harm_nobody(broker: &Broker) {
    let mut silent = Vec::new();
    for _ in 0..20 {
        let connect = tokio::net::TcpStream::connect(broker.target.address);
        silent.push(timeout(DEADLINE, connect).await.unwrap().unwrap());
    }
    broker.serves().await;
}

async fn a_user_property_for_an_older_client_harms_nobody(broker: &Broker) {
    let topic = broker.topic("a");
    let mut old = Client::connect(
        &broker.target,
        &Connect::new(Version::V4, &broker.id("old")),
    )
    .await;
    old.subscribe(&topic, 1).await;
    let mut new = broker.client("new").await;
    let publish = Publish::new(&topic, "x", 1);
    let publish = publish.with(|publish| publish.properties = vec![user("unit", "°C")]);
    new.publish_this(publish).await;
    assert_eq!(old.message().await.text(), "x");
    old.disconnect().await;
    let connect = Connect::new(Version::V4, &broker.id("old"));
    Client::connect(&broker.target, &connect).await.ping().await;
    broker.serves().await;
}
