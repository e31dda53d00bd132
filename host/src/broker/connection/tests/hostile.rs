//! What a device must not do ends its own connection and nothing else.

use std::num::NonZeroU16;
use std::time::Duration;

use super::broker::{Broker, Setup, directory};
use super::client::{connect, id, publish, subscription};
use crate::mqtt::{Connect, Packet, Publish, PublishProperties, Reason, Version};
use crate::names::Qos;

#[tokio::test]
async fn what_is_against_the_protocol_is_told() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let aliased = |alias: u16, topic: Option<&str>| {
        Packet::Publish(Publish {
            topic: topic.map(|topic| topic.parse().unwrap()),
            properties: PublishProperties {
                topic_alias: NonZeroU16::new(alias),
                ..PublishProperties::default()
            },
            ..publish("a/x", "", Qos::AtMostOnce, 0)
        })
    };
    let again = Packet::Connect(Box::new(connect("one", Version::V5)));
    for (packet, reason) in [
        (again, Reason::PROTOCOL_ERROR),
        (Packet::PingResp, Reason::PROTOCOL_ERROR),
        (aliased(17, Some("a/x")), Reason::TOPIC_ALIAS_INVALID),
        (aliased(1, None), Reason::TOPIC_ALIAS_INVALID),
    ] {
        let mut one = broker.client("one", Version::V5).await;
        let text = format!("{packet:?}");
        one.send(packet).await;
        assert_eq!(one.ended().await, Some(reason), "{text}");
    }
    let mut one = broker.client("one", Version::V5).await;
    one.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).await;
    assert_eq!(one.ended().await, Some(Reason::PACKET_TOO_LARGE));
    broker
        .until(|broker| broker.shared.sessions.len() == 0)
        .await;
    broker.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_asked_for_change_nothing() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    one.answer(Packet::PubAck, id(1)).await;
    one.answer(Packet::PubComp, id(1)).await;
    one.answer(Packet::PubRec, id(1)).await;
    let Packet::PubRel(ack) = one.packet().await else {
        panic!("an answer was expected");
    };
    assert_eq!(ack.reason, Reason::PACKET_ID_NOT_FOUND);
    one.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn more_under_way_than_was_agreed_ends_the_connection() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.inflight_max = 3.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let plugin = broker.party("plugin");
    let inbox = Broker::answering(&plugin, 100);
    let mut one = broker.dial("one", Version::V5);
    let ack = one.connect(connect("one", Version::V5)).await;
    assert_eq!(ack.receive_max.unwrap().get(), 3);
    for packet in 1..=4 {
        one.publish(publish("a/x", "", Qos::AtLeastOnce, packet))
            .await;
    }
    assert_eq!(one.ended().await, Some(Reason::RECEIVE_MAX_EXCEEDED));
    assert_eq!(inbox.len(), 3);
    // A 3.1.1 device was told nothing: it is not read meanwhile.
    let mut old = broker.client("two", Version::V311).await;
    for packet in 1..=4 {
        old.publish(publish("a/x", "", Qos::AtLeastOnce, packet))
            .await;
    }
    broker.until(|_| inbox.len() == 6).await;
    let mut handled = Vec::new();
    inbox.try_receive(100, &mut handled);
    handled.clear();
    for _ in 0..3 {
        assert!(matches!(old.packet().await, Packet::PubAck(_)));
    }
    broker.until(|_| inbox.len() == 1).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_device_that_is_silent_for_too_long_is_lost() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let brief = Connect {
        keep_alive_s: 1,
        ..connect("one", Version::V5)
    };
    let (mut one, _) = broker.connect("one", brief).await;
    let begin = tokio::time::Instant::now();
    assert_eq!(one.ended().await, Some(Reason::KEEP_ALIVE_TIMEOUT));
    assert!(begin.elapsed() >= Duration::from_millis(1_400));
    broker.stop().await;
}

#[tokio::test]
async fn a_device_that_does_not_read_costs_a_bounded_amount_and_then_its_connection() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.limits.write_stall_ms_max = 300.try_into().unwrap();
    setup.quota.queue_messages_max = 5.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let mut slow = broker.client("two", Version::V5).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
        .await;
    let party = broker.party("plugin");
    for _ in 0..100 {
        let message = crate::bus::Message::new("a/x".parse().unwrap(), vec![0; 32 << 10]);
        party.publish(message).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(broker.shared.counters.sent_total.get() < 10);
    broker
        .until(|broker| broker.shared.sessions.len() == 0)
        .await;
    assert_eq!(broker.shared.counters.faults_total.get(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_device_that_need_not_speak_and_does_not_read_its_only_message_is_lost() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.limits.write_stall_ms_max = 300.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let mut slow = broker.client("two", Version::V5).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
        .await;
    let party = broker.party("plugin");
    let message = crate::bus::Message::new("a/x".parse().unwrap(), vec![0; 200 << 10]);
    party.publish(message).unwrap();
    broker
        .until(|broker| broker.shared.sessions.len() == 0)
        .await;
    assert_eq!(broker.shared.counters.faults_total.get(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn one_busy_device_does_not_keep_the_others_waiting() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.publish_per_second_max = 1_000_000.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let mut busy = broker.client("one", Version::V5).await;
    let mut calm = broker.client("two", Version::V5).await;
    let mut out = bytes::BytesMut::new();
    let packet = Packet::Publish(publish("a/x", "x", Qos::AtMostOnce, 0));
    for _ in 0..3_000 {
        crate::mqtt::encode(&packet, Version::V5, &mut out).unwrap();
    }
    busy.send_bytes(&out).await;
    calm.hears_nothing().await;
    // It was served while the other's packets were still being looked at.
    busy.hears_nothing().await;
    assert_eq!(broker.shared.counters.received_total.get(), 3_000);
    broker.stop().await;
}
