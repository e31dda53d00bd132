//! Orders that are cut off from whoever waits for them.

use futures::poll;
use selvedge::cloud::jobs::record::Outcome;
use selvedge::cloud::jobs::wire::Status;
use selvedge::cloud::operator::Operator;
use selvedge::cloud::order::Order;
use serde_json::json;
use tokio::sync::watch;

use crate::deployments::world::{Device, Host, Line};

const BY: &str = "cloud job j/1/7";

fn restart(plugin: &str) -> Order {
    Order::read(&json!({"operation": "restart-plugin", "plugin": plugin})).unwrap()
}

async fn carried_out(operator: &Operator, order: &Order, again: bool) -> Outcome {
    let told = watch::Sender::default();
    let outcome = operator.carry_out(order, BY, again, &told).await;
    outcome.expect("the host does not stop")
}

/// Begins to start `sleeper` afresh, and waits for it no longer once it has stopped.
async fn restart_cut_short(host: &Host, operator: &Operator) {
    // It takes a message and is busy with it.
    host.publish("in/sleeper/x", "sleep");
    host.until("it is busy", |host| {
        host.plugin("sleeper").inbox_messages == 0
    })
    .await;
    let order = restart("sleeper");
    tokio::select! {
        () = host.until("it is stopped", |host| host.plugin("sleeper").state == "stopped") => {}
        outcome = carried_out(operator, &order, false) => panic!("it was not busy: {outcome:?}"),
    }
}

#[tokio::test]
async fn a_plugin_that_is_started_afresh_comes_back_though_nobody_waits_for_it() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&Line::new(1).plugin("sleeper", "handles", "sleeps"))
        .await;
    let operator = Operator::new(host.deployments().clone());
    restart_cut_short(&host, &operator).await;
    host.until("it is back", |host| {
        host.plugin("sleeper").state == "running"
    })
    .await;

    // Whoever asks again in the same process is not told that it started with that.
    let operator = Operator::new(host.deployments().clone());
    restart_cut_short(&host, &operator).await;
    let outcome = carried_out(&operator, &restart("sleeper"), true).await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert_eq!(host.plugin("sleeper").state, "running");
    host.stop().await;
}

#[tokio::test]
async fn a_deployment_is_taken_in_though_nobody_waits_for_it_and_is_then_there_to_be_undone() {
    let device = Device::new();
    let host = device.start().await;
    let line = |version| Line::new(version).plugin("first", "echo", "");
    host.commit(&line(1)).await;
    let operator = Operator::new(host.deployments().clone());
    let wanted = host.submission(&line(2).probation(3_600));
    let order = json!({"operation": "deploy", "document": wanted.text, "files": wanted.files});
    let order = Order::read(&order).unwrap();
    {
        let carried_out = std::pin::pin!(carried_out(&operator, &order, false));
        assert!(poll!(carried_out).is_pending());
    }
    operator.undo(BY).await.unwrap();
    host.until("it is undone", |host| {
        host.deployments().under_way().is_empty()
    })
    .await;
    let history = host.deployments().history(None, 9);
    assert!(history.iter().any(|report| report.requested_by == BY));
    assert_eq!(host.deployments().active().unwrap().version, "1.0.0");
    host.stop().await;
}

#[tokio::test]
async fn a_restart_that_another_process_began_is_done_only_if_the_plugin_is_at_work() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&Line::new(1).plugin("first", "echo", "")).await;
    let first = "first".parse().unwrap();
    host.deployments().stop_plugin(&first).await.unwrap();
    host.stop().await;

    let host = device.start().await;
    assert_eq!(host.plugins(), ["first stopped"]);
    let operator = Operator::new(host.deployments().clone());
    let outcome = carried_out(&operator, &restart("first"), true).await;
    assert_eq!(outcome.status, Status::Succeeded);
    assert_eq!(host.plugins(), ["first running"]);

    let operator = Operator::new(host.deployments().clone());
    let outcome = carried_out(&operator, &restart("nobody"), true).await;
    assert_eq!(outcome.status, Status::Rejected);
    assert_eq!(outcome.details["code"], "no-such-plugin");
    host.stop().await;
}
