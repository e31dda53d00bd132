//! A deployment that removes the plugin being called: the call in hand ends by
//! itself or by its deadline, and what nobody handled is not said to be done.

use selvedge::deployment::report::Phase;

use tokio::time::timeout;

use super::flow::{NEIGHBOUR, UPDATED, under_load};
use crate::deployments::world::{Device, Host, Line};
use crate::process::DEADLINE;

fn both(config: &str, limits: &str) -> Line {
    Line::new(1)
        .counts(UPDATED, "update_counts", config)
        .and(limits)
        .counts(NEIGHBOUR, "update_counts", "")
}

fn neighbour_alone() -> Line {
    Line::new(2).counts(NEIGHBOUR, "update_counts", "")
}

/// Waits until the plugin has been handed `count` messages.
async fn handed(host: &Host, count: u64) {
    host.until("in hand", |host| {
        host.plugin(UPDATED).handled_total >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_finished_before_its_plugin_goes() {
    let device = Device::with(&["update_counts"]);
    let host = device.start().await;
    host.commit(&both(
        "label = \"v\", fault = \"slow:1500\"",
        "limits.batch_messages_max = 1",
    ))
    .await;
    let seen = host.listen("seen/p");
    let mut letters = host.listen("$selvedge/dead-letter/p");
    host.publish("in/p/x", "0");
    handed(&host, 1).await;
    host.publish("in/p/x", "1");
    host.commit(&neighbour_alone()).await;
    let (mut said, mut dead) = (Vec::new(), Vec::new());
    seen.try_receive(64, &mut said);
    let named = timeout(DEADLINE, letters.receive(64, &mut dead));
    named.await.expect("what waited is named");
    // The first in full; of the second nobody says that it was handled.
    let said: Vec<_> = said.iter().map(|message| &*message.payload).collect();
    assert_eq!(said, [b"v 1 0"]);
    let dead: Vec<_> = dead.iter().map(|message| &*message.payload).collect();
    assert_eq!(dead, [b"1"]);
    assert_eq!(host.plugins(), ["n running"]);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_ends_does_not_keep_its_plugin() {
    let device = Device::with(&["update_counts"]);
    let host = device.start().await;
    host.commit(&both(
        "label = \"v\", fault = \"spins\"",
        "limits.call_ms_max = 1000",
    ))
    .await;
    let seen = host.listen("seen/p");
    host.publish("in/p/x", "0");
    handed(&host, 1).await;
    host.commit(&neighbour_alone()).await;
    assert_eq!(seen.try_receive(64, &mut Vec::new()), 0);
    assert_eq!(host.plugins(), ["n running"]);
    host.assert_whole().await;
    // Who comes to its name later has nothing to do with it.
    host.commit(&both("label = \"w\"", "")).await;
    let ((), seen) = under_load(&host, async {}).await;
    assert!(seen.updated.rows.iter().all(|row| row.label == "w"));
    host.stop().await;
}

/// Until it is certain that it stays removed, it may come back: the message that
/// was in hand and those that waited are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_undone_loses_nothing() {
    let device = Device::with(&["update_counts"]);
    let host = device.start().await;
    let slow = both(
        "label = \"v\", fault = \"slow:50\"",
        "limits.batch_messages_max = 4",
    );
    host.commit(&slow).await;
    let mut seen = host.listen("seen/p");
    let letters = host.listen("$selvedge/dead-letter/p");
    for number in 0..40 {
        host.publish("in/p/x", &number.to_string());
    }
    handed(&host, 1).await;
    let line = neighbour_alone().counts("bad", "update_counts", "fault = \"first-traps\"");
    let id = host.begin(&line.probation(3600)).await;
    assert_eq!(host.plugins(), ["bad running", "n running"]);
    host.publish("in/bad/x", "0");
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack);
    assert_eq!(report.faults[0].code, "plugin-failed");
    assert_eq!(host.plugins(), ["n running", "p running"]);
    let mut said = Vec::new();
    while said.len() < 40 {
        let said = timeout(DEADLINE, seen.receive(64, &mut said));
        said.await.expect("all come out");
    }
    for (number, message) in (0..).zip(&said) {
        let expected = format!("v {} {number}", number + 1);
        assert_eq!(message.payload, expected);
    }
    assert_eq!(letters.try_receive(1, &mut Vec::new()), 0);
    host.assert_whole().await;
    host.stop().await;
}
