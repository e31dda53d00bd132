//! A disk that is full under an uplink: what it has not taken is not acknowledged,
//! and arrives when there is room again.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::{Instant, sleep, timeout};

use super::far_end::FarEnd;
use crate::mqtt::gateway::{Gateway, Setup};
use crate::mqtt::raw::{Client, Connect, Publish, Step, Version};
use crate::mqtt::small_disk::SmallDisk;
use crate::process::DEADLINE;

/// Room on the disk.
const DISK_KIB: u32 = 96 << 10;
/// Messages that fit at most into what is left of a full disk.
const LAST_MAX: usize = 10_000;
/// How long an acknowledgement must be missing.
const WITHHELD: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_disk_does_not_take_is_not_acknowledged_and_arrives_later() {
    let far_end = FarEnd::kind();
    let broker = format!(
        "[uplinks.cloud]\nendpoint = \"{}\"\nplain = true\nclient_id = \"edge\"\n\
         times = {{ reconnect_ms_min = 10, reconnect_ms_max = 50 }}\n\
         [[uplinks.cloud.rules]]\nfilter = \"out/#\"\n",
        far_end.address
    );
    let setup = Setup {
        broker,
        ..Setup::default()
    };
    let mut gateway = Gateway::prepare(setup, &["a"]);
    let Some(disk) = SmallDisk::mount(gateway.folder(), DISK_KIB).await else {
        return;
    };
    gateway.live_on(&disk);
    gateway.start_again().await;
    let target = gateway.target("a");
    let connect = Connect::kept(Version::V5, "a");
    let mut device = Client::connect(&target, &connect).await;
    assert_eq!(device.publish("out/a", "0", 1).await, 0);
    far_end.came(1);

    disk.fill();
    let mut number = 1;
    let last = loop {
        let id = device.new_id();
        let publish = Publish::new("out/a", &number.to_string(), 1);
        let publish = publish.with(|publish| publish.id = id);
        device.send(&publish.bytes(Version::V5)).await;
        match timeout(WITHHELD, device.step(Step::Ack, id)).await {
            Ok(code) => assert_eq!(code, 0),
            Err(_) => break publish,
        }
        number += 1;
        assert!(number < LAST_MAX, "the disk is not full");
    };
    let begun = Instant::now();
    loop {
        let uplinks: Json = serde_json::from_str(&gateway.get("/v1/uplinks")).unwrap();
        if uplinks.to_string().contains("\"code\":\"store-failed\"") {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{uplinks}");
        sleep(Duration::from_millis(50)).await;
    }

    disk.free();
    assert_eq!(gateway.ended().await, Some(1));
    gateway.start_again().await;
    let mut device = Client::connect(&target, &connect).await;
    let again = last.with(|publish| publish.dup = true);
    device.send(&again.bytes(Version::V5)).await;
    assert_eq!(device.step(Step::Ack, again.id).await, 0);
    let begun = Instant::now();
    let mut next = 0;
    while next <= number {
        next = 0;
        for one in far_end.came(0) {
            let came: usize = one.payload.parse().unwrap();
            assert!(came <= next, "{came} instead of {next}");
            next = next.max(came + 1);
        }
        assert!(begun.elapsed() < DEADLINE, "{next} and not {number}");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.stop().await, Some(0));
}
