//! Health turns bad when the line is bad, and good again.

use std::time::Duration;

use selvedge::bus::Message;

use super::world::{Plugin, World};
use crate::process::DEADLINE;

const TOUCHY: Plugin<'_> = Plugin {
    name: "touchy",
    guest: "handles",
    mode: "traps-on-poison",
    more: "grants = { publish = [\"seen/#\"], subscribe = [\"in/#\"] }\n\
           limits = { restarts_max = 50, retries_max = 0 }",
};

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_makes_the_host_unready_until_it_is_well() {
    let world = World::start().await;
    world.deploy(&[TOUCHY]).await;
    world.until("/readyz", |health| health["ok"] == true).await;
    let failing = async {
        // Fails again and again, with moments of running in between.
        for _ in 0..4 {
            world.publish("in/a", "poison");
            tokio::task::yield_now().await;
        }
        world.until("/readyz", |health| health["ok"] == false).await
    };
    let (health, took) = failing.await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(health["reasons"][0]["what"], "plugin/touchy", "{health}");
    // The host itself is well meanwhile.
    assert_eq!(world.json("/healthz").await["ok"], true);
    let status = world.json("/v1/status").await;
    assert_eq!(status["ready"], false, "{status}");
    // How long ago it failed may be said otherwise by now.
    let what = |it: &serde_json::Value| it["reasons"][0]["what"].clone();
    assert_eq!(what(&status), what(&health));
    let (_, took) = world.until("/readyz", |health| health["ok"] == true).await;
    assert!(took < DEADLINE, "{took:?}");
    let metrics = world.get("/metrics").await.text().await.unwrap();
    let failures = metrics
        .lines()
        .find(|line| line.starts_with("selvedge_unit_failures_total{unit=\"plugin/touchy\"}"));
    let (_, failures) = failures.unwrap().split_once(' ').unwrap();
    assert!(failures.parse::<u32>().unwrap() >= 1, "{failures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_given_up_keeps_the_host_unready() {
    let world = World::start().await;
    let traps = Plugin {
        mode: "traps",
        more: "grants = { publish = [\"seen/#\"], subscribe = [\"in/#\"] }\n\
               limits.restarts_max = 0",
        ..TOUCHY
    };
    world.deploy(&[traps]).await;
    world.publish("in/a", "x");
    let is_given_up = |health: &serde_json::Value| {
        let reason = health["reasons"][0]["reason"].as_str();
        reason.is_some_and(|reason| reason.starts_with("given up: "))
    };
    let (health, _) = world.until("/readyz", is_given_up).await;
    assert_eq!(health["ok"], false);
    assert_eq!(world.get("/readyz").await.status().as_u16(), 503);
    assert_eq!(world.get("/healthz").await.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_drops_makes_the_host_unready() {
    let world = World::start().await;
    let slow = Plugin {
        mode: "is-slow",
        more: "grants = { publish = [\"seen/#\"], subscribe = [\"in/#\"] }\n\
               limits = { inbox_messages_max = 4, inbox_overflow = \"drop-oldest\" }",
        ..TOUCHY
    };
    world.deploy(&[slow]).await;
    let flood = async {
        loop {
            let message = Message::new("in/a".parse().unwrap(), "x");
            world.party().publish(message).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let drops = world.until("/readyz", |health| {
        let reason = health["reasons"][0]["reason"].as_str();
        reason.is_some_and(|reason| reason.starts_with("its inbox "))
    });
    tokio::select! {
        (health, _) = drops => assert_eq!(health["ok"], false),
        () = flood => {}
    }
    world.until("/readyz", |health| health["ok"] == true).await;
}
