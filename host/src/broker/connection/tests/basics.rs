//! Connect, subscribe, publish, ping, disconnect: in both versions.

use super::broker::{Broker, directory};
use super::client::{connect, publish, subscription};
use crate::mqtt::{Packet, Reason, Version};
use crate::names::Qos;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

#[tokio::test]
async fn what_one_device_publishes_another_gets() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    for version in VERSIONS {
        let mut one = broker.client("one", version).await;
        let mut two = broker.client("two", version).await;
        let granted = two
            .subscribe(vec![subscription("a/+", Qos::AtLeastOnce)])
            .await;
        assert_eq!(granted, [Reason::GRANTED_QOS_1]);
        one.publish(publish("a/x", "0", Qos::AtMostOnce, 0)).await;
        assert_eq!(one.publish_acked("a/x", "1").await, Reason::SUCCESS);
        let first = two.message().await;
        assert_eq!((first.qos, &*first.payload), (Qos::AtMostOnce, &b"0"[..]));
        assert_eq!(two.message_acked().await, "1");
        two.unsubscribe("a/+").await;
        one.publish_acked("a/x", "2").await;
        two.hears_nothing().await;
        one.disconnect().await;
        two.disconnect().await;
    }
    broker
        .until(|broker| broker.shared.sessions.len() == 0)
        .await;
    broker.stop().await;
}

#[tokio::test]
async fn a_kept_value_comes_with_the_subscription() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    let mut value = publish("a/x", "kept", Qos::AtLeastOnce, 1);
    value.retain = true;
    one.publish(value).await;
    assert!(matches!(one.packet().await, Packet::PubAck(_)));
    one.subscribe(vec![subscription("a/x", Qos::AtLeastOnce)])
        .await;
    let kept = one.message().await;
    assert!(kept.retain && &*kept.payload == b"kept");
    broker.stop().await;
}

#[tokio::test]
async fn a_client_id_of_another_device_is_refused() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    for version in VERSIONS {
        let mut client = broker.dial("one", version);
        let ack = client.connect(connect("two", version)).await;
        assert_eq!(ack.reason, Reason::CLIENT_ID_NOT_VALID);
        assert_eq!(client.next().await, None);
        let mut nobody = broker.dial("one", version);
        let ack = nobody.connect(connect("", version)).await;
        assert!(!ack.reason.is_failure());
        if version == Version::V5 {
            assert!(ack.assigned_client_id.unwrap().starts_with("one/"));
        }
    }
    broker.stop().await;
}
