//! What becomes of sessions that nobody has: none is lost, and none takes room for
//! ever.

use std::num::NonZeroU32;
use std::time::Duration;

use super::broker::{Broker, Setup, directory};
use super::client::{lasting, publish, subscription};
use crate::mqtt::{Connect, Packet, Version};
use crate::names::Qos;

/// Leaves a session of `device` with one message.
async fn leave_one(broker: &Broker, device: &str, connect: Connect) {
    let (mut two, _) = broker.connect(device, connect).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    two.disconnect().await;
    let mut one = broker.client("one", Version::V5).await;
    one.publish(publish("a/x", "1", Qos::AtLeastOnce, 1)).await;
    assert!(matches!(one.packet().await, Packet::PubAck(_)));
    one.disconnect().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_leaves_its_session_where_it_was() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    leave_one(&broker, "two", lasting("two", Version::V5)).await;
    let tiny = Connect {
        packet_bytes_max: NonZeroU32::new(4),
        ..lasting("two", Version::V5)
    };
    let mut small = broker.dial("two", Version::V5);
    small.send(Packet::Connect(Box::new(tiny))).await;
    assert_eq!(small.next().await, None);
    let (mut two, present) = broker.connect("two", lasting("two", Version::V5)).await;
    assert!(present);
    assert_eq!(two.message_acked().await, "1");
    broker.stop().await;
}

#[tokio::test]
async fn a_session_of_a_device_that_is_gone_takes_no_room_for_ever() {
    let directory = directory();
    let file = directory.path().join("devices/guest.toml");
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(&file, "subscribe = [\"a/#\"]").unwrap();
    let broker = Broker::start(directory.path());
    let brief = Connect {
        session_expiry_s: 8,
        ..lasting("guest", Version::V5)
    };
    leave_one(&broker, "guest", brief).await;
    broker.stop().await;
    fs_err::remove_file(file).unwrap();
    let broker = Broker::start(directory.path());
    // Its device may come back.
    assert_eq!(broker.shared.sessions.stored_messages(), 1);
    assert_eq!(broker.shared.sessions.len(), 0);
    broker.stop().await;
    tokio::time::sleep(Duration::from_millis(8_100)).await;
    let broker = Broker::start(directory.path());
    let is_empty = |broker: &Broker| broker.shared.sessions.stored_messages() == 0;
    broker.until(is_empty).await;
    broker.stop().await;
}

#[tokio::test]
async fn who_subscribes_again_and_again_is_not_read_for_a_while() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.publish_per_second_max = 10.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let begin = tokio::time::Instant::now();
    let mut one = broker.client("one", Version::V5).await;
    for _ in 0..5 {
        let filters = ["a/1", "a/2", "a/3"].map(|filter| subscription(filter, Qos::AtMostOnce));
        one.subscribe(filters.into()).await;
    }
    one.hears_nothing().await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
    broker.stop().await;
}
