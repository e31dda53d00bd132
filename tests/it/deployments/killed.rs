//! The real binary, killed at each step that must not be left half done.

use std::path::Path;

use selvedge::deployment::deployments::fault_point::STEPS;
use selvedge::deployment::report::Phase;
use tempfile::TempDir;

use super::world::Device;
use crate::process::{Ended, Process, run, selvedge, text};

/// The last step of a deployment that goes well.
const LAST: &str = "commit";

fn document(version: u32, seconds: u32) -> String {
    format!(
        r##"name = "line"
version = "{version}.0.0"
[plugins.first]
component = "shipped:window"
config = {{ step_ms = 100, length = 30, hop = 5, max_gap_ms = 1000, wait_ms = 300, series = [{{ record = "speed", features = ["mean"] }}] }}
grants = {{ subscribe = ["telemetry/#"], publish = ["feature/#"] }}
[plugins.second]
component = "shipped:window"
config = {{ step_ms = 100, length = 30, hop = 5, max_gap_ms = 1000, wait_ms = 300, series = [{{ record = "speed", features = ["mean"] }}] }}
grants = {{ subscribe = ["telemetry/{version}/#"], publish = ["feature/#"] }}
[plugins.v{version}]
component = "shipped:window"
config = {{ step_ms = 100, length = 30, hop = 5, max_gap_ms = 1000, wait_ms = 300, series = [{{ record = "speed", features = ["mean"] }}] }}
grants = {{ subscribe = ["telemetry/#"], publish = ["feature/#"] }}
[probation]
seconds = {seconds}
"##
    )
}

/// Runs `selvedge run` in `folder`.
fn host(folder: &Path, arguments: &[&str]) -> Process {
    let mut command = selvedge(&["run", "--data-directory", "data"]);
    Process::start(command.args(arguments).current_dir(folder))
}

