//! What is published for a client that is gone.

use std::time::{Duration, Instant};

use super::{Broker, cases};
use crate::mqtt::raw::{Client, Connect, Packet, Value, Will, packet, property};

cases! {
    both: [
        a_will_is_published_when_the_connection_is_lost,
        a_will_is_not_published_after_a_disconnect,
        a_will_is_published_after_a_protocol_error,
        a_will_is_published_when_the_keep_alive_runs_out,
        a_will_is_published_at_the_lower_quality,
        a_retained_will_is_kept,
        a_will_on_a_faulty_topic_harms_nobody,
    ]
    v5: [
        a_client_can_disconnect_and_leave_its_will,
        a_will_keeps_its_properties,
        a_will_waits_for_its_delay,
        a_will_is_dropped_if_its_client_comes_back,
        a_will_does_not_wait_longer_than_its_session,
        faulty_wills_are_refused,
    ]
}

/// A client whose will is on `topic`.
fn willing(broker: &Broker, topic: &str) -> Connect {
    let will = Will::new(topic, "gone");
    broker
        .connect("w")
        .with(|connect| connect.will = Some(will))
}

/// Ends a connection as a network does, and waits for nothing.
fn lose(client: Client) {
    drop(client);
}

async fn a_will_is_published_when_the_connection_is_lost(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 2).await;
    let client = broker.join(&willing(broker, &topic)).await;
    lose(client);
    let message = watcher.message().await;
    assert_eq!(
        (message.text(), message.qos, message.retain),
        ("gone", 1, false)
    );
}

async fn a_will_is_not_published_after_a_disconnect(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    broker
        .join(&willing(broker, &topic))
        .await
        .disconnect()
        .await;
    watcher.publish(&topic, "end", 1).await;
    assert!(watcher.until("end").await.is_empty());
}

async fn a_will_is_published_after_a_protocol_error(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let mut client = broker.join(&willing(broker, &topic)).await;
    // A SUBSCRIBE with reserved flags.
    client.send(&[0x80, 0]).await;
    client.closed().await;
    assert_eq!(watcher.message().await.text(), "gone");
}

async fn a_will_is_published_when_the_keep_alive_runs_out(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let connect = willing(broker, &topic).with(|connect| connect.keep_alive_s = 1);
    let _silent = broker.join(&connect).await;
    assert_eq!(watcher.message().await.text(), "gone");
}

async fn a_will_is_published_at_the_lower_quality(broker: &Broker) {
    for (willed, granted) in [(0, 2), (2, 1), (2, 2)] {
        let topic = broker.topic(&format!("{willed}{granted}"));
        let mut watcher = broker.subscriber("s", &topic, granted).await;
        let connect = willing(broker, &topic);
        let connect = connect.with(|connect| connect.will.as_mut().unwrap().qos = willed);
        lose(broker.join(&connect).await);
        assert_eq!(watcher.message().await.qos, willed.min(granted));
        watcher.disconnect().await;
    }
}

async fn a_retained_will_is_kept(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let connect = willing(broker, &topic);
    let connect = connect.with(|connect| connect.will.as_mut().unwrap().retain = true);
    lose(broker.join(&connect).await);
    assert!(!watcher.message().await.retain);
    let mut late = broker.subscriber("late", &topic, 1).await;
    let message = late.message().await;
    assert_eq!((message.text(), message.retain), ("gone", true));
}

/// Refused, or accepted and never seen.
async fn a_will_on_a_faulty_topic_harms_nobody(broker: &Broker) {
    let all = broker.topic("#");
    let mut watcher = broker.subscriber("s", &all, 1).await;
    let faulty = ["a/+/#", "a/#", "+"].map(|rest| broker.topic(rest));
    let reserved = format!("$SYS/{}", broker.topic("w"));
    let shared = format!("$share/g/{}", broker.topic("w"));
    for topic in faulty.iter().chain([&reserved, &shared, &String::new()]) {
        let refused = Client::try_connect(&broker.target, &willing(broker, topic)).await;
        if let Ok(client) = refused {
            lose(client);
        }
    }
    broker.serves().await;
    watcher.publish(&broker.topic("end"), "end", 1).await;
    let before = watcher.until("end").await;
    let unexpected = before.iter().find(|message| message.text() == "gone");
    assert!(unexpected.is_none(), "{unexpected:?}");
}

