//! The commands against the real host: `selvedge dev` in one process, the
//! command line in others, and its socket between them.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::guests::guest;
use crate::process::{Ended, Process, run, selvedge};

const DOCUMENT: &str = r##"name = "pair"
version = "1.0.0"

[plugins.first]
component = "echo.wasm"
grants = { publish = ["echo/#"], subscribe = ["in/#"] }
"##;

/// A second plugin.
const SECOND: &str = r##"
[plugins.second]
component = "echo.wasm"
grants = { publish = ["echo/#"], subscribe = ["other/#"] }
"##;

/// A host at work, and the folder of whoever operates it.
struct Plant {
    folder: TempDir,
    host: Process,
}

impl Plant {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("echo.wasm"), guest("echo")).unwrap();
        fs_err::write(folder.path().join("pair.toml"), DOCUMENT).unwrap();
        let mut command = selvedge(&["dev", "pair.toml", "--data-directory", "data"]);
        let mut host = Process::start(command.current_dir(folder.path()));
        host.line("deployment started").await;
        let plant = Self { folder, host };
        plant.wait_until_ready().await;
        plant
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = selvedge(arguments);
        command.args(["--host", "data/selvedge.sock"]);
        command.current_dir(self.folder.path());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments)).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        let ended = self.run(&arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// The first deployment is in probation for a while after it started.
    async fn wait_until_ready(&self) {
        let ended = self.run(&["history", "1", "--follow"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let ended = self.run(&["health"]).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), "ok\n"),
            "{ended:?}"
        );
    }

    fn document(&self, text: &str) {
        fs_err::write(self.path("pair.toml"), text).unwrap();
    }

    async fn stop(mut self) {
        self.host.signal("INT").await;
        let ended = self.host.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[tokio::test]
async fn a_host_is_looked_at_from_every_side() {
    let plant = Plant::start().await;
    let status = plant.run(&["status"]).await;
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.starts_with("ready\n"), "{status:?}");
    assert!(status.stdout.contains("1: pair 1.0.0"), "{status:?}");
    assert_eq!(plant.json(&["status"]).await["ready"], true);

    let plugins = plant.json(&["ps"]).await;
    assert_eq!(plugins[0]["plugin"], "first");
    assert_eq!(plugins[0]["state"], "running");
    let listed = plant.run(&["ps"]).await.stdout;
    assert!(
        listed
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("first   running"),
        "{listed}"
    );
    let parties = plant.run(&["parties"]).await.stdout;
    assert!(parties.contains("first"), "{parties}");
    let history = plant.json(&["history"]).await;
    assert_eq!(history[0]["phase"], "committed");
    let document = plant.run(&["history", "1", "--document"]).await;
    assert_eq!(document.stdout, DOCUMENT);
    let missing = plant.run(&["history", "99"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("[no-such-deployment]"),
        "{missing:?}"
    );

    let mut top = Process::start(&mut plant.command(&["top", "--json"]));
    let sample: Value = serde_json::from_str(&top.line("\"plugin\"").await).unwrap();
    assert_eq!(sample[0]["plugin"], "first");
    top.signal("INT").await;
    assert_eq!(top.end().await.code, Some(0));
    plant.stop().await;
}

#[tokio::test]
async fn messages_are_published_tapped_and_kept() {
    let plant = Plant::start().await;
    let mut tap = plant.command(&["tap", "echo/#", "in/#", "--count", "2", "--json"]);
    let mut tap = Process::start(&mut tap);
    let kept = plant.run(&["pub", "kept/value", "21.5", "--retain"]).await;
    assert_eq!(kept.code, Some(0), "{kept:?}");
    let begun = plant
        .run(&["tap", "kept/#", "--kept", "--count", "1"])
        .await;
    assert!(begun.stdout.contains("(kept) kept/value 21.5"), "{begun:?}");
    let topics = plant.run(&["topics", "kept/#"]).await;
    assert!(topics.stdout.contains("kept/value"), "{topics:?}");

    let arguments = ["pub", "in/a", "hello", "--content-type", "text/plain"];
    tap.line("listening to echo/#, in/#").await;
    assert_eq!(plant.run(&arguments).await.code, Some(0));
    let ended = tap.end().await;
    assert_eq!(ended.code, Some(0));
    let messages: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(messages.len(), 2);
    assert!(
        messages.iter().all(|message| message["text"] == "hello"),
        "{messages:?}"
    );
    plant.stop().await;
}

#[tokio::test]
async fn a_plan_is_shown_and_deployed_and_gone_back_from() {
    let plant = Plant::start().await;
    plant.document(&format!("{}{SECOND}", DOCUMENT.replace("1.0.0", "1.1.0")));
    let plan = plant.run(&["plan", "pair.toml"]).await;
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert!(plan.stdout.contains("+  second"), "{plan:?}");
    assert!(plan.stdout.contains("1 added, 1 untouched"), "{plan:?}");

    let deployed = plant.run(&["deploy", "pair.toml"]).await;
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    assert!(deployed.stdout.contains("committed"), "{deployed:?}");
    assert!(deployed.stdout.contains("+  second"), "{deployed:?}");
    assert!(
        deployed.stderr.contains("deployment 2: probation"),
        "{deployed:?}"
    );

    let stopped = plant.run(&["stop", "second"]).await;
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.stdout.contains("passes it by"), "{stopped:?}");
    let plugins = plant.json(&["ps"]).await;
    assert_eq!(plugins[1]["stopped_by_operator"], true);
    for action in ["start", "restart"] {
        let done = plant.run(&[action, "second"]).await;
        assert_eq!(done.code, Some(0), "{action}: {done:?}");
    }
    let unknown = plant.run(&["stop", "nobody"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");

    let back = plant.run(&["rollback"]).await;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert!(back.stdout.contains("-  second"), "{back:?}");
    let plugins = plant.json(&["ps"]).await;
    assert_eq!(plugins.as_array().unwrap().len(), 1);
    plant.stop().await;
}

#[tokio::test]
async fn what_the_host_does_not_take_is_told_with_its_place() {
    let plant = Plant::start().await;
    let shipped = "[plugins.second]\ncomponent = \"shipped:nothing\"\n";
    plant.document(&format!("{DOCUMENT}\n{shipped}"));
    for command in ["deploy", "plan"] {
        let refused = plant.run(&[command, "pair.toml"]).await;
        assert_eq!(refused.code, Some(78), "{refused:?}");
        assert!(
            refused.stderr.contains("pair.toml:9:13: error: "),
            "{refused:?}"
        );
    }
    // What only shows once it is looked into fails the deployment, not its taking.
    plant.document(&DOCUMENT.replace("publish = [\"echo/#\"], ", ""));
    let failed = plant.run(&["deploy", "pair.toml"]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.stderr.contains("what ran before was not touched"),
        "{failed:?}"
    );
    assert_eq!(plant.run(&["health"]).await.code, Some(0));
    plant.stop().await;
}

#[tokio::test]
async fn what_is_watched_is_deployed_with_each_save() {
    let plant = Plant::start().await;
    let mut watch = Process::start(&mut plant.command(&["deploy", "pair.toml", "--watch"]));
    watch.line("watching pair.toml").await;
    plant.document(&DOCUMENT.replace("1.0.0", "1.0.1"));
    watch.line("committed").await;
    watch.line("watching pair.toml").await;
    watch.signal("INT").await;
    assert_eq!(watch.end().await.code, Some(0));
    assert_eq!(plant.json(&["status"]).await["active"]["version"], "1.0.1");
    plant.stop().await;
}

#[tokio::test]
async fn lines_and_dead_letters_are_shown_from_the_beginning_and_on() {
    let plant = Plant::start().await;
    let logs = plant.run(&["logs"]).await;
    assert_eq!(logs.code, Some(0), "{logs:?}");
    for line in ["deployment 1 (pair 1.0.0) started", "plugin/first running"] {
        assert!(logs.stdout.contains(line), "{logs:?}");
    }
    let mut follow = Process::start(&mut plant.command(&["logs", "-f", "-n", "1"]));
    plant.run(&["restart", "first"]).await;
    follow.line("first").await;
    follow.signal("INT").await;
    assert_eq!(follow.end().await.code, Some(0));
    let letters = plant.run(&["dead-letters", "first"]).await;
    assert_eq!((letters.code, letters.stdout.as_str()), (Some(0), ""));
    plant.stop().await;
}
