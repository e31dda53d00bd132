//! A disk that is full under a broker: nothing is acknowledged that is not kept,
//! and what needs no disk goes on.

use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Packet, Publish, Version, packet};
use super::small_disk::SmallDisk;

/// Room on the disk.
const DISK_KIB: u32 = 96 << 10;
/// Messages that fit at most into what is left of a full disk.
const LAST_MAX: usize = 10_000;
/// What a device may be told whose message was not kept.
const NOT_KEPT: [u8; 2] = [0x83, 0x97];

/// Publishes numbers until one is not kept; how many were.
async fn until_refused(device: &mut Client, from: usize) -> usize {
    for number in from..LAST_MAX {
        let code = device.publish("kept/new", &number.to_string(), 1).await;
        if code != 0 {
            assert!(NOT_KEPT.contains(&code), "{code:#x}");
            return number;
        }
    }
    panic!("the disk is not full");
}

/// All that waits for a session, up to the message `last`, each topic's own.
async fn waiting(client: &mut Client, last: &str) -> (Vec<usize>, Vec<usize>) {
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for message in client.until(last).await {
        let topic = match &*message.topic {
            "kept/new" => &mut new,
            _ => &mut old,
        };
        topic.push(message.text().parse().unwrap());
    }
    (new, old)
}

#[tokio::test]
async fn nothing_that_a_full_disk_did_not_take_is_acknowledged_and_the_rest_goes_on() {
    let names = ["new", "old", "away", "near", "late"];
    let mut gateway = Gateway::prepare(Setup::default(), &names);
    let Some(disk) = SmallDisk::mount(gateway.folder(), DISK_KIB).await else {
        return;
    };
    gateway.live_on(&disk);
    gateway.start_again().await;
    let connect =
        async |name: &str, connect: Connect| Client::connect(&gateway.target(name), &connect).await;
    let kept = || Connect::kept(Version::V5, "away");
    let mut away = connect("away", kept()).await;
    away.subscribe("kept/#", 1).await;
    away.disconnect().await;
    let mut near = connect("near", Connect::new(Version::V4, "near")).await;
    near.subscribe("near/#", 1).await;
    let mut new = connect("new", Connect::new(Version::V5, "new")).await;
    let mut old = connect("old", Connect::new(Version::V4, "old")).await;
    for number in 0..10 {
        assert_eq!(new.publish("kept/new", &number.to_string(), 1).await, 0);
        assert_eq!(old.publish("kept/old", &number.to_string(), 1).await, 0);
    }

    disk.fill();
    let acknowledged = until_refused(&mut new, 10).await;
    // MQTT 3.1.1 has no word for it: nothing is acknowledged.
    let publish = Publish::new("kept/old", "10", 1).with(|publish| publish.id = 77);
    old.send(&publish.bytes(Version::V4)).await;
    assert_eq!(old.next().await, None::<Packet>);
    // Whoever needs no disk notices nothing, also who comes only now.
    let mut late = connect("late", Connect::new(Version::V4, "late")).await;
    for (number, device) in [&mut new, &mut late].into_iter().enumerate() {
        let quick = format!("quick {number}");
        device.publish("near/x", &quick, 0).await;
        assert_eq!(near.message().await.text(), quick);
        assert_eq!(device.publish("near/x", "sure", 1).await, 0);
        assert_eq!(near.message().await.text(), "sure");
    }
    let healthy = gateway.ask(&["health"]).status().await.unwrap();
    assert!(!healthy.success(), "health says nothing");
    // Nobody is promised what cannot be kept.
    let mut late = connect("late", Connect::kept(Version::V5, "late")).await;
    let subscribe = packet::subscribe(Version::V5, 1, &[("kept/#", 1)], &Vec::new());
    late.send(&subscribe).await;
    assert_eq!(late.closed().await, Some(0x83));

    disk.free();
    assert_eq!(gateway.ended().await, Some(1));
    assert!(gateway.log().contains("start anew"), "{}", gateway.log());
    gateway.start_again().await;
    let mut new = Client::connect(&gateway.target("new"), &Connect::new(Version::V5, "new")).await;
    assert_eq!(new.publish("kept/end", "end", 1).await, 0);
    let mut away = Client::connect(&gateway.target("away"), &kept()).await;
    assert!(away.session_present);
    let (new, old) = waiting(&mut away, "end").await;
    // What was refused may have come through all the same.
    assert_eq!(new[..acknowledged], (0..acknowledged).collect::<Vec<_>>());
    assert!(new.len() <= acknowledged + 1, "{new:?}");
    assert_eq!(old[..10], (0..10).collect::<Vec<_>>());
    assert!(old.len() <= 11, "{old:?}");
    assert_eq!(gateway.stop().await, Some(0));
}
