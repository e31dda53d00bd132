//! A device is answered when its message is handled or on the disk, in order.

use std::sync::Arc;
use std::time::Duration;

use super::broker::{Broker, directory};
use super::client::{connect, lasting, publish, subscription};
use crate::bus::Message;
use crate::mqtt::{Connect, Packet, Reason, Version};
use crate::names::Qos;

#[tokio::test]
async fn a_device_is_answered_when_a_plugin_has_handled_its_message() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let plugin = broker.party("plugin");
    let mut inbox = Broker::answering(&plugin, 10);
    let mut one = broker.client("one", Version::V5).await;
    for packet in 1..=2 {
        one.publish(publish("a/x", "1", Qos::AtLeastOnce, packet))
            .await;
    }
    let mut messages: Vec<Arc<Message>> = Vec::new();
    while messages.len() < 2 {
        inbox.receive(1, &mut messages).await;
    }
    // The second is handled first: its answer waits for the first one's.
    let first = messages.swap_remove(0);
    messages.clear();
    one.hears_nothing().await;
    drop(first);
    for packet in 1..=2 {
        let Packet::PubAck(ack) = one.packet().await else {
            panic!("an answer was expected");
        };
        assert_eq!((ack.packet_id.get(), ack.reason), (packet, Reason::SUCCESS));
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_device_waits_while_a_plugin_has_no_room_and_still_gets_its_own() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let plugin = broker.party("plugin");
    let mut inbox = Broker::answering(&plugin, 1);
    let mut one = broker.client("one", Version::V5).await;
    one.subscribe(vec![subscription("only/one/#", Qos::AtMostOnce)])
        .await;
    for _ in 0..3 {
        one.publish(publish("a/x", "", Qos::AtMostOnce, 0)).await;
    }
    broker.until(|_| inbox.len() == 1).await;
    plugin
        .publish(Message::new("only/one/x".parse().unwrap(), "for you"))
        .unwrap();
    assert_eq!(one.message_acked().await, "for you");
    let mut messages = Vec::new();
    while messages.len() < 3 {
        inbox.receive(1, &mut messages).await;
    }
    one.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn what_a_slow_device_does_not_answer_goes_to_the_disk_and_its_publisher_on() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut slow, _) = broker.connect("two", lasting("two", Version::V5)).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    assert_eq!(one.publish_acked("a/x", "1").await, Reason::SUCCESS);
    assert_eq!(broker.shared.counters.stored_total.get(), 1);
    // It is not sent twice.
    assert_eq!(slow.message_acked().await, "1");
    one.publish(publish("a/x", "2", Qos::AtLeastOnce, 1)).await;
    assert_eq!(slow.message_acked().await, "2");
    assert!(matches!(one.packet().await, Packet::PubAck(_)));
    slow.hears_nothing().await;
    assert_eq!(broker.shared.counters.stored_total.get(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn everything_after_what_went_to_the_disk_comes_after_it() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let window = Connect {
        receive_max: 2.try_into().unwrap(),
        ..lasting("two", Version::V5)
    };
    let (mut slow, _) = broker.connect("two", window).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    for number in 0..50 {
        one.publish(publish(
            "a/x",
            &number.to_string(),
            Qos::AtLeastOnce,
            number + 1,
        ))
        .await;
    }
    for _ in 0..50 {
        assert!(matches!(one.packet().await, Packet::PubAck(_)));
    }
    for number in 50..60 {
        one.publish(publish(
            "a/x",
            &number.to_string(),
            Qos::AtLeastOnce,
            number + 1,
        ))
        .await;
    }
    for number in 0..60 {
        assert_eq!(slow.message_acked().await, number.to_string());
    }
    slow.hears_nothing().await;
    let store_empty = |broker: &Broker| broker.shared.sessions.stored_messages() == 0;
    broker.until(store_empty).await;
    broker.stop().await;
}

#[tokio::test]
async fn nobody_to_hear_it_is_said_in_version_5() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    let nobody = Reason::NO_MATCHING_SUBSCRIBERS;
    assert_eq!(one.publish_acked("a/x", "1").await, nobody);
    assert_eq!(one.publish_acked("b/x", "1").await, Reason::NOT_AUTHORIZED);
    assert_eq!(
        one.publish_acked("$selvedge/x", "1").await,
        Reason::TOPIC_NAME_INVALID
    );
    one.publish(publish("b/x", "", Qos::AtMostOnce, 0)).await;
    one.hears_nothing().await;
    assert_eq!(broker.shared.counters.not_granted_total.get(), 2);
    // In 3.1.1 an answer would be a lie.
    let mut old = broker.client("two", Version::V311).await;
    old.publish(publish("b/x", "", Qos::AtMostOnce, 0)).await;
    old.hears_nothing().await;
    old.publish(publish("b/x", "", Qos::AtLeastOnce, 1)).await;
    assert_eq!(old.next().await, None);
    broker.stop().await;
}

