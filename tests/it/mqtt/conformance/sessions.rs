//! What outlasts a connection, and for how long.

use std::time::Duration;

use super::{Broker, cases};
use crate::mqtt::raw::{Client, Packet, Publish, Step, Value, Version, packet, property};

cases! {
    both: [
        a_kept_session_is_reported,
        messages_wait_for_a_kept_session,
        a_clean_session_discards_the_kept_one,
        a_clean_session_is_not_kept,
        an_unacknowledged_message_comes_again_with_the_same_identifier,
        an_unfinished_delivery_goes_on_with_its_release,
        an_unfinished_publish_goes_on_after_reconnecting,
        a_session_outlasts_a_lost_connection,
        a_session_goes_on_in_a_connection_that_takes_over,
        unsubscribing_lasts,
    ]
    v5: [
        a_session_without_expiry_ends_with_its_connection,
        a_session_expires,
        disconnecting_can_shorten_a_session,
        disconnecting_cannot_make_a_session_last,
        a_message_expires_while_it_waits,
    ]
}

async fn a_kept_session_is_reported(broker: &Broker) {
    let client = broker.kept("a").await;
    assert!(!client.session_present);
    client.disconnect().await;
    for _ in 0..2 {
        let client = broker.kept("a").await;
        assert!(client.session_present);
        client.disconnect().await;
    }
}

async fn messages_wait_for_a_kept_session(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 2).await;
    client.disconnect().await;
    let mut publisher = broker.client("p").await;
    for number in 0..30 {
        let qos = 1 + number % 2;
        publisher.publish(&topic, &number.to_string(), qos).await;
    }
    let mut client = broker.kept("a").await;
    assert!(client.session_present);
    for number in 0..30 {
        let message = next_message(&mut client).await;
        assert_eq!(
            (message.text(), message.qos),
            (number.to_string().as_str(), 1 + number % 2)
        );
        assert!(!message.retain);
    }
    publisher.publish(&topic, "live", 1).await;
    assert_eq!(client.message().await.text(), "live");
}

/// The next message, acknowledged; other packets of handshakes may come between.
async fn next_message(client: &mut Client) -> Publish {
    let message = client
        .next_that(|packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
        .await;
    client.acknowledge(&message).await;
    message
}

async fn a_clean_session_discards_the_kept_one(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 1).await;
    client.disconnect().await;
    broker.client("p").await.publish(&topic, "x", 1).await;
    let client = broker.client("a").await;
    assert!(!client.session_present);
    client.disconnect().await;
    let mut client = broker.kept("a").await;
    assert!(!client.session_present);
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn a_clean_session_is_not_kept(broker: &Broker) {
    let topic = broker.topic("a");
    broker.subscriber("a", &topic, 1).await.disconnect().await;
    broker.client("p").await.publish(&topic, "x", 1).await;
    let mut client = broker.kept("a").await;
    assert!(!client.session_present);
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn an_unacknowledged_message_comes_again_with_the_same_identifier(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 2).await;
    let mut publisher = broker.client("p").await;
    for (text, qos) in [("1", 1), ("2", 2), ("3", 1)] {
        publisher.publish(&topic, text, qos).await;
    }
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(client.unacknowledged().await);
    }
    drop(client);
    let mut client = broker.kept("a").await;
    assert!(client.session_present);
    for message in &first {
        assert!(!message.dup);
        let again = client.unacknowledged().await;
        let expected = message.clone().with(|expected| expected.dup = true);
        assert_eq!(again, expected);
    }
    for message in &first {
        client.acknowledge(message).await;
    }
    client.ping().await;
    client.disconnect().await;
    let mut client = broker.kept("a").await;
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn an_unfinished_delivery_goes_on_with_its_release(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 2).await;
    broker.client("p").await.publish(&topic, "x", 2).await;
    let message = client.unacknowledged().await;
    client.send(&Step::Received.bytes(message.id)).await;
    client.step(Step::Release, message.id).await;
    drop(client);
    let mut client = broker.kept("a").await;
    // The message itself must not come again.
    match client.next().await {
        Some(Packet::Step { step, id, .. }) => {
            assert_eq!((step, id), (Step::Release, message.id));
        }
        other => panic!("{other:?} instead of PUBREL"),
    }
    client.send(&Step::Complete.bytes(message.id)).await;
    client.ping().await;
}

