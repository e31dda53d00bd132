//! A device that keeps to what it may have under way is never told otherwise.

use std::sync::mpsc;

use super::broker::{Broker, Setup, directory};
use super::client::{Client, id, lasting, publish};
use crate::mqtt::{Packet, Publish, Reason, Version};
use crate::names::Qos;

async fn send(client: &mut Client, packet: u16, dup: bool) {
    let message = publish("a/x", "1", Qos::ExactlyOnce, packet);
    client.publish(Publish { dup, ..message }).await;
}

async fn is_received(client: &mut Client, packet: u16) {
    match client.packet().await {
        Packet::PubRec(ack) => assert_eq!(ack.packet_id, id(packet)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_whose_window_is_full_may_come_back_and_send_all_of_it_again() {
    let directory = directory();
    let mut setup = Setup::default();
    setup.quota.inflight_max = 3.try_into().unwrap();
    setup.quota.publish_per_second_max = 100_000.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    for (version, full) in [(Version::V5, 3), (Version::V311, 1_024)] {
        let name = if full == 3 { "one" } else { "two" };
        let (mut client, _) = broker.connect(name, lasting(name, version)).await;
        for packet in 1..=full {
            send(&mut client, packet, false).await;
            is_received(&mut client, packet).await;
        }
        drop(client);
        let (mut client, present) = broker.connect(name, lasting(name, version)).await;
        assert!(present);
        for packet in 1..=full {
            send(&mut client, packet, true).await;
            is_received(&mut client, packet).await;
        }
        client.answer(Packet::PubRel, id(1)).await;
        assert!(matches!(client.packet().await, Packet::PubComp(_)));
        send(&mut client, full + 1, false).await;
        is_received(&mut client, full + 1).await;
        // One more is one too many.
        send(&mut client, full + 2, false).await;
        let reason = (version == Version::V5).then_some(Reason::RECEIVE_MAX_EXCEEDED);
        assert_eq!(client.ended().await, reason);
    }
    broker.stop().await;
}

/// On a runtime whose disk does nothing until it is let go.
fn with_one_disk(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(test());
}

/// Nothing is written until what is returned is dropped.
fn stall_disk() -> mpsc::SyncSender<()> {
    let (go_on, stalled) = mpsc::sync_channel::<()>(0);
    drop(tokio::task::spawn_blocking(move || stalled.recv()));
    go_on
}

#[test]
fn a_message_that_is_being_written_counts_once() {
    with_one_disk(async || {
        let directory = directory();
        let mut setup = Setup::default();
        setup.quota.inflight_max = 4.try_into().unwrap();
        let broker = Broker::start_with(directory.path(), setup);
        let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
        let stalled = stall_disk();
        for packet in 1..=3 {
            send(&mut one, packet, false).await;
        }
        // When that is answered they are being written.
        one.hears_nothing().await;
        send(&mut one, 4, false).await;
        one.hears_nothing().await;
        drop(stalled);
        for packet in 1..=4 {
            is_received(&mut one, packet).await;
        }
        send(&mut one, 5, false).await;
        assert_eq!(one.ended().await, Some(Reason::RECEIVE_MAX_EXCEEDED));
        broker.stop().await;
    });
}

#[test]
fn an_identifier_is_free_only_when_the_disk_knows() {
    with_one_disk(async || {
        let directory = directory();
        let broker = Broker::start(directory.path());
        let (mut one, _) = broker.connect("one", lasting("one", Version::V5)).await;
        for packet in 1..=2 {
            send(&mut one, packet, false).await;
            is_received(&mut one, packet).await;
        }
        let stalled = stall_disk();
        for packet in [1, 2, 1] {
            one.answer(Packet::PubRel, id(packet)).await;
        }
        // Others are answered meanwhile.
        assert!(!one.publish_acked("a/x", "1").await.is_failure());
        one.hears_nothing().await;
        drop(stalled);
        for packet in 1..=2 {
            let Packet::PubComp(ack) = one.packet().await else {
                panic!("a release was to be answered");
            };
            assert_eq!((ack.packet_id, ack.reason), (id(packet), Reason::SUCCESS));
        }
        one.hears_nothing().await;
        broker.stop().await;
    });
}
