//! Several clients of the management API who deploy at once.

use std::path::Path;

use futures::future::join_all;
use serde_json::Value;
use tokio::process::Command;

use crate::guests::guest;
use crate::process::{Ended, Process, run, selvedge};

/// Clients at once.
const CLIENTS: usize = 6;

fn document(version: usize, seconds: u32) -> String {
    format!(
        "name = \"line\"\nversion = \"{version}.0.0\"\n[plugins.p]\ncomponent = \"counts.wasm\"\n\
         config = {{ label = \"v{version}\", topic = \"seen/p\" }}\n\
         grants = {{ subscribe = [\"in/p/#\"], publish = [\"seen/p\"] }}\n\
         [probation]\nseconds = {seconds}\n"
    )
}

fn client(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = selvedge(arguments);
    command.args(["--host", "data/selvedge.sock"]);
    command.current_dir(folder);
    command
}

async fn json(folder: &Path, arguments: &[&str]) -> Value {
    let ended = run(client(folder, arguments).arg("--json")).await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_at_once_are_each_told_what_became_of_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("counts.wasm"), guest("update_counts")).unwrap();
    for version in 0..=CLIENTS {
        let seconds = if version == 0 { 3600 } else { 0 };
        let path = folder.join(format!("v{version}.toml"));
        fs_err::write(path, document(version, seconds)).unwrap();
    }
    let mut dev = selvedge(&["dev", "v0.toml", "--data-directory", "data"]);
    let mut host = Process::start(dev.current_dir(folder));
    host.line("deployment started").await;

    let refused = run(&mut client(folder, &["deploy", "v1.toml", "--refuse"])).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("deployment-under-way"),
        "{refused:?}"
    );

    let clients = (1..=CLIENTS).map(|version| async move {
        let document = format!("v{version}.toml");
        let how = if version % 2 == 0 {
            "--supersede"
        } else {
            "--queue"
        };
        run(&mut client(folder, &["deploy", &document, how])).await
    });
    let ended: Vec<Ended> = join_all(clients).await;
    let history = json(folder, &["history"]).await;
    let history = history.as_array().unwrap();
    for (version, ended) in (1..).zip(&ended) {
        let name = format!("{version}.0.0");
        let report = history.iter().find(|report| report["version"] == *name);
        let Some(report) = report else {
            // Only so many are looked into at once; that is said, and nothing kept.
            assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
            assert!(ended.stderr.contains("[busy]"), "{name}: {ended:?}");
            continue;
        };
        let phase = report["phase"].as_str().unwrap();
        let code = match phase {
            "committed" => 0,
            "superseded" => 1,
            other => panic!("{name} ended as {other}"),
        };
        assert_eq!(ended.code, Some(code), "{name} {phase}: {ended:?}");
        let said = ended.stdout.contains(phase) || ended.stderr.contains(phase);
        assert!(said, "{name} {phase}: {ended:?}");
    }
    let first = history.iter().find(|report| report["id"] == 1);
    assert_eq!(first.unwrap()["phase"], "superseded");
    let committed = history.iter().find(|report| report["phase"] == "committed");
    let status = json(folder, &["status"]).await;
    assert_eq!(status["active"]["id"], committed.unwrap()["id"]);
    let plugins = json(folder, &["ps"]).await;
    assert_eq!(plugins[0]["deployment"], committed.unwrap()["id"]);
    assert_eq!(plugins[0]["state"], "running");
    host.signal("INT").await;
    assert_eq!(host.end().await.code, Some(0));
}
