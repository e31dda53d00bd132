//! What is reported, and what is desired.

use serde_json::json;

use super::site::Cloud;
use crate::deployments::world::{Device, Line};

const SHADOW: &str = "deployments = true\n[cloud.shadow]\ndebounce_ms = 50\ninterval_s_min = 1\n";

fn line(version: usize) -> Line {
    Line::new(version).plugin("first", "echo", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_reported_and_what_is_desired_is_deployed_once() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let device = Device::new();
    let host = device.open_with(|config| cloud.configure(config, SHADOW));
    host.resume().await;
    host.commit(&line(1)).await;
    cloud.hears("\"version\":\"1.0.0\"").await;

    // The files are here; the document is the cloud's.
    let wanted = host.submission(&line(2));
    let deploy = json!({"document": wanted.text, "files": wanted.files});
    let desire = json!({"value": {"deployment": deploy}});
    cloud.orders("desire", desire.clone()).await;
    cloud.hears("\"outcome\":\"succeeded\"").await;
    let active = host.deployments().active().unwrap();
    assert_eq!(active.version, "2.0.0");
    assert!(active.requested_by.starts_with("cloud shadow sha256:"));

    // Desired again, and in a storm of deltas, it is not done again.
    cloud.orders("conflict", json!({"times": 1})).await;
    cloud.orders("desire", desire).await;
    let topic = "$aws/things/gw-7/shadow/name/selvedge/update/delta";
    let delta = json!({"version": 1_000_000, "state": {"deployment": deploy}}).to_string();
    let storm = json!({"topic": topic, "payload": delta, "times": 500});
    cloud.orders("raw", storm).await;
    for payload in ["{", "[]", "7", "{\"version\":\"x\",\"state\":{}}"] {
        cloud
            .orders("raw", json!({"topic": topic, "payload": payload}))
            .await;
    }

    // One that cannot be is refused, told, and not tried again.
    let bad = json!({"document": "name = 1", "files": null});
    cloud
        .orders("desire", json!({"value": {"deployment": bad}}))
        .await;
    cloud.hears("\"outcome\":\"rejected\"").await;
    assert_eq!(host.deployments().active().unwrap().version, "2.0.0");
    assert_eq!(host.deployments().history(None, 9).len(), 2);
    host.stop().await;
    let said = cloud.end().await;
    let asked = said
        .lines()
        .filter(|line| line.starts_with("shadow asked"))
        .count();
    assert!(asked < 30, "{asked} questions:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_may_not_deploy_is_told_so_and_one_that_is_silent_is_asked_again() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let device = Device::new();
    let shadow = "[cloud.shadow]\ndebounce_ms = 50\ninterval_s_min = 1\n";
    let host = device.open_with(|config| cloud.configure(config, shadow));
    cloud
        .orders("silence", json!({"what": "shadow", "times": 1}))
        .await;
    let deploy = json!({"document": line(1).text()});
    cloud
        .orders("desire", json!({"value": {"deployment": deploy}}))
        .await;
    host.resume().await;
    cloud.hears("silent").await;
    cloud.hears("\"code\":\"not-allowed\"").await;
    assert!(host.deployments().history(None, 9).is_empty());
    host.stop().await;
    cloud.end().await;
}
