//! What the site's publishers of models sign is served, wherever it lies.

use std::sync::Arc;

use selvedge::app::Mode;
use selvedge::deployment::report::Phase;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::{Lab, artifact, commit, computed, line};
use crate::deployments::world::Host;
use crate::trust::peers::Peers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_model_serves_a_plugin_until_it_is_revoked() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.2.0");
    let plugin = lab.plugin().await;
    let model = lab.publish("press", &lab.lab).await;
    let host = lab.host().await;
    let report = commit(&host, line(1, &plugin, &artifact(&model))).await;
    let (_, digest) = model.split_once('@').unwrap();
    let told: Vec<_> = report.models.values().map(ToString::to_string).collect();
    assert_eq!(told, [digest]);
    assert_eq!(computed(&host).await, "computed");
    let status = host.deployments().model_reports().remove(0);
    let origin = status.origin.unwrap();
    assert_eq!(origin.package, "models/press");
    assert_eq!((&*origin.version, &*origin.publisher), ("1.2.0", "lab"));
    assert_eq!(origin.artifact.to_string(), digest);
    assert_eq!(status.withdrawn, None);

    // It starts again without its registry.
    host.stop().await;
    lab.registry.process.signal("TERM").await;
    let host = lab.host().await;
    assert_eq!(computed(&host).await, "computed");

    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let refused = computed(&host).await;
    assert!(
        refused.contains("RuntimeError") && refused.contains("out of service"),
        "{refused}"
    );
    let status = host.deployments().model_reports().remove(0);
    assert!(status.withdrawn.unwrap().contains("revoked"));
    assert_eq!(host.plugins(), ["i running"]);
    host.stop().await;
    // Nor does it come back.
    let host = lab.host().await;
    assert!(host.deployments().model_reports().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_follow_each_other_and_none_below_what_ran_comes_after() {
    let lab = Lab::new().await;
    let plugin = lab.plugin().await;
    let mut versions = Vec::new();
    for version in ["0.9.0", "1.0.0", "1.1.0"] {
        lab.model("press", "press", version);
        versions.push(lab.publish("press", &lab.lab).await);
    }
    let host = lab.host().await;
    commit(&host, line(1, &plugin, &artifact(&versions[1]))).await;
    commit(&host, line(2, &plugin, &artifact(&versions[2]))).await;
    let version = || {
        let report = host.deployments().model_reports().remove(0);
        report.origin.unwrap().version
    };
    assert_eq!(version(), "1.1.0");
    let fault = super::fault(&host, line(3, &plugin, &artifact(&versions[0]))).await;
    assert_eq!(fault.code, "version-downgrade", "{fault:?}");
    assert!(fault.help.unwrap().contains("downgrade"));
    // What ran before may come back.
    commit(&host, line(4, &plugin, &artifact(&versions[1]))).await;
    assert_eq!(version(), "1.0.0");
    assert_eq!(computed(&host).await, "computed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_says_otherwise_than_the_manifest() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let text = String::from_utf8(lab.world.read("press/model.toml")).unwrap();
    let text = text.replace("backend = \"tract\"", "backend = \"onnxruntime\"");
    lab.world.write("press/model.toml", text);
    let plugin = lab.plugin().await;
    let model = lab
        .publish("press", &format!("{} --no-check", lab.lab))
        .await;
    let host = lab.host().await;
    let fault = super::fault(&host, line(1, &plugin, &artifact(&model))).await;
    assert!(fault.code.starts_with("model-backend"), "{fault:?}");
    let otherwise = format!("{}\nbackend = \"tract\"", artifact(&model));
    commit(&host, line(2, &plugin, &otherwise)).await;
    assert_eq!(computed(&host).await, "computed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_carried_to_a_site_without_a_network() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let to = lab.at("models/press");
    let package = format!("model package press {to} --output press.tar {}", lab.lab);
    let model = lab.world.done(&package).await;
    let plugin = lab.plugin().await;
    let export = format!("bundle export plugin.tar {plugin}");
    lab.world.done(&export).await;
    lab.registry.process.signal("TERM").await;
    for file in ["press.tar", "plugin.tar"] {
        let import = format!("bundle import {file} --host-config host.toml");
        lab.world.done(&import).await;
    }
    let host = lab.host().await;
    commit(&host, line(1, &plugin, &artifact(&model))).await;
    assert_eq!(computed(&host).await, "computed");
    host.stop().await;
    // What is in the store goes on to the next site.
    let export = format!("bundle export both.tar {model} {plugin} --host-config host.toml");
    lab.world.done(&export).await;
    let inspected = lab.world.done("model inspect press.tar --json").await;
    let inspected: Json = serde_json::from_str(&inspected).unwrap();
    // Where it lies is of no matter to what it is.
    let name = inspected["reference"].as_str().unwrap();
    assert!(model.ends_with(name), "{model} {name}");
    assert_eq!(inspected["manifest"]["licenses"], "Apache-2.0");
    assert_eq!(inspected["files"].as_array().unwrap().len(), 2);
    assert!(!inspected["operators"].as_object().unwrap().is_empty());
    assert_eq!(inspected["signatures"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_model_is_signed_and_verified_like_a_plugin_and_its_files_come_back() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let model = lab.publish("press", "--unsigned").await;
    assert_eq!(lab.world.verdict(&model).await["code"], "unsigned");
    let sign = format!("sign {model} {}", lab.lab);
    lab.world.done(&sign).await;
    let verdict = lab.world.verdict(&model).await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert_eq!(
        (&verdict["kind"], &verdict["publisher"]),
        (&"model".into(), &"lab".into())
    );

    lab.world
        .done(&format!("model pull {model} --output back"))
        .await;
    for file in ["model.toml", "press.onnx", "press.golden.json"] {
        let (here, back) = (format!("press/{file}"), format!("back/{file}"));
        assert_eq!(lab.world.read(&here), lab.world.read(&back), "{file}");
    }
    // The same files are the same artifact.
    let again = lab.publish("press", "--unsigned").await;
    assert_eq!(again, model);
    let ended = lab.world.cli(&format!("inspect {model}")).await;
    assert!(ended.stderr.contains("selvedge model inspect"), "{ended:?}");
}

#[tokio::test]
async fn another_peoples_registry_keeps_a_model_whole() {
    let Some(peers) = Peers::find() else { return };
    let lab = Lab::new().await;
    let registry = peers.registry(lab.world.folder()).await;
    lab.model("press", "press", "1.0.0");
    let to = format!("{}/models/press", registry.address);
    let publish = format!("model publish press {to} {}", lab.lab);
    let model = lab.world.done(&publish).await;
    let pulled = format!("model pull {model} --host-config host.toml --json");
    let pulled: Json = serde_json::from_str(&lab.world.done(&pulled).await).unwrap();
    assert_eq!(pulled["signatures"], 1);
    assert_eq!(pulled["files"].as_array().unwrap().len(), 3);
    assert_eq!(lab.world.verdict(&model).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_artifacts_of_the_same_file_are_revoked_one_by_one() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    lab.model("again", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let first = lab.publish("press", &lab.lab).await;
    let second = lab.publish("again", &lab.lab).await;
    let host = lab.host().await;
    let both = line(1, &plugin, &artifact(&first)).replace("[\"granted\"]", "[\"granted\", \"z\"]");
    let both = format!("{both}[models.z]\n{}\n", artifact(&second));
    commit(&host, both).await;
    let (_, digest) = first.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let withdrawn = withdrawn(&host);
    assert_eq!(
        withdrawn,
        [true, false],
        "the one that is revoked, and no other"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_while_a_deployment_is_watched_does_not_serve_after_it() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    lab.model("oven", "oven", "1.0.0");
    let plugin = lab.plugin().await;
    let first = lab.publish("press", &lab.lab).await;
    let second = lab.publish("oven", &lab.lab).await;
    let host = lab.host().await;
    // One model more: it is not among those that served before.
    commit(&host, line(1, &plugin, &artifact(&first))).await;
    let next = line(2, &plugin, &artifact(&first)).replace("[\"granted\"]", "[\"granted\", \"z\"]");
    let next = next.replace("seconds = 0", "seconds = 3");
    let next = format!("{next}[models.z]\n{}\n", artifact(&second));
    let deployments = host.deployments();
    let id = deployments.submit(host.submission_of(next)).await.unwrap();
    let watched = |host: &Host| host.phase(id) == Phase::Probation;
    host.until("it is watched", watched).await;
    let (_, digest) = second.split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
    assert_eq!(withdrawn(&host), [false, true]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_revoked_while_another_is_watched_does_not_come_back_to_serve() {
    let lab = Lab::new().await;
    let plugin = lab.plugin().await;
    let mut versions = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        lab.model("press", "press", version);
        versions.push(lab.publish("press", &lab.lab).await);
    }
    let host = lab.host().await;
    commit(&host, line(1, &plugin, &artifact(&versions[0]))).await;
    let next = line(2, &plugin, &artifact(&versions[1])).replace("seconds = 0", "seconds = 3600");
    let deployments = host.deployments();
    let id = deployments.submit(host.submission_of(next)).await.unwrap();
    let watched = |host: &Host| host.phase(id) == Phase::Probation;
    host.until("it is watched", watched).await;
    let (_, digest) = versions[0].split_once('@').unwrap();
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    deployments.stop_revoked().await.unwrap();

    let served = deployments.served(&"granted".parse().unwrap()).unwrap();
    let revoked = digest.parse().ok();
    let ended = CancellationToken::new();
    let looking = ended.clone();
    let looked = Arc::clone(&served);
    // What is put back is looked at as soon as it is.
    let look = tokio::task::spawn_blocking(move || {
        let mut serves = false;
        while !looking.is_cancelled() {
            let model = looked.current();
            serves |= model.artifact() == revoked && model.withdrawn().is_none();
        }
        serves
    });
    let ends = ended.drop_guard();
    let back = deployments.roll_back(None, "me".to_owned()).await.unwrap();
    host.ended(back).await;
    assert_eq!(host.ended(id).await.phase, Phase::Superseded);
    drop(ends);
    assert!(!look.await.unwrap(), "it served again");
    assert_eq!(served.current().artifact(), revoked);
    assert_eq!(withdrawn(&host), [true]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_a_file_goes_when_its_digest_is_revoked() {
    let lab = Lab::new().await;
    lab.model("press", "press", "1.0.0");
    let plugin = lab.plugin().await;
    let host = lab.host_as(Mode::Development).await;
    commit(&host, line(1, &plugin, "path = \"press/press.onnx\"")).await;
    assert_eq!(withdrawn(&host), [false]);
    let digest = selvedge::names::Digest::of(&lab.world.read("press/press.onnx"));
    let revoke = format!("policy revoke digest {digest} --site site");
    lab.world.done(&revoke).await;
    host.deployments().stop_revoked().await.unwrap();
    assert_eq!(withdrawn(&host), [true]);
    host.stop().await;
}

/// Which models are out of service, by their names' order.
fn withdrawn(host: &Host) -> Vec<bool> {
    let reports = host.deployments().model_reports();
    reports.iter().map(|it| it.withdrawn.is_some()).collect()
}
