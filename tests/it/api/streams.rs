//! Answers that go on: taps, logs, dead letters, events.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::world::{Lines, Plugin, World};
use crate::process::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_shows_kept_values_if_asked_and_then_what_passes() {
    let world = World::start().await;
    let mut kept = selvedge::bus::Message::new("t/kept".parse().unwrap(), "k");
    kept.retain = true;
    world.party().publish(kept).unwrap();
    let mut all = Lines::new(world.get("/v1/tap?filter=t/%23&filter=u&kept=true").await);
    let mut passing = Lines::new(world.get("/v1/tap?filter=t/%23").await);
    let first = all.next().await.unwrap();
    assert_eq!(
        (&first["tap"], &first["text"]),
        (&"message".into(), &"k".into())
    );
    world.publish("t/now", "n");
    world.publish("other", "o");
    world.publish("u", "u");
    for topic in ["t/now", "u"] {
        assert_eq!(all.next().await.unwrap()["topic"], topic);
    }
    assert_eq!(passing.next().await.unwrap()["topic"], "t/now");
    // Taps are no parties: nobody can take a plugin's name with one.
    assert_eq!(world.app.bus().parties().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_a_tap_misses_messages_is_told_and_holds_up_nobody() {
    let world = World::start().await;
    let mut tap = Lines::new(world.get("/v1/tap?filter=flood").await);
    let payload = "x".repeat(4 << 10);
    let total = 10_000_u64;
    for index in 0..total {
        world.publish("flood", &payload);
        if index % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    world.publish("flood", "last");
    let (mut shown, mut missed) = (0, 0);
    loop {
        let line = tap.next().await.unwrap();
        if line["tap"] == "missed" {
            missed += line["messages"].as_u64().unwrap();
        } else if line["text"] == "last" {
            break;
        } else {
            shown += 1;
        }
    }
    assert!(missed > 0);
    assert_eq!(shown + missed, total);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_so_many_and_end_with_their_clients() {
    let world = World::start().await;
    let mut taps = Vec::new();
    for _ in 0..16 {
        let tap = world.get("/v1/tap?filter=a").await;
        assert_eq!(tap.status(), StatusCode::OK);
        taps.push(tap);
    }
    let refused = world.get("/v1/tap?filter=a").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    // A probe and a question are no streams.
    assert_eq!(world.get("/healthz").await.status(), StatusCode::OK);
    drop(taps);
    let begun = Instant::now();
    while world.get("/v1/tap?filter=a").await.status() != StatusCode::OK {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_host_stops_and_the_socket_goes() {
    let world = World::start().await;
    let mut tap = Lines::new(world.get("/v1/tap?filter=a").await);
    let mut logs = Lines::new(world.get("/v1/logs?follow=true").await);
    let begun = Instant::now();
    world.app.shut_down().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(tap.next().await, None);
    // What was logged until then may come before the end.
    while logs.next().await.is_some() {}
    assert!(!world.served.socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_dead_letters_are_remembered_and_followed() {
    let world = World::start().await;
    let more = "grants = { publish = [\"seen/#\"], subscribe = [\"in/#\"] }";
    let rejects = Plugin {
        name: "rejects",
        guest: "handles",
        mode: "rejects",
        more,
    };
    let says = Plugin {
        name: "says",
        guest: "logs",
        mode: "forged",
        more,
    };
    world.deploy(&[rejects, says]).await;
    let mut followed = Lines::new(world.get("/v1/dead-letters?follow=true").await);
    world.publish("in/a", "first");
    let letter = followed.next().await.unwrap();
    assert_eq!(letter["plugin"], "rejects", "{letter}");
    assert_eq!(letter["message"]["topic"], "in/a");
    assert_eq!(letter["message"]["text"], "first");
    assert!(
        letter["reason"].as_str().unwrap().contains("not ever"),
        "{letter}"
    );
    let mut logs = Lines::new(world.get("/v1/logs?plugin=says&follow=true").await);
    let line = logs.next().await.unwrap();
    assert_eq!(line["plugin"], "says", "{line}");
    let remembered = Lines::new(world.get("/v1/dead-letters?plugin=rejects").await);
    assert_eq!(remembered.all().await, [letter]);
    let none = Lines::new(world.get("/v1/logs?plugin=rejects&lines=10").await);
    assert!(none.all().await.is_empty());
}
