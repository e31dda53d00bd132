//! Devices with lasting sessions that do not read, or hardly: they cost a bounded
//! amount, and nobody waits for them.

use super::broker::{Broker, Setup, directory};
use super::client::{Client, id, lasting, publish, subscription};
use crate::bus::{Message, Party};
use crate::mqtt::{Connect, Packet, Reason, Version};
use crate::names::Qos;

/// What nobody reads is not cut in these tests.
fn patient() -> Setup {
    let mut setup = Setup::default();
    setup.limits.write_stall_ms_max = 600_000.try_into().unwrap();
    setup
}

fn tell(party: &Party, count: usize, bytes: usize) {
    for _ in 0..count {
        let message = Message {
            qos: Qos::AtMostOnce,
            ..Message::new("a/x".parse().unwrap(), vec![b'0'; bytes])
        };
        party.publish(message).unwrap();
    }
}

/// Publishes with QoS 2, to the end.
async fn publish_once(client: &mut Client, text: &str) {
    client
        .publish(publish("a/x", text, Qos::ExactlyOnce, 9))
        .await;
    let Packet::PubRec(ack) = client.packet().await else {
        panic!("an answer was expected");
    };
    assert_eq!(ack.reason, Reason::SUCCESS);
    client.answer(Packet::PubRel, id(9)).await;
    assert!(matches!(client.packet().await, Packet::PubComp(_)));
}

#[tokio::test]
async fn who_publishes_waits_for_nobody_who_does_not_read() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let directory = directory();
        let broker = Broker::start_with(directory.path(), patient());
        let (mut slow, _) = broker.connect("two", lasting("two", Version::V5)).await;
        slow.subscribe(vec![subscription("a/#", qos)]).await;
        let mut one = broker.client("one", Version::V5).await;
        let text = |number: usize| format!("{number}{}", "x".repeat(100 << 10));
        for number in 0..6 {
            match qos {
                Qos::ExactlyOnce => publish_once(&mut one, &text(number)).await,
                _ => {
                    let answer = one.publish_acked("a/x", &text(number)).await;
                    assert_eq!(answer, Reason::SUCCESS);
                }
            }
        }
        assert_eq!(broker.shared.counters.stored_total.get(), 6);
        // The connection stands, and has them all, once and in order.
        let mut next = 0;
        while next < 6 {
            match slow.packet().await {
                Packet::Publish(message) => {
                    assert!(message.payload == text(next).as_bytes());
                    next += 1;
                    let id = message.packet_id.unwrap();
                    match qos {
                        Qos::ExactlyOnce => slow.answer(Packet::PubRec, id).await,
                        _ => slow.answer(Packet::PubAck, id).await,
                    }
                }
                Packet::PubRel(ack) => slow.answer(Packet::PubComp, ack.packet_id).await,
                other => panic!("{other:?}"),
            }
        }
        broker.stop().await;
    }
}