async fn an_unfinished_publish_goes_on_after_reconnecting(broker: &Broker) {
    let topic = broker.topic("a");
    let mut subscriber = broker.subscriber("s", &topic, 2).await;
    let first = Publish::new(&topic, "once", 2).with(|publish| publish.id = 11);
    let again = first.clone().with(|publish| publish.dup = true);
    let mut publisher = broker.kept("p").await;
    publisher.send(&first.bytes(broker.version)).await;
    publisher.step(Step::Received, 11).await;
    drop(publisher);
    let mut publisher = broker.kept("p").await;
    assert!(publisher.session_present);
    publisher.send(&again.bytes(broker.version)).await;
    publisher.step(Step::Received, 11).await;
    publisher.send(&Step::Release.bytes(11)).await;
    publisher.step(Step::Complete, 11).await;
    publisher.publish(&topic, "end", 2).await;
    let before = subscriber.until("end").await;
    let texts: Vec<_> = before.iter().map(Publish::text).collect();
    assert_eq!(texts, ["once"]);
}

async fn a_session_outlasts_a_lost_connection(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 1).await;
    drop(client);
    broker.client("p").await.publish(&topic, "x", 1).await;
    let mut client = broker.kept("a").await;
    assert!(client.session_present);
    assert_eq!(client.message().await.text(), "x");
}

async fn a_session_goes_on_in_a_connection_that_takes_over(broker: &Broker) {
    let topic = broker.topic("a");
    let mut first = broker.kept("a").await;
    first.subscribe(&topic, 1).await;
    let mut publisher = broker.client("p").await;
    publisher.publish(&topic, "1", 1).await;
    let held = first.unacknowledged().await;
    let mut second = broker.kept("a").await;
    assert!(second.session_present);
    first.closed().await;
    let again = second.message().await;
    assert_eq!((again.id, again.text(), again.dup), (held.id, "1", true));
    publisher.publish(&topic, "2", 1).await;
    assert_eq!(second.message().await.text(), "2");
}

async fn unsubscribing_lasts(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 1).await;
    client.unsubscribe(&[&topic]).await;
    client.disconnect().await;
    broker.client("p").await.publish(&topic, "x", 1).await;
    let mut client = broker.kept("a").await;
    assert!(client.session_present);
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

fn expiry(seconds: u32) -> Vec<(u8, Value)> {
    vec![(property::SESSION_EXPIRY, Value::Four(seconds))]
}

async fn a_session_without_expiry_ends_with_its_connection(broker: &Broker) {
    let connect = broker.connect("a").with(|connect| connect.clean = false);
    broker.join(&connect).await.disconnect().await;
    assert!(!broker.kept("a").await.session_present);
}

async fn a_session_expires(broker: &Broker) {
    for (seconds, is_kept) in [(1, false), (600, true)] {
        let connect = broker.keep(&format!("{seconds}"));
        let short = connect
            .clone()
            .with(|connect| connect.properties = expiry(seconds));
        broker.join(&short).await.disconnect().await;
        // Time is what is tested.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(broker.join(&connect).await.session_present, is_kept);
    }
}

async fn disconnecting_can_shorten_a_session(broker: &Broker) {
    let mut client = broker.kept("a").await;
    client.send(&packet::disconnect(0, &expiry(0))).await;
    assert!(client.next().await.is_none());
    assert!(!broker.kept("a").await.session_present);
}

async fn disconnecting_cannot_make_a_session_last(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.send(&packet::disconnect(0, &expiry(600))).await;
    let reason = client.closed().await;
    assert!(matches!(reason, None | Some(0x82)), "{reason:?}");
    assert!(!broker.kept("a").await.session_present);
}

async fn a_message_expires_while_it_waits(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.kept("a").await;
    client.subscribe(&topic, 1).await;
    client.disconnect().await;
    let mut publisher = broker.client("p").await;
    for (text, seconds) in [("short", 1), ("long", 600), ("end", 0)] {
        let publish = Publish::new(&topic, text, 1).with(|publish| {
            if seconds > 0 {
                publish.properties = vec![(property::MESSAGE_EXPIRY, Value::Four(seconds))];
            }
        });
        publisher.publish_this(publish).await;
    }
    assert_eq!(broker.version, Version::V5);
    // Time is what is tested.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let before = broker.kept("a").await.until("end").await;
    let texts: Vec<_> = before.iter().map(Publish::text).collect();
    assert_eq!(texts, ["long"]);
    let left = super::properties::one(&before[0], property::MESSAGE_EXPIRY).number();
    assert!((500..=598).contains(&left), "{left} s are left of 600");
}
