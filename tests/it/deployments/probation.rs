//! What fails is undone: before the swap nothing was touched, after it what ran
//! before runs again.

use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::{SubmitError, WhenBusy};

use super::world::{Device, Line};

fn good(version: usize) -> Line {
    Line::new(version)
        .plugin("a", "handles", "traps-on-poison")
        .plugin("b", "echo", "")
}

fn bad(mode: &str) -> Line {
    let line = Line::new(2).plugin("a", "handles", mode);
    line.plugin("b", "echo", "").probation(3600)
}

#[tokio::test]
async fn what_is_refused_before_the_swap_touches_nothing() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&good(1)).await;
    fs_err::write(device.folder().join("none.wasm"), b"no component").unwrap();
    let twice = good(2).plugin("c", "none", "").plugin("d", "none", "");
    let report = host.deploy(&twice).await;
    assert_eq!(report.phase, Phase::Failed);
    // All that is wrong at once, each with its plugin and its line.
    let of: Vec<_> = report
        .faults
        .iter()
        .map(|fault| fault.plugin.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(of, ["c", "d"]);
    assert!(
        report
            .faults
            .iter()
            .all(|fault| fault.place.as_ref().unwrap().contains("line.toml:"))
    );
    // One that imports what it is not granted.
    let greedy = Line::new(3).plugin("a", "echo", "").text();
    let greedy = greedy.replace("grants.publish", "# ");
    let mut submission = host.submission(&good(2));
    submission.text = greedy;
    let id = host.deployments().submit(submission).await.unwrap();
    let report = host.ended(id).await;
    assert_eq!((report.phase, report.faults.len()), (Phase::Failed, 1));
    assert!(
        report.faults[0].message.contains("needs `publish`"),
        "{report:?}"
    );
    // And what is no document is not even taken in.
    let mut submission = host.submission(&good(2));
    submission.text = "nonsense = 1".to_owned();
    let refused = host.deployments().submit(submission).await;
    assert!(matches!(refused, Err(SubmitError::Document(faults)) if faults.len() == 3));
    assert_eq!(host.plugin("a").deployment, kept);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_successor_that_fails_in_its_probation_is_undone() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&good(1)).await;
    for (mode, messages, code) in [
        ("traps", 1, "plugin-failed"),
        ("rejects", 3, "too-many-dead-letters"),
    ] {
        let id = host.begin(&bad(mode)).await;
        assert_eq!(host.plugin("a").deployment, id);
        for _ in 0..messages {
            host.publish("in/a/x", "anything");
        }
        let report = host.ended(id).await;
        assert_eq!(report.phase, Phase::RolledBack, "{mode}");
        let fault = &report.faults[0];
        assert_eq!(fault.code, code, "{report:?}");
        assert_eq!(fault.plugin.as_ref().unwrap().as_str(), "a");
        assert!(
            fault.place.as_ref().unwrap().ends_with("line.toml:3:10"),
            "{fault:?}"
        );
        assert_eq!(host.plugin("a").deployment, kept);
        assert_eq!(host.active(), Some(kept));
        host.answer("a", "seen/traps-on-poison").await;
        host.assert_whole().await;
    }
    host.stop().await;
}

#[tokio::test]
async fn a_neighbour_that_fails_in_the_probation_counts_too() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&good(1)).await;
    // Only `b` changes; `a` dies of what is published then.
    let line = Line::new(2).plugin("a", "handles", "traps-on-poison");
    let id = host
        .begin(&line.plugin("b", "handles", "is-slow").probation(3600))
        .await;
    assert_eq!(host.plugin("a").deployment, kept);
    host.publish("in/a/x", "poison");
    let report = host.ended(id).await;
    assert_eq!(
        (report.phase, report.faults[0].code.as_str()),
        (Phase::RolledBack, "plugin-failed")
    );
    assert_eq!(host.plugin("b").deployment, kept);
    host.answer("b", "echo/#").await;
    host.stop().await;
}

#[tokio::test]
async fn what_was_broken_before_may_be_mended() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(
        &Line::new(1)
            .plugin("a", "handles", "traps")
            .plugin("b", "handles", "traps"),
    )
    .await;
    host.kill("a", "anything").await;
    host.kill("b", "anything").await;
    // `b` stays broken, as it was; it is tried again, and does not fail by itself.
    let line = Line::new(2).plugin("a", "handles", "traps-on-poison");
    let id = host
        .commit(&line.plugin("b", "handles", "traps").probation(1))
        .await;
    assert_eq!(host.plugin("a").deployment, id);
    host.answer("a", "seen/traps-on-poison").await;
    assert_eq!(host.plugins(), ["a running", "b running"]);
    host.stop().await;
}

