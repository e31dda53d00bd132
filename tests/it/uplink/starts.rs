//! What a far end has kept while the host was away, and says as soon as it is back.

use tokio::time::timeout;

use super::far_end::FarEnd;
use super::world::config;
use crate::deployments::world::{Device, Line};
use crate::process::DEADLINE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_was_kept_for_a_host_that_starts_reaches_its_plugin() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&Line::new(1).plugin("valve", "echo", "")).await;
    host.stop().await;

    let far_end = FarEnd::kind();
    // QoS 1, identifier 7.
    let mut command = vec![0x32, 20, 0, 10];
    command.extend(b"in/valve/a\0\x07\0close");
    far_end.greet(&command);
    let rules = "[[rules]]\nfilter = \"in/#\"\ndirection = \"in\"\n";
    for _ in 0..3 {
        let host = device.open_with(|host| {
            let uplink = config(far_end.address, rules);
            host.uplinks.insert("cloud".parse().unwrap(), uplink);
        });
        let mut answers = host.listen("echo/#");
        let acknowledged = far_end.acknowledged_now();
        host.resume().await;
        let heard = timeout(DEADLINE, answers.receive(1, &mut Vec::new())).await;
        assert!(heard.is_ok(), "it is told to nobody");
        assert_eq!(far_end.acknowledged(acknowledged + 1).last(), Some(&7));
        host.stop().await;
    }
}
