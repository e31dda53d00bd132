//! Guests that are slower than what comes in, or do not take it at all.

use std::collections::HashSet;

use selvedge::spec::Overflow;

use crate::support::{Host, Plugin, filters};

const PUBLISHED: u64 = 500;

/// A slow guest with room for 16 messages.
fn slow(overflow: Overflow) -> Plugin {
    Plugin::guest("handles:is-slow").limits(|limits| {
        limits.call_ms_max = 10_000.try_into().unwrap();
        limits.inbox_messages_max = 16.try_into().unwrap();
        limits.batch_messages_max = 8.try_into().unwrap();
        limits.inbox_overflow = overflow;
    })
}

/// Floods a slow guest; what it handled. Everything is accounted for.
async fn flooded(overflow: Overflow) -> Vec<u64> {
    let host = Host::start().await;
    let seen = host.listen("seen/#");
    host.run(slow(overflow)).await.unwrap();
    for number in 0..PUBLISHED {
        assert!(
            host.try_publish("offence/go", number.to_string()),
            "it must not block"
        );
    }
    host.neighbour_answers().await;
    // Each is counted by itself: one may be out of the inbox and not yet delivered.
    host.until_counted("offender", |party| {
        party.delivered_total + party.dropped_total == PUBLISHED
            && party.published_total == party.delivered_total
    })
    .await;
    let counted = host.counted("offender");
    assert_eq!(counted.inbox_messages, 0);
    assert!(counted.dropped_total > 0, "it was fast enough");
    let handled: Vec<u64> = seen
        .arrived()
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    assert_eq!(handled.len() as u64, counted.delivered_total);
    assert!(handled.is_sorted(), "{handled:?}");
    assert_eq!(handled.iter().collect::<HashSet<_>>().len(), handled.len());
    handled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_oldest_keeps_the_newest() {
    let handled = flooded(Overflow::DropOldest).await;
    assert_eq!(handled.last(), Some(&(PUBLISHED - 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_newest_keeps_the_oldest() {
    let handled = flooded(Overflow::DropNewest).await;
    assert!(
        handled.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7]),
        "{handled:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_per_topic_keeps_the_latest() {
    let handled = flooded(Overflow::LatestPerTopic).await;
    assert_eq!(handled.last(), Some(&(PUBLISHED - 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_loses_nothing() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    host.run(slow(Overflow::Block)).await.unwrap();
    for number in 0..PUBLISHED {
        host.publish("offence/go", number.to_string()).await;
    }
    for number in 0..PUBLISHED {
        assert_eq!(seen.next().await, number.to_string());
    }
    assert_eq!(host.counted("offender").dropped_total, 0);
    host.neighbour_answers().await;
}

/// Whoever listens to what the host says, and does not take it, misses it
/// alone: nobody else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_listener_does_not_silence_the_host() {
    let host = Host::start().await;
    let mut letters = host.listen("$selvedge/dead-letter/#");
    let mut lines = host.listen("$selvedge/log/#");
    let deaf = Plugin::guest("serves:ignores-stop").named("deaf");
    let deaf = deaf.grants(|grants| {
        grants.subscribe = filters(&["$selvedge/dead-letter/#", "$selvedge/log/#"]);
    });
    host.run(deaf.limits(|limits| limits.inbox_messages_max = 1.try_into().unwrap()))
        .await
        .unwrap();
    host.run(Plugin::guest("handles:rejects")).await.unwrap();
    host.run(
        Plugin::guest("logs:at-length")
            .named("talker")
            .limits(|limits| {
                limits.memory_bytes_max = (64 << 20).try_into().unwrap();
                limits.call_ms_max = 10_000.try_into().unwrap();
            }),
    )
    .await
    .unwrap();
    for number in 0..3 {
        host.publish("offence/go", number.to_string()).await;
    }
    for number in 0..3 {
        assert_eq!(letters.next().await, number.to_string());
    }
    for _ in 0..6 {
        lines.next().await;
    }
    host.neighbour_answers().await;
}

/// Nor does one who subscribes what others live on, if the publisher does not
/// insist on everyone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_subscriber_misses_at_most_once_messages_alone() {
    let host = Host::start().await;
    let (mut seen, mut flood) = (host.listen("seen/#"), host.listen("flood/#"));
    let deaf = Plugin::guest("serves:ignores-stop").named("deaf");
    let deaf = deaf.grants(|grants| grants.subscribe = filters(&["flood/#"]));
    host.run(deaf.limits(|limits| limits.inbox_messages_max = 1.try_into().unwrap()))
        .await
        .unwrap();
    assert_eq!(seen.next().await, "running");
    host.run(Plugin::guest("publishes:at-most-once"))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    for number in 0..3 {
        assert_eq!(seen.next().await, "accepted");
        assert_eq!(flood.next().await, number.to_string());
    }
    assert_eq!(host.counted("deaf").dropped_total, 2);
    host.neighbour_answers().await;
}
