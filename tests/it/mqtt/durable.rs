//! What was acknowledged to a device is there after `kill -9`: messages,
//! subscriptions, and what was under way.

use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Packet, Publish, Step, Version};
use super::target::Target;

/// How often the gateway is killed in one test.
const KILLS: usize = 8;
/// Messages on their way at each kill.
const BURST: usize = 60;
/// Messages that a device has under way at once.
const WINDOW: usize = 20;

const TOPIC: &str = "telemetry/site/oven";

async fn gateway() -> Gateway {
    let quota = "quota.publish_per_second_max = 100000\n\
                 quota.queue_messages_max = 100000\nquota.queue_bytes_max = 100000000\n";
    let setup = Setup {
        broker: quota.to_owned(),
        ..Setup::default()
    };
    Gateway::start_with(setup, &["oven", "press"]).await
}

fn number(publish: &Publish) -> usize {
    publish.text().parse().unwrap()
}

/// Publishes `numbers` until as many as `enough` are acknowledged; which are.
async fn publish(client: &mut Client, numbers: &[usize], enough: usize) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    let mut ids = Vec::new();
    let mut waiting = numbers.iter();
    while acknowledged.len() < enough {
        while ids.len() - acknowledged.len() < WINDOW
            && let Some(number) = waiting.next()
        {
            let id = client.new_id();
            let message = Publish::new(TOPIC, &number.to_string(), 1).with(|own| own.id = id);
            client.send(&message.bytes(Version::V5)).await;
            ids.push((id, *number));
        }
        match client.next().await.expect("the broker lives") {
            Packet::Step {
                step: Step::Ack,
                id,
                reason,
            } => {
                assert!(reason < 0x80, "{reason}");
                // In the order of the messages.
                let (wanted, number) = ids[acknowledged.len()];
                assert_eq!(id, wanted);
                acknowledged.push(number);
            }
            other => panic!("{other:?}"),
        }
    }
    acknowledged
}

/// No number of `acknowledged` is missing, and each comes for the first time after
/// all that were published before it.
fn complete_and_in_order(received: &[usize], acknowledged: &[usize]) {
    let mut first = Vec::new();
    for number in received {
        if !first.contains(number) {
            first.push(*number);
        }
    }
    assert!(first.is_sorted(), "{first:?}");
    for number in acknowledged {
        assert!(first.contains(number), "{number} is lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_message_is_lost_by_kills_while_its_subscriber_is_away() {
    let mut gateway = gateway().await;
    let (oven, press) = (gateway.target("oven"), gateway.target("press"));
    let mut subscriber = Client::connect(&at(&gateway, &press), &kept("press")).await;
    assert_eq!(subscriber.subscribe("telemetry/#", 1).await, 1);
    drop(subscriber);
    let (mut next, mut acknowledged) = (0, Vec::new());
    for kill in 0..KILLS {
        let connect = Connect::new(Version::V5, "oven");
        let mut publisher = Client::connect(&at(&gateway, &oven), &connect).await;
        let numbers: Vec<_> = (next..next + BURST).collect();
        acknowledged.extend(publish(&mut publisher, &numbers, 7 * kill % BURST).await);
        // What was not acknowledged is as good as never sent; its place stays free.
        next += BURST;
        gateway.kill().await;
        gateway.start_again().await;
    }
    let received = receive_all(&gateway, &oven, &press).await;
    complete_and_in_order(&received, &acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_message_is_lost_by_kills_while_its_subscriber_reads() {
    let mut gateway = gateway().await;
    let (oven, press) = (gateway.target("oven"), gateway.target("press"));
    let (mut next, mut acknowledged, mut received) = (0, Vec::new(), Vec::new());
    for kill in 0..KILLS {
        let mut subscriber = Client::connect(&at(&gateway, &press), &kept("press")).await;
        if kill == 0 {
            assert_eq!(subscriber.subscribe("telemetry/#", 1).await, 1);
        } else {
            assert!(subscriber.session_present, "after kill {kill}");
        }
        let connect = Connect::new(Version::V5, "oven");
        let mut publisher = Client::connect(&at(&gateway, &oven), &connect).await;
        let numbers: Vec<_> = (next..next + BURST).collect();
        // It answers every other message, and stops in the middle.
        let reading = async {
            let mut seen = Vec::new();
            while seen.len() < BURST / 2 {
                let Some(Packet::Publish(message)) = subscriber.next().await else {
                    break;
                };
                if seen.len() % 2 == 0 {
                    subscriber.acknowledge(&message).await;
                }
                seen.push(number(&message));
            }
            seen
        };
        let publishing = async {
            let acknowledged = publish(&mut publisher, &numbers, 7 * kill % BURST).await;
            gateway.kill().await;
            acknowledged
        };
        let (seen, now) = tokio::join!(reading, publishing);
        received.extend(seen);
        acknowledged.extend(now);
        next += BURST;
        gateway.start_again().await;
    }
    received.extend(receive_all(&gateway, &oven, &press).await);
    complete_and_in_order(&received, &acknowledged);
}

/// All that waits for the press, up to a last message of the oven.
async fn receive_all(gateway: &Gateway, oven: &Target, press: &Target) -> Vec<usize> {
    let connect = Connect::new(Version::V5, "oven");
    let mut publisher = Client::connect(&at(gateway, oven), &connect).await;
    let mut subscriber = Client::connect(&at(gateway, press), &kept("press")).await;
    assert!(subscriber.session_present);
    assert_eq!(publisher.publish(TOPIC, "last", 1).await, 0);
    let before = subscriber.until("last").await;
    before.iter().map(number).collect()
}

fn kept(client_id: &str) -> Connect {
    Connect::kept(Version::V5, client_id)
}

/// A gateway that was started again listens somewhere else.
fn at(gateway: &Gateway, target: &Target) -> Target {
    Target {
        address: gateway.address,
        ..target.clone()
    }
}
