//! Which messages come, how often and how.

use std::num::NonZeroU32;

use super::broker::{Broker, Setup, directory};
use super::client::{connect, id, publish, subscription};
use crate::mqtt::{
    Connect, Packet, Publish, Reason, RetainHandling, Subscribe, Subscription, Version,
};
use crate::names::Qos;

#[tokio::test]
async fn each_filter_is_answered_for_itself() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.subscriptions_max = 3.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let mut one = broker.client("one", Version::V5).await;
    let reasons = one
        .subscribe(vec![
            subscription("a/+/b", Qos::ExactlyOnce),
            subscription("a/#/b", Qos::AtMostOnce),
            subscription("b/#", Qos::AtMostOnce),
            subscription("#", Qos::AtMostOnce),
            subscription("$share/g/a/x", Qos::AtLeastOnce),
            subscription("$share/h/a/x", Qos::AtLeastOnce),
            subscription("a/1", Qos::AtMostOnce),
            subscription("a/2", Qos::AtMostOnce),
            subscription("a/1", Qos::AtLeastOnce),
        ])
        .await;
    assert_eq!(
        reasons,
        [
            Reason::GRANTED_QOS_2,
            Reason::FILTER_INVALID,
            Reason::NOT_AUTHORIZED,
            Reason::NOT_AUTHORIZED,
            Reason::GRANTED_QOS_1,
            Reason::NOT_AUTHORIZED,
            Reason::SUCCESS,
            Reason::QUOTA_EXCEEDED,
            Reason::GRANTED_QOS_1,
        ]
    );
    assert_eq!(one.unsubscribe("a/1").await, [Reason::SUCCESS]);
    assert_eq!(
        one.unsubscribe("a/1").await,
        [Reason::NO_SUBSCRIPTION_EXISTED]
    );
    assert_eq!(one.unsubscribe("a/#/1").await, [Reason::FILTER_INVALID]);
    broker.stop().await;
}

#[tokio::test]
async fn overlapping_subscriptions_give_one_copy_with_all_identifiers() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    for (number, filter, qos) in [(3, "a/#", Qos::AtMostOnce), (4, "a/x", Qos::AtLeastOnce)] {
        one.send(Packet::Subscribe(Subscribe {
            packet_id: id(1),
            subscription_id: NonZeroU32::new(number),
            user: Vec::new(),
            subscriptions: vec![subscription(filter, qos)],
        }))
        .await;
        assert!(matches!(one.packet().await, Packet::SubAck(_)));
    }
    one.publish(publish("a/x", "1", Qos::ExactlyOnce, 1)).await;
    let Packet::PubRec(_) = one.packet().await else {
        panic!("an answer was expected");
    };
    let message = one.message().await;
    assert_eq!(message.qos, Qos::AtLeastOnce);
    let ids: Vec<_> = message
        .properties
        .subscription_ids
        .iter()
        .map(|id| id.get())
        .collect();
    assert_eq!(ids, [3, 4]);
    one.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn the_options_of_a_subscription_are_kept() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut one = broker.client("one", Version::V5).await;
    let retained = |text: &str| Publish {
        retain: true,
        ..publish("a/x", text, Qos::AtMostOnce, 0)
    };
    one.publish(retained("kept")).await;
    one.hears_nothing().await;
    let with = |handling, no_local, as_published| Subscription {
        retain_handling: handling,
        no_local,
        retain_as_published: as_published,
        ..subscription("a/x", Qos::AtMostOnce)
    };
    // Never, only if new, always.
    one.subscribe(vec![with(RetainHandling::Leave, false, false)])
        .await;
    one.hears_nothing().await;
    one.subscribe(vec![with(RetainHandling::SendIfNew, false, false)])
        .await;
    one.hears_nothing().await;
    one.unsubscribe("a/x").await;
    one.subscribe(vec![with(RetainHandling::SendIfNew, false, false)])
        .await;
    assert!(one.message().await.retain);
    one.subscribe(vec![with(RetainHandling::Send, true, true)])
        .await;
    one.hears_nothing().await;
    // Its own do not come back; others' come as they were published.
    one.publish(retained("mine")).await;
    one.hears_nothing().await;
    let mut two = broker.client("two", Version::V5).await;
    two.publish(retained("yours")).await;
    let message = one.message().await;
    assert_eq!((&*message.payload, message.retain), (&b"yours"[..], true));
    one.subscribe(vec![with(RetainHandling::Leave, true, false)])
        .await;
    two.publish(retained("yours")).await;
    assert!(!one.message().await.retain);
    broker.stop().await;
}

#[tokio::test]
async fn a_group_shares_its_messages() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let mut members = Vec::new();
    for name in ["two", "three"] {
        let mut member = broker.client(name, Version::V5).await;
        member
            .subscribe(vec![subscription("$share/g/a/#", Qos::AtLeastOnce)])
            .await;
        members.push(member);
    }
    let mut one = broker.client("one", Version::V5).await;
    for number in 0..4 {
        one.publish_acked("a/x", &number.to_string()).await;
    }
    for member in &mut members {
        member.message_acked().await;
        member.message_acked().await;
        member.hears_nothing().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn topics_are_shortened_for_devices_that_allow_it() {
    let directory = directory();
    let broker = Broker::start(directory.path());
    let short = Connect {
        topic_alias_max: 1,
        packet_bytes_max: NonZeroU32::new(60),
        ..connect("two", Version::V5)
    };
    let (mut two, _) = broker.connect("two", short).await;
    two.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    // One that the device does not take is passed over, and its alias not set.
    one.publish_acked("a/large", &"x".repeat(60)).await;
    one.publish_acked("a/x", "1").await;
    one.publish_acked("a/x", "2").await;
    for text in ["1", "2"] {
        let message = two.message().await;
        assert_eq!(&*message.payload, text.as_bytes());
        assert_eq!(message.topic.unwrap().as_str(), "a/x");
    }
    assert_eq!(broker.shared.counters.unsent_total.get(), 1);
    let (mut three, _) = broker
        .connect(
            "three",
            Connect {
                topic_alias_max: 1,
                ..connect("three", Version::V5)
            },
        )
        .await;
    three
        .subscribe(vec![subscription("a/#", Qos::AtMostOnce)])
        .await;
    for topic in ["a/x", "a/y", "a/x"] {
        one.publish(publish(topic, "", Qos::AtMostOnce, 0)).await;
    }
    let first = three.message().await;
    assert!(first.topic.is_some() && first.properties.topic_alias.is_some());
    let second = three.message().await;
    assert!(second.topic.is_some() && second.properties.topic_alias.is_none());
    let third = three.message().await;
    assert_eq!(
        (third.topic, third.properties.topic_alias),
        (None, first.properties.topic_alias)
    );
    broker.stop().await;
}
