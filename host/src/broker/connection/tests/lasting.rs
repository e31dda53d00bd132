//! Sessions that outlast their connections, and the host.

use std::time::Duration;

use super::broker::{Broker, Setup, directory};
use super::client::{connect, lasting, publish, subscription};
use crate::mqtt::{Connect, Packet, Publish, PublishProperties, Reason, Version};
use crate::names::Qos;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

#[tokio::test]
async fn what_comes_while_a_device_is_away_waits_in_order_through_a_crash() {
    for version in VERSIONS {
        let directory = directory();
        let broker = Broker::start(directory.path());
        let (mut two, present) = broker.connect("two", lasting("two", version)).await;
        assert!(!present);
        two.subscribe(vec![subscription("a/#", Qos::ExactlyOnce)])
            .await;
        two.disconnect().await;
        let mut one = broker.client("one", version).await;
        for number in 0..20 {
            one.publish_acked("a/x", &number.to_string()).await;
            // It need not arrive.
            one.publish(publish("a/x", "lost", Qos::AtMostOnce, 0))
                .await;
        }
        broker.kill().await;

        let broker = Broker::start(directory.path());
        let (mut two, present) = broker.connect("two", lasting("two", version)).await;
        assert!(present);
        let mut last = 0;
        for number in 0..20 {
            let message = two.message().await;
            assert_eq!(&*message.payload, number.to_string().as_bytes());
            let id = message.packet_id.unwrap();
            assert!(id.get() > last);
            last = id.get();
            two.answer(Packet::PubAck, id).await;
        }
        two.hears_nothing().await;
        // The subscription holds without being made again.
        let mut one = broker.client("one", version).await;
        one.publish(publish("a/y", "live", Qos::AtLeastOnce, 1))
            .await;
        assert_eq!(two.message_acked().await, "live");
        broker.stop().await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_first_and_marked() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V311)).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    for text in ["1", "2", "3"] {
        one.publish(publish("a/x", text, Qos::AtLeastOnce, 1)).await;
    }
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(two.message().await);
    }
    // Out of order: only this one is done.
    two.answer(Packet::PubAck, sent[1].packet_id.unwrap()).await;
    drop(two);
    for _ in 0..3 {
        assert!(matches!(one.packet().await, Packet::PubAck(_)));
    }
    one.publish_acked("a/x", "4").await;
    let (mut two, present) = broker.connect("two", lasting("two", Version::V311)).await;
    assert!(present);
    for (place, text, dup) in [(0, "1", true), (2, "3", true)] {
        let message = two.message().await;
        assert_eq!(&*message.payload, text.as_bytes());
        assert_eq!(
            (message.dup, message.packet_id),
            (dup, sent[place].packet_id)
        );
    }
    let message = two.message().await;
    assert_eq!((&*message.payload, message.dup), (&b"4"[..], false));
    broker.stop().await;
}

#[tokio::test]
async fn a_clean_start_forgets_and_so_does_time() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let begin = || lasting("two", Version::V5);
    let (mut two, _) = broker.connect("two", begin()).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    two.disconnect().await;
    let mut one = broker.client("one", Version::V5).await;
    one.publish_acked("a/x", "1").await;
    assert_eq!(broker.shared.sessions.stored_messages(), 1);
    let clean = Connect {
        clean_start: true,
        ..begin()
    };
    let (mut two, present) = broker.connect("two", clean).await;
    assert!(!present);
    two.hears_nothing().await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    drop(two);
    one.publish_acked("a/x", "2").await;
    // Now it is to last a second only.
    let short = Connect {
        session_expiry_s: 1,
        ..begin()
    };
    let (mut two, present) = broker.connect("two", short).await;
    assert!(present);
    assert_eq!(two.message().await.payload, "2");
    two.disconnect().await;
    broker
        .until(|broker| broker.shared.sessions.len() == 1)
        .await;
    let (_, present) = broker.connect("two", begin()).await;
    assert!(!present);
    broker.stop().await;
    let broker = Broker::start(directory.path());
    assert_eq!(broker.shared.sessions.stored_messages(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_queue_is_bounded_and_what_goes_is_counted() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.queue_messages_max = 3.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    two.disconnect().await;
    let mut one = broker.client("one", Version::V5).await;
    for number in 0..5 {
        one.publish_acked("a/x", &number.to_string()).await;
    }
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    for number in 2..5 {
        assert_eq!(two.message_acked().await, number.to_string());
    }
    two.hears_nothing().await;
    assert_eq!(broker.shared.counters.dropped_total.get(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn what_expires_while_a_device_is_away_does_not_come() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    two.disconnect().await;
    let mut one = broker.client("one", Version::V5).await;
    for (text, expiry_s) in [("short", 1), ("long", 100)] {
        let properties = PublishProperties {
            expiry_s: Some(expiry_s),
            user: vec![("k".into(), "v".into())],
            content_type: Some("text/plain".into()),
            response_topic: Some("a/answer".parse().unwrap()),
            correlation: Some("c".into()),
            utf8: true,
            ..PublishProperties::default()
        };
        let message = Publish {
            properties,
            ..publish("a/x", text, Qos::AtLeastOnce, 1)
        };
        one.publish(message).await;
        assert!(matches!(one.packet().await, Packet::PubAck(_)));
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    let message = two.message().await;
    assert_eq!(message.payload, "long");
    let properties = message.properties;
    assert!((90..100).contains(&properties.expiry_s.unwrap()));
    assert_eq!(properties.user, [("k".into(), "v".into())]);
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(properties.response_topic.unwrap().as_str(), "a/answer");
    assert_eq!(properties.correlation.as_deref(), Some(&b"c"[..]));
    assert!(properties.utf8);
    broker.stop().await;
}

#[tokio::test]
async fn lasting_sessions_are_bounded_in_number() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.limits.kept_sessions_max = 2.try_into().unwrap();
    setup.quota.sessions_max = 3.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let mut held = Vec::new();
    for name in ["one/1", "one/2"] {
        held.push(broker.connect("one", lasting(name, Version::V5)).await);
    }
    let mut third = broker.dial("one", Version::V5);
    let refused = third.connect(lasting("one/3", Version::V5)).await;
    assert_eq!(refused.reason, Reason::QUOTA_EXCEEDED);
    held.push(broker.connect("one", connect("one/3", Version::V5)).await);
    let mut fourth = broker.dial("one", Version::V5);
    let refused = fourth.connect(connect("one/4", Version::V5)).await;
    assert_eq!(refused.reason, Reason::QUOTA_EXCEEDED);
    held.clear();
    broker
        .until(|broker| broker.shared.sessions.len() == 2)
        .await;
    broker.connect("one", connect("one/4", Version::V5)).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_device_may_end_its_session_as_it_leaves() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    two.leave(Reason::SUCCESS, Some(0)).await;
    assert_eq!(two.next().await, None);
    broker
        .until(|broker| broker.shared.sessions.len() == 0)
        .await;
    let (_two, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(!present);
    // The other way round is against the protocol.
    let mut one = broker.client("one", Version::V5).await;
    one.leave(Reason::SUCCESS, Some(9)).await;
    assert_eq!(one.ended().await, Some(Reason::PROTOCOL_ERROR));
    broker.stop().await;
}
