//! What is said for a device that is lost, and what is not.

use std::num::NonZeroU32;
use std::time::Duration;

use super::broker::{Broker, directory};
use super::client::{Client, connect, lasting, subscription};
use crate::mqtt::{Connect, Packet, PublishProperties, Reason, Version, Will};
use crate::names::Qos;

fn with_will(connect: Connect, topic: &str, delay_s: u32) -> Connect {
    let will = Will {
        topic: topic.parse().unwrap(),
        payload: "lost".into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        delay_s,
        properties: PublishProperties::default(),
    };
    Connect {
        will: Some(Box::new(will)),
        ..connect
    }
}

async fn listener(broker: &Broker) -> Client {
    let mut listener = broker.client("two", Version::V5).await;
    listener
        .subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    listener
}

#[tokio::test]
async fn a_will_is_said_for_a_device_that_is_lost_and_not_for_one_that_leaves() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut listener = listener(&broker).await;
    for version in [Version::V311, Version::V5] {
        let begin = || with_will(connect("one", version), "a/will", 0);
        let (one, _) = broker.connect("one", begin()).await;
        drop(one);
        assert_eq!(listener.message_acked().await, "lost");
        let (one, _) = broker.connect("one", begin()).await;
        one.disconnect().await;
        listener.hears_nothing().await;
    }
    // Unless it asks for it.
    let begin = with_will(connect("one", Version::V5), "a/will", 0);
    let (mut one, _) = broker.connect("one", begin).await;
    one.leave(Reason::DISCONNECT_WITH_WILL, None).await;
    assert_eq!(listener.message_acked().await, "lost");
    broker.stop().await;
}

#[tokio::test]
async fn a_will_that_the_device_may_not_publish_is_refused_at_once() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    for topic in ["b/will", "only/two/will", "$selvedge/will"] {
        let mut one = broker.dial("one", Version::V5);
        let begin = with_will(connect("one", Version::V5), topic, 0);
        assert_eq!(one.connect(begin).await.reason, Reason::NOT_AUTHORIZED);
    }
    assert_eq!(broker.shared.sessions.len(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_delayed_will_is_not_said_if_the_device_is_back_in_time() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut listener = listener(&broker).await;
    let begin = || with_will(lasting("one", Version::V5), "a/will", 4);
    let (one, _) = broker.connect("one", begin()).await;
    drop(one);
    broker
        .until(|broker| broker.shared.sessions.is_away("one"))
        .await;
    let (one, _) = broker.connect("one", begin()).await;
    listener.hears_nothing().await;
    let lost_at = tokio::time::Instant::now();
    drop(one);
    assert_eq!(listener.message_acked().await, "lost");
    assert!(lost_at.elapsed() >= Duration::from_millis(3_900));
    // A session that ends takes its will with it into the open.
    let (one, _) = broker
        .connect("one", with_will(lasting("one", Version::V5), "a/will", 100))
        .await;
    drop(one);
    broker
        .until(|broker| broker.shared.sessions.is_away("one"))
        .await;
    listener.hears_nothing().await;
    let (_one, _) = broker.connect("one", connect("one", Version::V5)).await;
    assert_eq!(listener.message_acked().await, "lost");
    broker.stop().await;
}

#[tokio::test]
async fn a_delayed_will_is_said_though_its_device_tried_to_come_back_in_vain() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut listener = listener(&broker).await;
    let begin = with_will(lasting("one", Version::V5), "a/will", 2);
    let (one, _) = broker.connect("one", begin).await;
    drop(one);
    broker
        .until(|broker| broker.shared.sessions.is_away("one"))
        .await;
    let refused = with_will(lasting("one", Version::V5), "b/will", 0);
    let mut one = broker.dial("one", Version::V5);
    assert_eq!(one.connect(refused).await.reason, Reason::NOT_AUTHORIZED);
    assert_eq!(listener.message_acked().await, "lost");
    broker.stop().await;
}

#[tokio::test]
async fn who_is_refused_changes_nothing_of_the_session() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
    one.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    one.disconnect().await;
    let recorded = |broker: &Broker| broker.shared.sessions.recorded();
    broker
        .until(|broker| recorded(broker).iter().any(|own| own.ended.is_some()))
        .await;
    let before = recorded(&broker);
    for session_expiry_s in [5, 0] {
        let shorter = Connect {
            session_expiry_s,
            ..lasting("one", Version::V5)
        };
        let refused = with_will(shorter.clone(), "b/will", 0);
        let mut one = broker.dial("one", Version::V5);
        assert_eq!(one.connect(refused).await.reason, Reason::NOT_AUTHORIZED);
        assert_eq!(recorded(&broker), before);
        let tiny = Connect {
            packet_bytes_max: NonZeroU32::new(4),
            ..shorter
        };
        let mut one = broker.dial("one", Version::V5);
        one.send(Packet::Connect(Box::new(tiny))).await;
        assert_eq!(one.next().await, None);
        assert_eq!(recorded(&broker), before);
    }
    let (_one, present) = broker.connect("one", lasting("one", Version::V5)).await;
    assert!(present);
    // One that was not there is not there.
    let refused = with_will(lasting("two", Version::V5), "b/will", 0);
    let mut two = broker.dial("two", Version::V5);
    assert_eq!(two.connect(refused).await.reason, Reason::NOT_AUTHORIZED);
    assert_eq!(broker.shared.sessions.len(), 1);
    broker.stop().await;
}