#[tokio::test]
async fn a_device_ahead_of_its_rate_is_not_read_for_a_while() {
    let directory = directory();
    let mut setup = super::broker::Setup::default();
    setup.quota.publish_per_second_max = 10.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let begin = tokio::time::Instant::now();
    let mut one = broker.client("one", Version::V5).await;
    for _ in 0..15 {
        one.publish(publish("a/x", "", Qos::AtMostOnce, 0)).await;
    }
    one.hears_nothing().await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(broker.shared.counters.received_total.get(), 15);
    let mut other = broker.dial("one", Version::V5);
    other.connect(connect("one/b", Version::V5)).await;
    broker.stop().await;
}

/// A host on which nobody may take long.
fn impatient() -> super::broker::Setup {
    let mut setup = super::broker::Setup::default();
    setup.sessions.settle_ms_max = 300.try_into().unwrap();
    setup
}

#[tokio::test]
async fn a_message_that_nobody_handles_is_answered_as_that_in_time() {
    let directory = directory();
    let broker = Broker::start_with(directory.path(), impatient());
    let plugin = broker.party("plugin");
    let mut inbox = Broker::answering(&plugin, 10);
    let mut one = broker.client("one", Version::V5).await;
    let unhandled = Reason::IMPLEMENTATION_SPECIFIC;
    assert_eq!(one.publish_acked("a/x", "1").await, unhandled);
    one.publish(publish("a/x", "2", Qos::ExactlyOnce, 3)).await;
    let Packet::PubRec(ack) = one.packet().await else {
        panic!("an answer was expected");
    };
    assert_eq!((ack.packet_id.get(), ack.reason), (3, unhandled));
    assert_eq!(broker.shared.counters.unhandled_total.get(), 2);
    // The device goes on, and so does whoever handles the next one.
    let mut messages = Vec::new();
    inbox.try_receive(10, &mut messages);
    messages.clear();
    one.publish(publish("a/x", "3", Qos::AtLeastOnce, 4)).await;
    while messages.is_empty() {
        inbox.receive(1, &mut messages).await;
    }
    messages.clear();
    let Packet::PubAck(ack) = one.packet().await else {
        panic!("an answer was expected");
    };
    assert_eq!((ack.packet_id.get(), ack.reason), (4, Reason::SUCCESS));
    broker.stop().await;
}

#[tokio::test]
async fn an_older_device_whose_message_nobody_handles_loses_its_connection() {
    let directory = directory();
    let broker = Broker::start_with(directory.path(), impatient());
    let plugin = broker.party("plugin");
    let _inbox = Broker::answering(&plugin, 10);
    let mut one = broker.client("one", Version::V311).await;
    one.publish(publish("a/x", "1", Qos::AtLeastOnce, 1)).await;
    assert_eq!(one.next().await, None);
    assert_eq!(broker.shared.counters.unhandled_total.get(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_device_does_not_wait_for_ever_for_one_without_room() {
    let directory = directory();
    let broker = Broker::start_with(directory.path(), impatient());
    let plugin = broker.party("plugin");
    let inbox = Broker::answering(&plugin, 1);
    let mut one = broker.client("one", Version::V5).await;
    for _ in 0..2 {
        one.publish(publish("a/x", "", Qos::AtMostOnce, 0)).await;
    }
    one.hears_nothing().await;
    let full = Reason::QUOTA_EXCEEDED;
    assert_eq!(one.publish_acked("a/x", "1").await, full);
    assert_eq!(broker.shared.counters.unhandled_total.get(), 2);
    assert_eq!(inbox.len(), 1);
    broker.stop().await;
}
