//! Two connections that want the same session.

use super::broker::{Broker, directory};
use super::client::{connect, lasting, subscription};
use crate::mqtt::{Reason, Version};
use crate::names::Qos;

#[tokio::test]
async fn the_newcomer_gets_the_session_and_the_old_connection_is_told() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let (mut old, _) = broker.connect("two", lasting("two", Version::V5)).await;
    old.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    one.publish(super::client::publish("a/x", "1", Qos::AtLeastOnce, 1))
        .await;
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
    // Whoever is away is left alone.
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
