//! QoS 2: each message once, whatever is sent twice.

use tokio::time::timeout;

use super::broker::{Broker, Setup, directory};
use super::client::{Client, WAIT, id, lasting, publish, subscription};
use crate::mqtt::{Packet, Publish, Reason, Version};
use crate::names::Qos;

async fn pub_rec(client: &mut Client) -> (u16, Reason) {
    match client.packet().await {
        Packet::PubRec(ack) => (ack.packet_id.get(), ack.reason),
        other => panic!("{other:?}"),
    }
}

async fn pub_comp(client: &mut Client) -> (u16, Reason) {
    match client.packet().await {
        Packet::PubComp(ack) => (ack.packet_id.get(), ack.reason),
        other => panic!("{other:?}"),
    }
}

async fn pub_rel(client: &mut Client) -> u16 {
    match client.packet().await {
        Packet::PubRel(ack) => ack.packet_id.get(),
        other => panic!("{other:?}"),
    }
}

fn again(publish: Publish) -> Publish {
    Publish {
        dup: true,
        ..publish
    }
}

#[tokio::test]
async fn a_message_sent_twice_is_published_once() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    for version in [Version::V311, Version::V5] {
        for lasts in [false, true] {
            let name = if lasts { "one" } else { "three" };
            let mut two = broker.client("two", version).await;
            two.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
                .await;
            let mut one = if lasts {
                broker.connect(name, lasting(name, version)).await.0
            } else {
                broker.client(name, version).await
            };
            let message = publish("a/x", "once", Qos::ExactlyOnce, 7);
            one.publish(message.clone()).await;
            assert_eq!(pub_rec(&mut one).await, (7, Reason::SUCCESS));
            one.publish(again(message)).await;
            assert_eq!(pub_rec(&mut one).await, (7, Reason::SUCCESS));
            one.answer(Packet::PubRel, id(7)).await;
            assert_eq!(pub_comp(&mut one).await, (7, Reason::SUCCESS));
            one.answer(Packet::PubRel, id(7)).await;
            let unknown = match version {
                Version::V311 => Reason::SUCCESS,
                Version::V5 => Reason::PACKET_ID_NOT_FOUND,
            };
            assert_eq!(pub_comp(&mut one).await, (7, unknown));
            one.publish(publish("a/x", "next", Qos::ExactlyOnce, 7))
                .await;
            assert_eq!(pub_rec(&mut one).await.0, 7);
            one.answer(Packet::PubRel, id(7)).await;
            assert_eq!(pub_comp(&mut one).await, (7, Reason::SUCCESS));
            assert_eq!(two.message_acked().await, "once");
            assert_eq!(two.message_acked().await, "next");
            two.hears_nothing().await;
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_was_taken_in_is_known_after_a_crash() {
    let directory = directory();
    let message = publish("a/x", "once", Qos::ExactlyOnce, 7);
    let broker = Broker::start(directory.path());
    let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
    one.publish(message.clone()).await;
    assert_eq!(pub_rec(&mut one).await.0, 7);
    broker.kill().await;

    let broker = Broker::start(directory.path());
    let mut two = broker.client("two", Version::V5).await;
    two.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
        .await;
    let (mut one, present) = broker.connect("one", lasting("one", Version::V5)).await;
    assert!(present);
    one.publish(again(message)).await;
    assert_eq!(pub_rec(&mut one).await, (7, Reason::SUCCESS));
    one.answer(Packet::PubRel, id(7)).await;
    assert_eq!(pub_comp(&mut one).await, (7, Reason::SUCCESS));
    two.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn what_was_released_is_not_known_after_a_crash() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
    for packet in 1..=20 {
        one.publish(publish("a/x", "old", Qos::ExactlyOnce, packet))
            .await;
    }
    for packet in 1..=20 {
        assert_eq!(pub_rec(&mut one).await.0, packet);
        one.answer(Packet::PubRel, id(packet)).await;
    }
    for packet in 1..=20 {
        assert_eq!(pub_comp(&mut one).await, (packet, Reason::SUCCESS));
    }
    broker.kill().await;

    let broker = Broker::start(directory.path());
    let mut two = broker.client("two", Version::V5).await;
    two.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
        .await;
    let (mut one, present) = broker.connect("one", lasting("one", Version::V5)).await;
    assert!(present);
    // Another message, which the crash kept from being answered.
    for packet in [1, 20] {
        let next = publish("a/x", "new", Qos::ExactlyOnce, packet);
        one.publish(again(next)).await;
        assert_eq!(pub_rec(&mut one).await, (packet, Reason::SUCCESS));
        assert_eq!(two.message_acked().await, "new");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_message_that_is_not_handled_yet_is_not_published_again_for_a_device_that_came_back() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let plugin = broker.party("plugin");
    let mut inbox = Broker::answering(&plugin, 10);
    let message = publish("a/x", "once", Qos::ExactlyOnce, 7);
    let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
    one.publish(message.clone()).await;
    let mut held = Vec::new();
    inbox.receive(1, &mut held).await;
    drop(one);
    let (mut one, present) = broker.connect("one", lasting("one", Version::V5)).await;
    assert!(present);
    one.publish(again(message)).await;
    one.hears_nothing().await;
    assert!(inbox.is_empty());
    held.clear();
    assert_eq!(pub_rec(&mut one).await, (7, Reason::SUCCESS));
    broker.stop().await;
}

#[tokio::test]
async fn a_message_that_is_handled_while_its_device_is_away_is_known_after_a_restart() {
    for is_killed in [true, false] {
        let directory = directory();
        let broker = Broker::start(directory.path());
        let plugin = broker.party("plugin");
        let mut inbox = Broker::answering(&plugin, 10);
        let message = publish("a/x", "once", Qos::ExactlyOnce, 7);
        let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
        one.publish(message.clone()).await;
        let mut held = Vec::new();
        inbox.receive(1, &mut held).await;
        drop(one);
        broker
            .until(|broker| broker.shared.sessions.is_away("one"))
            .await;
        held.clear();
        if is_killed {
            let known = |broker: &Broker| {
                let recorded = broker.shared.sessions.recorded();
                recorded.iter().any(|own| own.received == [id(7)])
            };
            broker.until(known).await;
            broker.kill().await;
        } else {
            broker.stop().await;
        }

        let broker = Broker::start(directory.path());
        let mut two = broker.client("two", Version::V5).await;
        two.subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
            .await;
        let (mut one, present) = broker.connect("one", lasting("one", Version::V5)).await;
        assert!(present);
        one.publish(again(message)).await;
        assert_eq!(pub_rec(&mut one).await, (7, Reason::SUCCESS));
        two.hears_nothing().await;
        broker.stop().await;
    }
}

#[tokio::test]
async fn what_a_device_never_sends_again_is_forgotten_in_the_end() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.inflight_max = 2.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let plugin = broker.party("plugin");
    let mut inbox = Broker::answering(&plugin, 10);
    let message = |packet| publish("a/x", "once", Qos::ExactlyOnce, packet);
    let mut held = Vec::new();
    for first in [1, 3, 5] {
        let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
        for packet in [first, first + 1] {
            one.publish(message(packet)).await;
            inbox.receive(1, &mut held).await;
        }
        drop(one);
    }
    let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
    one.publish(again(message(6))).await;
    one.hears_nothing().await;
    assert!(inbox.is_empty());
    one.publish(again(message(1))).await;
    let receive = inbox.receive(1, &mut held);
    timeout(WAIT, receive).await.expect("it was still known");
    assert_eq!(held.len(), 7);
    held.clear();
    for packet in [6, 1] {
        assert_eq!(pub_rec(&mut one).await, (packet, Reason::SUCCESS));
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_message_goes_out_once_with_the_same_identifier_through_crashes() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::ExactlyOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    one.publish(publish("a/x", "once", Qos::ExactlyOnce, 1))
        .await;
    assert_eq!(pub_rec(&mut one).await.0, 1);
    let first = two.message().await;
    assert!(!first.dup);
    let packet = first.packet_id.unwrap();
    broker.kill().await;

    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    let second = two.message().await;
    assert!(second.dup);
    assert_eq!(
        (second.packet_id, &*second.payload),
        (Some(packet), &b"once"[..])
    );
    two.answer(Packet::PubRec, packet).await;
    assert_eq!(pub_rel(&mut two).await, packet.get());
    broker.kill().await;

    // From now on it is only released.
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    assert_eq!(pub_rel(&mut two).await, packet.get());
    two.answer(Packet::PubComp, packet).await;
    two.hears_nothing().await;
    broker
        .until(|broker| broker.shared.sessions.stored_messages() == 0)
        .await;
    broker.stop().await;
    let broker = Broker::start(directory.path());
    let (mut two, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(present);
    two.hears_nothing().await;
    broker.stop().await;
}
