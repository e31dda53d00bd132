//! Models that serve again: after versions that were not kept, after a start at which
//! they could not be loaded, and when they are not revoked any more.

use selvedge::deployment::report::{DeploymentId, Phase};
use selvedge::deployment::submission::{Submission, WhenBusy};
use serde_json::Value as Json;

use super::beside::load;
use super::{Lab, artifact, commit, computed, fault, line};
use crate::deployments::world::Host;

impl Lab {
    /// Three versions of one model.
    async fn versions(&self) -> [String; 3] {
        let mut references = Vec::new();
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            self.model("press", "press", version);
            references.push(self.publish("press", &self.lab).await);
        }
        references.try_into().unwrap()
    }
}

/// Deploys in place of whatever is under way, and waits until it is watched.
async fn begin(host: &Host, text: String, seconds: u32) -> DeploymentId {
    let text = text.replace("seconds = 0", &format!("seconds = {seconds}"));
    let submission = Submission {
        when_busy: WhenBusy::Supersede,
        ..host.submission_of(text)
    };
    let id = host.deployments().submit(submission).await.unwrap();
    let watched = |host: &Host| host.phase(id) == Phase::Probation;
    host.until("it is watched", watched).await;
    id
}

fn version(host: &Host) -> String {
    let report = host.deployments().model_reports().remove(0);
    report.origin.unwrap().version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_serves_starts_again_after_two_versions_that_were_not_kept() {
    let lab = Lab::new().await;
    let plugin = lab.plugin().await;
    let versions = lab.versions().await;
    let host = lab.host().await;
    commit(&host, line(1, &plugin, &artifact(&versions[0]))).await;
    let second = begin(&host, line(2, &plugin, &artifact(&versions[1])), 3600).await;
    let third = begin(&host, line(3, &plugin, &artifact(&versions[2])), 3600).await;
    assert_eq!(host.phase(second), Phase::Superseded);
    // It ends while the third is watched.
    host.stop().await;

    let host = lab.host().await;
    assert_eq!(host.phase(third), Phase::RolledBack);
    assert_eq!(version(&host), "1.0.0");
    assert_eq!(computed(&host).await, "computed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_loaded_while_another_is_watched_takes_nothing_from_it() {
    let lab = Lab::new().await;
    let plugin = lab.plugin().await;
    let versions = lab.versions().await;
    lab.model("own", "press", "0.3.1");
    let own = lab.publish("own", &lab.lab).await;
    lab.bring(&own).await;
    let (host, mut client) = lab.serving().await;
    commit(&host, line(1, &plugin, &artifact(&versions[0]))).await;
    let second = begin(&host, line(2, &plugin, &artifact(&versions[1])), 5).await;
    load(&mut client, "own", &own).await.unwrap();
    assert_eq!(host.ended(second).await.phase, Phase::Committed);
    begin(&host, line(3, &plugin, &artifact(&versions[2])), 3600).await;
    drop(client);
    host.stop().await;

    let host = lab.host().await;
    assert_eq!(version(&host), "1.1.0");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_loaded_at_the_start_is_loaded_when_it_is_deployed_again() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let text = line(1, &plugin, &artifact(&model));
    let host = lab.host().await;
    commit(&host, text.clone()).await;
    host.stop().await;
    lab.registry.process.signal("TERM").await;
    let digest = selvedge::names::Digest::of(&lab.world.read("press/press.onnx"));
    let blob = lab.world.find("data", &digest.hex());
    let away = lab.world.path("away");
    fs_err::rename(&blob, &away).unwrap();

    let (host, _client) = lab.serving().await;
    assert_eq!(host.plugins(), ["i running"]);
    let health = "health --host api.sock --json";
    let told = lab.world.cli(health).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let told: Json = serde_json::from_str(&told.stdout).unwrap();
    let reasons = told["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{told}");
    assert_eq!(reasons[0]["what"], "model/granted");
    assert_eq!(reasons[0]["reason"], "it is not loaded");
    let submission = host.submission_of(text.clone());
    assert!(!host.deployments().is_active(&submission));

    // What kept it from being loaded is over.
    fs_err::rename(&away, &blob).unwrap();
    commit(&host, text).await;
    assert!(host.deployments().is_active(&submission));
    assert_eq!(computed(&host).await, "computed");
    let told = lab.world.done(health).await;
    assert_eq!(serde_json::from_str::<Json>(&told).unwrap()["ok"], true);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_revoked_any_more_serves_when_it_is_deployed_again() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let text = line(1, &plugin, &artifact(&model));
    let host = lab.host().await;
    let first = commit(&host, text.clone()).await.id;
    let policy = lab.world.done("policy show --site site").await;
    lab.world.write("policy.json", policy);
    let (_, digest) = model.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let refused = fault(&host, text.clone()).await;
    assert_eq!(refused.code, "digest-revoked", "{refused:?}");

    lab.world.done("policy apply policy.json --site site").await;
    host.deployments().stop_revoked().await.unwrap();
    commit(&host, text).await;
    assert_eq!(computed(&host).await, "computed");
    let report = host.deployments().model_reports().remove(0);
    assert_eq!(report.withdrawn, None);
    // It serves behind its plugin.
    assert_eq!(host.plugin("i").deployment, first);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_revoked_while_an_operator_stops_it_does_not_come_back() {
    let lab = Lab::new().await;
    lab.world
        .write("handles.wasm", crate::guests::guest("handles"));
    let to = lab.at("vendor/handles");
    let signing = &lab.vendor;
    let publish = format!("publish handles.wasm {to} --version 1.0.0 {signing}");
    let plugin = lab.world.done(&publish).await;
    let host = lab.host().await;
    let text = format!(
        "name = \"line\"\nversion = \"1.0.0\"\n[plugins.i]\ncomponent = \"{plugin}\"\n\
         config.mode = \"sleeps\"\ngrants.subscribe = [\"in/i/#\"]\n\
         grants.publish = [\"seen/#\"]\nlimits.call_ms_max = 1000\n[probation]\nseconds = 0\n"
    );
    commit(&host, text).await;
    let (_, digest) = plugin.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    // Busy for as long as a call may take, so that stopping it takes a while.
    host.publish("in/i/x", "anything");
    let handed = |host: &Host| host.plugin("i").handled_total > 0;
    host.until("it is busy", handed).await;
    let name = "i".parse().unwrap();
    let deployments = host.deployments();
    let (stopped, looked) =
        tokio::join!(deployments.stop_plugin(&name), deployments.stop_revoked());
    looked.unwrap();
    assert!(stopped.is_ok(), "{stopped:?}");
    let report = host.plugin("i");
    assert_eq!(report.state, "given-up");
    assert!(report.error.unwrap().contains("revoked"));
    host.stop().await;
}
