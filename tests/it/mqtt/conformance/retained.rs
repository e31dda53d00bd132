//! Messages that are kept for later subscribers.

use super::{Broker, cases};
use crate::mqtt::raw::{Client, Publish, Value, property};

cases! {
    both: [
        a_retained_message_is_given_to_a_later_subscriber,
        a_subscriber_that_is_there_gets_it_as_an_ordinary_one,
        a_newer_retained_message_replaces_the_older,
        an_empty_retained_message_erases,
        an_empty_message_that_is_not_retained_erases_nothing,
        wildcards_bring_all_retained_messages,
        a_retained_message_is_given_at_the_lower_quality,
        subscribing_again_brings_it_again,
        a_message_that_is_not_retained_is_not_kept,
    ]
    v5: [
        retain_handling_says_when_it_is_given,
        retain_as_published_keeps_the_flag,
        a_retained_message_expires,
        a_retained_message_keeps_its_properties,
    ]
}

async fn retain(client: &mut Client, topic: &str, payload: &str, qos: u8) {
    let publish = Publish::new(topic, payload, qos).with(|publish| publish.retain = true);
    assert!(client.publish_this(publish).await < 0x80);
}

/// What a new subscriber of `filter` gets before a message on `end`, as
/// `topic=payload`, sorted.
async fn kept(broker: &Broker, name: &str, filter: &str) -> Vec<String> {
    let end = broker.topic("end");
    let mut client = broker.subscriber(name, filter, 1).await;
    client.subscribe(&end, 1).await;
    client.publish(&end, "end", 1).await;
    let before = client.until("end").await;
    assert!(before.iter().all(|message| message.retain), "{before:?}");
    let text = |message: &Publish| format!("{}={}", message.topic, message.text());
    let mut texts: Vec<_> = before.iter().map(text).collect();
    texts.sort();
    client.disconnect().await;
    texts
}

async fn a_retained_message_is_given_to_a_later_subscriber(broker: &Broker) {
    let mut publisher = broker.client("p").await;
    for qos in 0..=2 {
        let topic = broker.topic(&qos.to_string());
        retain(&mut publisher, &topic, "kept", qos).await;
        publisher.ping().await;
        let mut subscriber = broker.subscriber(&format!("s{qos}"), &topic, 2).await;
        let message = subscriber.message().await;
        assert_eq!((message.text(), message.qos), ("kept", qos));
        assert!(message.retain && !message.dup);
    }
}

async fn a_subscriber_that_is_there_gets_it_as_an_ordinary_one(broker: &Broker) {
    let topic = broker.topic("a");
    let mut subscriber = broker.subscriber("s", &topic, 1).await;
    let mut publisher = broker.client("p").await;
    retain(&mut publisher, &topic, "now", 1).await;
    let message = subscriber.message().await;
    assert_eq!((message.text(), message.retain), ("now", false));
}

async fn a_newer_retained_message_replaces_the_older(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    for text in ["1", "2", "3"] {
        retain(&mut publisher, &topic, text, 1).await;
    }
    assert_eq!(kept(broker, "s", &topic).await, [format!("{topic}=3")]);
}

async fn an_empty_retained_message_erases(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    for qos in 0..=2 {
        retain(&mut publisher, &topic, "kept", 1).await;
        let mut live = broker.subscriber("live", &topic, 2).await;
        assert_eq!(live.message().await.text(), "kept");
        retain(&mut publisher, &topic, "", qos).await;
        // It is itself a message to whoever listens.
        let message = live.message().await;
        assert_eq!((message.text(), message.retain), ("", false));
        assert!(kept(broker, "s", &topic).await.is_empty(), "QoS {qos}");
        live.disconnect().await;
    }
}

async fn an_empty_message_that_is_not_retained_erases_nothing(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    retain(&mut publisher, &topic, "kept", 1).await;
    publisher.publish(&topic, "", 1).await;
    assert_eq!(kept(broker, "s", &topic).await, [format!("{topic}=kept")]);
}

