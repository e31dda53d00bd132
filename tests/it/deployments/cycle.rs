//! Plugins that feed themselves: found by what they do, not by luck.

use selvedge::deployment::report::Phase;

use super::world::{Device, Line};

#[tokio::test]
async fn a_plugin_that_feeds_itself_is_undone_and_named() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&Line::new(1).plugin("b", "echo", "")).await;
    // What it publishes under `echo/` comes back to it.
    let mut submission = host.submission(
        &Line::new(2)
            .plugin("a", "echo", "")
            .plugin("b", "echo", "")
            .probation(3600),
    );
    submission.text = submission.text.replacen("in/a/#", "echo/#", 1);
    let id = host.deployments().submit(submission).await.unwrap();
    host.deployments()
        .reached(id, |phase| phase == Phase::Probation)
        .await;
    host.publish("echo/x", "round and round");
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    let fault = &report.faults[0];
    assert_eq!(fault.code, "topics-form-a-cycle", "{report:?}");
    assert_eq!(fault.plugin.as_ref().unwrap().as_str(), "a");
    assert_eq!(host.plugin("b").deployment, kept);
    host.assert_whole().await;
    host.stop().await;
}