async fn stop(mut host: Process) -> Ended {
    host.signal("TERM").await;
    let ended = host.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// A folder with a device that has committed the first version.
pub(super) async fn committed() -> Device {
    let device = Device::new();
    for (name, version, seconds) in [("v1", 1, 0), ("v2", 2, 1), ("v3", 3, 0), ("v4", 4, 3600)] {
        let path = device.folder().join(name).with_extension("toml");
        fs_err::write(path, document(version, seconds)).unwrap();
    }
    let mut first = host(device.folder(), &["v1.toml"]);
    first.line("deployment committed").await;
    stop(first).await;
    device
}

/// Copies a folder, the holes in its files too.
pub(super) fn copy(from: &Path, to: &Path) {
    let from = from.join(".");
    let copied = std::process::Command::new("cp")
        .args(["-a", "--sparse=always", text(&from), text(to)])
        .status();
    assert!(copied.unwrap().success());
}

/// The host starts again, is whole, and deploys.
pub(super) async fn assert_survived(device: &Device, point: &str) -> Phase {
    let again = device.start().await;
    again.assert_whole().await;
    let history = again.deployments().history(None, 9);
    let active = again.active().unwrap();
    // The first was in force; the second was taken in, or never heard of.
    assert!((1..=2).contains(&history.len()), "{point}: {history:?}");
    assert!(active.0 == 1 || active.0 == 2, "{point}: {history:?}");
    let second = history.iter().find(|report| report.id.0 == 2);
    let outcome = second.map_or(Phase::Queued, |report| report.phase);
    assert_eq!(active.0 == 2, outcome == Phase::Committed, "{point}");
    let version = format!("v{}", active.0);
    let plugins = again.plugins();
    assert_eq!(
        plugins,
        [
            "first running",
            "second running",
            &format!("{version} running")
        ],
        "{point}"
    );
    again.stop().await;

    let mut next = host(device.folder(), &["v3.toml"]);
    next.line("deployment committed").await;
    stop(next).await;
    let last = device.start().await;
    assert_eq!(
        last.plugins(),
        ["first running", "second running", "v3 running"],
        "{point}"
    );
    last.assert_whole().await;
    last.stop().await;
    outcome
}

#[tokio::test]
async fn killed_at_any_step_the_host_has_the_old_or_the_new() {
    let template = committed().await;
    let last = STEPS.iter().position(|step| *step == LAST).unwrap();
    let points = STEPS[..=last].iter();
    let points = points.flat_map(|step| [format!("before:{step}"), format!("after:{step}")]);
    for point in points {
        let device = Device::new();
        copy(template.folder(), device.folder());
        let mut killed = host(device.folder(), &["v2.toml", "--abort-at", &point]);
        let ended = killed.end().await;
        assert_eq!(ended.code, None, "{point}: {}", ended.stderr);
        let outcome = assert_survived(&device, &point).await;
        let step = point.split_once(':').unwrap().1;
        let swapping = ["accept", "take-over"].contains(&step);
        let expected = match point.as_str() {
            "before:take-in" => Phase::Queued,
            "after:swap" | "before:probation" | "after:probation" | "before:commit" => {
                Phase::RolledBack
            }
            _ if swapping => Phase::RolledBack,
            // It is begun once more.
            _ => Phase::Committed,
        };
        assert_eq!(outcome, expected, "{point}");
    }
}

#[tokio::test]
async fn interrupted_twice_before_its_swap_a_deployment_is_given_up() {
    let device = committed().await;
    for arguments in [
        &["v2.toml", "--abort-at", "before:compile"][..],
        &["--abort-at", "before:compile"],
    ] {
        let ended = host(device.folder(), arguments).end().await;
        assert_eq!(ended.code, None, "{}", ended.stderr);
    }
    let again = device.start().await;
    again.assert_whole().await;
    let report = again
        .deployments()
        .report(selvedge::deployment::report::DeploymentId(2))
        .unwrap();
    assert_eq!(
        (report.phase, report.faults[0].code.as_str()),
        (Phase::Failed, "interrupted")
    );
    again.stop().await;
}

#[tokio::test]
async fn killed_in_its_probation_a_deployment_has_failed() {
    let device = committed().await;
    let mut killed = host(device.folder(), &["v4.toml"]);
    killed.line("deployment started").await;
    killed.signal("KILL").await;
    killed.end().await;
    let mut again = host(device.folder(), &[]);
    again.line("deployment was interrupted").await;
    again.line("ready").await;
    let ended = stop(again).await;
    assert!(
        ended.stderr.contains("deployment resumed"),
        "{}",
        ended.stderr
    );
    let host = device.start().await;
    assert_eq!(
        host.plugins(),
        ["first running", "second running", "v1 running"]
    );
    host.stop().await;
}

#[tokio::test]
async fn run_goes_on_with_what_is_in_force_when_its_document_is_refused() {
    let device = committed().await;
    let greedy = document(5, 0).replace("publish = [\"feature/#\"]", "");
    fs_err::write(device.folder().join("v5.toml"), greedy).unwrap();
    let mut refused = host(device.folder(), &["v5.toml"]);
    refused.line("what ran before goes on").await;
    stop(refused).await;
    // What is in force already is not deployed again.
    let mut same = host(device.folder(), &["v1.toml"]);
    same.line("ready").await;
    stop(same).await;
    let host = device.start().await;
    assert_eq!(host.deployments().history(None, 9).len(), 2);
    assert_eq!(host.active().unwrap().0, 1);
    host.stop().await;
}

#[tokio::test]
async fn run_without_a_document_is_ready_on_an_empty_device() {
    let folder = TempDir::new().unwrap();
    let mut empty = host(folder.path(), &[]);
    empty.line("ready").await;
    stop(empty).await;
    let data = folder.path().join("data");
    let nothing = run(&mut selvedge(&[
        "dev",
        "none.toml",
        "--data-directory",
        text(&data),
    ]))
    .await;
    assert_eq!(nothing.code, Some(78));
}
