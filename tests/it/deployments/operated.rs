//! Plugins that operators stop, start and restart.

use std::time::Duration;

use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::WhenBusy;
use tokio::time::timeout;

use super::world::{Device, Line};

/// Less than a successor below takes to be found out.
const SOON: Duration = Duration::from_secs(5);

fn line(version: usize, mode: &str) -> Line {
    Line::new(version)
        .plugin("a", "handles", mode)
        .plugin("b", "echo", "")
}

#[tokio::test]
async fn a_stopped_plugin_stays_stopped_until_it_is_started() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&line(1, "traps-on-poison")).await;
    let a = "a".parse().unwrap();
    host.deployments().stop_plugin(&a).await.unwrap();
    assert_eq!(host.plugins(), ["a stopped", "b running"]);
    assert!(host.plugin("a").stopped_by_operator);
    // Not even by a new version of it, nor by going back to the old one.
    let id = host.begin(&line(2, "is-slow").probation(1)).await;
    assert_eq!(host.plugin("a").deployment, id);
    assert_eq!(host.plugins(), ["a stopped", "b running"]);
    host.ended(id).await;
    host.stop().await;

    let host = device.start().await;
    assert_eq!(host.plugins(), ["a stopped", "b running"]);
    host.deployments().start_plugin(&a).await.unwrap();
    host.answer("a", "seen/is-slow").await;
    assert!(!host.plugin("a").stopped_by_operator);
    host.stop().await;

    let host = device.start().await;
    assert_eq!(host.plugins(), ["a running", "b running"]);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn stopping_a_plugin_in_a_probation_is_no_failure() {
    let device = Device::new();
    let host = device.start().await;
    let id = host.begin(&line(1, "traps-on-poison").probation(2)).await;
    host.deployments()
        .stop_plugin(&"b".parse().unwrap())
        .await
        .unwrap();
    let report = host.ended(id).await;
    assert_eq!(report.faults, []);
    assert_eq!(host.plugins(), ["a running", "b stopped"]);
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_that_gave_up_is_started_again() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&line(1, "traps-on-poison")).await;
    let a = "a".parse().unwrap();
    host.kill("a", "poison").await;
    assert!(host.plugin("a").error.is_some());
    host.deployments().start_plugin(&a).await.unwrap();
    host.until("at work", |host| host.plugin("a").state == "running")
        .await;
    host.deployments().restart_plugin(&a).await.unwrap();
    assert_eq!(host.plugins(), ["a running", "b running"]);
    let unknown = host.deployments().stop_plugin(&"z".parse().unwrap()).await;
    assert_eq!(unknown.unwrap_err().code(), "no-such-plugin");
    host.stop().await;
}

#[tokio::test]
async fn whoever_has_the_name_of_a_stopped_plugin_that_is_gone_runs() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&line(1, "traps-on-poison")).await;
    let a = "a".parse().unwrap();
    host.deployments().stop_plugin(&a).await.unwrap();
    host.commit(&Line::new(2).plugin("b", "echo", "")).await;
    host.commit(&line(3, "is-slow")).await;
    assert_eq!(host.plugins(), ["a running", "b running"]);
    host.answer("a", "seen/is-slow").await;
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_is_stopped_at_once_however_long_successors_take_to_be_made() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&line(1, "traps-on-poison")).await;
    let slow = Line::new(2)
        .plugin("a", "begins", "spins")
        .and("limits.call_ms_max = 30000")
        .plugin("b", "handles", "is-slow");
    let id = host.submit(&slow, WhenBusy::Queue).await.unwrap();
    let deployments = host.deployments();
    deployments.reached(id, |it| it == Phase::Prepare).await;
    let b = "b".parse().unwrap();
    let stopped = timeout(SOON, deployments.stop_plugin(&b)).await;
    stopped.expect("nobody waits for what is made").unwrap();
    assert_eq!(host.plugins(), ["a running", "b stopped"]);
    let line = Line::new(3)
        .plugin("a", "echo", "")
        .plugin("b", "handles", "is-slow");
    let next = host.submit(&line, WhenBusy::Supersede).await.unwrap();
    assert_eq!(host.ended(next).await.phase, Phase::Committed);
    assert_eq!(host.ended(id).await.phase, Phase::Superseded);
    assert!(kept < host.plugin("b").deployment);
    assert_eq!(host.plugins(), ["a running", "b stopped"]);
    host.stop().await;
}