#[tokio::test]
async fn a_device_that_reads_next_to_nothing_holds_up_nobody() {
    let directory = directory();
    let broker = Broker::start_with(directory.path(), patient());
    let (mut slow, _) = broker.connect("two", lasting("two", Version::V5)).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let plugin = broker.party("plugin");
    let mut one = broker.client("one", Version::V5).await;
    let publishing = async {
        for number in 0..30 {
            // There is always something that fills what little it reads.
            tell(&plugin, 20, 1 << 10);
            let answer = one.publish_acked("a/x", &number.to_string()).await;
            assert_eq!(answer, Reason::SUCCESS);
        }
    };
    tokio::select! {
        () = publishing => {}
        () = slow.trickle() => {}
    }
    let mut next = 0;
    while next < 30 {
        let message = slow.message().await;
        if let Some(id) = message.packet_id {
            assert!(message.payload == next.to_string());
            slow.answer(Packet::PubAck, id).await;
            next += 1;
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_need_not_arrive_is_held_within_bounds_for_a_lasting_device() {
    let directory = directory();
    let mut setup = patient();
    setup.quota.queue_messages_max = 30.try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let window = Connect {
        receive_max: 1.try_into().unwrap(),
        ..lasting("two", Version::V5)
    };
    let (mut slow, _) = broker.connect("two", window).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let plugin = broker.party("plugin");
    let mut one = broker.client("one", Version::V5).await;
    // Each is on the disk at its answer: what came before it was looked at.
    for number in 0..20 {
        one.publish_acked("a/x", &number.to_string()).await;
        tell(&plugin, 8, 16 << 10);
    }
    one.publish_acked("a/x", "20").await;
    // As much as the pipe and the buffer hold.
    let counters = &broker.shared.counters;
    assert!(counters.sent_total.get() < 15);
    let dropped = counters.dropped_total.get();
    assert!(dropped > 160 - 30 - 15);
    let (mut need_not, mut must) = (160 - dropped, 0);
    while need_not > 0 || must <= 20 {
        let message = slow.message().await;
        match message.packet_id {
            None => need_not -= 1,
            Some(id) => {
                assert!(message.payload == must.to_string());
                slow.answer(Packet::PubAck, id).await;
                must += 1;
            }
        }
    }
    slow.hears_nothing().await;
    assert_eq!(broker.shared.counters.dropped_total.get(), dropped);
    broker.stop().await;
}

#[tokio::test]
async fn a_lasting_device_that_pauses_misses_nothing_for_which_there_is_room() {
    let directory = directory();
    let broker = Broker::start_with(directory.path(), patient());
    let (mut slow, _) = broker.connect("two", lasting("two", Version::V5)).await;
    slow.subscribe(vec![subscription("a/#", Qos::AtLeastOnce)])
        .await;
    let plugin = broker.party("plugin");
    tell(&plugin, 200, 4 << 10);
    let mut one = broker.client("one", Version::V5).await;
    assert_eq!(one.publish_acked("a/x", "1").await, Reason::SUCCESS);
    let (mut need_not, mut must) = (0, 0);
    while need_not < 200 || must < 1 {
        let message = slow.message().await;
        match message.packet_id {
            None => need_not += 1,
            Some(id) => {
                slow.answer(Packet::PubAck, id).await;
                must += 1;
            }
        }
    }
    slow.hears_nothing().await;
    assert_eq!(broker.shared.counters.dropped_total.get(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_full_store_keeps_nobody_waiting_for_a_device_half_way_through_a_message() {
    let directory = directory();
    let mut setup = patient();
    setup.limits.kept_bytes_max = (16 << 10).try_into().unwrap();
    let broker = Broker::start_with(directory.path(), setup);
    let (mut two, _) = broker.connect("two", lasting("two", Version::V5)).await;
    two.subscribe(vec![subscription("a/#", Qos::ExactlyOnce)])
        .await;
    let mut one = broker.client("one", Version::V5).await;
    publish_once(&mut one, "once").await;
    let first = two.message().await.packet_id.unwrap();
    fill(&broker).await;

    // There is no room to note this.
    two.answer(Packet::PubRec, first).await;
    two.hears_nothing().await;
    // Nor for this, which it does not answer: who published it is told all the same.
    assert_eq!(one.publish_acked("a/x", "1").await, Reason::SUCCESS);
    assert_eq!(two.message().await.payload, "1");
    let emptied = Connect {
        clean_start: true,
        ..lasting("three", Version::V5)
    };
    let (_three, _) = broker.connect("three", emptied).await;
    let released = two.packet().await;
    assert!(matches!(released, Packet::PubRel(ack) if ack.packet_id == first));
    broker.stop().await;
}

/// Leaves a session with so much that the store takes nothing more.
async fn fill(broker: &Broker) {
    let (mut three, _) = broker.connect("three", lasting("three", Version::V5)).await;
    three
        .subscribe(vec![subscription("only/three/#", Qos::AtLeastOnce)])
        .await;
    three.disconnect().await;
    let plugin = broker.party("plugin");
    let counters = &broker.shared.counters;
    let done = || counters.stored_total.get() + counters.dropped_total.get();
    let mut bytes = 200;
    loop {
        let (before, dropped) = (done(), counters.dropped_total.get());
        let message = Message::new("only/three/x".parse().unwrap(), vec![0; bytes]);
        plugin.publish(message).unwrap();
        broker.until(|_| done() > before).await;
        // The largest that fits, until not even an empty one does.
        if counters.dropped_total.get() > dropped {
            if bytes == 0 {
                return;
            }
            bytes -= 1;
        }
    }
}
