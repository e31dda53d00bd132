//! Guests that fail at once.

use crate::support::{Host, Plugin};

/// Starts it; what the host says when it is given up.
async fn given_up(plugin: Plugin) -> String {
    let host = Host::start().await;
    host.run(plugin).await.unwrap();
    let error = host.given_up("offender").await;
    host.neighbour_answers().await;
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_traps_at_the_start_is_given_up() {
    let error = given_up(Plugin::guest("begins:traps")).await;
    assert!(error.starts_with("`init` trapped: "), "{error}");
    let error = given_up(Plugin::text("start-traps.wat")).await;
    assert!(error.starts_with("`start` trapped: "), "{error}");
    let error = given_up(Plugin::guest("serves:traps")).await;
    assert!(error.starts_with("`run` trapped: "), "{error}");
    let error = given_up(Plugin::guest("ticks:traps")).await;
    assert!(error.starts_with("`tick` trapped: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_says_of_its_failure_is_shown() {
    let error = given_up(Plugin::guest("begins:refuses")).await;
    assert_eq!(error, "`init` failed: the sensor table is missing");
    let error = given_up(Plugin::guest("ticks:fails")).await;
    assert_eq!(error, "`tick` failed: the clock is wrong");
    let error = given_up(Plugin::guest("serves:fails")).await;
    assert_eq!(error, "`run` failed: the line is dead");
}

/// A state is published, logged and shown: a guest must not swell it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_says_of_its_failure_is_cut() {
    let error = given_up(Plugin::guest("begins:refuses-at-length")).await;
    assert!(error.starts_with("`init` failed: no no "), "{error:.64}");
    assert!(error.len() <= 2048, "{} bytes", error.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_against_the_contract_are_failures() {
    for text in [
        "lies-about-text.wat",
        "lies-about-kind.wat",
        "answers-no-text.wat",
    ] {
        let error = given_up(Plugin::text(text)).await;
        assert!(error.starts_with("`tick` trapped: "), "{text}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_another_type_is_named() {
    let host = Host::start().await;
    let error = host.run(Plugin::text("wrong-type.wat")).await.unwrap_err();
    assert_eq!(error.code(), "export-mistyped");
    assert_eq!(
        error.to_string(),
        "plugin `offender` exports `tick` with another type than the contract's"
    );
    host.neighbour_answers().await;
}
