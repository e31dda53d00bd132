//! What is kept: the way of a deployment that goes well, and going back.

use selvedge::deployment::plan::Change;
use selvedge::deployment::report::{Event, Phase, Reason};
use selvedge::deployment::submission::SubmitError;

use super::world::{Device, Line};

fn echo(version: usize) -> Line {
    Line::new(version).plugin("a", "echo", "")
}

#[tokio::test]
async fn a_deployment_goes_through_its_phases_and_is_kept() {
    let device = Device::new();
    let host = device.start().await;
    let mut events = host.deployments().events();
    let id = host.commit(&echo(1).probation(1)).await;
    let mut phases = Vec::new();
    while phases.last().is_none_or(|phase: &Phase| !phase.is_final()) {
        if let Event::Phase { deployment, phase } = events.recv().await.unwrap() {
            assert_eq!(deployment, id);
            phases.push(phase);
        }
    }
    use Phase::*;
    let expected = [
        Queued, Pull, Verify, Admit, Compile, Prepare, Swap, Probation, Committed,
    ];
    assert_eq!(phases, expected);
    let report = host.deployments().report(id).unwrap();
    assert_eq!(report.requested_by, "a test");
    assert_eq!(report.plan.unwrap().plugins[0].change, Change::Added);
    assert_eq!(report.plugins.len(), 1);
    let text = echo(1).probation(1).text();
    assert_eq!(host.deployments().document_of(id), Some(text));
    host.answer("a", "echo/#").await;
    host.assert_whole().await;
    // Whoever asks later is told, too.
    let mut kept = host.listen("$selvedge/deployment");
    let mut batch = Vec::new();
    kept.receive(1, &mut batch).await;
    let told: serde_json::Value = serde_json::from_slice(&batch[0].payload).unwrap();
    assert_eq!(
        (&told["id"], &told["phase"]),
        (&1.into(), &"committed".into())
    );
    assert!(told.get("plan").is_none());
    host.stop().await;
}

