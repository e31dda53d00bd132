//! Jobs: done once, and answered whatever happens.

use serde_json::json;

use super::site::Cloud;
use crate::deployments::world::{Device, Line};
use crate::process::{Process, selvedge};

const JOBS: &str = "deployments = true\n[cloud.jobs]\nprogress_s_min = 1\n";

fn line(version: usize) -> Line {
    Line::new(version).plugin("first", "echo", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_deploy_roll_back_and_restart_and_say_how_it_went() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let device = Device::new();
    let host = device.open_with(|config| cloud.configure(config, JOBS));
    host.resume().await;
    host.commit(&line(1)).await;
    let wanted = host.submission(&line(2));
    let document = json!({"operation": "deploy", "document": wanted.text, "files": wanted.files});
    cloud
        .orders("job", json!({"id": "up", "document": document}))
        .await;
    cloud.hears("job up IN_PROGRESS").await;
    let told = cloud.hears("job up SUCCEEDED").await;
    assert!(told.contains("\"phase\":\"committed\""), "{told}");
    let active = host.deployments().active().unwrap();
    assert_eq!(active.version, "2.0.0");
    assert!(active.requested_by.starts_with("cloud job up/1/"));

    let back = json!({"operation": "rollback"});
    cloud
        .orders("job", json!({"id": "back", "document": back}))
        .await;
    cloud.hears("job back SUCCEEDED").await;
    assert_eq!(host.deployments().active().unwrap().version, "1.0.0");

    let restart = json!({"operation": "restart-plugin", "plugin": "first"});
    cloud
        .orders("job", json!({"id": "again", "document": restart}))
        .await;
    cloud.hears("job again SUCCEEDED").await;

    // The first one is deleted, and its name and number given again.
    cloud
        .orders("job", json!({"id": "up", "document": document}))
        .await;
    cloud.hears("job up SUCCEEDED").await;
    assert_eq!(host.deployments().active().unwrap().version, "2.0.0");

    for (id, document, code) in [
        (
            "unknown",
            json!({"operation": "format-disk"}),
            "unknown-operation",
        ),
        (
            "hidden",
            json!({"operation": "de\u{200b}ploy"}),
            "unknown-operation",
        ),
        (
            "path",
            json!({"operation": "deploy", "document": "x", "files": {"../../etc/passwd": wanted.files["echo.wasm"]}}),
            "file-name",
        ),
        (
            "nobody",
            json!({"operation": "restart-plugin", "plugin": "nobody"}),
            "",
        ),
        (
            "broken",
            json!({"operation": "deploy", "document": "name = 1"}),
            "",
        ),
    ] {
        cloud
            .orders("job", json!({"id": id, "document": document}))
            .await;
        let told = cloud.hears(&format!("job {id} REJECTED")).await;
        assert!(told.contains(code), "{told}");
    }
    assert_eq!(host.deployments().history(None, 9).len(), 4);
    host.stop().await;
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_is_undone_and_the_next_one_is_done() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let device = Device::new();
    let host = device.open_with(|config| cloud.configure(config, JOBS));
    host.resume().await;
    host.commit(&line(1)).await;
    let wanted = host.submission(
        &Line::new(2)
            .plugin("first", "echo", "other")
            .probation(3_600),
    );
    let document = json!({"operation": "deploy", "document": wanted.text, "files": wanted.files});
    cloud
        .orders("job", json!({"id": "long", "document": document}))
        .await;
    cloud.hears("\"phase\":\"probation\"").await;
    cloud.orders("touch", json!({"id": "long"})).await;
    cloud.orders("cancel", json!({"id": "long"})).await;
    let restart = json!({"operation": "restart-plugin", "plugin": "first"});
    cloud
        .orders("job", json!({"id": "next", "document": restart}))
        .await;
    cloud.hears("job next SUCCEEDED").await;
    host.until("the old one is in force", |host| {
        let active = host.deployments().active();
        let old = active.is_some_and(|active| active.version == "1.0.0");
        old && host.deployments().under_way().is_empty()
    })
    .await;
    host.stop().await;
    let said = cloud.end().await;
    assert!(!said.contains("job long SUCCEEDED"), "{said}");
}

const DOCUMENT: &str = r#"name = "line"
version = "1.0.0"
[plugins.window]
component = "shipped:window"
config = { step_ms = 100, length = 30, hop = 5, max_gap_ms = 1000, wait_ms = 300, series = [{ record = "speed", features = ["mean"] }] }
grants = { subscribe = ["telemetry/#"], publish = ["feature/#"] }
[probation]
seconds = 0
"#;

fn host(cloud: &Cloud, arguments: &[&str]) -> Process {
    let mut command = selvedge(&[
        "run",
        "--data-directory",
        "data",
        "--host-config",
        "host.toml",
    ]);
    Process::start(command.args(arguments).current_dir(cloud.path()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cut_short_by_a_kill_is_finished_told_and_not_done_twice() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let uplink = cloud.uplink(&cloud.thing.certificate, &cloud.thing.key);
    let config = format!("{uplink}[cloud]\nuplink = \"aws\"\nthing = \"gw-7\"\n{JOBS}");
    fs_err::write(cloud.path().join("host.toml"), config).unwrap();
    for (round, point) in [
        "before:take-in",
        "after:take-in",
        "before:swap",
        "after:commit",
    ]
    .into_iter()
    .enumerate()
    {
        let mut first = host(&cloud, &["--abort-at", point]);
        first.line("ready").await;
        let id = format!("job-{round}");
        let text = DOCUMENT.replace("1.0.0", &format!("{}.0.0", round + 1));
        let text = text.replace("telemetry/#", &format!("telemetry/{round}/#"));
        let document = json!({"operation": "deploy", "document": text});
        cloud
            .orders("job", json!({"id": id, "document": document}))
            .await;
        assert_eq!(
            first.end().await.code,
            None,
            "it was to be killed at {point}"
        );
        let mut again = host(&cloud, &[]);
        cloud.hears(&format!("job {id} SUCCEEDED")).await;
        again.signal("TERM").await;
        again.end().await;
    }
    let said = cloud.end().await;
    for round in 0..4 {
        let ended = format!("job job-{round} SUCCEEDED");
        assert_eq!(said.matches(&ended).count(), 1, "{said}");
    }
}