async fn a_client_can_disconnect_and_leave_its_will(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let mut client = broker.join(&willing(broker, &topic)).await;
    client.send(&packet::disconnect(4, &Vec::new())).await;
    client.closed().await;
    assert_eq!(watcher.message().await.text(), "gone");
}

async fn a_will_keeps_its_properties(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let properties = super::properties::plenty(&broker.topic("answer"));
    let connect = willing(broker, &topic).with(|connect| {
        connect.will.as_mut().unwrap().properties = properties.clone();
    });
    lose(broker.join(&connect).await);
    super::properties::assert_same(&watcher.message().await.properties, &properties);
}

/// A kept session whose will waits so many seconds.
fn delayed(broker: &Broker, topic: &str, seconds: u32) -> Connect {
    let mut will = Will::new(topic, "gone");
    will.properties = vec![(property::WILL_DELAY, Value::Four(seconds))];
    broker.keep("w").with(|connect| connect.will = Some(will))
}

async fn a_will_waits_for_its_delay(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let client = broker.join(&delayed(broker, &topic, 2)).await;
    let begun = Instant::now();
    lose(client);
    assert_eq!(watcher.message().await.text(), "gone");
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_millis(1_000),
        "published after {waited:?}"
    );
    assert!(
        waited < Duration::from_secs(20),
        "published after {waited:?}"
    );
}

async fn a_will_is_dropped_if_its_client_comes_back(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    lose(broker.join(&delayed(broker, &topic, 3)).await);
    let client = broker.kept("w").await;
    assert!(client.session_present);
    // Time is what is tested.
    tokio::time::sleep(Duration::from_secs(6)).await;
    watcher.publish(&topic, "end", 1).await;
    assert!(watcher.until("end").await.is_empty());
    client.disconnect().await;
}

async fn a_will_does_not_wait_longer_than_its_session(broker: &Broker) {
    let topic = broker.topic("w");
    let mut watcher = broker.subscriber("s", &topic, 1).await;
    let connect = delayed(broker, &topic, 600).with(|connect| {
        connect.properties = vec![(property::SESSION_EXPIRY, Value::Four(1))];
    });
    lose(broker.join(&connect).await);
    assert_eq!(watcher.message().await.text(), "gone");
}

async fn faulty_wills_are_refused(broker: &Broker) {
    let faulty = [
        // A property of PUBLISH that a will cannot have; twice; not 0 or 1.
        vec![(property::TOPIC_ALIAS, Value::Two(1))],
        vec![(property::WILL_DELAY, Value::Four(1)); 2],
        vec![(property::PAYLOAD_FORMAT, Value::Byte(2))],
        vec![(property::RESPONSE_TOPIC, Value::Text("a/#".to_owned()))],
    ];
    let mut tolerated = Vec::new();
    for properties in faulty {
        let connect = willing(broker, &broker.topic("w")).with(|connect| {
            connect.will.as_mut().unwrap().properties = properties.clone();
        });
        let mut client = Client::silent(&broker.target, broker.version).await;
        client.send(&connect.bytes()).await;
        match client.next().await {
            Some(Packet::Connected { code: 0, .. }) => tolerated.push(properties),
            Some(Packet::Connected { .. } | Packet::Disconnect { .. }) | None => {}
            other => panic!("{other:?} instead of a refusal"),
        }
    }
    assert!(tolerated.is_empty(), "tolerated: {tolerated:?}");
}