async fn wildcards_bring_all_retained_messages(broker: &Broker) {
    let mut publisher = broker.client("p").await;
    let topics = ["w/a", "w/b", "w/a/c", "w"].map(|rest| broker.topic(rest));
    for topic in &topics {
        retain(&mut publisher, topic, "x", 1).await;
    }
    let under = |indexes: &[usize]| {
        let mut all: Vec<_> = indexes
            .iter()
            .map(|i| format!("{}=x", topics[*i]))
            .collect();
        all.sort();
        all
    };
    assert_eq!(
        kept(broker, "1", &broker.topic("w/+")).await,
        under(&[0, 1])
    );
    assert_eq!(
        kept(broker, "2", &broker.topic("w/#")).await,
        under(&[0, 1, 2, 3])
    );
    assert_eq!(kept(broker, "3", &broker.topic("w/+/c")).await, under(&[2]));
    assert!(kept(broker, "4", &broker.topic("v/#")).await.is_empty());
}

async fn a_retained_message_is_given_at_the_lower_quality(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    retain(&mut publisher, &topic, "kept", 2).await;
    for qos in 0..=2 {
        let mut subscriber = broker.subscriber("s", &topic, qos).await;
        assert_eq!(subscriber.message().await.qos, qos);
        subscriber.disconnect().await;
    }
}

async fn subscribing_again_brings_it_again(broker: &Broker) {
    let (topic, mut client) = (broker.topic("a"), broker.client("a").await);
    retain(&mut client, &topic, "kept", 1).await;
    for _ in 0..2 {
        client.subscribe(&topic, 1).await;
        let message = client.message().await;
        assert_eq!((message.text(), message.retain), ("kept", true));
    }
}

async fn a_message_that_is_not_retained_is_not_kept(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    publisher.publish(&topic, "gone", 1).await;
    assert!(kept(broker, "s", &topic).await.is_empty());
}

/// 0: always; 1: if the subscription is new; 2: never.
async fn retain_handling_says_when_it_is_given(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let mut publisher = broker.client("p").await;
    retain(&mut publisher, &topic, "kept", 1).await;
    for (handling, expected) in [(0, [1, 1]), (1, [1, 0]), (2, [0, 0])] {
        let mut client = broker.subscriber("s", &end, 1).await;
        for count in expected {
            assert_eq!(client.subscribe(&topic, handling << 4 | 1).await, 1);
            client.publish(&end, "end", 1).await;
            let before = client.until("end").await;
            assert_eq!(before.len(), count, "handling {handling}");
        }
        client.unsubscribe(&[&topic]).await;
        client.subscribe(&topic, handling << 4 | 1).await;
        client.publish(&end, "end", 1).await;
        assert_eq!(client.until("end").await.len(), expected[0]);
        client.disconnect().await;
    }
}

async fn retain_as_published_keeps_the_flag(broker: &Broker) {
    const AS_PUBLISHED: u8 = 1 << 3;

    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    let mut keeps = broker.client("keeps").await;
    keeps.subscribe(&topic, AS_PUBLISHED | 1).await;
    let mut clears = broker.subscriber("clears", &topic, 1).await;
    for flag in [true, false] {
        let publish = Publish::new(&topic, "x", 1).with(|publish| publish.retain = flag);
        publisher.publish_this(publish).await;
        assert_eq!(keeps.message().await.retain, flag);
        assert!(!clears.message().await.retain);
    }
}

async fn a_retained_message_expires(broker: &Broker) {
    let mut publisher = broker.client("p").await;
    for (rest, seconds) in [("short", 1), ("long", 600)] {
        let publish = Publish::new(&broker.topic(&format!("e/{rest}")), "x", 1);
        let publish = publish.with(|publish| {
            publish.retain = true;
            publish.properties = vec![(property::MESSAGE_EXPIRY, Value::Four(seconds))];
        });
        publisher.publish_this(publish).await;
    }
    // Time is what is tested.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let long = format!("{}=x", broker.topic("e/long"));
    assert_eq!(kept(broker, "s", &broker.topic("e/#")).await, [long]);
    let mut subscriber = broker.subscriber("t", &broker.topic("e/#"), 1).await;
    let message = subscriber.message().await;
    let left = super::properties::one(&message, property::MESSAGE_EXPIRY).number();
    assert!((500..=598).contains(&left), "{left} s are left of 600");
}

async fn a_retained_message_keeps_its_properties(broker: &Broker) {
    let (topic, mut publisher) = (broker.topic("a"), broker.client("p").await);
    let properties = super::properties::plenty(&broker.topic("answer"));
    let publish = Publish::new(&topic, "x", 1).with(|publish| {
        publish.retain = true;
        publish.properties = properties.clone();
    });
    publisher.publish_this(publish).await;
    let mut subscriber = broker.subscriber("s", &topic, 1).await;
    super::properties::assert_same(&subscriber.message().await.properties, &properties);
}