#[tokio::test]
async fn only_what_changed_is_touched() {
    let device = Device::new();
    let host = device.start().await;
    let first = echo(1).plugin("b", "handles", "traps-on-poison");
    let first = host.commit(&first).await;
    let states = host.listen("$selvedge/state/plugin/a");
    let second = echo(2)
        .plugin("b", "handles", "is-slow")
        .plugin("c", "echo", "");
    let id = host.commit(&second).await;
    assert_eq!(host.plugin("a").deployment, first);
    assert_eq!(host.plugin("b").deployment, id);
    assert_eq!(host.plugin("c").deployment, id);
    // The kept value, and nothing after it.
    let mut seen = Vec::new();
    while states.try_receive(16, &mut seen) > 0 {}
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(host.plugins(), ["a running", "b running", "c running"]);
    let plan = host.deployments().report(id).unwrap().plan.unwrap();
    let changes: Vec<_> = plan.plugins.iter().map(|it| it.change).collect();
    assert_eq!(
        changes,
        [Change::Untouched, Change::Reconfigured, Change::Added]
    );
    assert_eq!(plan.plugins[1].differs, ["config.mode"]);

    // What is no longer named goes.
    host.commit(&echo(3)).await;
    assert_eq!(host.plugins(), ["a running"]);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn other_bytes_under_the_same_name_are_another_component() {
    let device = Device::new();
    let host = device.start().await;
    let first = host.commit(&echo(1)).await;
    let other = fs_err::read(device.folder().join("handles.wasm")).unwrap();
    fs_err::write(device.folder().join("echo.wasm"), other).unwrap();
    let second = host.commit(&echo(1)).await;
    assert_eq!(host.plugin("a").deployment, second);
    // And the first is what it was.
    let back = host.deployments().roll_back(Some(first), "me".to_owned());
    let back = host.ended(back.await.unwrap()).await;
    assert_eq!(back.phase, Phase::Committed, "{back:?}");
    host.answer("a", "echo/#").await;
    host.stop().await;
}

#[tokio::test]
async fn the_same_again_is_kept_at_once_and_changes_nothing() {
    let device = Device::new();
    let host = device.start().await;
    let line = echo(1).probation(3600);
    let first = host.begin(&line).await;
    // It is not in force yet, so this one waits its turn.
    let second = host.submit(&echo(1), Default::default()).await.unwrap();
    assert_eq!(host.phase(first), Phase::Probation);
    let superseding = selvedge::deployment::submission::WhenBusy::Supersede;
    let third = host.submit(&echo(1), superseding).await.unwrap();
    assert_eq!(host.ended(third).await.phase, Phase::Committed);
    assert_eq!(host.ended(second).await.phase, Phase::Superseded);
    let again = host.deploy(&echo(1)).await;
    assert_eq!(again.phase, Phase::Committed);
    assert_eq!(host.plugin("a").deployment, third);
    assert_eq!(host.active(), Some(again.id));
    assert!(host.deployments().is_active(&host.submission(&echo(1))));
    assert!(!host.deployments().is_active(&host.submission(&echo(2))));
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn going_back_is_a_deployment_of_what_was() {
    let device = Device::new();
    let host = device.start().await;
    let none = host.deployments().roll_back(None, "me".to_owned()).await;
    assert!(matches!(none, Err(SubmitError::NothingBefore)), "{none:?}");
    let first = host.commit(&echo(1)).await;
    let none = host.deployments().roll_back(None, "me".to_owned()).await;
    assert!(matches!(none, Err(SubmitError::NothingBefore)), "{none:?}");
    host.commit(&Line::new(2).plugin("a", "handles", "is-slow"))
        .await;
    let back = host.deployments().roll_back(None, "me".to_owned());
    let back = host.ended(back.await.unwrap()).await;
    assert_eq!(back.phase, Phase::Committed);
    assert_eq!(back.reason, Reason::RollBackTo { deployment: first });
    assert_eq!(
        (back.version.as_str(), back.requested_by.as_str()),
        ("1.0.0", "me")
    );
    host.answer("a", "echo/#").await;
    let unknown = selvedge::deployment::report::DeploymentId(77);
    let unknown = host.deployments().roll_back(Some(unknown), "me".to_owned());
    assert!(matches!(unknown.await, Err(SubmitError::NoDeployment(_))));
    host.stop().await;
}

#[tokio::test]
async fn one_plugin_is_swapped_and_the_document_says_so() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&echo(1).and("# A remark.")).await;
    let name = || "a".parse().unwrap();
    let id = host
        .deployments()
        .swap(name(), "handles.wasm".parse().unwrap(), "me".to_owned());
    // It was not handed in.
    assert!(matches!(id.await, Err(SubmitError::NoFile { .. })));
    let id = host
        .deployments()
        .swap(name(), "shipped:window".parse().unwrap(), "me".to_owned());
    let id = id.await.unwrap();
    host.ended(id).await;
    let text = host.deployments().document_of(id).unwrap();
    assert!(text.contains("component = \"shipped:window\"\n"), "{text}");
    assert!(text.contains("# A remark."), "{text}");
    let none = host.deployments().swap(
        "z".parse().unwrap(),
        "shipped:window".parse().unwrap(),
        "me".to_owned(),
    );
    assert!(matches!(none.await, Err(SubmitError::NoPlugin(_))));
    host.stop().await;
}

#[tokio::test]
async fn files_that_nobody_needs_make_place_for_new_ones() {
    let device = Device::new();
    let files = device.data().join("files");
    fs_err::create_dir_all(&files).unwrap();
    let stale = fs_err::File::create(files.join("0".repeat(64))).unwrap();
    stale.set_len(2 << 30).unwrap();
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 60 * 60);
    stale.file().set_modified(yesterday).unwrap();
    let host = device.start().await;
    host.deployments().put_file("model".into()).await.unwrap();
    host.stop().await;
}