#[tokio::test]
async fn a_successor_that_does_not_begin_is_undone_at_once() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&good(1)).await;
    let line = Line::new(2)
        .plugin("a", "begins", "traps")
        .plugin("b", "echo", "");
    let report = host.deploy(&line).await;
    // Before the swap or in it: both leave what ran.
    assert!(
        matches!(report.phase, Phase::Failed | Phase::RolledBack),
        "{report:?}"
    );
    assert_eq!(report.faults[0].plugin.as_ref().unwrap().as_str(), "a");
    assert_eq!(host.plugin("a").deployment, kept);
    host.answer("a", "seen/traps-on-poison").await;
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_first_deployment_that_fails_leaves_nothing_running() {
    let device = Device::new();
    let host = device.start().await;
    let id = host.begin(&bad("traps")).await;
    host.publish("in/a/x", "anything");
    assert_eq!(host.ended(id).await.phase, Phase::RolledBack);
    assert_eq!(host.plugins(), Vec::<String>::new());
    assert_eq!(host.active(), None);
    host.assert_whole().await;
    // And the next one is none the worse for it.
    host.commit(&good(2)).await;
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_successor_slower_than_the_inflow_is_undone() {
    let device = Device::new();
    let host = device.start().await;
    let small = "limits.inbox_messages_max = 32";
    let kept = Line::new(1)
        .plugin("a", "handles", "traps-on-poison")
        .and(small);
    let kept = host.commit(&kept).await;
    let slow = Line::new(2).plugin("a", "handles", "is-slow").and(small);
    let id = host.begin(&slow.probation(2)).await;
    host.until("undone", |host| {
        for _ in 0..64 {
            host.publish("in/a/x", "anything");
        }
        host.phase(id).is_final()
    })
    .await;
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    assert_eq!(report.faults[0].code, "slower-than-inflow", "{report:?}");
    assert_eq!(host.plugin("a").deployment, kept);
    host.stop().await;
}

#[tokio::test]
async fn one_that_is_superseded_before_its_swap_never_runs() {
    let device = Device::new();
    let host = device.start().await;
    let first = host.submit(&good(1), WhenBusy::Queue).await.unwrap();
    let second = host.submit(&good(2), WhenBusy::Supersede).await.unwrap();
    assert_eq!(host.ended(second).await.phase, Phase::Committed);
    // However far it had come, it is over and nothing of it is left.
    assert_eq!(host.ended(first).await.phase, Phase::Superseded);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn one_that_stops_by_itself_while_others_change_hands_has_failed() {
    let device = Device::new();
    let host = device.start().await;
    let busy = |line: Line| line.and("limits.batch_messages_max = 1");
    let line = Line::new(1).plugin("a", "echo", "");
    let line = busy(line.plugin("b", "update_counts", "")).and("config.fault = \"slow:300\"");
    let kept = host.commit(&line).await;
    // It takes a while to come to a batch boundary.
    for _ in 0..100 {
        host.publish("in/b/x", "anything");
    }
    let line = Line::new(2).plugin("a", "update_service", "");
    let line = line.and("config.ends = \"true\"");
    let line = busy(line.plugin("b", "handles", "traps-on-poison"));
    let report = host.deploy(&line.probation(1)).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    assert_eq!(host.plugin("a").deployment, kept);
    host.answer("a", "echo/#").await;
    host.stop().await;
}

#[tokio::test]
async fn what_a_successor_knew_is_not_lost_on_a_host_that_is_full() {
    let device = Device::new();
    let host = device.open_with(|config| config.ceilings.plugins_max = 1.try_into().unwrap());
    host.resume().await;
    let counts = |version, label: &str| {
        let line = Line::new(version).plugin("a", "update_counts", "");
        line.and(&format!("config.label = \"{label}\""))
    };
    let kept = host.commit(&counts(1, "one")).await;
    let count = async || {
        let answer = host.answer("a", "seen/counts").await;
        String::from_utf8(answer.payload.to_vec()).unwrap()
    };
    assert_eq!(count().await, "one 1 hello");
    let next = host.begin(&counts(2, "two").probation(3600)).await;
    assert_eq!(count().await, "two 2 hello");
    let back = host.deployments().roll_back(None, "a test".to_owned());
    host.ended(back.await.unwrap()).await;
    assert_eq!(host.phase(next), Phase::Superseded);
    assert_eq!(host.plugin("a").deployment, kept);
    assert_eq!(count().await, "one 3 hello");
    host.stop().await;
}
