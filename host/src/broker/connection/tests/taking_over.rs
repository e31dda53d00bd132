//! Two connections that want the same session.

use std::time::Duration;

use super::broker::{Broker, directory};
use super::client::{connect, lasting, publish, subscription};
use crate::broker::connection::CUT_AFTER;
use crate::broker::session::tests::claim;
use crate::mqtt::{Packet, Reason, Version};
use crate::names::Qos;

#[tokio::test]
async fn the_newcomer_gets_the_session_and_the_old_connection_is_told() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut old, _) = broker.connect("two", lasting("two", Version::V5)).await;
    old.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    one.publish(publish("a/x", "1", Qos::AtLeastOnce, 1)).await;
    let first = old.message().await;
    let (mut new, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(present);
    assert_eq!(old.ended().await, Some(Reason::SESSION_TAKEN_OVER));
    let again = new.message().await;
    assert!(again.dup);
    assert_eq!(again.packet_id, first.packet_id);
    assert_eq!(broker.shared.sessions.len(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_flaps_has_one_session_in_the_end() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut clients = Vec::new();
    for round in 0..40 {
        let mut client = broker.dial("two", Version::V5);
        let begin = match round % 3 {
            0 => connect("two", Version::V5),
            _ => lasting("two", Version::V5),
        };
        client
            .send(crate::mqtt::Packet::Connect(Box::new(begin)))
            .await;
        clients.push(client);
    }
    let (mut last, _) = broker.connect("two", lasting("two", Version::V5)).await;
    last.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    for client in &mut clients {
        client.ended().await;
    }
    last.hears_nothing().await;
    assert_eq!(broker.shared.sessions.len(), 1);
    drop(last);
    let (_, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(present);
    broker.stop().await;
}

/// Lets all others do what they can do now.
async fn let_others_work() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_for_a_session_gets_it_however_long_ago_it_was_told_to_end() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let hour = Duration::from_secs(3_600);
    let stuck = claim(&broker.shared.devices, hour);
    let stuck = broker.shared.sessions.claim(stuck).await.unwrap();
    let mut one = broker.dial("one", Version::V5);
    let begin = lasting("one", Version::V5);
    one.send(Packet::Connect(Box::new(begin))).await;
    let told = &stuck.owner.line().told;
    broker.until(|_| told.reason().is_some()).await;
    broker.tell_to_end();
    tokio::time::pause();
    let_others_work().await;
    tokio::time::advance(CUT_AFTER + Duration::from_secs(1)).await;
    let_others_work().await;
    tokio::time::resume();
    stuck.owner.release(Some(stuck.session));
    let Some(Packet::ConnAck(ack)) = one.next().await else {
        panic!("it was to be let in");
    };
    assert!(ack.session_present);
    assert_eq!(one.ended().await, Some(Reason::SERVER_SHUTTING_DOWN));
    let (_one, present) = broker.connect("one", lasting("one", Version::V5)).await;
    assert!(present);
    broker.stop().await;
}

#[tokio::test]
async fn another_devices_session_of_the_same_name_is_another() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    // A device's name may begin with another's.
    broker.add_device("one-two");
    let (mut one, _) = broker.connect("one", lasting("one-two", Version::V5)).await;
    let (_other, present) = broker
        .connect("one-two", lasting("one-two", Version::V5))
        .await;
    assert!(!present);
    one.hears_nothing().await;
    assert_eq!(broker.shared.sessions.len(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_device_that_changed_is_told_and_its_session_stays() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let two_name = "two".parse().unwrap();
    broker
        .shared
        .sessions
        .disconnect_device(&two_name, Reason::ADMINISTRATIVE_ACTION);
    assert_eq!(two.ended().await, Some(Reason::ADMINISTRATIVE_ACTION));
    // Whoever may do the same is left alone.
    broker
        .shared
        .sessions
        .disconnect_device(&two_name, Reason::ADMINISTRATIVE_ACTION);
    let mut one = broker.client("one", Version::V5).await;
    one.publish_acked("a/x", "1").await;
    let (mut two, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(present);
    assert_eq!(two.message_acked().await, "1");
    broker.stop().await;
}

#[tokio::test]
async fn the_sessions_of_a_device_that_may_not_come_in_end_for_good() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    for is_away in [true, false] {
        let (mut two, present) = broker.connect("two", lasting("two", Version::V5)).await;
        assert!(!present);
        two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
            .await;
        if is_away {
            two.disconnect().await;
            broker
                .until(|broker| broker.shared.sessions.is_away("two"))
                .await;
            one.publish_acked("a/x", "1").await;
            assert_eq!(broker.shared.sessions.stored_messages(), 1);
            broker.change_device("two", None);
        } else {
            broker.change_device("two", None);
            assert_eq!(two.ended().await, Some(Reason::NOT_AUTHORIZED));
        }
        broker
            .until(|broker| broker.shared.sessions.len() == 1)
            .await;
        broker
            .until(|broker| broker.shared.sessions.stored_messages() == 0)
            .await;
        broker.add_device("two");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_session_collects_no_longer_what_its_device_may_not_have() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    for filter in ["a/x", "a/y"] {
        two.subscribe(vec![subscription(filter, Qos::AtLeastOnce)])
            .await;
    }
    two.disconnect().await;
    broker
        .until(|broker| broker.shared.sessions.is_away("two"))
        .await;
    let mut one = broker.client("one", Version::V5).await;
    broker.change_device("two", Some("publish = []\nsubscribe = [\"a/y\"]\n"));
    let stored = |broker: &Broker| broker.shared.sessions.stored_messages();
    // Once it was told, nothing of the one topic comes any more.
    let mut nobody = None;
    while nobody != Some(Reason::NO_MATCHING_SUBSCRIBERS) {
        one.publish(publish("a/x", "1", Qos::AtLeastOnce, 1)).await;
        let Packet::PubAck(ack) = one.packet().await else {
            panic!("no acknowledgement");
        };
        nobody = Some(ack.reason);
    }
    let before = stored(&broker);
    one.publish_acked("a/y", "2").await;
    assert_eq!(stored(&broker), before + 1);
    broker.stop().await;
}
