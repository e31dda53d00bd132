//! The guests of the tests of deployments, each run once: they do what their
//! headers say.

use selvedge::supervisor::UnitState;
use serde_json::{Value, json};

use crate::support::{Host, Plugin, filters};

fn plugin(guest: &str, config: Value) -> Plugin {
    let mut plugin = Plugin::guest(guest).limits(|limits| {
        limits.call_ms_max = 1_000.try_into().unwrap();
    });
    plugin.config = config;
    plugin
}

/// Runs a guest and sends it messages; what it publishes, as often as it is
/// sent one.
async fn seen(plugin: Plugin, messages: &[&str]) -> Vec<String> {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    host.run(plugin).await.unwrap();
    let mut answers = Vec::new();
    for message in messages {
        host.publish("offence/go", *message).await;
        answers.push(seen.next().await);
    }
    assert_eq!(host.state("offender"), UnitState::Running);
    host.neighbour_answers().await;
    host.shut_down().await;
    answers
}

/// Runs a guest and sends it `messages`; why it failed.
async fn fault(guest: &str, fault: &str, messages: usize) -> String {
    let host = Host::start().await;
    host.run(plugin(guest, json!({ "fault": fault })))
        .await
        .unwrap();
    for number in 0..messages {
        host.publish("offence/go", number.to_string()).await;
    }
    let error = host.failed("offender").await;
    host.neighbour_answers().await;
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_count_number_what_passes() {
    for guest in ["update_counts", "update_counts_next", "update_service"] {
        let config = json!({"label": "one", "topic": "seen/here", "ballast_bytes": 1 << 20});
        let answers = seen(plugin(guest, config), &["a", "b"]).await;
        assert_eq!(answers, ["one 1 a", "one 2 b"], "{guest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_go_wrong_where_they_are_told_to() {
    for (which, messages, expected) in [
        ("init-traps", 0, "`init` trapped: "),
        ("init-fails", 0, "`init` failed: it will not start"),
        ("init-spins", 0, "`init` did not return within 1000 ms"),
        ("silent-exit", 0, "`tick` trapped: "),
        ("silent-exit:5", 0, "`tick` trapped: "),
        ("first-traps", 1, "`handle` trapped: "),
        ("nth-traps:3", 3, "`handle` trapped: "),
        ("spins", 1, "`handle` did not return within 1000 ms"),
        ("typo", 0, "`init` failed: no such fault: typo"),
    ] {
        let error = fault("update_counts", which, messages).await;
        assert!(error.starts_with(expected), "{which}: {error}");
    }
    for which in ["restore-traps", "snapshot-spins", "slow:5", "floods"] {
        let config = json!({"fault": which, "topic": "seen/x", "schema_refused": true});
        let mut calm = plugin("update_counts_next", config);
        calm.limits.publish_per_s_max = 10.try_into().unwrap();
        let answers = seen(calm, &["a"]).await;
        let first = if which == "floods" { "flood" } else { " 1 a" };
        assert_eq!(answers, [first], "{which}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rejects_everything() {
    let host = Host::start().await;
    let mut letters = host.listen("$selvedge/dead-letter/#");
    host.run(plugin("update_counts", json!({"fault": "rejects"})))
        .await
        .unwrap();
    host.publish("offence/go", "a").await;
    assert_eq!(letters.next().await, "a");
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_service_must_be_aborted() {
    let deaf = plugin("update_service", json!({"deaf": true}));
    assert_eq!(seen(deaf, &["a"]).await, [" 1 a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wants_a_second_topic_and_a_bucket() {
    let host = Host::start().await;
    let (mut seen, mut more) = (host.listen("seen/#"), host.listen("flood/#"));
    let config = json!({"label": "x", "second_topic": "flood/more"});
    let refused = host
        .run(plugin("update_wants_more", config.clone()))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("keyvalue"), "{refused}");
    let plugin = plugin("update_wants_more", config);
    host.run(plugin.grants(|grants| grants.keyvalue_bytes_max = 1 << 10))
        .await
        .unwrap();
    host.publish("offence/go", "a").await;
    assert_eq!(more.next().await, "x 1 a");
    assert_eq!(seen.next().await, "x 1 a");
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_remembers_what_it_acknowledges() {
    let plugin = plugin("update_remembers", json!({"topic": "seen/ack"}));
    let plugin = plugin.grants(|grants| grants.keyvalue_bytes_max = 1 << 10);
    assert_eq!(seen(plugin, &["1", "2"]).await, ["1", "2"]);
}

/// However it is done, one message is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_feeds_itself() {
    for through_tick in [false, true] {
        let host = Host::start().await;
        let mut seen = host.listen("offence/#");
        let config = json!({"copies": 1, "through_tick": through_tick});
        let plugin = plugin("update_loops", config);
        let plugin = plugin.grants(|grants| grants.publish = filters(&["offence/#"]));
        host.run(plugin).await.unwrap();
        host.publish("offence/go", "again").await;
        for _ in 0..5 {
            assert_eq!(seen.next().await, "again");
        }
        host.neighbour_answers().await;
        host.shut_down().await;
    }
}
