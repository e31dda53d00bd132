//! How uplinks are seen from outside: over the API, by the CLI, and in metrics.

use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::far_end::FarEnd;
use crate::mqtt::gateway::{Gateway, Setup};
use crate::mqtt::raw::{Client, Connect, Version};
use crate::process::{DEADLINE, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_the_cli_and_metrics_tell_how_an_uplink_fares() {
    let far_end = FarEnd::kind();
    let broker = format!(
        "[uplinks.cloud]\nendpoint = \"{}\"\nplain = true\nclient_id = \"edge\"\n\
         [[uplinks.cloud.rules]]\nfilter = \"out/#\"\n",
        far_end.address
    );
    let setup = Setup {
        broker,
        ..Setup::default()
    };
    let gateway = Gateway::start_with(setup, &["a"]).await;
    let connect = Connect::new(Version::V5, "a");
    let mut device = Client::connect(&gateway.target("a"), &connect).await;
    for number in 0..3 {
        assert_eq!(device.publish("out/a", &number.to_string(), 1).await, 0);
    }
    let begun = Instant::now();
    let uplink = loop {
        let answer = gateway.get("/v1/uplinks");
        let answer: Json = serde_json::from_str(&answer).unwrap();
        let uplink = answer.pointer("/uplinks/0").or(answer.pointer("/0"));
        let uplink = uplink.unwrap_or_else(|| panic!("{answer}")).clone();
        if uplink["acknowledged_total"] == 3 && uplink["queue_messages"] == 0 {
            break uplink;
        }
        assert!(begun.elapsed() < DEADLINE, "{answer}");
        sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(uplink["name"], "cloud");
    assert_eq!(uplink["state"], "connected");
    assert_eq!(uplink["client_id"], "edge");
    assert_eq!(uplink["endpoint"], far_end.address.to_string());
    let metrics = gateway.get("/metrics");
    for sample in [
        "selvedge_uplink_acknowledged_messages_total{uplink=\"cloud\"} 3",
        "selvedge_uplink_state{uplink=\"cloud\",state=\"connected\"} 1",
        "selvedge_uplink_queue_messages{uplink=\"cloud\"} 0",
    ] {
        assert!(metrics.contains(sample), "no {sample}:\n{metrics}");
    }
    let told = run(&mut gateway.ask(&["uplinks"])).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains("cloud"), "{told:?}");
    assert!(told.stdout.contains("connected"), "{told:?}");
}
