//! Log lines that arrive.

use super::site::Cloud;
use crate::deployments::world::{Device, Line};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_said_to_the_cloud_and_what_is_dropped_is_counted() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let device = Device::new();
    let logs = "[cloud.logs]\ntopic = \"logs/gw-7\"\nall_plugins = true\nlevel = \"info\"\nbatch_s_max = 1\nlines_per_s_max = 2\n";
    let host = device.open_with(|config| cloud.configure(config, logs));
    host.resume().await;
    for version in 1..4 {
        host.commit(&Line::new(version).plugin("first", "echo", ""))
            .await;
    }
    let line = cloud.hears("lines dropped").await;
    assert!(line.contains("\"rate\":"), "{line}");
    host.stop().await;
    cloud.end().await;
}
